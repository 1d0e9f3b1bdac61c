/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that wait for a slow peer: copies, wiped when they have left. A frame that
 * carries a secret waits in locked memory only. Descriptors wait as duplicates.
 */
#include "agent/base/secret.h"
#include "agent/ipc/packet.h"
#include "mk/own.h"

#include <fcntl.h>
#include <stdlib.h>

#define ITEM_COST 64u /* what a waiting frame takes beside its bytes, towards MK_LINK_QUEUE_MAX */

struct mk_queued {
	struct mk_queued *next;
	struct mk_secret *secret; /* or NULL: plain */
	uint8_t *plain;
	size_t n;
	int fd;
};

static struct mk_queued *queued_free(struct mk_queued *i)
{
	if (!i)
		return NULL;
	mk_secret_free(i->secret);
	if (i->plain)
		mk_wipe(i->plain, i->n);
	free(i->plain);
	mk_close(i->fd);
	free(i);
	return NULL;
}

static void queued_freep(struct mk_queued **i)
{
	*i = queued_free(*i);
}

static mk_must room(struct mk_queued *i, bool secret, uint8_t **ret)
{
	if (secret) {
		MK_TRY(mk_secret_new(i->n, &i->secret));
		*ret = mk_secret_buf(i->secret);
		return MK_OK;
	}
	i->plain = malloc(i->n);
	if (!i->plain)
		return MK_NO_MEMORY;
	*ret = i->plain;
	return MK_OK;
}

static mk_must queued_new(const struct mk_out *o, struct mk_queued **ret)
{
	mk_auto(queued_freep) struct mk_queued *i = calloc(1, sizeof *i);
	if (!i)
		return MK_NO_MEMORY;
	i->fd = -1;
	i->n = o->head.n + o->body.n;
	uint8_t *to = NULL;
	MK_TRY(room(i, o->secret, &to));
	memcpy(to, o->head.p, o->head.n);
	if (o->body.n)
		memcpy(to + o->head.n, o->body.p, o->body.n);
	if (i->secret)
		mk_secret_set_len(i->secret, i->n);
	if (o->fd >= 0) {
		i->fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
		if (i->fd < 0)
			return MK_SYSTEM;
	}
	*ret = MK_TAKE(i);
	return MK_OK;
}

enum mk_err mk_queue_add(struct mk_queue *q, const struct mk_out *o)
{
	const size_t cost = o->head.n + o->body.n + ITEM_COST;
	if (cost > MK_LINK_QUEUE_MAX - q->bytes)
		return MK_NOT_READY;
	struct mk_queued *i = NULL;
	MK_TRY(queued_new(o, &i));
	if (q->last)
		q->last->next = i;
	else
		q->first = i;
	q->last = i;
	q->bytes += cost;
	return MK_OK;
}

static void drop_first(struct mk_queue *q)
{
	struct mk_queued *i = q->first;
	q->first = i->next;
	if (!q->first)
		q->last = NULL;
	q->bytes -= i->n + ITEM_COST;
	queued_free(i);
}

enum mk_err mk_queue_flush(struct mk_queue *q, int sock)
{
	while (q->first) {
		const struct mk_queued *i = q->first;
		const struct mk_out o = {
			.head = i->secret ? mk_secret_span(i->secret) : mk_span(i->plain, i->n),
			.fd = i->fd,
		};
		const enum mk_err e = mk_packet_send(sock, &o);
		if (e == MK_NOT_READY)
			return MK_OK;
		MK_TRY(e);
		drop_first(q);
	}
	return MK_OK;
}

void mk_queue_done(struct mk_queue *q)
{
	while (q->first)
		drop_first(q);
}

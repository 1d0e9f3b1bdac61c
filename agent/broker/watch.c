/* SPDX-License-Identifier: Apache-2.0
 *
 * Watches on the stores' files. They are read before each decision that may use the cache, or before each turn of them,
 * so that a change made before a request is seen by it, and by the loop, so that the
 * queue never fills. An event is compared with every watch: descriptors may share a queue.
 */
#include "agent/base/log.h"
#include "agent/broker/core.h"
#include "agent/broker/fetch.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define READS_MAX 64 /* a round; what is left comes with the next */

/* Nothing may be concluded from silence any more. */
#define LOST (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)

static void changed(struct mk_broker *b, const struct inotify_event *e, const char *name)
{
	if (e->mask & (IN_IGNORED | IN_MOVE_SELF))
		mk_log(MK_WARN, "watch_lost", MK_KV_S("remedy", "the directory of a store went away: reload once it is back; until then "
								"changes are seen after refresh.ttl"));
	for (size_t i = 0; i < b->n_watches; i++)
		if ((e->mask & LOST) || strcmp(b->watches[i].file, name) == 0)
			mk_fetch_changed(b, b->watches[i].backend);
}

static void each_event(struct mk_broker *b, const uint8_t *p, size_t n)
{
	struct inotify_event e;
	while (n >= sizeof e) {
		memcpy(&e, p, sizeof e);
		if (e.len > n - sizeof e)
			return;
		changed(b, &e, e.len > 0 ? (const char *)p + sizeof e : "");
		p += sizeof e + e.len;
		n -= sizeof e + e.len;
	}
}

static void read_one(struct mk_broker *b, const struct mk_watch *w)
{
	uint8_t buf[4096];
	for (int i = 0; i < READS_MAX; i++) {
		const ssize_t n = read(w->fd, buf, sizeof buf);
		if (n <= 0)
			return;
		each_event(b, buf, (size_t)n);
	}
}

void mk_watch_poll(struct mk_broker *b)
{
	for (size_t i = 0; i < b->n_watches; i++)
		read_one(b, &b->watches[i]);
}

static void on_readable(void *arg, uint32_t events)
{
	(void)events;
	mk_watch_poll(arg);
}

mk_must mk_watch_add(struct mk_broker *b, struct mk_watch *w)
{
	if (b->n_watches == MK_WATCHES_MAX)
		return MK_TOO_LARGE;
	const int flags = fcntl(w->fd, F_GETFL);
	if (flags < 0 || fcntl(w->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return MK_SYSTEM;
	struct mk_watch *to = &b->watches[b->n_watches];
	*to = *w;
	MK_TRY(mk_loop_add(b->loop, to->fd, EPOLLIN, on_readable, b, &to->source));
	b->n_watches++;
	w->fd = -1;
	return MK_OK;
}

void mk_watch_clear(struct mk_broker *b)
{
	while (b->n_watches > 0) {
		struct mk_watch *w = &b->watches[--b->n_watches];
		w->source = mk_loop_del(w->source);
		mk_closep(&w->fd);
	}
}

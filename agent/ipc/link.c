/* SPDX-License-Identifier: Apache-2.0
 *
 * A link's life: receive into the process's one locked buffer, check, hand over, wipe;
 * send or queue; end once. A link that is freed inside its own handler is only marked,
 * and goes when the handler has returned.
 */
#include "agent/base/secret.h"
#include "agent/ipc/check.h"
#include "agent/ipc/packet.h"
#include "mk/own.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define FRAMES_A_ROUND 16 /* then others in the loop have their turn */
#define SEND_BUFFER (256 * 1024)

_Static_assert(MK_FRAME_MAX <= MK_SECRET_LARGE, "a frame is received into one secret");

struct mk_link {
	struct mk_source *source;
	int fd;
	enum mk_role self, peer;
	mk_frame_fn *on_frame;
	mk_gone_fn *on_gone;
	void (*on_room)(void *);
	void *arg;
	struct mk_phase_state phase;
	struct mk_queue queue;
	enum mk_msg at;  /* the last message that was begun, for the log */
	bool in_handler, freed, gone, writing;
};

/* Frames are handled one after the other, never nested: one buffer serves all links of a process. */
static struct mk_secret *inbox;
static unsigned inbox_users;

enum mk_err mk_link_pair(int *ret_a, int *ret_b)
{
	int p[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) < 0)
		return MK_SYSTEM;
	const int size = SEND_BUFFER;
	for (int i = 0; i < 2; i++)
		if (setsockopt(p[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0) {
			mk_close(p[0]);
			mk_close(p[1]);
			return MK_SYSTEM;
		}
	*ret_a = p[0];
	*ret_b = p[1];
	return MK_OK;
}

static void destroy(struct mk_link *k)
{
	mk_loop_del(k->source);
	mk_close(k->fd);
	mk_queue_done(&k->queue);
	free(k);
	if (--inbox_users == 0)
		inbox = mk_secret_free(inbox);
}

static void end(struct mk_link *k, enum mk_err e)
{
	if (k->gone)
		return;
	k->gone = true;
	k->source = mk_loop_del(k->source);
	mk_queue_done(&k->queue);
	if (!k->freed)
		k->on_gone(k->arg, e, k->at);
}

static mk_must handle(struct mk_link *k, const struct mk_got *got)
{
	mk_fd fd = got->fd;
	struct mk_frame f;
	k->at = MK_MSG_COUNT;
	MK_TRY(mk_frame_parse(mk_span(mk_secret_buf(inbox), got->n), &f));
	k->at = f.type;
	if (!mk_frame_allowed(&k->phase, k->peer, k->self, &f, fd >= 0))
		return MK_BAD_REQUEST;
	mk_frame_passed(&k->phase, &f);
	f.fd = MK_TAKE_FD(fd);
	const enum mk_err e = k->on_frame(k->arg, &f);
	mk_close(f.fd);
	return e;
}

/* One frame: OK, NOT_READY when there is none, another error when the link has ended. */
static mk_must receive(struct mk_link *k)
{
	struct mk_got got = { 0, -1 };
	enum mk_err e = mk_packet_recv(k->fd, mk_secret_buf(inbox), MK_FRAME_MAX, &got);
	if (e == MK_NOT_READY)
		return e;
	const bool left = e == MK_OK && got.n == 0 && got.fd < 0;
	if (e == MK_OK && !left)
		e = handle(k, &got);
	mk_wipe(mk_secret_buf(inbox), e == MK_OK ? got.n : MK_FRAME_MAX);
	if (left || e != MK_OK)
		end(k, e);
	return left ? MK_SYSTEM : e;
}

/* Asks for EPOLLOUT just while frames wait. */
static mk_must watch(struct mk_link *k)
{
	const bool writing = k->queue.first != NULL;
	if (writing == k->writing)
		return MK_OK;
	MK_TRY(mk_loop_mod(k->source, writing ? EPOLLIN | EPOLLOUT : EPOLLIN));
	k->writing = writing;
	return MK_OK;
}

static mk_must write_out(struct mk_link *k)
{
	if (!k->queue.first)
		return MK_OK;
	MK_TRY(mk_queue_flush(&k->queue, k->fd));
	if (!k->queue.first && k->on_room)
		k->on_room(k->arg);
	return MK_OK;
}

static bool alive(const struct mk_link *k)
{
	return !k->freed && !k->gone;
}

static void on_event(void *arg, uint32_t events)
{
	struct mk_link *k = arg;
	k->in_handler = true;
	enum mk_err e = events & EPOLLOUT ? write_out(k) : MK_OK;
	for (int i = 0; i < FRAMES_A_ROUND && alive(k); i++) /* also when writing failed: the peer's last words */
		if (receive(k) != MK_OK)
			break;
	if (alive(k) && e == MK_OK)
		e = watch(k);
	if (alive(k) && e != MK_OK)
		end(k, e);
	k->in_handler = false;
	if (k->freed)
		destroy(k);
}

enum mk_err mk_link_new(struct mk_loop *l, int fd, enum mk_role self, enum mk_role peer, mk_frame_fn *on_frame,
			mk_gone_fn *on_gone, void *arg, struct mk_link **ret)
{
	if (!inbox)
		MK_TRY(mk_secret_new(MK_FRAME_MAX, &inbox));
	mk_auto(mk_freep) struct mk_link *k = calloc(1, sizeof *k);
	enum mk_err e = k ? mk_loop_add(l, fd, EPOLLIN, on_event, k, &k->source) : MK_NO_MEMORY;
	if (e != MK_OK) {
		if (inbox_users == 0)
			inbox = mk_secret_free(inbox);
		return e;
	}
	inbox_users++;
	k->fd = fd;
	k->self = self;
	k->peer = peer;
	k->on_frame = on_frame;
	k->on_gone = on_gone;
	k->arg = arg;
	k->at = MK_MSG_COUNT;
	k->phase.ready = self != MK_ROLE_SUPERVISOR && peer != MK_ROLE_SUPERVISOR;
	*ret = MK_TAKE(k);
	return MK_OK;
}

struct mk_link *mk_link_free(struct mk_link *k)
{
	if (!k)
		return NULL;
	k->freed = true;
	if (!k->in_handler)
		destroy(k);
	return NULL;
}

static mk_must send_or_queue(struct mk_link *k, const struct mk_out *o)
{
	if (!k->queue.first) {
		const enum mk_err e = mk_packet_send(k->fd, o);
		if (e == MK_OK)
			return MK_OK;
		if (e != MK_NOT_READY)
			return MK_NOT_READY; /* the peer has gone: reading will say so */
	}
	MK_TRY(mk_queue_add(&k->queue, o));
	return watch(k);
}

enum mk_err mk_link_send(struct mk_link *k, enum mk_msg type, struct mk_span body, int fd)
{
	if (!alive(k))
		return MK_NOT_READY;
	const struct mk_frame f = { type, k->phase.generation, body, fd };
	mk_assert(mk_frame_allowed(&k->phase, k->self, k->peer, &f, fd >= 0));
	uint8_t head[MK_FRAME_HEAD];
	mk_frame_head_write(head, type, f.generation, body.n);
	const struct mk_out o = { mk_span(head, sizeof head), body, fd, type == MK_MSG_FETCH_DONE };
	MK_TRY(send_or_queue(k, &o));
	mk_frame_passed(&k->phase, &f);
	return MK_OK;
}

void mk_link_generation(struct mk_link *k, uint32_t generation)
{
	k->phase.generation = generation;
}

void mk_link_ready(struct mk_link *k)
{
	k->phase.ready = true;
}

void mk_link_on_room(struct mk_link *k, void (*fn)(void *arg))
{
	k->on_room = fn;
}

size_t mk_link_queued(const struct mk_link *k)
{
	return k->queue.bytes;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Two ends of a link on one loop, and a third hand that writes bytes of its own into it.
 */
#ifndef MK_TEST_LINK_KIT_H
#define MK_TEST_LINK_KIT_H

#include "agent/base/secret.h"
#include "tests/unit/messages.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/pump.h"

static uint8_t room[MK_FRAME_MAX + 64], other_room[MK_FRAME_MAX + 64];

static inline struct mk_span sample_of(const struct sample *s, uint8_t *to, size_t cap)
{
	struct mk_wr w = mk_wr_of(to, cap);
	s->sample(&w);
	size_t n = 0;
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	return mk_span(to, n);
}

/* ---- links ---- */

struct end {
	struct mk_link *link;
	int raw; /* the other end, without a link */
	unsigned frames, gone;
	enum mk_err why, answer;
	enum mk_msg last;
	struct mk_span body;
	uint8_t copy[MK_FRAME_MAX];
	bool free_in_handler, had_fd, keep_fd;
};

static struct mk_loop *loop;

static inline enum mk_err on_frame(void *arg, struct mk_frame *f)
{
	struct end *e = arg;
	e->frames++;
	e->last = f->type;
	e->had_fd = f->fd >= 0;
	memcpy(e->copy, f->body.p, f->body.n);
	e->body = mk_span(e->copy, f->body.n);
	if (e->free_in_handler)
		e->link = mk_link_free(e->link);
	return e->answer;
}

static inline void on_gone(void *arg, enum mk_err why, enum mk_msg at)
{
	struct end *e = arg;
	(void)at;
	e->gone++;
	e->why = why;
	e->link = mk_link_free(e->link);
}

static inline void settle(void)
{
	struct mk_timer *t = stop_timer(loop);
	mk_timer_set(t, 1);
	assert_int_equal(mk_loop_run(loop), MK_OK);
	mk_timer_free(t);
}

static inline void end_open(struct end *e, enum mk_role self, enum mk_role peer)
{
	memset(e, 0, offsetof(struct end, copy));
	e->free_in_handler = e->had_fd = false;
	int fd = -1;
	assert_int_equal(mk_link_pair(&fd, &e->raw), MK_OK);
	assert_int_equal(mk_link_new(loop, fd, self, peer, on_frame, on_gone, e, &e->link), MK_OK);
}

static inline void end_close(struct end *e)
{
	e->link = mk_link_free(e->link);
	mk_closep(&e->raw);
}

struct raw_frame {
	uint16_t type, zero;
	uint32_t generation, length;
	struct mk_span body;
	unsigned fds;
	size_t cut, pad; /* bytes of the packet that are left out, or added */
};

static inline void raw_send(int sock, const struct raw_frame *f)
{
	static uint8_t packet[MK_FRAME_MAX + 4096];
	struct mk_wr w = mk_wr_of(packet, sizeof packet);
	mk_wr_u16(&w, f->type);
	mk_wr_u16(&w, f->zero);
	mk_wr_u32(&w, f->generation);
	mk_wr_u32(&w, f->length);
	mk_wr_bytes(&w, f->body);
	memset(packet + w.len, 0, f->pad);
	struct iovec io = { packet, w.len + f->pad - f->cut };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	if (f->fds) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(f->fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(f->fds * sizeof(int));
		const int in = 0;
		for (unsigned i = 0; i < f->fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &in, sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &m, MSG_NOSIGNAL), (ssize_t)io.iov_len);
}

static inline enum mk_role first_of(unsigned bits)
{
	for (unsigned r = 0; r < MK_ROLE_COUNT; r++)
		if (bits & 1u << r)
			return (enum mk_role)r;
	fail();
	return MK_ROLE_COUNT;
}

static inline struct mk_span number_body(uint32_t n, uint8_t to[4])
{
	struct mk_wr w = mk_wr_of(to, 4);
	mk_wr_u32(&w, n);
	return mk_span(to, 4);
}

#define GENERATION 7u

/* Opens a link whose far end may send the message, and brings it into the message's phase. */
static inline void into_phase(struct end *e, const struct mk_msg_row *row)
{
	end_open(e, first_of(row->to), first_of(row->from));
	if (row->phase == MK_PHASE_READY)
		mk_link_ready(e->link);
	if (row->phase != MK_PHASE_CONFIG)
		return;
	const struct mk_span body = sample_of(&samples[0], other_room, sizeof other_room);
	const struct raw_frame begin = { MK_MSG_CONF_BEGIN, 0, GENERATION, (uint32_t)body.n, body, 0, 0, 0 };
	raw_send(e->raw, &begin);
	settle();
	assert_int_equal(e->frames, 1);
	e->frames = 0;
}

static inline int loop_up(void **state)
{
	(void)state;
	bool locked = false;
	return mk_secret_arena_init(8, 4, &locked) != MK_OK || mk_loop_new(&loop) != MK_OK;
}

static inline int loop_down(void **state)
{
	(void)state;
	loop = mk_loop_free(loop);
	return 0;
}

#endif

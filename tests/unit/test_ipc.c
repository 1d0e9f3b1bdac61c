/* SPDX-License-Identifier: Apache-2.0
 *
 * Links and messages: every message of the table goes both ways through its reader and
 * writer; every frame against the table costs the sender its link, nobody else anything,
 * and no descriptor.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/secret.h"
#include "tests/unit/messages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t room[MK_FRAME_MAX + 64], other_room[MK_FRAME_MAX + 64];

static struct mk_span sample_of(const struct sample *s, uint8_t *to, size_t cap)
{
	struct mk_wr w = mk_wr_of(to, cap);
	s->sample(&w);
	size_t n = 0;
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	return mk_span(to, n);
}

static void every_message_of_the_table_has_a_sample(void **state)
{
	(void)state;
	unsigned seen[MK_MSG_COUNT] = { 0 };
	for (size_t i = 0; i < MK_COUNT(samples); i++)
		seen[samples[i].type]++;
	for (size_t i = 0; i < MK_MSG_COUNT; i++)
		assert_true(seen[i] > 0);
}

static void every_message_is_read_as_it_was_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		assert_true(body.n <= mk_msgs[samples[i].type].max);
		struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
		assert_int_equal(samples[i].again(body, &w), MK_OK);
		assert_false(w.bad);
		assert_true(mk_span_eq(body, mk_span(w.p, w.len)));
	}
}

/* Read fails, or what was read is within its range and comes out as it went in. */
static bool refused_or_same(const struct sample *s, struct mk_span body)
{
	struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
	if (s->again(body, &w) != MK_OK)
		return true;
	return !w.bad && mk_span_eq(body, mk_span(w.p, w.len));
}

static void a_message_cut_at_any_length_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		for (size_t n = 0; n < body.n; n++) {
			struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
			const bool leaves_end = samples[i].type == MK_MSG_FETCH_DONE; /* a list of fewer leaves is a list */
			if (leaves_end)
				assert_true(refused_or_same(&samples[i], mk_span(body.p, n)));
			else
				assert_int_equal(samples[i].again(mk_span(body.p, n), &w), MK_BAD_REQUEST);
		}
	}
}

static void a_message_with_more_behind_it_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		for (unsigned more = 1; more <= 8; more++) {
			memset(room + body.n, 0, more);
			struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
			assert_int_equal(samples[i].again(mk_span(body.p, body.n + more), &w), MK_BAD_REQUEST);
		}
	}
}

static void a_message_with_any_byte_changed_is_refused_or_within_range(void **state)
{
	(void)state;
	size_t refused = 0, taken = 0;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		for (size_t at = 0; at < body.n; at++)
			for (unsigned v = 0; v < 256; v++) {
				const uint8_t old = room[at];
				room[at] = (uint8_t)v;
				assert_true(refused_or_same(&samples[i], body));
				struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
				if (samples[i].again(body, &w) == MK_OK)
					taken++;
				else
					refused++;
				room[at] = old;
			}
	}
	assert_true(refused > 1000 && taken > 1000); /* the test sees both */
}

static void names_in_a_page_that_do_not_ascend_are_refused(void **state)
{
	(void)state;
	struct mk_listed items[2] = { { name_("b"), "1" }, { name_("a"), "1" } }, got[MK_LIST_PAGE_MAX];
	struct mk_msg_listed m = { { 0, 0 }, MK_OK, false, items, 2 }, back = { .items = got };
	struct mk_wr w = mk_wr_of(room, sizeof room);
	mk_msg_listed_write(&w, &m);
	assert_false(w.bad);
	assert_int_equal(mk_msg_listed_read(mk_span(room, w.len), &back), MK_BAD_REQUEST);
	items[1].name = name_("c");
	w = mk_wr_of(room, sizeof room);
	mk_msg_listed_write(&w, &m);
	assert_int_equal(mk_msg_listed_read(mk_span(room, w.len), &back), MK_OK);
	assert_int_equal(back.n, 2);
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

static enum mk_err on_frame(void *arg, struct mk_frame *f)
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

static void on_gone(void *arg, enum mk_err why, enum mk_msg at)
{
	struct end *e = arg;
	(void)at;
	e->gone++;
	e->why = why;
	e->link = mk_link_free(e->link);
}

static void stop(void *arg)
{
	mk_loop_stop(arg);
}

static void settle(void)
{
	struct mk_timer *t = NULL;
	assert_int_equal(mk_timer_new(loop, stop, loop, &t), MK_OK);
	mk_timer_set(t, 1);
	assert_int_equal(mk_loop_run(loop), MK_OK);
	mk_timer_free(t);
}

static void end_open(struct end *e, enum mk_role self, enum mk_role peer)
{
	memset(e, 0, offsetof(struct end, copy));
	e->free_in_handler = e->had_fd = false;
	int fd = -1;
	assert_int_equal(mk_link_pair(&fd, &e->raw), MK_OK);
	assert_int_equal(mk_link_new(loop, fd, self, peer, on_frame, on_gone, e, &e->link), MK_OK);
}

static void end_close(struct end *e)
{
	e->link = mk_link_free(e->link);
	mk_closep(&e->raw);
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	unsigned n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

struct raw_frame {
	uint16_t type, zero;
	uint32_t generation, length;
	struct mk_span body;
	unsigned fds;
	size_t cut, pad; /* bytes of the packet that are left out, or added */
};

static void raw_send(int sock, const struct raw_frame *f)
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

static enum mk_role first_of(unsigned bits)
{
	for (unsigned r = 0; r < MK_ROLE_COUNT; r++)
		if (bits & 1u << r)
			return (enum mk_role)r;
	fail();
	return MK_ROLE_COUNT;
}

static bool between_children(const struct mk_msg_row *row)
{
	const unsigned sup = 1u << MK_ROLE_SUPERVISOR;
	return !(row->from & sup) && !(row->to & sup);
}

static struct mk_span number_body(uint32_t n, uint8_t to[4])
{
	struct mk_wr w = mk_wr_of(to, 4);
	mk_wr_u32(&w, n);
	return mk_span(to, 4);
}

#define GENERATION 7u

/* Opens a link whose far end may send the message, and brings it into the message's phase. */
static void into_phase(struct end *e, const struct mk_msg_row *row)
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

static struct raw_frame good_frame(const struct sample *s)
{
	const struct mk_span body = sample_of(s, room, sizeof room);
	return (struct raw_frame){ (uint16_t)s->type, 0, GENERATION, (uint32_t)body.n, body, mk_msgs[s->type].fd, 0, 0 };
}

static void every_message_passes_its_link(void **state)
{
	(void)state;
	const unsigned before = open_fds();
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		struct end e;
		into_phase(&e, &mk_msgs[samples[i].type]);
		const struct raw_frame f = good_frame(&samples[i]);
		raw_send(e.raw, &f);
		settle();
		assert_int_equal(e.frames, 1);
		assert_int_equal(e.last, samples[i].type);
		assert_int_equal(e.had_fd, mk_msgs[samples[i].type].fd);
		assert_true(mk_span_eq(e.body, f.body));
		assert_int_equal(e.gone, 0);
		end_close(&e);
	}
	assert_int_equal(open_fds(), before);
}

typedef void spoil_fn(struct raw_frame *f, const struct mk_msg_row *row);

static void spoil_type(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->type = MK_MSG_COUNT;
}
static void spoil_type_high(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->type |= 0x8000;
}
static void spoil_zero(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->zero = 1;
}
static void spoil_length_more(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->length++;
}
static void spoil_length_less(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->length--;
}
static void spoil_length_huge(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->length = UINT32_MAX;
}
static void spoil_head(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->cut = f->body.n + 1;
}
static void spoil_pad(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->pad = 1;
}
static void spoil_max(struct raw_frame *f, const struct mk_msg_row *row)
{
	f->pad = row->max + 1 - f->body.n;
	f->length = row->max + 1;
}
static void spoil_packet(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->pad = MK_FRAME_MAX + 1 - MK_FRAME_HEAD - f->body.n;
	f->length = MK_FRAME_MAX + 1 - MK_FRAME_HEAD;
}
static void spoil_fd(struct raw_frame *f, const struct mk_msg_row *row)
{
	f->fds = row->fd ? 0 : 1;
}
static void spoil_fds(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->fds = 2;
}
static void spoil_fd_flood(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->fds = 60;
}
static void spoil_generation(struct raw_frame *f, const struct mk_msg_row *row)
{
	if (row->phase == MK_PHASE_CONFIG || f->type == MK_MSG_CONF_BEGIN)
		f->generation++;
	else
		f->zero = 2;
}

static void each_fault_costs_the_sender_its_link_and_nothing_else(void **state)
{
	(void)state;
	spoil_fn *const spoils[] = {
		spoil_type, spoil_type_high, spoil_zero, spoil_length_more, spoil_length_less, spoil_length_huge, spoil_head,
		spoil_pad, spoil_max, spoil_packet, spoil_fd, spoil_fds, spoil_fd_flood, spoil_generation,
	};
	struct end other;
	end_open(&other, MK_ROLE_BROKER, MK_ROLE_SUPERVISOR);
	mk_link_ready(other.link);
	const unsigned before = open_fds();
	for (size_t i = 0; i < MK_COUNT(samples); i++)
		for (size_t k = 0; k < MK_COUNT(spoils); k++) {
			struct end e;
			into_phase(&e, &mk_msgs[samples[i].type]);
			struct raw_frame f = good_frame(&samples[i]);
			spoils[k](&f, &mk_msgs[samples[i].type]);
			raw_send(e.raw, &f);
			settle();
			assert_int_equal(e.frames, 0);
			assert_int_equal(e.gone, 1);
			assert_int_equal(e.why, MK_BAD_REQUEST);
			end_close(&e);
			assert_int_equal(open_fds(), before);
		}
	uint8_t n[4];
	const struct raw_frame ping = { MK_MSG_PING, 0, 0, 4, number_body(1, n), 0, 0, 0 };
	raw_send(other.raw, &ping);
	settle();
	assert_int_equal(other.frames, 1);
	assert_int_equal(other.gone, 0);
	end_close(&other);
}

static void a_message_from_any_role_that_may_not_send_it_is_refused(void **state)
{
	(void)state;
	unsigned refused = 0, passed = 0;
	for (size_t i = 0; i < MK_COUNT(samples); i++)
		for (unsigned from = 0; from < MK_ROLE_COUNT; from++)
			for (unsigned to = 0; to < MK_ROLE_COUNT; to++) {
				const struct mk_msg_row *row = &mk_msgs[samples[i].type];
				if (row->phase == MK_PHASE_CONFIG)
					continue; /* their phase cannot be reached from another role */
				struct end e;
				end_open(&e, (enum mk_role)to, (enum mk_role)from);
				mk_link_ready(e.link);
				const struct raw_frame f = good_frame(&samples[i]);
				raw_send(e.raw, &f);
				settle();
				const bool may = (row->from & 1u << from) && (row->to & 1u << to);
				assert_int_equal(e.frames, may);
				assert_int_equal(e.gone, !may);
				*(may ? &passed : &refused) += 1;
				end_close(&e);
			}
	assert_true(refused > 0 && passed > 0);
}

static void a_message_out_of_its_phase_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_msg_row *row = &mk_msgs[samples[i].type];
		if (row->phase == MK_PHASE_ANY || between_children(row))
			continue;
		struct end e;
		end_open(&e, first_of(row->to), first_of(row->from));
		const struct raw_frame f = good_frame(&samples[i]);
		raw_send(e.raw, &f);
		settle();
		assert_int_equal(e.frames, 0);
		assert_int_equal(e.gone, 1);
		assert_int_equal(e.why, MK_BAD_REQUEST);
		end_close(&e);
	}
}

static void a_configuration_ends_at_its_end_and_does_not_nest(void **state)
{
	(void)state;
	struct end e;
	into_phase(&e, &mk_msgs[MK_MSG_CONF_END]);
	const struct sample *end_sample = &samples[1];
	struct raw_frame f = good_frame(end_sample);
	assert_int_equal(f.type, MK_MSG_CONF_END);
	raw_send(e.raw, &f);
	settle();
	assert_int_equal(e.frames, 1);
	raw_send(e.raw, &f); /* a second end: nothing is open */
	settle();
	assert_int_equal(e.frames, 1);
	assert_int_equal(e.why, MK_BAD_REQUEST);
	end_close(&e);

	into_phase(&e, &mk_msgs[MK_MSG_CONF_END]);
	f = good_frame(&samples[0]);
	raw_send(e.raw, &f); /* a begin within */
	settle();
	assert_int_equal(e.frames, 0);
	assert_int_equal(e.why, MK_BAD_REQUEST);
	end_close(&e);
}

static void a_handlers_error_ends_the_link(void **state)
{
	(void)state;
	struct end e;
	into_phase(&e, &mk_msgs[MK_MSG_PING]);
	e.answer = MK_CONFLICT;
	uint8_t n[4];
	const struct raw_frame ping = { MK_MSG_PING, 0, 0, 4, number_body(1, n), 0, 0, 0 };
	raw_send(e.raw, &ping);
	raw_send(e.raw, &ping);
	settle();
	assert_int_equal(e.frames, 1);
	assert_int_equal(e.gone, 1);
	assert_int_equal(e.why, MK_CONFLICT);
	end_close(&e);
}

static void a_link_may_be_freed_in_its_own_handler(void **state)
{
	(void)state;
	struct end e;
	into_phase(&e, &mk_msgs[MK_MSG_PING]);
	e.free_in_handler = true;
	uint8_t n[4];
	const struct raw_frame ping = { MK_MSG_PING, 0, 0, 4, number_body(1, n), 0, 0, 0 };
	raw_send(e.raw, &ping);
	raw_send(e.raw, &ping);
	settle();
	assert_int_equal(e.frames, 1);
	assert_int_equal(e.gone, 0);
	assert_null(e.link);
	assert_int_equal(recv(e.raw, n, sizeof n, 0), -1); /* closed, with a frame unread */
	assert_int_equal(errno, ECONNRESET);
	end_close(&e);
}

static void a_peer_that_leaves_is_no_error_and_its_last_words_are_heard(void **state)
{
	(void)state;
	struct end e;
	into_phase(&e, &mk_msgs[MK_MSG_PING]);
	uint8_t n[4];
	const struct raw_frame ping = { MK_MSG_PING, 0, 0, 4, number_body(1, n), 0, 0, 0 };
	raw_send(e.raw, &ping);
	mk_closep(&e.raw);
	settle();
	assert_int_equal(e.frames, 1);
	assert_int_equal(e.gone, 1);
	assert_int_equal(e.why, MK_OK);
	end_close(&e);
}

static void an_empty_packet_and_half_a_leave_are_faults(void **state)
{
	(void)state;
	for (int half = 0; half < 2; half++) {
		struct end e;
		into_phase(&e, &mk_msgs[MK_MSG_PING]);
		if (half)
			assert_int_equal(shutdown(e.raw, SHUT_WR), 0);
		else
			assert_int_equal(send(e.raw, "", 0, 0), 0);
		settle();
		assert_int_equal(e.frames, 0);
		assert_int_equal(e.gone, 1);
		assert_int_equal(e.why, MK_BAD_REQUEST);
		end_close(&e);
	}
}

static void the_largest_frame_passes(void **state)
{
	(void)state;
	struct end e;
	end_open(&e, MK_ROLE_BROKER, MK_ROLE_FETCHER);
	struct mk_link *far = NULL;
	assert_int_equal(mk_link_new(loop, MK_TAKE_FD(e.raw), MK_ROLE_FETCHER, MK_ROLE_BROKER, on_frame, on_gone, &e, &far),
			 MK_OK);
	memset(room, 'x', MK_FRAME_MAX - MK_FRAME_HEAD);
	assert_int_equal(mk_link_send(far, MK_MSG_FETCH_DONE, mk_span(room, MK_FRAME_MAX - MK_FRAME_HEAD), -1), MK_OK);
	settle();
	assert_int_equal(e.frames, 1);
	assert_int_equal(e.body.n, MK_FRAME_MAX - MK_FRAME_HEAD);
	mk_link_free(far);
	end_close(&e);
}

static unsigned rooms;
static void count_room(void *arg)
{
	(void)arg;
	rooms++;
}

static void a_slow_peer_gets_all_frames_in_order_and_the_queue_is_bounded(void **state)
{
	(void)state;
	const unsigned before = open_fds(), secrets = mk_secret_in_use();
	struct end e;
	end_open(&e, MK_ROLE_SUPERVISOR, MK_ROLE_BROKER);
	mk_link_on_room(e.link, count_room);
	mk_link_generation(e.link, GENERATION);
	const struct mk_span begin = sample_of(&samples[0], room, sizeof room);
	assert_int_equal(mk_link_send(e.link, MK_MSG_CONF_BEGIN, begin, -1), MK_OK);
	const struct mk_span big = mk_span(room, 32768);
	unsigned sent = 0;
	enum mk_err err;
	while ((err = mk_link_send(e.link, MK_MSG_CONF_RULE, big, -1)) == MK_OK)
		room[0] = (uint8_t)++sent;
	assert_int_equal(err, MK_NOT_READY);
	assert_true(sent > 100 && sent < 200);
	assert_true(mk_link_queued(e.link) <= MK_LINK_QUEUE_MAX);

	rooms = 0;
	static uint8_t got[MK_FRAME_MAX];
	assert_true(recv(e.raw, got, sizeof got, 0) > 0); /* CONF_BEGIN */
	for (unsigned i = 0; i < sent; i++) {
		settle();
		assert_int_equal(recv(e.raw, got, sizeof got, 0), 32768 + (int)MK_FRAME_HEAD);
		if (i > 0)
			assert_int_equal(got[MK_FRAME_HEAD], (uint8_t)i);
	}
	settle();
	assert_int_equal(rooms, 1);
	assert_int_equal(mk_link_queued(e.link), 0);
	end_close(&e);
	assert_int_equal(open_fds(), before);
	assert_int_equal(mk_secret_in_use(), secrets);
}

static void descriptors_that_wait_are_not_lost_and_not_leaked(void **state)
{
	(void)state;
	const unsigned before = open_fds();
	struct end e;
	end_open(&e, MK_ROLE_SUPERVISOR, MK_ROLE_BROKER);
	mk_link_generation(e.link, GENERATION);
	const struct mk_span begin = sample_of(&samples[0], room, sizeof room);
	assert_int_equal(mk_link_send(e.link, MK_MSG_CONF_BEGIN, begin, -1), MK_OK);
	while (mk_link_queued(e.link) == 0)
		assert_int_equal(mk_link_send(e.link, MK_MSG_CONF_RULE, mk_span(room, 32768), -1), MK_OK);
	int pipe_fds[2];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	const struct mk_span name = sample_of(&samples[8], other_room, sizeof other_room);
	assert_int_equal(samples[8].type, MK_MSG_LISTENER);
	assert_int_equal(mk_link_send(e.link, MK_MSG_LISTENER, name, pipe_fds[0]), MK_OK);
	mk_close(pipe_fds[0]);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1); /* the duplicate holds the pipe open */
	end_close(&e);
	assert_int_equal(write(pipe_fds[1], "x", 1), -1);
	mk_close(pipe_fds[1]);
	assert_int_equal(open_fds(), before);
}

static void sending_to_a_peer_that_left_is_an_error_not_a_signal(void **state)
{
	(void)state;
	struct end e;
	end_open(&e, MK_ROLE_SUPERVISOR, MK_ROLE_BROKER);
	mk_link_ready(e.link);
	mk_closep(&e.raw);
	uint8_t n[4];
	assert_int_equal(mk_link_send(e.link, MK_MSG_PING, number_body(1, n), -1), MK_NOT_READY);
	settle();
	assert_int_equal(e.gone, 1);
	end_close(&e);
}

static int loop_up(void **state)
{
	(void)state;
	bool locked = false;
	return mk_secret_arena_init(8, 4, &locked) != MK_OK || mk_loop_new(&loop) != MK_OK;
}

static int loop_down(void **state)
{
	(void)state;
	loop = mk_loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_of_the_table_has_a_sample),
		cmocka_unit_test(every_message_is_read_as_it_was_written),
		cmocka_unit_test(a_message_cut_at_any_length_is_refused),
		cmocka_unit_test(a_message_with_more_behind_it_is_refused),
		cmocka_unit_test(a_message_with_any_byte_changed_is_refused_or_within_range),
		cmocka_unit_test(names_in_a_page_that_do_not_ascend_are_refused),
		cmocka_unit_test(every_message_passes_its_link),
		cmocka_unit_test(each_fault_costs_the_sender_its_link_and_nothing_else),
		cmocka_unit_test(a_message_from_any_role_that_may_not_send_it_is_refused),
		cmocka_unit_test(a_message_out_of_its_phase_is_refused),
		cmocka_unit_test(a_configuration_ends_at_its_end_and_does_not_nest),
		cmocka_unit_test(a_handlers_error_ends_the_link),
		cmocka_unit_test(a_link_may_be_freed_in_its_own_handler),
		cmocka_unit_test(a_peer_that_leaves_is_no_error_and_its_last_words_are_heard),
		cmocka_unit_test(an_empty_packet_and_half_a_leave_are_faults),
		cmocka_unit_test(the_largest_frame_passes),
		cmocka_unit_test(a_slow_peer_gets_all_frames_in_order_and_the_queue_is_bounded),
		cmocka_unit_test(descriptors_that_wait_are_not_lost_and_not_leaked),
		cmocka_unit_test(sending_to_a_peer_that_left_is_an_error_not_a_signal),
	};
	return cmocka_run_group_tests_name("ipc", tests, loop_up, loop_down);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Links: how they end, and what a slow peer gets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "link_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void pinged(struct end *e, unsigned times)
{
	uint8_t n[4];
	const struct raw_frame ping = { MK_MSG_PING, 0, 0, 4, number_body(1, n), 0, 0, 0 };
	for (unsigned i = 0; i < times; i++)
		raw_send(e->raw, &ping);
}

static void a_handlers_error_ends_the_link(void **state)
{
	(void)state;
	struct end e;
	into_phase(&e, &mk_msgs[MK_MSG_PING]);
	e.answer = MK_CONFLICT;
	pinged(&e, 2);
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
	pinged(&e, 2);
	settle();
	assert_int_equal(e.frames, 1);
	assert_int_equal(e.gone, 0);
	assert_null(e.link);
	char end[4];
	assert_int_equal(recv(e.raw, end, sizeof end, 0), -1); /* closed, with a frame unread */
	assert_int_equal(errno, ECONNRESET);
	end_close(&e);
}

static void a_peer_that_leaves_is_no_error_and_its_last_words_are_heard(void **state)
{
	(void)state;
	struct end e;
	into_phase(&e, &mk_msgs[MK_MSG_PING]);
	pinged(&e, 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handlers_error_ends_the_link),
		cmocka_unit_test(a_link_may_be_freed_in_its_own_handler),
		cmocka_unit_test(a_peer_that_leaves_is_no_error_and_its_last_words_are_heard),
		cmocka_unit_test(an_empty_packet_and_half_a_leave_are_faults),
		cmocka_unit_test(the_largest_frame_passes),
		cmocka_unit_test(a_slow_peer_gets_all_frames_in_order_and_the_queue_is_bounded),
		cmocka_unit_test(descriptors_that_wait_are_not_lost_and_not_leaked),
		cmocka_unit_test(sending_to_a_peer_that_left_is_an_error_not_a_signal),
	};
	return cmocka_run_group_tests_name("link", tests, loop_up, loop_down);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about ends on the HTTP side: peers that leave, listeners that go, a drain.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "http_limits_kit.h"

static void a_peer_that_leaves_while_it_waits_is_noticed(void **state)
{
	(void)state;
	world_b->waits = true;
	const int fd = connect_as(1000);
	say(fd, TOKEN);
	run_ms(10);
	assert_non_null(world_b->waiting);
	assert_no_spin();
	close(fd);
	run_ms(10);
	assert_null(world_b->waiting);
	assert_int_equal(world_b->cancelled, 1);
	world_b->waits = false;
	assert_int_equal(status_of(ask(TOKEN, NULL)), 200);
}

static void a_peer_that_only_stops_sending_still_gets_its_answer(void **state)
{
	(void)state;
	world_b->waits = true;
	const int fd = connect_as(1000);
	say(fd, TOKEN);
	run_ms(10);
	shutdown(fd, SHUT_WR);
	assert_no_spin();
	struct mk_waiter *w = MK_TAKE(world_b->waiting);
	assert_non_null(w);
	w->waiting = false;
	w->fetched = true;
	w->woken(w);
	assert_int_equal(status_of(hear(fd, NULL)), 200);
	close(fd);
}

static void peers_that_hang_up_anywhere_leave_nothing(void **state)
{
	static const char *const parts[] = { "", "GET", "GET /v1/tokens/acme HTTP/1.1\r\nHo", TOKEN, TOKEN TOKEN "GET" };
	(void)state;
	for (unsigned waits = 0; waits < 2; waits++)
		for (size_t i = 0; i < MK_COUNT(parts) * 4; i++) {
			world_b->waits = waits;
			const int fd = connect_to(world_path);
			world_b->uid = 1000;
			if (i % 2)
				run_ms(2);
			say(fd, parts[i / 4]);
			if (i & 2)
				run_ms(2);
			close(fd);
			run_ms(5);
			assert_null(world_b->waiting);
		}
	world_b->waits = false;
	assert_no_spin();
	assert_int_equal(status_of(ask(TOKEN, NULL)), 200);
}

static void a_new_socket_of_a_name_serves_and_old_connections_go_on(void **state)
{
	const struct mk_word api = { "api" };
	(void)state;
	const int old = connect_as(1000);
	assert_int_equal(mk_http_listen(world_h, &api, listen_at(world_path)), MK_OK);
	run_ms(5);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
	say(old, HEALTH);
	assert_int_equal(status_of(hear(old, NULL)), 200);
	close(old);
	run_ms(300);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
}

static void the_same_socket_again_changes_nothing(void **state)
{
	const struct mk_word api = { "api" };
	(void)state;
	const int first = listen_at(world_path), again = dup(first);
	assert_int_equal(mk_http_listen(world_h, &api, first), MK_OK);
	run_ms(5);
	const int held = connect_as(1000);
	assert_int_equal(mk_http_listen(world_h, &api, again), MK_OK);
	assert_int_equal(fcntl(again, F_GETFD), -1); /* taken over: closed */
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
	say(held, HEALTH);
	assert_int_equal(status_of(hear(held, NULL)), 200);
	close(held);
}

static void a_listener_that_goes_closes_its_connections_not_its_socket(void **state)
{
	const struct mk_word api = { "api" }, admin = { "admin" };
	(void)state;
	const int mine = listen_at(world_path), theirs = dup(mine); /* as the supervisor holds it */
	assert_int_equal(mk_http_listen(world_h, &api, mine), MK_OK);
	run_ms(5);
	world_b->waits = true;
	const int fd = connect_as(1000), waiting = connect_as(1000);
	say(waiting, TOKEN);
	run_ms(5);
	mk_http_keep(world_h, &admin, 1);
	run_ms(300);
	assert_true(peer_closed(fd) && peer_closed(waiting));
	assert_int_equal(world_b->cancelled, 1);
	close(fd);
	close(waiting);
	const int later = connect_to(world_path); /* it still listens: nobody shut it down */
	assert_int_equal(mk_http_listen(world_h, &api, theirs), MK_OK);
	say(later, HEALTH);
	assert_int_equal(status_of(hear(later, NULL)), 200);
	close(later);
}

static void a_drain_answers_what_was_asked_and_then_is_done(void **state)
{
	(void)state;
	world_b->waits = true;
	const int idle = connect_as(1000), waiting = connect_as(1000), asking = connect_as(1000);
	say(waiting, TOKEN);
	run_ms(5);
	say(asking, HEALTH); /* sent, not read yet */
	assert_false(mk_http_drain(world_h));
	run_ms(5);
	const char *text = hear(asking, NULL);
	assert_int_equal(status_of(text), 200);
	assert_true(peer_closed(idle));
	struct mk_waiter *w = MK_TAKE(world_b->waiting);
	w->waiting = false;
	w->fetched = true;
	w->woken(w);
	bool closed = false;
	text = hear(waiting, &closed);
	assert_int_equal(status_of(text), 200);
	assert_non_null(strstr(text, "Connection: close"));
	assert_true(closed);
	assert_true(mk_http_drain(world_h));
	close(idle);
	close(waiting);
	close(asking);
}

static void an_end_with_callers_in_every_state_frees_all(void **state)
{
	(void)state;
	world_b->waits = true;
	const int idle = connect_as(1000), half = connect_as(1000), woken = connect_as(1000), waiting = connect_as(1000);
	say(half, "GET /v1");
	say(woken, TOKEN);
	run_ms(5);
	struct mk_waiter *w = MK_TAKE(world_b->waiting);
	say(waiting, TOKEN);
	run_ms(5);
	w->waiting = false;
	w->fetched = true;
	w->woken(w);
	world_h = mk_http_free(world_h);
	assert_int_equal(world_b->cancelled, 1);
	assert_true(peer_closed(woken));
	close(woken);
	assert_true(peer_closed(idle) && peer_closed(half) && peer_closed(waiting));
	close(idle);
	close(half);
	close(waiting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_peer_that_leaves_while_it_waits_is_noticed),
		CLAIM(a_peer_that_only_stops_sending_still_gets_its_answer),
		CLAIM(peers_that_hang_up_anywhere_leave_nothing),
		CLAIM(a_new_socket_of_a_name_serves_and_old_connections_go_on),
		CLAIM(the_same_socket_again_changes_nothing),
		CLAIM(a_listener_that_goes_closes_its_connections_not_its_socket),
		CLAIM(a_drain_answers_what_was_asked_and_then_is_done),
		CLAIM(an_end_with_callers_in_every_state_frees_all),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

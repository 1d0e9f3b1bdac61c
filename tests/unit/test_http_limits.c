/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about what a hostile or a slow caller can do to the HTTP side: nothing to others,
 * and not for long.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "http_client.h"

#include <sys/resource.h>

#define HEALTH GET("/v1/health")
#define TOKEN  GET("/v1/tokens/acme")
#define BODY "GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\n"

static double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Nothing happens for half a second: nothing may be done either. */
static void assert_no_spin(void)
{
	const double before = cpu_s();
	run_ms(500);
	assert_true(cpu_s() - before < 0.1);
}

static bool peer_closed(int fd)
{
	char c;
	const ssize_t got = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);
	return got == 0 || (got < 0 && errno != EAGAIN);
}

static void what_could_hide_a_second_request_gets_one_answer_and_an_end(void **state)
{
	static const struct {
		const char *raw;
		int status; /* 0: libmicrohttpd's own, or none */
	} cases[] = {
		{ BODY "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" TOKEN, 400 },
		{ BODY "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" TOKEN, 400 },
		{ BODY "Transfer-Encoding: xchunked\r\n\r\n" TOKEN, 400 },
		{ BODY "Transfer-Encoding:\x0b""chunked\r\n\r\n0\r\n\r\n" TOKEN, 400 },
		{ BODY "Content-Length: 0\r\nContent-Length: 46\r\n\r\n" TOKEN, 400 },
		{ BODY "Content-Length: 46\r\nContent-Length: 46\r\n\r\n" TOKEN, 400 },
		{ BODY "Content-Length: 46\r\n\r\n" TOKEN, 400 },
		{ BODY "Content-Length: 9000000\r\n\r\n" TOKEN, 413 },
		{ BODY "Content-Length: 99999999999999999999999\r\n\r\n" TOKEN, 0 },
		{ BODY "Content-Length: +0\r\n\r\n" TOKEN, 0 },
		{ BODY "Content-Length: 0x0\r\n\r\n" TOKEN, 0 },
		{ BODY "Content-Length: 0,0\r\n\r\n" TOKEN, 0 },
		{ BODY "Content-Length : 46\r\n\r\n" TOKEN, 0 },
		{ BODY "Host: b\r\n\r\n" TOKEN, 400 },
		{ BODY "Origin: http://evil\r\n\r\n" TOKEN, 400 },
		{ BODY "X-Forwarded-For: 1.2.3.4\r\n\r\n" TOKEN, 400 },
		{ BODY "Via: 1.1 proxy\r\n\r\n" TOKEN, 400 },
		{ BODY "Expect: 100-continue\r\n\r\n" TOKEN, 400 },
		{ "POST /v1/tokens/acme HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\r\n" TOKEN, 400 },
		{ "PUT /v1/tokens/acme HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" TOKEN, 400 },
		{ "GET http://agent/v1/tokens/acme HTTP/1.1\r\nHost: a\r\n\r\n" TOKEN, 400 },
		{ "CONNECT agent:80 HTTP/1.1\r\nHost: a\r\n\r\n" TOKEN, 400 },
		{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" TOKEN, 400 },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0 },
		{ "GET /v1/tokens/acme HTTP/3.7\r\nHost: a\r\n\r\n" TOKEN, 0 },
		{ "GET /v1/tokens/acme\r\n\r\n" TOKEN, 0 },
		{ "GET /v1/tokens/acme HTTP/1.1\r\n\r\n" TOKEN, 400 },
		{ "GET /v1/tokens/acme HTTP/1.1\r\n Host: a\r\n\r\n" TOKEN, 400 },
		{ "\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n" TOKEN, 0 },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++) {
		bool closed = false;
		const char *text = ask(cases[i].raw, &closed);
		const unsigned heads = cases[i].status ? 1 : 2; /* its own answers have their head twice */
		if (!closed || count_of(text, "\r\nDate: ") > heads || strstr(text, "secret") || strstr(text, "HTTP/1.1 200"))
			fail_msg("case %zu: closed %d: %s", i, closed, text);
		if (cases[i].status)
			assert_int_equal(status_of(text), cases[i].status);
	}
	assert_int_equal(world_b->gets, 0);
	assert_int_equal(status_of(ask(TOKEN, NULL)), 200); /* the control */
}

static void a_refused_name_does_not_end_the_connection(void **state)
{
	bool closed = true;
	(void)state;
	const char *text = ask(GET("/v1/tokens/ACME") HEALTH, &closed);
	assert_false(closed);
	assert_int_equal(status_of(text), 400);
	assert_int_equal(count_of(text, "HTTP/1.1 200"), 1);
	assert_int_equal(world_b->last_refused, MK_BAD_REQUEST);
}

static void a_head_has_a_largest_size(void **state)
{
	static char big[60000];
	bool closed = false;
	(void)state;
	snprintf(big, sizeof big, "GET /v1/health HTTP/1.1\r\nHost: a\r\nX-A: %02000d\r\n\r\n", 0);
	assert_int_equal(status_of(ask(big, NULL)), 200);
	snprintf(big, sizeof big, "GET /v1/health?%040000d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
	assert_int_not_equal(status_of(ask(big, &closed)), 200);
	assert_true(closed);
	snprintf(big, sizeof big, "GET /v1/health HTTP/1.1\r\nHost: a\r\nX-A: %040000d\r\n\r\n", 0);
	assert_int_not_equal(status_of(ask(big, &closed)), 200);
	assert_true(closed);
}

#define HURRY "Connection: close\r\n" /* the answer's end is seen, not waited for */

/* Were a head taken beside which no answer fits, the gate would record a grant and nobody would get the token. */
static void who_is_asked_for_a_token_can_always_send_it(void **state)
{
	static char big[10000];
	unsigned served = 0, refused = 0;
	(void)state;
	for (int fields = 1; fields <= 120; fields += 17)
		for (int n = 0; n <= 8200; n += n < 5500 ? 1100 : 30) {
			int at = snprintf(big, sizeof big, "GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\n%s", fields > 1 ? HURRY : "");
			for (int i = 2; i < fields; i++)
				at += snprintf(big + at, sizeof big - (size_t)at, "a: b\r\n");
			snprintf(big + at, sizeof big - (size_t)at, "X-A: %0*d\r\n\r\n", n, 0);
			const unsigned before = world_b->gets;
			const bool got = strstr(ask(big, NULL), "HTTP/1.1 200 ") != NULL;
			assert_int_equal(world_b->gets - before, got);
			served += got;
			refused += !got;
		}
	assert_true(served > 40 && refused > 40);
}

static void a_head_that_drips_in_ends_by_the_clock(void **state)
{
	(void)state;
	world_b->limits.head_timeout_ms = 600;
	for (unsigned round = 0; round < 2; round++) {
		const int fd = connect_as(1000);
		if (round == 1) { /* the second request of a connection is bounded like the first */
			say(fd, HEALTH);
			assert_int_equal(status_of(hear(fd, NULL)), 200);
		}
		const char *text = "GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Long: 0123456789012345678901234567890123456789";
		for (; !peer_closed(fd) && *text; text++) {
			if (send(fd, text, 1, MSG_NOSIGNAL) != 1)
				break;
			run_ms(60);
		}
		assert_true(strlen(text) > 20); /* of what takes four seconds or more: the sooner, the slower this machine */
		const char *answer = hear(fd, NULL);
		assert_true(answer[0] == '\0' || status_of(answer) == 408);
		close(fd);
	}
}

/* Has it ended? Not before its time, by the clock of a machine that may have stood still; true: after it. */
static bool ended_late(int fd, int64_t from_ms, int64_t limit_ms)
{
	if (!peer_closed(fd))
		return false;
	assert_true(mk_boot_ms() - from_ms >= limit_ms);
	close(fd);
	return true;
}

static void a_quiet_connection_ends_by_the_clock_and_not_before(void **state)
{
	(void)state;
	world_b->limits.idle_timeout_ms = 1500;
	const int fd = connect_as(1000), fresh = connect_as(1000);
	int64_t from = mk_boot_ms();
	say(fd, HEALTH);
	assert_int_equal(status_of(hear(fd, NULL)), 200);
	run_ms(1000);
	if (ended_late(fd, from, 1500))
		return;
	from = mk_boot_ms();
	say(fd, HEALTH); /* it is watched for its first byte by now, and that is no harm */
	assert_int_equal(status_of(hear(fd, NULL)), 200);
	run_ms(1000);
	if (ended_late(fd, from, 1500))
		return;
	assert_true(peer_closed(fresh));
	run_ms(900);
	assert_true(peer_closed(fd));
	close(fd);
	close(fresh);
}

static void a_reader_that_never_reads_is_cut_off_and_its_token_wiped(void **state)
{
	(void)state;
	world_b->limits.write_timeout_ms = 2000;
	world_b->token_bytes = 16000;
	const int fd = connect_as(1000);
	const int64_t began = mk_boot_ms();
	for (unsigned i = 0; i < 100 && send(fd, TOKEN, strlen(TOKEN), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; i++)
		run_ms(2);
	assert_true(mk_secret_in_use() >= 1 || mk_boot_ms() - began >= 2000); /* the control: an answer is stuck */
	assert_no_spin();
	run_ms(2200);
	assert_int_equal(mk_secret_in_use(), 0);
	assert_int_equal(status_of(ask(TOKEN, NULL)), 200);
	close(fd);
}

static void unread_answers_of_one_uid_do_not_take_the_slab(void **state)
{
	int fds[45];
	(void)state;
	world_b->token_bytes = 1500;
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		fds[i] = connect_as(1000);
		for (unsigned k = 0; k < 400 && send(fds[i], TOKEN TOKEN, strlen(TOKEN TOKEN), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; k++)
			if (k % 8 == 0)
				run_ms(1);
	}
	assert_true(mk_secret_in_use() >= 16 && mk_secret_in_use() <= 33);
	const int other = connect_as(2000);
	say(other, TOKEN);
	assert_int_equal(status_of(hear(other, NULL)), 200);
	close(other);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(50);
	assert_int_equal(mk_secret_in_use(), 0);
}

/* More than are decided in one turn, and more than may lie unread. */
static void a_crowd_that_asks_at_once_is_answered_as_it_reads(void **state)
{
	int fds[80];
	(void)state;
	world_b->limits.connections_per_uid = MK_COUNT(fds);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		say(fds[i], TOKEN);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		assert_int_equal(status_of(hear(fds[i], NULL)), 200);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(50);
	assert_int_equal(mk_secret_in_use(), 0);
}

/* Large answers of many uids: a turn takes a few of them, not all the large slots there are. */
static void large_answers_asked_for_at_once_all_find_room(void **state)
{
	int fds[40];
	(void)state;
	world_b->token_bytes = 16000; /* there are 16 slots for such */
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000 + (uid_t)i);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		say(fds[i], TOKEN);
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		assert_int_equal(status_of(hear(fds[i], NULL)), 200);
		close(fds[i]);
	}
}

/* With most of what may lie unread taken, those that are read at once are not refused for those of the same turn. */
static void unread_answers_refuse_nobody_who_reads(void **state)
{
	int clogged[7], fds[20];
	(void)state;
	world_b->token_bytes = 16000;
	for (size_t i = 0; i < MK_COUNT(clogged); i++) {
		clogged[i] = connect_as(1000);
		for (unsigned k = 0; k < 40 && send(clogged[i], TOKEN, strlen(TOKEN), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; k++)
			run_ms(1);
	}
	assert_int_equal(mk_secret_in_use(), MK_COUNT(clogged));
	world_b->token_bytes = 0;
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		say(fds[i], TOKEN);
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		assert_int_equal(status_of(hear(fds[i], NULL)), 200);
		close(fds[i]);
	}
	for (size_t i = 0; i < MK_COUNT(clogged); i++)
		close(clogged[i]);
}

static int leaving[44], late;

/* At the third decision of a turn all but three leave: some were decided, some are about to be, some wait for the next turn. */
static void most_leave(void)
{
	if (world_b->gets == 3)
		say(late, TOKEN); /* after those that have left, in the same queue */
	for (size_t i = 0; world_b->gets == 3 && i < MK_COUNT(leaving); i++)
		if (i % 16 != 0) {
			close(leaving[i]);
			leaving[i] = -1;
		}
}

/* One that leaves between its question and the decision is decided for nobody, or not at all. */
static void who_asks_and_leaves_holds_nothing(void **state)
{
	(void)state;
	world_b->on_get = most_leave;
	late = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(leaving); i++)
		leaving[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(leaving); i++)
		say(leaving[i], TOKEN);
	run_ms(50);
	assert_in_range(world_b->gets, 3, MK_COUNT(leaving) - 1); /* not all: who left before its turn is not asked about */
	for (size_t i = 0; i < MK_COUNT(leaving); i += 16) {
		assert_int_equal(status_of(hear(leaving[i], NULL)), 200);
		close(leaving[i]);
	}
	assert_int_equal(status_of(hear(late, NULL)), 200);
	close(late);
	run_ms(50);
	assert_int_equal(mk_secret_in_use(), 0);
	assert_no_spin();
}

static void a_crowd_that_is_woken_at_once_does_not_take_the_slab(void **state)
{
	int fds[40];
	(void)state;
	world_b->waits = true;
	world_b->token_bytes = 16000; /* there are 16 slots for such */
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		fds[i] = connect_as(1000);
		say(fds[i], TOKEN);
		run_ms(2);
	}
	assert_int_equal(world_b->n_crowd, MK_COUNT(fds));
	for (unsigned i = 0; i < world_b->n_crowd; i++) {
		struct mk_waiter *w = world_b->crowd[i];
		w->waiting = false;
		w->fetched = true;
		w->woken(w);
	}
	close(fds[0]); /* one leaves when it was woken, and not resumed yet */
	for (size_t i = 1; i < MK_COUNT(fds); i++) {
		const char *text = hear(fds[i], NULL);
		assert_int_equal(status_of(text), 200);
		assert_true(strlen(body_of(text)) > 16000);
		close(fds[i]);
	}
	run_ms(20);
	assert_int_equal(mk_secret_in_use(), 0);
}

static void one_uid_cannot_fill_the_table(void **state)
{
	int fds[70];
	unsigned served = 0;
	(void)state;
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		if (send(fds[i], HEALTH, strlen(HEALTH), MSG_NOSIGNAL) > 0)
			served += strstr(hear(fds[i], NULL), "HTTP/1.1 200") != NULL;
	assert_int_equal(served, 50);
	assert_int_equal(world_b->refused, 20);
	const char *text = hear(fds[69], NULL);
	assert_int_equal(status_of(text), 429);
	assert_non_null(strstr(text, "Retry-After: 1\r\n"));
	const int other = connect_as(2000);
	say(other, HEALTH);
	assert_int_equal(status_of(hear(other, NULL)), 200);
	close(other);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(20);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
}

static void the_table_has_an_end_for_all_together(void **state)
{
	int fds[230];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as((uid_t)(1000 + i / 40));
	assert_int_equal(world_b->refused, 30);
	assert_int_equal(world_b->last_refused, MK_NOT_READY);
	snprintf(world_path, sizeof world_path, "%s/admin.sock", world_dir);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200); /* the security team is not shut out */
	snprintf(world_path, sizeof world_path, "%s/api.sock", world_dir);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(20);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
}

static void without_descriptors_it_waits_quietly(void **state)
{
	struct rlimit old, low;
	int fds[60];
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_to(world_path); /* they wait in the backlog: the loop does not run */
	low = (struct rlimit){ (rlim_t)fds[59] + 1, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_no_spin(); /* the first accept fails already */
	low.rlim_cur += 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	run_ms(150);
	assert_no_spin(); /* some were accepted, the next fails */
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	run_ms(300);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
}

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
		CLAIM(what_could_hide_a_second_request_gets_one_answer_and_an_end),
		CLAIM(a_refused_name_does_not_end_the_connection),
		CLAIM(a_head_has_a_largest_size),
		CLAIM(who_is_asked_for_a_token_can_always_send_it),
		CLAIM(a_head_that_drips_in_ends_by_the_clock),
		CLAIM(a_quiet_connection_ends_by_the_clock_and_not_before),
		CLAIM(a_reader_that_never_reads_is_cut_off_and_its_token_wiped),
		CLAIM(unread_answers_of_one_uid_do_not_take_the_slab),
		CLAIM(a_crowd_that_asks_at_once_is_answered_as_it_reads),
		CLAIM(who_asks_and_leaves_holds_nothing),
		CLAIM(large_answers_asked_for_at_once_all_find_room),
		CLAIM(unread_answers_refuse_nobody_who_reads),
		CLAIM(a_crowd_that_is_woken_at_once_does_not_take_the_slab),
		CLAIM(one_uid_cannot_fill_the_table),
		CLAIM(the_table_has_an_end_for_all_together),
		CLAIM(without_descriptors_it_waits_quietly),
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about what a hostile or a slow caller can send: nothing hides in it, and it does not
 * take long.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "http_limits_kit.h"

#define BODY "GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\n"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(what_could_hide_a_second_request_gets_one_answer_and_an_end),
		CLAIM(a_refused_name_does_not_end_the_connection),
		CLAIM(a_head_has_a_largest_size),
		CLAIM(who_is_asked_for_a_token_can_always_send_it),
		CLAIM(a_head_that_drips_in_ends_by_the_clock),
		CLAIM(a_quiet_connection_ends_by_the_clock_and_not_before),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

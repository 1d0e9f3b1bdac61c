/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about streams over HTTP: what they say and how, that they rest when they have nothing to
 * say, and that nothing of them is left however they end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>

#include "http_client.h"

#define WATCH GET("/v1/watch?connection=acme-erp")

static void rouse(void)
{
	assert_non_null(world_b->watcher);
	world_b->watcher->woken(world_b->watcher);
}

static void a_stream_says_what_there_is_and_then_what_comes(void **state)
{
	(void)state;
	world_b->events = 2;
	const int fd = connect_as(1000);
	say(fd, WATCH);
	const char *text = hear(fd, NULL);
	assert_int_equal(status_of(text), 200);
	assert_non_null(strstr(text, "Content-Type: text/event-stream\r\n"));
	assert_non_null(strstr(text, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(text, ": hello\nid: life-0\n\n"));
	assert_int_equal(count_of(text, "event: rotated\nid: life-"), 2);
	assert_int_equal(count_of(text, "data: {\"connection\":\"acme-erp\",\"version\":\"vvv"), 2);
	world_b->events = 3;
	rouse();
	text = hear(fd, NULL);
	assert_int_equal(count_of(text, "event: rotated\nid: life-3\n"), 1);
	close(fd);
	run_ms(5);
	assert_null(world_b->watcher);
}

/* The body, without its chunks' sizes. */
static const char *whole(const char *text)
{
	static char out[TEXT_MAX];
	size_t n = 0;
	const char *p = body_of(text);
	unsigned size = 0;
	int used = 0;
	while (sscanf(p, "%x\r\n%n", &size, &used) == 1 && size > 0) {
		p = strchr(p, '\n') + 1;
		assert_true(strlen(p) >= size + 2);
		memcpy(out + n, p, size);
		n += size;
		p += size + 2;
	}
	out[n] = '\0';
	return out;
}

static void a_version_of_the_worst_letters_fits_and_a_burst_is_said_whole(void **state)
{
	(void)state;
	world_b->events = 500;
	world_b->version_byte = 1; /* six bytes each, as JSON */
	const int fd = connect_as(1000);
	say(fd, WATCH);
	const char *text = whole(hear(fd, NULL));
	assert_int_equal(count_of(text, "\nid: life-500\n"), 1);
	assert_int_equal(count_of(text, "\\u0001\"}\n\n"), 500);
	close(fd);
	run_ms(5);
}

static void a_stream_that_may_not_stay_ends_in_order(void **state)
{
	bool closed = false;
	(void)state;
	const int fd = connect_as(1000);
	say(fd, WATCH);
	hear(fd, NULL);
	mk_http_reconfigured(world_h);
	assert_string_equal(hear(fd, &closed), "");
	assert_false(closed);
	world_b->err = MK_DENIED;
	mk_http_reconfigured(world_h);
	assert_non_null(strstr(hear(fd, &closed), "0\r\n\r\n"));
	assert_null(world_b->watcher);
	close(fd);
}

static void a_drain_ends_streams(void **state)
{
	(void)state;
	const int fd = connect_as(1000);
	say(fd, WATCH);
	hear(fd, NULL);
	assert_false(mk_http_drain(world_h));
	assert_non_null(strstr(hear(fd, NULL), "0\r\n\r\n"));
	assert_true(mk_http_drain(world_h));
	close(fd);
}

static void who_does_not_read_is_cut_off(void **state)
{
	(void)state;
	world_b->limits.write_timeout_ms = 600;
	const int fd = connect_as(1000);
	say(fd, WATCH);
	run_ms(20);
	world_b->events = UINT64_MAX - 1; /* there is always more */
	rouse();
	for (int i = 0; i < 100 && world_b->watcher; i++) /* a stand-still takes its rounds, not its time */
		run_ms(250);
	assert_null(world_b->watcher);
	close(fd);
	run_ms(5);
}

/* Sends so many requests that nobody reads the answers of, then one for a stream; it may be too late for that. */
static int ask_unread(unsigned n)
{
	static const char health[] = GET("/v1/health"), watch[] = WATCH;
	const int fd = connect_as(1000);
	for (unsigned i = 0; i < n && send(fd, health, sizeof health - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0; i++)
		if (i % 8 == 7)
			run_ms(1);
	run_ms(5);
	(void)!send(fd, watch, sizeof watch - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	run_ms(10);
	return fd;
}

/* Answers that nobody reads fill the socket up to where the head of a stream finds no room. */
static void who_does_not_take_even_the_head_is_cut_off(void **state)
{
	unsigned n = 0, least = 1, most = 2048;
	(void)state;
	world_b->limits.write_timeout_ms = 600;
	while (most - least > 1) { /* the last number with which there is still a stream */
		n = (least + most) / 2;
		close(ask_unread(n));
		*(world_b->watcher ? &least : &most) = n;
		run_ms(5);
		assert_null(world_b->watcher);
	}
	const int fd = ask_unread(least);
	assert_non_null(world_b->watcher);
	run_ms(1500);
	assert_null(world_b->watcher);
	close(fd);
	run_ms(5);
}

static void an_end_with_streams_in_every_state_frees_all(void **state)
{
	(void)state;
	const int resting = connect_as(1000), refused = connect_as(1000);
	say(resting, WATCH);
	run_ms(10);
	world_b->err = MK_DENIED;
	say(refused, WATCH);
	run_ms(10);
	world_b->err = MK_OK;
	const int roused = connect_as(1000);
	say(roused, WATCH);
	run_ms(10);
	rouse();
	world_h = mk_http_free(world_h);
	assert_null(world_b->watcher);
	close(resting);
	close(refused);
	close(roused);
}

static void malformed_calls_are_refused(void **state)
{
	static const char *const targets[] = { GET("/v1/watch?connection=acme--x"), GET("/v1/watch?tag=x"), GET("/v1/watch?connection"),
					       GET("/v1/tokens/acme?wait=10s"), GET("/v1/tokens/acme?wait=2h") };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(targets); i++)
		assert_int_equal(status_of(ask(targets[i], NULL)), 400);
	assert_int_equal(status_of(ask("POST /v1/watch HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", NULL)), 405);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_stream_says_what_there_is_and_then_what_comes),
		CLAIM(a_version_of_the_worst_letters_fits_and_a_burst_is_said_whole),
		CLAIM(a_stream_that_may_not_stay_ends_in_order),
		CLAIM(a_drain_ends_streams),
		CLAIM(who_does_not_read_is_cut_off),
		CLAIM(who_does_not_take_even_the_head_is_cut_off),
		CLAIM(an_end_with_streams_in_every_state_frees_all),
		CLAIM(malformed_calls_are_refused),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fetcher remembers of an endpoint, what it says of it and how often, and which
 * messages about it are refused. Clocks and store are the test's own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/secret.h"
#include "agent/fetcher/fetcher.h"
#include "mk/own.h"

static struct {
	int64_t boot, wall;
	struct mk_loop *loop;
} kit = { .boot = 1000000, .wall = 1800000000000 };

#define MINUTE 60000

/* ---- counters ---- */

static void calls_are_counted_for_an_hour_and_then_forgotten(void **state)
{
	struct mk_endpoint e = { 0 };
	const int64_t t = 1000 * MINUTE;
	(void)state;
	assert_int_equal(mk_endpoint_calls(&e, t), 0);
	for (int i = 0; i < 5; i++)
		mk_endpoint_called(&e, t);
	mk_endpoint_called(&e, t + 30 * MINUTE);
	assert_int_equal(mk_endpoint_calls(&e, t + 30 * MINUTE), 6);
	assert_int_equal(mk_endpoint_calls(&e, t + 59 * MINUTE), 6);
	assert_int_equal(mk_endpoint_calls(&e, t + 60 * MINUTE), 1);
	assert_int_equal(mk_endpoint_calls(&e, t + 90 * MINUTE), 0);
	mk_endpoint_called(&e, t + 90 * MINUTE);
	assert_int_equal(mk_endpoint_calls(&e, t + 90 * MINUTE), 1);
}

static void a_steady_rate_is_counted_exactly_however_long_it_lasts(void **state)
{
	struct mk_endpoint e = { 0 };
	(void)state;
	for (int64_t t = 0; t < 200 * MINUTE; t += 1000) {
		mk_endpoint_called(&e, t);
		if (t >= 60 * MINUTE)
			assert_in_range(mk_endpoint_calls(&e, t), 59 * 60, 60 * 60);
	}
}

static void a_long_silence_leaves_nothing_behind(void **state)
{
	struct mk_endpoint e = { 0 };
	(void)state;
	for (int64_t t = 0; t < 60 * MINUTE; t += MINUTE)
		mk_endpoint_called(&e, t);
	assert_int_equal(mk_endpoint_calls(&e, 59 * MINUTE), 60);
	mk_endpoint_called(&e, 10000 * (int64_t)MINUTE);
	assert_int_equal(mk_endpoint_calls(&e, 10000 * (int64_t)MINUTE), 1);
}

/* ---- the last error ---- */

static void an_open_breaker_does_not_hide_the_error_that_opened_it(void **state)
{
	struct mk_instance at = { 0 };
	(void)state;
	mk_endpoint_ended(&at, MK_BACKEND, "refused");
	mk_breaker_failure(&at.breaker, 0);
	at.breaker.pause_ms = 5000;
	mk_endpoint_ended(&at, MK_NOT_READY, "left alone");
	assert_string_equal(at.endpoint.fault, "refused");
	at.breaker.pause_ms = 0;
	mk_endpoint_ended(&at, MK_NOT_READY, "the calls are used up"); /* with the breaker closed it is one of its own */
	assert_string_equal(at.endpoint.fault, "the calls are used up");
}

static void what_a_healthy_store_says_is_no_error(void **state)
{
	static const enum mk_err good[] = { MK_OK, MK_NOT_FOUND, MK_DISABLED };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(good); i++) {
		struct mk_instance at = { 0 };
		mk_endpoint_ended(&at, good[i], NULL);
		assert_int_equal(at.endpoint.err, MK_OK);
		assert_int_equal(at.endpoint.ok_at_ms, kit.wall);
	}
}

/* ---- telling ---- */

static struct {
	struct mk_fetcher f;
	struct mk_link *broker;
	struct mk_fetcher_conf conf;
	struct mk_instance at;
	struct mk_msg_endpoint last;
	unsigned told;
} tell;

static enum mk_err broker_frame(void *arg, struct mk_frame *f)
{
	(void)arg;
	assert_int_equal(f->type, MK_MSG_ENDPOINT_STATE);
	assert_int_equal(mk_msg_endpoint_read(f->body, &tell.last), MK_OK);
	tell.told++;
	return MK_OK;
}

static enum mk_err fetcher_frame(void *arg, struct mk_frame *f)
{
	(void)arg;
	(void)f;
	return MK_BAD_REQUEST;
}

static void gone(void *arg, enum mk_err e, enum mk_msg at)
{
	(void)arg;
	(void)e;
	(void)at;
}

static int tell_setup(void **state)
{
	int a, b;
	(void)state;
	memset(&tell, 0, sizeof tell);
	TAILQ_INIT(&tell.at.waiting);
	TAILQ_INIT(&tell.at.parked);
	tell.conf.instances[0] = &tell.at;
	tell.conf.n = 1;
	tell.f.loop = kit.loop;
	tell.f.now = &tell.conf;
	if (mk_link_pair(&a, &b) != MK_OK ||
	    mk_link_new(tell.f.loop, a, MK_ROLE_FETCHER, MK_ROLE_BROKER, fetcher_frame, gone, NULL, &tell.f.broker) != MK_OK ||
	    mk_link_new(tell.f.loop, b, MK_ROLE_BROKER, MK_ROLE_FETCHER, broker_frame, gone, NULL, &tell.broker) != MK_OK)
		return -1;
	return mk_fetcher_tell_start(&tell.f) == MK_OK ? 0 : -1;
}

static int tell_teardown(void **state)
{
	(void)state;
	mk_timer_free(tell.f.told.timer);
	mk_link_free(tell.f.broker);
	mk_link_free(tell.broker);
	return 0;
}

static void pass(int64_t ms) /* the kernel delivers what was sent in the same turn or the next */
{
	for (int64_t end = kit.boot + ms; kit.boot < end; kit.boot += 250, kit.wall += 250) {
		assert_int_equal(mk_loop_turn(tell.f.loop), MK_OK);
		assert_int_equal(mk_loop_turn(tell.f.loop), MK_OK);
	}
}

static void a_change_of_kind_is_told_within_a_second_and_counters_every_ten(void **state)
{
	(void)state;
	pass(1500);
	assert_int_equal(tell.told, 1); /* once at first */
	pass(30000);
	assert_int_equal(tell.told, 1); /* and no more while nothing changes */
	mk_endpoint_ended(&tell.at, MK_BACKEND, "the store refuses the connection");
	pass(1250);
	assert_int_equal(tell.told, 2);
	assert_int_equal(tell.last.err, MK_BACKEND);
	assert_string_equal(tell.last.fault, "the store refuses the connection");
	for (int i = 0; i < 30; i++) {
		mk_endpoint_called(&tell.at.endpoint, kit.boot);
		pass(1000);
	}
	assert_in_range(tell.told, 4, 5); /* counters: every ten seconds */
	pass(11000);
	assert_int_equal(tell.last.calls_hour, 30);
}

static void a_storm_of_changes_is_told_once_a_second(void **state)
{
	(void)state;
	pass(1500);
	const unsigned before = tell.told;
	for (int i = 0; i < 1000; i++) {
		mk_endpoint_ended(&tell.at, i % 2 ? MK_BACKEND : MK_TIMEOUT, i % 2 ? "one" : "other");
		mk_fetcher_tell(&tell.f);
	}
	pass(250);
	assert_in_range(tell.told - before, 0, 1);
	pass(2000);
	assert_in_range(tell.told - before, 1, 3);
}

static void the_breaker_is_told_as_open_with_its_time_and_then_as_half_open(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MK_BREAKER_FAILURES; i++)
		mk_breaker_failure(&tell.at.breaker, kit.boot);
	pass(1500);
	assert_int_equal(tell.last.circuit, MK_CIRCUIT_OPEN);
	assert_in_range(tell.last.pause_ms, MK_BREAKER_OPEN_MS - 1500, MK_BREAKER_OPEN_MS);
	pass(MK_BREAKER_OPEN_MS);
	assert_int_equal(tell.last.circuit, MK_CIRCUIT_HALF_OPEN);
	mk_breaker_success(&tell.at.breaker);
	pass(1250);
	assert_int_equal(tell.last.circuit, MK_CIRCUIT_CLOSED);
}

static void a_breaker_that_opens_anew_between_two_looks_is_told_with_its_new_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MK_BREAKER_FAILURES; i++)
		mk_breaker_failure(&tell.at.breaker, kit.boot);
	pass(1500);
	const unsigned before = tell.told;
	tell.at.breaker.until_ms = kit.boot; /* its probe goes, and fails at once */
	mk_breaker_begin(&tell.at.breaker);
	mk_breaker_failure(&tell.at.breaker, kit.boot);
	pass(1250);
	assert_int_equal(tell.told, before + 1);
	assert_in_range(tell.last.pause_ms, 2 * MK_BREAKER_OPEN_MS - 1250, 2 * MK_BREAKER_OPEN_MS);
	pass(3000);
	assert_int_equal(tell.told, before + 1); /* that the time runs down is no news */
}

static void another_broker_is_told_all_at_once(void **state)
{
	(void)state;
	pass(1500);
	const unsigned before = tell.told;
	mk_fetcher_tell_again(&tell.f);
	pass(250);
	assert_int_equal(tell.told, before + 1);
}

/* ---- messages that are refused ---- */

static enum mk_err read_back(const struct mk_msg_endpoint *m)
{
	uint8_t buf[512];
	size_t n = 0;
	struct mk_msg_endpoint back;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_msg_endpoint_write(&w, m);
	MK_TRY(mk_wr_end(&w, &n));
	return mk_msg_endpoint_read(mk_span(buf, n), &back);
}

static struct mk_msg_endpoint good(void)
{
	return (struct mk_msg_endpoint){ .err = MK_BACKEND, .err_at_ms = 5, .fault = "refused", .ok_at_ms = MK_TIME_NONE,
					 .login_until_ms = MK_TIME_NONE };
}

static void a_figure_or_word_out_of_bounds_is_refused(void **state)
{
	(void)state;
	struct mk_msg_endpoint m = good();
	assert_int_equal(read_back(&m), MK_OK);
#define REFUSED(change)                                            \
	do {                                                       \
		m = good();                                        \
		change;                                            \
		assert_int_equal(read_back(&m), MK_BAD_REQUEST);   \
	} while (0)
	REFUSED(m.backend = MK_BACKENDS_MAX);
	REFUSED(m.circuit = MK_CIRCUIT_COUNT);
	REFUSED(m.login = MK_LOGIN_COUNT);
	REFUSED(m.err = MK_ERR_COUNT_);
	REFUSED(m.err = MK_OK);
	REFUSED(m.err_at_ms = MK_TIME_NONE);
	REFUSED(m.err_at_ms = -1);
	REFUSED(m.err_at_ms = INT64_MAX);
	REFUSED(m.ok_at_ms = -1);
	REFUSED(m.pause_ms = -1);
	REFUSED(m.pause_ms = INT64_MAX);
	REFUSED(m.login_every_ms = -1);
	REFUSED(m.login_until_ms = INT64_MAX);
	REFUSED(m.calls_hour = UINT32_MAX);
	REFUSED(m.waiting = UINT32_MAX);
}

static void a_text_that_is_not_printable_is_refused_and_ours_is_never_so(void **state)
{
	static const char bad[] = { '\n', '\x1b', '\x7f', '\t', (char)0xc3 };
	uint8_t buf[512];
	(void)state;
	for (size_t i = 0; i < sizeof bad; i++) {
		size_t n = 0;
		struct mk_msg_endpoint m = good(), back;
		struct mk_wr w = mk_wr_of(buf, sizeof buf);
		mk_msg_endpoint_write(&w, &m);
		assert_int_equal(mk_wr_end(&w, &n), MK_OK);
		uint8_t *text = memmem(buf, n, "refused", 7);
		assert_non_null(text);
		text[3] = (uint8_t)bad[i];
		assert_int_equal(mk_msg_endpoint_read(mk_span(buf, n), &back), MK_BAD_REQUEST);
		m.fault[3] = bad[i];
		assert_int_equal(read_back(&m), MK_OK);
	}
	struct mk_msg_endpoint m = good();
	memset(m.fault, 'x', sizeof m.fault); /* without an end: cut, not read past */
	assert_int_equal(read_back(&m), MK_OK);
}

static int kit_setup(void **state)
{
	bool locked;
	(void)state;
	mk_clock_fake(&kit.boot, &kit.wall);
	return mk_secret_arena_init(64, 4, &locked) == MK_OK && mk_loop_new(&kit.loop) == MK_OK ? 0 : -1;
}

static int kit_teardown(void **state)
{
	(void)state;
	mk_loop_free(kit.loop);
	return 0;
}

int main(void)
{
#define TELL(fn) cmocka_unit_test_setup_teardown(fn, tell_setup, tell_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_counted_for_an_hour_and_then_forgotten),
		cmocka_unit_test(a_steady_rate_is_counted_exactly_however_long_it_lasts),
		cmocka_unit_test(a_long_silence_leaves_nothing_behind),
		cmocka_unit_test(an_open_breaker_does_not_hide_the_error_that_opened_it),
		cmocka_unit_test(what_a_healthy_store_says_is_no_error),
		TELL(a_change_of_kind_is_told_within_a_second_and_counters_every_ten),
		TELL(a_storm_of_changes_is_told_once_a_second),
		TELL(the_breaker_is_told_as_open_with_its_time_and_then_as_half_open),
		TELL(a_breaker_that_opens_anew_between_two_looks_is_told_with_its_new_time),
		TELL(another_broker_is_told_all_at_once),
		cmocka_unit_test(a_figure_or_word_out_of_bounds_is_refused),
		cmocka_unit_test(a_text_that_is_not_printable_is_refused_and_ours_is_never_so),
	};
	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}

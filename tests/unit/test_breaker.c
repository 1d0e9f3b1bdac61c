/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker and the waits before another try, at times of the test's own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/fetcher/backoff.h"
#include "agent/fetcher/breaker.h"

static void failed(struct mk_breaker *b, unsigned times, int64_t now)
{
	while (times-- > 0) {
		assert_true(mk_breaker_allows(b, now));
		mk_breaker_begin(b);
		mk_breaker_failure(b, now);
	}
}

static void it_opens_after_failures_in_a_row_and_not_before(void **state)
{
	struct mk_breaker b = { 0 };
	(void)state;
	failed(&b, MK_BREAKER_FAILURES - 1, 100);
	mk_breaker_success(&b);
	failed(&b, MK_BREAKER_FAILURES - 1, 100);
	assert_true(mk_breaker_allows(&b, 100));
	failed(&b, 1, 100);
	assert_false(mk_breaker_allows(&b, 100));
	assert_false(mk_breaker_allows(&b, 100 + MK_BREAKER_OPEN_MS - 1));
	assert_true(mk_breaker_allows(&b, 100 + MK_BREAKER_OPEN_MS));
}

static void half_open_it_lets_one_probe_through(void **state)
{
	struct mk_breaker b = { 0 };
	(void)state;
	failed(&b, MK_BREAKER_FAILURES, 0);
	mk_breaker_begin(&b);
	assert_false(mk_breaker_allows(&b, MK_BREAKER_OPEN_MS + 1));
	mk_breaker_nothing(&b);
	assert_true(mk_breaker_allows(&b, MK_BREAKER_OPEN_MS + 1));
	mk_breaker_begin(&b);
	mk_breaker_success(&b);
	assert_true(mk_breaker_allows(&b, MK_BREAKER_OPEN_MS + 1));
	failed(&b, MK_BREAKER_FAILURES - 1, 50);
	assert_true(mk_breaker_allows(&b, 50));
}

static void each_failed_probe_doubles_the_wait_up_to_a_minute(void **state)
{
	struct mk_breaker b = { 0 };
	int64_t now = 0, pause = MK_BREAKER_OPEN_MS;
	(void)state;
	failed(&b, MK_BREAKER_FAILURES, now);
	for (int i = 0; i < 8; i++) {
		assert_false(mk_breaker_allows(&b, now + pause - 1));
		now += pause;
		failed(&b, 1, now);
		pause = pause * 2 < MK_BREAKER_LONGEST_MS ? pause * 2 : MK_BREAKER_LONGEST_MS;
	}
	assert_int_equal(pause, MK_BREAKER_LONGEST_MS);
}

static void calls_that_were_under_way_when_it_opened_add_nothing(void **state)
{
	struct mk_breaker b = { 0 };
	(void)state;
	failed(&b, MK_BREAKER_FAILURES, 0);
	mk_breaker_failure(&b, 4000);
	mk_breaker_failure(&b, 4000);
	assert_true(mk_breaker_allows(&b, MK_BREAKER_OPEN_MS));
}

static void waits_have_full_jitter_and_a_ceiling(void **state)
{
	(void)state;
	assert_int_equal(mk_backoff_ms(100, 5000, 0, 0), 0);
	assert_int_equal(mk_backoff_ms(100, 5000, 0, UINT32_MAX), 100);
	assert_int_equal(mk_backoff_ms(100, 5000, 3, UINT32_MAX), 800);
	assert_int_equal(mk_backoff_ms(100, 5000, 3, UINT32_MAX / 2), 400);
	assert_int_equal(mk_backoff_ms(100, 5000, 6, UINT32_MAX), 5000);
	assert_int_equal(mk_backoff_ms(100, 5000, UINT32_MAX, UINT32_MAX), 5000);
}

static void renewal_comes_before_the_end(void **state)
{
	(void)state;
	assert_int_equal(mk_renew_ms(30000, 0), 20000);
	assert_int_equal(mk_renew_ms(30000, UINT32_MAX), 17000);
	assert_int_equal(mk_renew_ms(500, 7), 1000);
	assert_true(mk_renew_ms(INT64_MAX, UINT32_MAX) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_opens_after_failures_in_a_row_and_not_before),
		cmocka_unit_test(half_open_it_lets_one_probe_through),
		cmocka_unit_test(each_failed_probe_doubles_the_wait_up_to_a_minute),
		cmocka_unit_test(calls_that_were_under_way_when_it_opened_add_nothing),
		cmocka_unit_test(waits_have_full_jitter_and_a_ceiling),
		cmocka_unit_test(renewal_comes_before_the_end),
	};
	return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}

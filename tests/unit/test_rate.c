/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about rates: one second's burst, the rate after it, nothing shared between
 * services, rules or rates, and a bounded table.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/rate.h"
#include "policy/policy.h"

#include <stdio.h>

#define PER_S 3600u

static const struct mk_rate_key billing = { { "billing" }, 0, 100 * PER_S };

static int make(void **state)
{
	struct mk_rates *r = NULL;
	const enum mk_err e = mk_rates_new(&r);
	*state = r;
	return e == MK_OK ? 0 : -1;
}

static int drop(void **state)
{
	mk_rates_free(*state);
	return 0;
}

static unsigned take(struct mk_rates *r, const struct mk_rate_key *k, unsigned tries, int64_t at)
{
	unsigned passed = 0;
	for (unsigned i = 0; i < tries; i++)
		passed += mk_rate_take(r, k, at, NULL) == MK_OK;
	return passed;
}

static void a_burst_is_one_seconds_worth(void **state)
{
	unsigned retry = 0;
	assert_int_equal(take(*state, &billing, 500, 1000), 100);
	assert_int_equal(mk_rate_take(*state, &billing, 1000, &retry), MK_RATE_LIMITED);
	assert_int_equal(retry, 1);
}

static void after_the_burst_the_rate_holds(void **state)
{
	assert_int_equal(take(*state, &billing, 500, 1000), 100);
	unsigned passed = 0;
	for (int64_t t = 1001; t <= 11000; t++)
		passed += take(*state, &billing, 5, t);
	assert_in_range(passed, 998, 1001);
}

static void a_long_pause_gives_no_more_than_one_burst(void **state)
{
	assert_int_equal(take(*state, &billing, 500, 1000), 100);
	assert_int_equal(take(*state, &billing, 500, INT64_C(1) << 50), 100);
}

static void a_slow_rate_lets_one_pass_and_says_when_the_next_will(void **state)
{
	const struct mk_rate_key slow = { { "billing" }, 3, 60 };
	unsigned retry = 0;
	assert_int_equal(take(*state, &slow, 5, 0), 1);
	assert_int_equal(mk_rate_take(*state, &slow, 0, &retry), MK_RATE_LIMITED);
	assert_in_range(retry, 60, 61);
	assert_int_equal(take(*state, &slow, 1, 59000), 0);
	assert_int_equal(take(*state, &slow, 1, 60001), 1);
}

static void services_rules_and_rates_have_buckets_of_their_own(void **state)
{
	const struct mk_rate_key sync = { { "sync" }, 0, 100 * PER_S }, rule = { { "billing" }, 1, 100 * PER_S };
	assert_int_equal(take(*state, &billing, 500, 1000), 100);
	assert_int_equal(take(*state, &sync, 500, 1000), 100);
	assert_int_equal(take(*state, &rule, 500, 1000), 100);
	assert_int_equal(take(*state, &billing, 500, 1000), 0);
}

static void a_clock_that_steps_back_gives_nothing(void **state)
{
	assert_int_equal(take(*state, &billing, 500, 100000), 100);
	assert_int_equal(take(*state, &billing, 500, 1000), 0);
}

static void the_highest_rate_does_not_overflow(void **state)
{
	const struct mk_rate_key fast = { { "billing" }, 0, 3600u * 1000000u };
	assert_int_equal(take(*state, &fast, 1000001, 1000), 1000000);
	assert_int_equal(take(*state, &fast, 1, INT64_MAX / 2), 1);
}

static void any_number_of_services_has_room(void **state)
{
	for (unsigned i = 0; i < 20000; i++) {
		struct mk_rate_key k = { .rule = i, .per_hour = PER_S };
		snprintf(k.service.s, sizeof k.service.s, "s%u", i);
		assert_int_equal(mk_rate_take(*state, &k, i, NULL), MK_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_burst_is_one_seconds_worth, make, drop),
		cmocka_unit_test_setup_teardown(after_the_burst_the_rate_holds, make, drop),
		cmocka_unit_test_setup_teardown(a_long_pause_gives_no_more_than_one_burst, make, drop),
		cmocka_unit_test_setup_teardown(a_slow_rate_lets_one_pass_and_says_when_the_next_will, make, drop),
		cmocka_unit_test_setup_teardown(services_rules_and_rates_have_buckets_of_their_own, make, drop),
		cmocka_unit_test_setup_teardown(a_clock_that_steps_back_gives_nothing, make, drop),
		cmocka_unit_test_setup_teardown(the_highest_rate_does_not_overflow, make, drop),
		cmocka_unit_test_setup_teardown(any_number_of_services_has_room, make, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

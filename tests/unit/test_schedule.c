/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about when a store is asked of one's own accord, and a fleet of instances that
 * start together, simulated with the real code.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/broker/schedule.h"

#include <string.h>

#define TTL     INT64_C(300000)
#define BOOT    INT64_C(7000000)
#define WALL    INT64_C(1798761600000)
#define AGENTS  500
#define HOUR_S  3600
#define LIMIT   50  /* of the store, calls in a second */
#define TICK_MS 250
#define TICKS   16 /* until an entry is looked at again; at which of them is random (ahead.c) */

static int64_t refresh(uint16_t jitter, int64_t expires_ms)
{
	const struct mk_fetched_at at = { .boot_ms = BOOT, .expires_ms = expires_ms, .jitter = jitter };
	return mk_schedule_refresh(&at, TTL, 20, BOOT, WALL) - BOOT;
}

static void a_refresh_is_due_at_50_to_80_percent_of_the_ttl(void **state)
{
	(void)state;
	assert_int_equal(refresh(0, MK_TIME_NONE), TTL / 10 * 8);
	assert_int_equal(refresh(UINT16_MAX, MK_TIME_NONE), TTL / 2);
	for (unsigned j = 1; j <= UINT16_MAX; j++)
		assert_true(refresh((uint16_t)j, MK_TIME_NONE) <= refresh((uint16_t)(j - 1), MK_TIME_NONE));
}

static void a_refresh_is_due_before_the_value_stops_being_fresh(void **state)
{
	static const int64_t ttls[] = { 1000, 1001, 300000, 86400000 };
	(void)state;
	for (size_t i = 0; i < sizeof ttls / sizeof ttls[0]; i++)
		for (unsigned percent = 0; percent < 100; percent++)
			for (unsigned j = 0; j <= UINT16_MAX; j += 1285) {
				const struct mk_fetched_at at = { BOOT, MK_TIME_NONE, (uint16_t)j };
				const int64_t due = mk_schedule_refresh(&at, ttls[i], (uint8_t)percent, BOOT, WALL) - BOOT;
				assert_true(due < mk_schedule_ttl(ttls[i], (uint8_t)percent, (uint16_t)j));
			}
}

static void an_expiry_that_comes_first_is_what_counts(void **state)
{
	(void)state;
	assert_int_equal(refresh(0, WALL + 100000), 80000);
	assert_int_equal(refresh(UINT16_MAX, WALL + 100000), 50000);
	assert_int_equal(refresh(0, WALL + 10 * TTL), refresh(0, MK_TIME_NONE));
}

static void an_expiry_that_does_not_move_causes_few_fetches(void **state)
{
	struct mk_fetched_at at = { BOOT, WALL + 60000, 30000 };
	unsigned fetches = 0;
	(void)state;
	for (int64_t due; (due = mk_schedule_refresh(&at, TTL, 20, at.boot_ms, WALL + at.boot_ms - BOOT)) < BOOT + 60000; fetches++) {
		assert_true(due - at.boot_ms >= MK_SCHEDULE_EXPIRY_MS);
		at.boot_ms = due;
	}
	assert_in_range(fetches, 1, 12);
}

static void a_wall_clock_that_was_set_moves_the_refresh_with_it(void **state)
{
	const struct mk_fetched_at at = { BOOT, WALL + 100000, 0 };
	(void)state;
	assert_int_equal(mk_schedule_refresh(&at, TTL, 20, BOOT + 1000, WALL + 1000), BOOT + 80000);
	assert_int_equal(mk_schedule_refresh(&at, TTL, 20, BOOT + 1000, WALL + 51000), BOOT + 40000);
}

static void stores_that_fail_are_looked_at_soon_and_then_less_often(void **state)
{
	(void)state;
	assert_int_equal(mk_schedule_probe(0, 0), 250);
	for (unsigned looks = 0; looks < 100; looks++) {
		assert_true(mk_schedule_probe(looks, 0) <= mk_schedule_probe(looks + 1, 0));
		assert_true(mk_schedule_probe(looks, UINT16_MAX) >= mk_schedule_probe(looks, 0) / 4 * 3);
	}
	assert_int_equal(mk_schedule_probe(1000, 0), 4000);
}

static uint16_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint16_t)(*seed >> 40);
}

/* One instance with one token that is asked for all the time: its calls, by the second. */
static void simulate(int64_t start_ms, uint16_t first, uint16_t jitter, unsigned phase, unsigned calls[HOUR_S])
{
	const int64_t looks_from = start_ms + (int64_t)phase % TICKS * TICK_MS, apart = (int64_t)TICKS * TICK_MS;
	struct mk_fetched_at at = { start_ms + mk_schedule_start(TTL, first), MK_TIME_NONE, jitter };
	calls[at.boot_ms / 1000]++; /* the list, before the token */
	while (at.boot_ms / 1000 < HOUR_S) {
		calls[at.boot_ms / 1000]++;
		const int64_t due = mk_schedule_refresh(&at, TTL, 20, at.boot_ms, WALL + at.boot_ms);
		const int64_t looked = looks_from + (due - looks_from + apart - 1) / apart * apart;
		assert_true(looked < at.boot_ms + mk_schedule_ttl(TTL, 20, jitter)); /* nobody ever waits */
		at.boot_ms = looked;
	}
}

static unsigned busiest(uint64_t seed, bool random)
{
	static unsigned calls[HOUR_S];
	unsigned most = 0, all = 0;
	memset(calls, 0, sizeof calls);
	for (unsigned i = 0; i < AGENTS; i++) {
		const uint16_t first = random ? next_random(&seed) : 0, jitter = random ? next_random(&seed) : 0;
		simulate((int64_t)i * 1000 / AGENTS, first, jitter, random ? next_random(&seed) : 0, calls);
	}
	for (unsigned s = 0; s < HOUR_S; s++) {
		all += calls[s];
		most = calls[s] > most ? calls[s] : most;
	}
	assert_true(all > AGENTS * 10u); /* an hour's refreshes are in it */
	return most;
}

static void five_hundred_agents_that_start_in_one_second_stay_below_the_stores_limit(void **state)
{
	(void)state;
	assert_true(busiest(1, false) > LIMIT * 5u); /* without jitter they would not */
	unsigned most = 0;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		const unsigned n = busiest(seed, true);
		most = n > most ? n : most;
	}
	print_message("%u instances: %u calls in the busiest second of 100 simulated hours\n", AGENTS, most);
	assert_true(most <= LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refresh_is_due_at_50_to_80_percent_of_the_ttl),
		cmocka_unit_test(a_refresh_is_due_before_the_value_stops_being_fresh),
		cmocka_unit_test(an_expiry_that_comes_first_is_what_counts),
		cmocka_unit_test(an_expiry_that_does_not_move_causes_few_fetches),
		cmocka_unit_test(a_wall_clock_that_was_set_moves_the_refresh_with_it),
		cmocka_unit_test(stores_that_fail_are_looked_at_soon_and_then_less_often),
		cmocka_unit_test(five_hundred_agents_that_start_in_one_second_stay_below_the_stores_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

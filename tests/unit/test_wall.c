/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the wall clock as the boot clock judges it: jumps, frozen and slow clocks,
 * starts in 1970, suspend, leap seconds; each with the same clock left alone as its control.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/wall.h"

#define T0     INT64_C(1798761600000) /* 2027-01-01 */
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define YEAR   (365 * DAY)

static struct mk_wall w;
static int64_t wall, boot;

static int begin(void **state)
{
	(void)state;
	wall = T0;
	boot = 5 * HOUR;
	mk_wall_begin(&w, wall, boot);
	return 0;
}

static int64_t now(void)
{
	return mk_wall_now(&w, wall, boot);
}

static enum mk_wall_news look(void)
{
	return mk_wall_look(&w, wall, boot);
}

/* Both clocks go on, with a look each second; nothing is to be told. */
static void quiet(int64_t ms)
{
	for (int64_t at = 0; at < ms; at += SECOND) {
		wall += SECOND;
		boot += SECOND;
		assert_int_equal(look(), MK_WALL_QUIET);
	}
}

static void clocks_that_go_together_say_nothing(void **state)
{
	(void)state;
	quiet(2 * DAY);
	assert_int_equal(now(), T0 + 2 * DAY);
	assert_false(w.behind || w.jumped);
}

static void before_it_begins_the_wall_clock_counts(void **state)
{
	const struct mk_wall none = { .begun = false };
	(void)state;
	assert_int_equal(mk_wall_now(&none, 5, 1000), 5);
	w = none;
	assert_int_equal(look(), MK_WALL_QUIET);
}

static void a_clock_set_back_is_carried_on_and_said_until_it_has_caught_up(void **state)
{
	(void)state;
	wall -= YEAR;
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_int_equal(now(), T0);
	assert_int_equal(look(), MK_WALL_QUIET); /* said once */
	quiet(HOUR);
	assert_int_equal(now(), T0 + HOUR);
	assert_true(w.behind);
	wall += YEAR;
	assert_int_equal(look(), MK_WALL_CAUGHT_UP);
	assert_int_equal(now(), T0 + HOUR);
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_false(w.behind || w.jumped); /* what comes back to where it belongs did not jump */
}

static void a_jump_ahead_is_followed_and_said_for_a_day(void **state)
{
	(void)state;
	quiet(HOUR);
	wall += YEAR;
	assert_int_equal(now(), T0 + HOUR + YEAR); /* also before anybody looks */
	assert_int_equal(look(), MK_WALL_JUMPED);
	quiet(DAY - SECOND);
	wall += SECOND;
	boot += SECOND;
	assert_int_equal(look(), MK_WALL_SETTLED);
	assert_false(w.jumped);
	assert_int_equal(now(), T0 + HOUR + YEAR + DAY);
}

static void a_jump_that_comes_back_was_wrong_and_undone(void **state)
{
	(void)state;
	wall += YEAR;
	assert_int_equal(look(), MK_WALL_JUMPED);
	quiet(10 * MINUTE);
	wall -= YEAR;
	assert_int_equal(look(), MK_WALL_UNDONE);
	assert_int_equal(now(), T0 + 10 * MINUTE);
	assert_false(w.behind || w.jumped);
	quiet(HOUR);
}

static void a_jump_that_is_settled_is_not_undone(void **state)
{
	(void)state;
	wall += YEAR;
	assert_int_equal(look(), MK_WALL_JUMPED);
	wall += DAY;
	boot += DAY;
	assert_int_equal(look(), MK_WALL_SETTLED);
	wall -= YEAR;
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_int_equal(now(), T0 + YEAR + DAY);
}

static void a_jump_then_a_clock_that_goes_back_further_is_behind_the_jump(void **state)
{
	(void)state;
	wall += YEAR;
	assert_int_equal(look(), MK_WALL_JUMPED);
	wall -= YEAR + HOUR; /* no witness for this one */
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_int_equal(now(), T0 + YEAR);
}

static void after_a_set_back_one_that_overshoots_has_jumped_and_is_not_behind(void **state)
{
	(void)state;
	wall -= YEAR;
	assert_int_equal(look(), MK_WALL_BEHIND);
	wall += 2 * YEAR;
	assert_int_equal(look(), MK_WALL_JUMPED);
	assert_int_equal(look(), MK_WALL_CAUGHT_UP);
	assert_true(w.jumped);
}

static void a_frozen_clock_is_carried_on_and_found_in_a_minute(void **state)
{
	(void)state;
	boot += MINUTE;
	assert_int_equal(now(), T0 + MINUTE);
	assert_int_equal(look(), MK_WALL_QUIET);
	boot += 1;
	assert_int_equal(look(), MK_WALL_BEHIND);
	boot += YEAR;
	assert_int_equal(now(), T0 + YEAR + MINUTE + 1);
}

/* Steps of a tenth of a second; returns what was told first within the time. */
static enum mk_wall_news at_rate(int64_t per_mille, int64_t ms)
{
	for (int64_t at = 0; at < ms; at += 100) {
		boot += 100;
		wall += 100 * per_mille / 1000;
		const enum mk_wall_news news = look();
		if (news != MK_WALL_QUIET)
			return news;
	}
	return MK_WALL_QUIET;
}

static void a_clock_of_a_wrong_rate_is_found(void **state)
{
	(void)state;
	assert_int_equal(at_rate(1010, 2 * DAY), MK_WALL_QUIET); /* the control: a hundredth too fast is 36 s in an hour */
	assert_int_equal(at_rate(1100, HOUR), MK_WALL_JUMPED);
	begin(NULL);
	assert_int_equal(at_rate(2000, 2 * MINUTE), MK_WALL_JUMPED);
	begin(NULL);
	assert_int_equal(at_rate(500, 3 * MINUTE), MK_WALL_BEHIND);
	assert_int_equal(now(), T0 + boot - 5 * HOUR);
	begin(NULL);
	assert_int_equal(at_rate(990, 2 * HOUR), MK_WALL_BEHIND);
}

static void suspend_is_nothing_as_both_clocks_go_on(void **state)
{
	(void)state;
	wall += DAY;
	boot += DAY;
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_int_equal(now(), T0 + DAY);
}

static void a_machine_that_was_paused_has_jumped(void **state)
{
	(void)state;
	wall += 3 * HOUR; /* neither clock went on; then the host set the one */
	assert_int_equal(look(), MK_WALL_JUMPED);
}

static void steps_of_daily_life_say_nothing_and_bring_nothing_back(void **state)
{
	(void)state;
	wall += 50 * SECOND;
	assert_int_equal(look(), MK_WALL_QUIET);
	wall -= 50 * SECOND;
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_int_equal(now(), T0 + 50 * SECOND);
	wall -= 5 * SECOND;
	quiet(HOUR);
	assert_int_equal(now(), T0 + HOUR + 50 * SECOND);
}

static void leap_seconds_either_way_say_nothing(void **state)
{
	(void)state;
	wall -= SECOND; /* 23:59:59 comes twice */
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_int_equal(now(), T0);
	quiet(DAY);
	wall += 2 * SECOND; /* and one that is left out, on top */
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_int_equal(now(), T0 + DAY + SECOND);
	for (int i = 0; i < 27; i++) { /* as many as there ever were */
		wall -= SECOND;
		quiet(MINUTE);
	}
}

static void at_its_edge_the_alarm_does_not_come_and_go(void **state)
{
	(void)state;
	wall -= MINUTE + 1;
	assert_int_equal(look(), MK_WALL_BEHIND);
	wall += 2;
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_true(w.behind);
	wall += MINUTE / 2;
	assert_int_equal(look(), MK_WALL_CAUGHT_UP);
}

static void a_start_before_a_time_that_was_seen_is_behind_it(void **state)
{
	(void)state;
	mk_wall_not_before(&w, T0 - 1, boot); /* the control */
	assert_int_equal(look(), MK_WALL_QUIET);
	mk_wall_not_before(&w, T0 + YEAR, boot);
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_int_equal(now(), T0 + YEAR);
	quiet(HOUR);
	wall += YEAR + DAY; /* the agent was off for a day: what follows the start is no jump */
	assert_int_equal(look(), MK_WALL_CAUGHT_UP);
	assert_false(w.jumped);
	assert_int_equal(now(), T0 + YEAR + DAY + HOUR);
	wall += HOUR;
	assert_int_equal(look(), MK_WALL_JUMPED); /* but a second one is */
}

static void a_start_in_1970_is_no_earlier_than_the_program(void **state)
{
	(void)state;
	wall = 3000;
	mk_wall_begin(&w, wall, boot);
	mk_wall_not_before(&w, MK_WALL_FIRST_MS, boot);
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_int_equal(now(), MK_WALL_FIRST_MS);
	wall = T0;
	assert_int_equal(look(), MK_WALL_CAUGHT_UP);
	assert_int_equal(now(), T0);
}

static void a_time_beyond_all_years_is_not_believed(void **state)
{
	(void)state;
	mk_wall_not_before(&w, INT64_MAX, boot);
	mk_wall_not_before(&w, INT64_C(253402300800000), boot);
	assert_int_equal(now(), T0);
	mk_wall_not_before(&w, INT64_C(253402300799999), boot); /* the control */
	assert_int_equal(now(), INT64_C(253402300799999));
}

/* In the same boot. */
static bool start_again(int64_t off_ms)
{
	struct mk_wall_saved saved;
	mk_wall_save(&w, boot, &saved);
	wall += off_ms;
	boot += off_ms;
	mk_wall_begin(&w, wall, boot);
	return mk_wall_resume(&w, &saved, boot);
}

static void a_start_in_the_same_boot_prolongs_nothing(void **state)
{
	(void)state;
	wall -= YEAR;
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_true(start_again(HOUR));
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_int_equal(now(), T0 + HOUR);
	wall -= HOUR; /* by less than it was off: only the boot clock knows */
	assert_true(start_again(2 * HOUR));
	assert_int_equal(now(), T0 + 3 * HOUR);
}

static void a_jump_is_in_doubt_over_a_start_in_the_same_boot(void **state)
{
	(void)state;
	assert_true(start_again(HOUR)); /* the control */
	assert_int_equal(look(), MK_WALL_QUIET);
	wall += YEAR;
	assert_int_equal(look(), MK_WALL_JUMPED);
	assert_true(start_again(HOUR));
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_true(w.jumped);
	wall -= YEAR;
	assert_true(start_again(HOUR)); /* put right while it was off */
	assert_int_equal(look(), MK_WALL_UNDONE);
	assert_int_equal(now(), T0 + 3 * HOUR);
	assert_true(start_again(HOUR));
	wall += YEAR; /* while it was off, or after its last look */
	assert_true(start_again(HOUR));
	assert_int_equal(look(), MK_WALL_JUMPED);
	assert_true(start_again(DAY));
	assert_int_equal(look(), MK_WALL_SETTLED);
}

static void what_was_handed_to_one_start_is_no_jump_after_the_next(void **state)
{
	(void)state;
	mk_wall_not_before(&w, T0 + YEAR, boot);
	assert_int_equal(look(), MK_WALL_BEHIND);
	assert_true(start_again(HOUR));
	wall += YEAR + DAY;
	assert_int_equal(look(), MK_WALL_QUIET);
	assert_false(w.jumped || w.behind);
}

static void what_no_clock_can_have_saved_is_not_resumed(void **state)
{
	const struct mk_wall_saved good = { .newest = { T0, boot - 1 }, .before = { 0, 0 } };
	struct mk_wall_saved bad[] = { good, good, good, good, good, good };
	(void)state;
	bad[0].newest.boot_ms = boot + 1; /* a snapshot of the machine, or another boot */
	bad[1].newest.wall_ms = INT64_MAX;
	bad[2].newest.boot_ms = INT64_MIN;
	bad[3].before.wall_ms = INT64_MIN;
	bad[4].before.boot_ms = INT64_MAX;
	bad[5].jumped_ms = -1;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(mk_wall_resume(&w, &bad[i], boot));
	assert_int_equal(now(), T0);
	assert_true(mk_wall_resume(&w, &good, boot)); /* the control */
	assert_int_equal(now(), T0 + 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, begin)
	const struct CMUnitTest tests[] = {
		TEST(clocks_that_go_together_say_nothing),
		TEST(before_it_begins_the_wall_clock_counts),
		TEST(a_clock_set_back_is_carried_on_and_said_until_it_has_caught_up),
		TEST(a_jump_ahead_is_followed_and_said_for_a_day),
		TEST(a_jump_that_comes_back_was_wrong_and_undone),
		TEST(a_jump_that_is_settled_is_not_undone),
		TEST(a_jump_then_a_clock_that_goes_back_further_is_behind_the_jump),
		TEST(after_a_set_back_one_that_overshoots_has_jumped_and_is_not_behind),
		TEST(a_frozen_clock_is_carried_on_and_found_in_a_minute),
		TEST(a_clock_of_a_wrong_rate_is_found),
		TEST(suspend_is_nothing_as_both_clocks_go_on),
		TEST(a_machine_that_was_paused_has_jumped),
		TEST(steps_of_daily_life_say_nothing_and_bring_nothing_back),
		TEST(leap_seconds_either_way_say_nothing),
		TEST(at_its_edge_the_alarm_does_not_come_and_go),
		TEST(a_start_before_a_time_that_was_seen_is_behind_it),
		TEST(a_start_in_1970_is_no_earlier_than_the_program),
		TEST(a_time_beyond_all_years_is_not_believed),
		TEST(a_start_in_the_same_boot_prolongs_nothing),
		TEST(a_jump_is_in_doubt_over_a_start_in_the_same_boot),
		TEST(what_was_handed_to_one_start_is_no_jump_after_the_next),
		TEST(what_no_clock_can_have_saved_is_not_resumed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

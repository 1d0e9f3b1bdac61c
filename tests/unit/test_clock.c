/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about time and RFC 3339.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "mk/own.h"

#include <stdio.h>
#include <time.h>

static void moments_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-11-24T06:50:32Z", 1795503032000 },
		{ "2026-11-24T06:50:32.123Z", 1795503032123 },
		{ "2026-11-24T06:50:32.1239999999Z", 1795503032123 },
		{ "2026-11-24T06:50:32.5Z", 1795503032500 },
		{ "2026-11-24t06:50:32z", 1795503032000 },
		{ "2026-11-24T07:50:32+01:00", 1795503032000 },
		{ "2026-11-23T23:20:32-07:30", 1795503032000 },
		{ "2000-02-29T00:00:00-00:00", 951782400000 },
		{ "2016-12-31T23:59:60Z", 1483228799000 },
		{ "2017-01-01T00:59:60+01:00", 1483228799000 },
		{ "1969-12-31T23:59:59.999Z", -1 },
		{ "0001-01-01T00:00:00Z", -62135596800000 },
		{ "9999-12-31T23:59:59Z", 253402300799000 },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(good); i++) {
		int64_t ms = 42;
		assert_int_equal(mk_rfc3339_parse(mk_span_of(good[i].text), &ms), MK_OK);
		assert_true(ms == good[i].ms);
	}
}

static void what_is_not_rfc_3339_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "2026", "2026-11-24", "2026-11-24T06:50:32", "2026-11-24 06:50:32Z", "2026-11-24T06:50Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-04-00T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T06:60:00Z",
		"2026-11-24T06:50:61Z", "2026-11-24T06:50:60Z", "2026-11-24T06:50:32.Z", "2026-11-24T06:50:32,5Z",
		"2026-11-24T06:50:32+24:00", "2026-11-24T06:50:32+01:60", "2026-11-24T06:50:32+0100", "2026-11-24T06:50:32+01",
		"2026-11-24T06:50:32ZZ", " 2026-11-24T06:50:32Z", "2026-11-24T06:50:32Z ", "+026-11-24T06:50:32Z",
		"2026-1-24T06:50:32Z", "20261124T065032Z", "2026-11-24T06:50:3\xef\xbc\x92Z",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		int64_t ms = 42;
		assert_int_equal(mk_rfc3339_parse(mk_span_of(bad[i]), &ms), MK_BAD_REQUEST);
		assert_true(ms == 42);
	}
	int64_t ms;
	assert_int_equal(mk_rfc3339_parse(mk_span("2026-11-24T06:50:32\0", 20), &ms), MK_BAD_REQUEST);
}

static void every_day_is_written_as_libc_writes_it_and_read_back(void **state)
{
	(void)state;
	for (int64_t s = 7; s < 253402300800; s += 86400 * 3 + 3607) {
		char ours[MK_RFC3339_MAX], theirs[MK_RFC3339_MAX];
		const time_t t = (time_t)s;
		struct tm tm;
		int64_t back = 0;
		mk_rfc3339(s * 1000 + 45, true, ours);
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S.045Z", &tm) > 0);
		assert_string_equal(ours, theirs);
		assert_int_equal(mk_rfc3339_parse(mk_span_of(ours), &back), MK_OK);
		assert_true(back == s * 1000 + 45);
	}
}

static void moments_beyond_the_calendar_have_no_text(void **state)
{
	static const int64_t beyond[] = { MK_TIME_NONE, -1, 253402300800000, INT64_MAX };
	(void)state;
	char text[MK_RFC3339_MAX];
	for (size_t i = 0; i < MK_COUNT(beyond); i++) {
		mk_rfc3339(beyond[i], false, text);
		assert_string_equal(text, "");
	}
	mk_rfc3339(253402300799999, false, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
}

static void both_clocks_can_be_faked_and_given_back(void **state)
{
	(void)state;
	const int64_t boot = 5, wall = 6;
	assert_true(mk_boot_ms() > 0);
	const int64_t real = mk_wall_ms();
	assert_true(real > 1700000000000);
	mk_clock_fake(&boot, &wall);
	assert_true(mk_boot_ms() == 5 && mk_wall_ms() == 6);
	mk_clock_fake(NULL, NULL);
	assert_true(mk_wall_ms() >= real);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moments_are_read_and_written),
		cmocka_unit_test(what_is_not_rfc_3339_is_refused),
		cmocka_unit_test(every_day_is_written_as_libc_writes_it_and_read_back),
		cmocka_unit_test(moments_beyond_the_calendar_have_no_text),
		cmocka_unit_test(both_clocks_can_be_faked_and_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

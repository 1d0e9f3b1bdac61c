/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about numbers with units.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/units.h"
#include "mk/own.h"

static void durations_are_read_with_their_unit(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "0s", 0 }, { "250ms", 250 }, { "5s", 5000 }, { "5m", 300000 }, { "1h", 3600000 }, { "30d", 2592000000 },
		{ "9223372036854775807ms", INT64_MAX },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(good); i++) {
		int64_t ms = -1;
		assert_int_equal(mk_duration_of(mk_span_of(good[i].text), &ms), MK_OK);
		assert_true(ms == good[i].ms);
	}
}

static void durations_without_sense_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "0", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "5S", "5sec", "1.5h", "1h30m", "0x5s", "5us",
		"9223372036854775808ms", "18446744073709551616ms", "9223372036854775807s", "106751991168d",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		int64_t ms = 42;
		assert_int_equal(mk_duration_of(mk_span_of(bad[i]), &ms), MK_BAD_REQUEST);
		assert_true(ms == 42);
	}
}

static void sizes_are_powers_of_1024(void **state)
{
	(void)state;
	uint64_t n;
	assert_int_equal(mk_size_of(mk_span_of("512B"), &n), MK_OK);
	assert_true(n == 512);
	assert_int_equal(mk_size_of(mk_span_of("64KB"), &n), MK_OK);
	assert_true(n == 65536);
	assert_int_equal(mk_size_of(mk_span_of("10MB"), &n), MK_OK);
	assert_true(n == 10485760);
	assert_int_equal(mk_size_of(mk_span_of("5GB"), &n), MK_OK); /* more than 32 bits */
	assert_true(n == 5368709120);
	assert_int_equal(mk_size_of(mk_span_of("64kb"), &n), MK_BAD_REQUEST);
	assert_int_equal(mk_size_of(mk_span_of("64K"), &n), MK_BAD_REQUEST);
	assert_int_equal(mk_size_of(mk_span_of("17179869184GB"), &n), MK_BAD_REQUEST);
}

static void rates_have_a_floor_and_a_ceiling(void **state)
{
	(void)state;
	uint32_t n;
	assert_int_equal(mk_rate_of(mk_span_of("100/s"), &n), MK_OK);
	assert_int_equal(n, 360000);
	assert_int_equal(mk_rate_of(mk_span_of("60/m"), &n), MK_OK);
	assert_int_equal(n, 3600);
	assert_int_equal(mk_rate_of(mk_span_of("1/h"), &n), MK_OK);
	assert_int_equal(n, 1);
	assert_int_equal(mk_rate_of(mk_span_of("1000000/s"), &n), MK_OK);
	assert_true(n == 3600000000);
	assert_int_equal(mk_rate_of(mk_span_of("1000001/s"), &n), MK_BAD_REQUEST);
	assert_int_equal(mk_rate_of(mk_span_of("0/s"), &n), MK_BAD_REQUEST);
	assert_int_equal(mk_rate_of(mk_span_of("5124095576030432/s"), &n), MK_BAD_REQUEST);
	assert_int_equal(mk_rate_of(mk_span_of("100"), &n), MK_BAD_REQUEST);
	assert_int_equal(mk_rate_of(mk_span_of("100/d"), &n), MK_BAD_REQUEST);
}

static void percents_end_at_100(void **state)
{
	(void)state;
	uint8_t n;
	assert_int_equal(mk_percent_of(mk_span_of("0%"), &n), MK_OK);
	assert_int_equal(mk_percent_of(mk_span_of("100%"), &n), MK_OK);
	assert_int_equal(n, 100);
	assert_int_equal(mk_percent_of(mk_span_of("101%"), &n), MK_BAD_REQUEST);
	assert_int_equal(mk_percent_of(mk_span_of("356%"), &n), MK_BAD_REQUEST); /* 100 in 8 bits */
	assert_int_equal(mk_percent_of(mk_span_of("20"), &n), MK_BAD_REQUEST);
}

static void whole_numbers_do_not_wrap(void **state)
{
	(void)state;
	uint32_t u;
	int64_t i;
	assert_int_equal(mk_u32_of(mk_span_of("4294967295"), &u), MK_OK);
	assert_true(u == UINT32_MAX);
	assert_int_equal(mk_u32_of(mk_span_of("4294967296"), &u), MK_BAD_REQUEST);
	assert_int_equal(mk_u32_of(mk_span_of("4294967297"), &u), MK_BAD_REQUEST);
	assert_int_equal(mk_u32_of(mk_span_of("1s"), &u), MK_BAD_REQUEST);
	assert_int_equal(mk_u32_of(mk_span_of("-1"), &u), MK_BAD_REQUEST);
	assert_int_equal(mk_i64_of(mk_span_of("-9223372036854775808"), &i), MK_OK);
	assert_true(i == INT64_MIN);
	assert_int_equal(mk_i64_of(mk_span_of("9223372036854775807"), &i), MK_OK);
	assert_true(i == INT64_MAX);
	assert_int_equal(mk_i64_of(mk_span_of("-5"), &i), MK_OK);
	assert_true(i == -5);
	assert_int_equal(mk_i64_of(mk_span_of("9223372036854775808"), &i), MK_BAD_REQUEST);
	assert_int_equal(mk_i64_of(mk_span_of("-9223372036854775809"), &i), MK_BAD_REQUEST);
	assert_int_equal(mk_i64_of(mk_span_of("-"), &i), MK_BAD_REQUEST);
	assert_int_equal(mk_i64_of(mk_span_of("--5"), &i), MK_BAD_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_with_their_unit),
		cmocka_unit_test(durations_without_sense_are_refused),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(rates_have_a_floor_and_a_ceiling),
		cmocka_unit_test(percents_end_at_100),
		cmocka_unit_test(whole_numbers_do_not_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * How makinictl status tells ages.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl/status.h"
#include "mk/own.h"

static void ages_are_told_in_the_two_units_that_matter(void **state)
{
	static const struct {
		long long seconds;
		const char *text;
	} rows[] = {
		{ 0, "0 s" },	       { 42, "42 s" },	       { 119, "119 s" },	 { 120, "2 min" },
		{ 3599, "59 min" },    { 3600, "1 h 0 min" },  { 7500, "2 h 5 min" },	 { 86399, "23 h 59 min" },
		{ 86400, "1 d 0 h" },  { 360000, "4 d 4 h" },  { INT64_MAX, "106751991167300 d 15 h" },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		char age[MK_AGE_MAX];
		mk_ctl_age(rows[i].seconds, age);
		assert_string_equal(age, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ages_are_told_in_the_two_units_that_matter) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

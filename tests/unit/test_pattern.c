/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about connection patterns. The matcher is compared with a plain recursive one,
 * over all short patterns and names of a small alphabet.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mk/own.h"
#include "policy/policy.h"

#include <time.h>

static bool matches(const char *pattern, const char *name)
{
	struct mk_pattern p = { "" };
	struct mk_name n = { "" };
	assert_int_equal(mk_pattern_of(mk_span_of(pattern), &p), MK_OK);
	assert_int_equal(mk_name_of(mk_span_of(name), &n), MK_OK);
	return mk_pattern_match(&p, &n);
}

static void a_pattern_without_stars_is_one_name(void **state)
{
	(void)state;
	assert_true(matches("acme-payroll", "acme-payroll"));
	assert_false(matches("acme-payroll", "acme-payrol"));
	assert_false(matches("acme-payroll", "acme-payroll2"));
	assert_false(matches("acme-payroll", "globex"));
}

static void a_star_stands_for_any_run_also_none(void **state)
{
	(void)state;
	assert_true(matches("*", "a"));
	assert_true(matches("acme-*", "acme-payroll"));
	assert_true(matches("acme*", "acme"));
	assert_true(matches("*acme*", "acme"));
	assert_true(matches("*-eu", "acme-eu"));
	assert_true(matches("a*b*c", "abc"));
	assert_true(matches("a*b*c", "a1b2c"));
	assert_false(matches("acme-*", "acme"));
	assert_false(matches("acme-*", "xacme-1"));
	assert_false(matches("*-eu", "acme-eu2"));
	assert_false(matches("a*b*c", "acb"));
	assert_false(matches("*ab*ab*", "ab"));
}

/* The plainest matcher there is; exponential, so for short texts only. */
static bool plainly(const char *p, const char *n)
{
	if (*p == '*')
		return plainly(p + 1, n) || (*n && plainly(p, n + 1));
	return *p ? *p == *n && plainly(p + 1, n + 1) : !*n;
}

/* The i-th text over the letters, "" for 0. */
static void text_of(unsigned i, const char *letters, char *out)
{
	const unsigned base = (unsigned)strlen(letters);
	size_t n = 0;
	for (; i > 0; i = (i - 1) / base)
		out[n++] = letters[(i - 1) % base];
	out[n] = '\0';
}

static void it_agrees_with_the_plainest_matcher_on_all_short_texts(void **state)
{
	unsigned yes = 0, no = 0;
	(void)state;
	for (unsigned i = 1; i < 5461; i++) { /* all patterns of up to six letters */
		struct mk_pattern p;
		char pattern[16], text[16];
		text_of(i, "ab-*", pattern);
		if (mk_pattern_of(mk_span_of(pattern), &p) != MK_OK)
			continue;
		for (unsigned j = 1; j < 1093; j++) { /* all names of up to six letters */
			struct mk_name name;
			text_of(j, "ab-", text);
			if (mk_name_of(mk_span_of(text), &name) != MK_OK)
				continue;
			const bool right = plainly(pattern, text);
			assert_true(mk_pattern_match(&p, &name) == right);
			*(right ? &yes : &no) += 1;
		}
	}
	assert_true(yes > 10000 && no > 10000);
}

static void the_longest_patterns_and_names_fit(void **state)
{
	char full[MK_NAME_MAX + 1] = "", starred[MK_NAME_MAX + 2] = "", long_one[MK_NAME_MAX + 2] = "";
	struct mk_pattern p;
	(void)state;
	memset(full, 'a', MK_NAME_MAX);
	memset(starred, 'a', MK_NAME_MAX);
	memset(long_one, 'a', MK_NAME_MAX + 1);
	starred[MK_NAME_MAX - 1] = '*';
	assert_true(matches(full, full));
	assert_true(matches(starred, full));
	assert_false(matches(full, "aaa"));
	assert_int_equal(mk_pattern_of(mk_span_of(long_one), &p), MK_BAD_REQUEST);
}

static void what_can_match_no_name_is_no_pattern(void **state)
{
	static const char *const bad[] = { "", "-acme", "acme--1", "**", "a**", "Acme", "acme.1", "acme/1", "a b", "a?", "[a]",
					   "acme\xc3\xa9", "acme_1", " acme", "acme\n" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		struct mk_pattern p = { "untouched" };
		assert_int_equal(mk_pattern_of(mk_span_of(bad[i]), &p), MK_BAD_REQUEST);
		assert_string_equal(p.s, "untouched");
	}
	struct mk_pattern p;
	assert_int_equal(mk_pattern_of(mk_span("a\0b", 3), &p), MK_BAD_REQUEST);
}

static void an_empty_name_matches_nothing(void **state)
{
	const struct mk_name none = { "" };
	const struct mk_pattern all = { "*" };
	(void)state;
	assert_true(matches("*", "x"));
	assert_false(mk_pattern_match(&all, &none));
}

static double seconds_of(const struct mk_pattern *p, const struct mk_name *n)
{
	struct timespec a, b;
	unsigned hits = 0;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (unsigned i = 0; i < 20000; i++)
		hits += mk_pattern_match(p, n);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	assert_true(hits == 0);
	return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

/* A matcher that backtracks would take hours for the second. */
static void a_pattern_full_of_stars_costs_no_more_than_a_plain_one(void **state)
{
	struct mk_pattern plain, stars;
	struct mk_name name;
	char text[MK_NAME_MAX + 1] = "";
	(void)state;
	memset(text, 'a', MK_NAME_MAX);
	assert_int_equal(mk_name_of(mk_span_of(text), &name), MK_OK);
	text[MK_NAME_MAX - 1] = 'b';
	assert_int_equal(mk_pattern_of(mk_span_of(text), &plain), MK_OK);
	for (size_t i = 1; i < MK_NAME_MAX - 1; i += 2)
		text[i] = '*';
	assert_int_equal(mk_pattern_of(mk_span_of(text), &stars), MK_OK);
	assert_true(seconds_of(&stars, &name) < 20 * seconds_of(&plain, &name) + 0.05);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_without_stars_is_one_name),
		cmocka_unit_test(a_star_stands_for_any_run_also_none),
		cmocka_unit_test(it_agrees_with_the_plainest_matcher_on_all_short_texts),
		cmocka_unit_test(the_longest_patterns_and_names_fit),
		cmocka_unit_test(what_can_match_no_name_is_no_pattern),
		cmocka_unit_test(an_empty_name_matches_nothing),
		cmocka_unit_test(a_pattern_full_of_stars_costs_no_more_than_a_plain_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

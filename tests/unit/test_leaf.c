/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the leaf list.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/rw.h"
#include "mk/leaf.h"
#include "mk/limits.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

static size_t add(uint8_t *buf, size_t cap, size_t len, const char *pointer, enum mk_leaf_type type, const char *value)
{
	const struct mk_leaf leaf = { mk_span_of(pointer), type, mk_span_of(value) };
	assert_int_equal(mk_leaves_add(buf, cap, &len, &leaf), MK_OK);
	return len;
}

static void a_list_is_walked_in_the_order_it_was_written(void **state)
{
	(void)state;
	uint8_t buf[256];
	struct mk_leaf leaf;
	size_t n = 0, at = 0;
	n = add(buf, sizeof buf, n, "/access_token", MK_LEAF_STRING, "planted-value");
	n = add(buf, sizeof buf, n, "/expires_in", MK_LEAF_NUMBER, "3600");
	n = add(buf, sizeof buf, n, "/a~1b/~0", MK_LEAF_BOOL, "true");
	n = add(buf, sizeof buf, n, "/n", MK_LEAF_NULL, "");
	n = add(buf, sizeof buf, n, "", MK_LEAF_EMPTY, "");
	const struct mk_span list = mk_span(buf, n);
	assert_int_equal(mk_leaves_check(list), MK_OK);
	static const char *const order[] = { "/access_token", "/expires_in", "/a~1b/~0", "/n", "" };
	for (size_t i = 0; i < MK_COUNT(order); i++) {
		assert_true(mk_leaves_next(list, &at, &leaf));
		assert_true(mk_span_is(leaf.pointer, order[i]));
	}
	assert_false(mk_leaves_next(list, &at, &leaf));
	assert_int_equal(mk_leaves_find(list, "/expires_in", &leaf), MK_OK);
	assert_true(leaf.type == MK_LEAF_NUMBER && mk_span_is(leaf.value, "3600"));
	assert_int_equal(mk_leaves_find(list, "/expires", &leaf), MK_NOT_FOUND);
	assert_int_equal(mk_leaves_find(mk_span(NULL, 0), "/x", &leaf), MK_NOT_FOUND);
}

static void a_list_cut_anywhere_is_refused(void **state)
{
	(void)state;
	uint8_t buf[256];
	size_t n = add(buf, sizeof buf, 0, "/a", MK_LEAF_STRING, "one");
	const size_t first = n;
	n = add(buf, sizeof buf, n, "/b", MK_LEAF_STRING, "two");
	for (size_t cut = 1; cut < n; cut++) {
		uint8_t *exact = malloc(cut); /* so that a sanitizer sees each byte read too far */
		assert_non_null(exact);
		memcpy(exact, buf, cut);
		assert_int_equal(mk_leaves_check(mk_span(exact, cut)), cut == first ? MK_OK : MK_BAD_REQUEST);
		free(exact);
	}
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_OK);
}

static void a_pointer_that_comes_twice_is_refused(void **state)
{
	(void)state;
	uint8_t buf[256];
	size_t n = add(buf, sizeof buf, 0, "/a", MK_LEAF_STRING, "one");
	n = add(buf, sizeof buf, n, "/b", MK_LEAF_STRING, "two");
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_OK);
	n = add(buf, sizeof buf, n, "/a", MK_LEAF_STRING, "one");
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_BAD_REQUEST);
}

static void each_leaf_is_what_its_type_says(void **state)
{
	static const struct {
		const char *pointer, *value;
		int type;
		bool ok;
	} cases[] = {
		{ "/a", "text", MK_LEAF_STRING, true },      { "/a", "", MK_LEAF_STRING, true },
		{ "/a", "\xff", MK_LEAF_STRING, false },     { "/a", "0", MK_LEAF_NUMBER, true },
		{ "/a", "-0.5e+10", MK_LEAF_NUMBER, true },  { "/a", "1E9", MK_LEAF_NUMBER, true },
		{ "/a", "", MK_LEAF_NUMBER, false },         { "/a", "01", MK_LEAF_NUMBER, false },
		{ "/a", "1.", MK_LEAF_NUMBER, false },       { "/a", ".5", MK_LEAF_NUMBER, false },
		{ "/a", "1e", MK_LEAF_NUMBER, false },       { "/a", "1e+", MK_LEAF_NUMBER, false },
		{ "/a", "+1", MK_LEAF_NUMBER, false },       { "/a", "1 ", MK_LEAF_NUMBER, false },
		{ "/a", "-", MK_LEAF_NUMBER, false },        { "/a", "0x1", MK_LEAF_NUMBER, false },
		{ "/a", "NaN", MK_LEAF_NUMBER, false },      { "/a", "true", MK_LEAF_BOOL, true },
		{ "/a", "false", MK_LEAF_BOOL, true },       { "/a", "True", MK_LEAF_BOOL, false },
		{ "/a", "", MK_LEAF_BOOL, false },           { "/a", "", MK_LEAF_NULL, true },
		{ "/a", "x", MK_LEAF_NULL, false },          { "/a", "", MK_LEAF_EMPTY, true },
		{ "/a", "x", MK_LEAF_EMPTY, false },         { "/a", "x", 0, false },
		{ "/a", "x", 6, false },                     { "/a", "x", 255, false },
		{ "", "x", MK_LEAF_STRING, true },           { "a", "x", MK_LEAF_STRING, false },
		{ "/", "x", MK_LEAF_STRING, true },          { "/a~0~1", "x", MK_LEAF_STRING, true },
		{ "/a~", "x", MK_LEAF_STRING, false },       { "/a~2", "x", MK_LEAF_STRING, false },
		{ "/\xc3", "x", MK_LEAF_STRING, false },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++) {
		uint8_t buf[64];
		const size_t n = add(buf, sizeof buf, 0, cases[i].pointer, (enum mk_leaf_type)cases[i].type, cases[i].value);
		assert_int_equal(mk_leaves_check(mk_span(buf, n)) == MK_OK, cases[i].ok);
	}
}

static void a_nul_is_no_text(void **state)
{
	(void)state;
	uint8_t buf[64];
	size_t n = 0;
	const struct mk_leaf in_value = { mk_span_of("/a"), MK_LEAF_STRING, mk_span("a\0b", 3) };
	const struct mk_leaf in_pointer = { mk_span("/a\0b", 4), MK_LEAF_STRING, mk_span_of("x") };
	assert_int_equal(mk_leaves_add(buf, sizeof buf, &n, &in_value), MK_OK);
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_BAD_REQUEST);
	n = 0;
	assert_int_equal(mk_leaves_add(buf, sizeof buf, &n, &in_pointer), MK_OK);
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_BAD_REQUEST);
}

static void there_are_256_leaves_at_most(void **state)
{
	(void)state;
	uint8_t buf[8192];
	char pointer[16];
	size_t n = 0;
	for (unsigned i = 0; i < MK_LEAVES_MAX; i++) {
		snprintf(pointer, sizeof pointer, "/%u", i);
		n = add(buf, sizeof buf, n, pointer, MK_LEAF_STRING, "x");
	}
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_OK);
	n = add(buf, sizeof buf, n, "/one-more", MK_LEAF_STRING, "x");
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_BAD_REQUEST);
}

static void limits_of_pointer_and_list_hold(void **state)
{
	(void)state;
	static uint8_t buf[MK_SECRET_MAX + 1], text[MK_SECRET_MAX];
	size_t n = 0;
	memset(text, '/', sizeof text);
	struct mk_leaf leaf = { mk_span(text, MK_POINTER_MAX + 1), MK_LEAF_NULL, mk_span(NULL, 0) };
	assert_int_equal(mk_leaves_add(buf, sizeof buf, &n, &leaf), MK_TOO_LARGE);
	leaf = (struct mk_leaf){ mk_span(text, MK_POINTER_MAX), MK_LEAF_NULL, mk_span(NULL, 0) };
	assert_int_equal(mk_leaves_add(buf, sizeof buf, &n, &leaf), MK_OK);
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_OK);

	n = 0;
	leaf = (struct mk_leaf){ mk_span_of("/v"), MK_LEAF_STRING, mk_span(text, MK_SECRET_MAX - 9) };
	assert_int_equal(mk_leaves_add(buf, sizeof buf, &n, &leaf), MK_OK);
	assert_int_equal(n, MK_SECRET_MAX);
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_OK);
	n = 0;
	leaf.value.n++;
	assert_int_equal(mk_leaves_add(buf, sizeof buf, &n, &leaf), MK_OK);
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_BAD_REQUEST);
}

static void a_leaf_that_does_not_fit_leaves_the_list_as_it_was(void **state)
{
	(void)state;
	uint8_t buf[16];
	size_t n = add(buf, sizeof buf, 0, "/a", MK_LEAF_STRING, "x");
	const struct mk_leaf leaf = { mk_span_of("/b"), MK_LEAF_STRING, mk_span_of("x") };
	const size_t before = n;
	assert_int_equal(mk_leaves_add(buf, sizeof buf, &n, &leaf), MK_TOO_LARGE);
	assert_int_equal(n, before);
	assert_int_equal(mk_leaves_check(mk_span(buf, n)), MK_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_walked_in_the_order_it_was_written),
		cmocka_unit_test(a_list_cut_anywhere_is_refused),
		cmocka_unit_test(a_pointer_that_comes_twice_is_refused),
		cmocka_unit_test(each_leaf_is_what_its_type_says),
		cmocka_unit_test(a_nul_is_no_text),
		cmocka_unit_test(there_are_256_leaves_at_most),
		cmocka_unit_test(limits_of_pointer_and_list_hold),
		cmocka_unit_test(a_leaf_that_does_not_fit_leaves_the_list_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

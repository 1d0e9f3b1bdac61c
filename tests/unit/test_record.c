/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the default record: where token, type and expiry come from, in every
 * form, and that nonsense is a fault and never "no expiry".
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/broker/record.h"
#include "mk/own.h"

#define SINCE INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

struct list {
	uint8_t buf[MK_SECRET_MAX];
	size_t n;
};
static struct list list;

static void add_bytes(const char *pointer, enum mk_leaf_type type, struct mk_span value)
{
	const struct mk_leaf leaf = { mk_span_of(pointer), type, value };
	assert_int_equal(mk_leaves_add(list.buf, sizeof list.buf, &list.n, &leaf), MK_OK);
}

static void add(const char *pointer, enum mk_leaf_type type, const char *value)
{
	add_bytes(pointer, type, mk_span_of(value));
}

static enum mk_err read_record(struct mk_record *r, const char **fault)
{
	const struct mk_span span = mk_span(list.buf, list.n);
	assert_int_equal(mk_leaves_check(span), MK_OK);
	const enum mk_err e = mk_record_of(span, SINCE, r, fault);
	list.n = 0;
	return e;
}

static void the_token_is_access_token_or_else_token(void **state)
{
	(void)state;
	struct mk_record r;
	add("/token", MK_LEAF_STRING, "second");
	add("/access_token", MK_LEAF_STRING, "first");
	assert_int_equal(read_record(&r, NULL), MK_OK);
	assert_true(mk_span_is(r.token, "first"));
	add("/token", MK_LEAF_STRING, "second");
	assert_int_equal(read_record(&r, NULL), MK_OK);
	assert_true(mk_span_is(r.token, "second"));
	add("/nested/access_token", MK_LEAF_STRING, "elsewhere");
	assert_int_equal(read_record(&r, NULL), MK_BACKEND);
}

static void a_token_that_is_no_token_is_a_fault_that_names_the_field_only(void **state)
{
	(void)state;
	static const struct {
		enum mk_leaf_type type;
		const char *value;
	} bad[] = {
		{ MK_LEAF_STRING, "" },	       { MK_LEAF_STRING, "abc\ndef" },	 { MK_LEAF_STRING, "abc\r" },
		{ MK_LEAF_STRING, "abc\x7f" }, { MK_LEAF_STRING, "a\xc2\x85z" }, { MK_LEAF_NUMBER, "12345678" },
		{ MK_LEAF_BOOL, "true" },      { MK_LEAF_EMPTY, "" },		 { MK_LEAF_NULL, "" },
	};
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		struct mk_record r;
		const char *fault = NULL;
		add("/access_token", bad[i].type, bad[i].value);
		assert_int_equal(read_record(&r, &fault), MK_BACKEND);
		assert_non_null(fault);
		if (bad[i].value[0] && bad[i].type == MK_LEAF_STRING)
			assert_null(strstr(fault, "abc"));
	}
}

static void a_token_may_have_16384_bytes_and_no_more(void **state)
{
	(void)state;
	static uint8_t long_token[MK_TOKEN_MAX + 1];
	struct mk_record r;
	memset(long_token, 'x', sizeof long_token);
	add_bytes("/token", MK_LEAF_STRING, mk_span(long_token, MK_TOKEN_MAX));
	assert_int_equal(read_record(&r, NULL), MK_OK);
	assert_int_equal(r.token.n, MK_TOKEN_MAX);
	add_bytes("/token", MK_LEAF_STRING, mk_span(long_token, MK_TOKEN_MAX + 1));
	assert_int_equal(read_record(&r, NULL), MK_BACKEND);
}

static void the_type_is_bearer_unless_the_secret_says_another_word(void **state)
{
	(void)state;
	struct mk_record r;
	add("/token", MK_LEAF_STRING, "t");
	assert_int_equal(read_record(&r, NULL), MK_OK);
	assert_string_equal(r.token_type, "bearer");
	add("/token", MK_LEAF_STRING, "t");
	add("/token_type", MK_LEAF_STRING, "DPoP");
	assert_int_equal(read_record(&r, NULL), MK_OK);
	assert_string_equal(r.token_type, "DPoP");
	static const char *const bad[] = { "", "two words", "a\"b", "0123456789012345678901234567890123" };
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		add("/token", MK_LEAF_STRING, "t");
		add("/token_type", MK_LEAF_STRING, bad[i]);
		assert_int_equal(read_record(&r, NULL), MK_BACKEND);
	}
}

static void an_expiry_is_told_apart_by_its_size(void **state)
{
	(void)state;
	static const struct {
		enum mk_leaf_type type;
		const char *value;
		int64_t expires_ms;
	} forms[] = {
		{ MK_LEAF_NUMBER, "300", SINCE + 300000 },
		{ MK_LEAF_STRING, "300", SINCE + 300000 },
		{ MK_LEAF_NUMBER, "0", SINCE },
		{ MK_LEAF_NUMBER, "3600.5", SINCE + 3600000 },
		{ MK_LEAF_NUMBER, "99999999", SINCE + INT64_C(99999999000) },
		{ MK_LEAF_NUMBER, "100000000", INT64_C(100000000000) },
		{ MK_LEAF_NUMBER, "1798761600", INT64_C(1798761600000) },
		{ MK_LEAF_STRING, "1798761600", INT64_C(1798761600000) },
		{ MK_LEAF_NUMBER, "1798761600123", INT64_C(1798761600123) },
		{ MK_LEAF_STRING, "1798761600123", INT64_C(1798761600123) },
		{ MK_LEAF_STRING, "2027-01-01T00:00:00Z", INT64_C(1798761600000) },
		{ MK_LEAF_STRING, "2027-01-01T02:00:00+02:00", INT64_C(1798761600000) },
	};
	static const char *const names[] = { "/expires_at", "/expires_in", "/expires", "/expiry", "/expiration" };
	for (size_t n = 0; n < MK_COUNT(names); n++)
		for (size_t i = 0; i < MK_COUNT(forms); i++) {
			struct mk_record r;
			add("/token", MK_LEAF_STRING, "t");
			add(names[n], forms[i].type, forms[i].value);
			assert_int_equal(read_record(&r, NULL), MK_OK);
			assert_true(r.expires_ms == forms[i].expires_ms);
		}
}

static void an_expiry_of_nonsense_is_a_fault_and_not_never(void **state)
{
	(void)state;
	static const struct {
		enum mk_leaf_type type;
		const char *value;
	} bad[] = {
		{ MK_LEAF_STRING, "" },		  { MK_LEAF_STRING, "never" },	{ MK_LEAF_STRING, "2027-13-01T00:00:00Z" },
		{ MK_LEAF_STRING, "2027-01-01" }, { MK_LEAF_NUMBER, "-1" },	{ MK_LEAF_STRING, "-1" },
		{ MK_LEAF_NUMBER, "1e9" },	  { MK_LEAF_STRING, "3600s" },	{ MK_LEAF_NUMBER, "100000000000000" },
		{ MK_LEAF_STRING, " 300" },	  { MK_LEAF_STRING, "300." },	{ MK_LEAF_STRING, ".5" },
		{ MK_LEAF_BOOL, "true" },	  { MK_LEAF_EMPTY, "" },	{ MK_LEAF_STRING, "0x20" },
		{ MK_LEAF_STRING, "99999999999999999999999999" },
	};
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		struct mk_record r;
		const char *fault = NULL;
		add("/token", MK_LEAF_STRING, "t");
		add("/expires_at", bad[i].type, bad[i].value);
		assert_int_equal(read_record(&r, &fault), MK_BACKEND);
		assert_string_equal(fault, "expires_at is not a time");
	}
}

static void no_expiry_or_null_means_that_the_secret_says_nothing(void **state)
{
	(void)state;
	struct mk_record r;
	add("/token", MK_LEAF_STRING, "t");
	assert_int_equal(read_record(&r, NULL), MK_OK);
	assert_true(r.expires_ms == MK_TIME_NONE);
	add("/token", MK_LEAF_STRING, "t");
	add("/expires_at", MK_LEAF_NULL, "");
	add("/expiry", MK_LEAF_NUMBER, "60");
	assert_int_equal(read_record(&r, NULL), MK_OK);
	assert_true(r.expires_ms == SINCE + 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_is_access_token_or_else_token),
		cmocka_unit_test(a_token_that_is_no_token_is_a_fault_that_names_the_field_only),
		cmocka_unit_test(a_token_may_have_16384_bytes_and_no_more),
		cmocka_unit_test(the_type_is_bearer_unless_the_secret_says_another_word),
		cmocka_unit_test(an_expiry_is_told_apart_by_its_size),
		cmocka_unit_test(an_expiry_of_nonsense_is_a_fault_and_not_never),
		cmocka_unit_test(no_expiry_or_null_means_that_the_secret_says_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

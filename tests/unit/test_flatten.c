/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON text to leaf list: what is kept, what is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/secret.h"
#include "backends/flatten.h"
#include "backends/unflatten.h"
#include "mk/leaf.h"
#include "mk/limits.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

static int arena(void **state)
{
	bool locked;
	(void)state;
	return mk_secret_arena_init(16, 4, &locked) == MK_OK ? 0 : -1;
}

static int none_left(void **state)
{
	(void)state;
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static enum mk_err flat(const char *text, size_t n)
{
	struct mk_secret *s = NULL;
	uint8_t *exact = malloc(n > 0 ? n : 1); /* of its size, for AddressSanitizer */
	memcpy(exact, text, n);
	const enum mk_err e = mk_flatten(mk_span(exact, n), &s);
	free(exact);
	if (e == MK_OK)
		assert_int_equal(mk_leaves_check(mk_secret_span(s)), MK_OK);
	mk_secret_free(s);
	return e;
}

static enum mk_err flat_of(const char *text)
{
	return flat(text, strlen(text));
}

/* The leaf at a pointer, as "type:value". */
static const char *at(const char *json, const char *pointer)
{
	static char buf[512];
	mk_auto(mk_secret_freep) struct mk_secret *s = NULL;
	struct mk_leaf l;
	assert_int_equal(mk_flatten(mk_span_of(json), &s), MK_OK);
	if (mk_leaves_find(mk_secret_span(s), pointer, &l) != MK_OK)
		return "none";
	snprintf(buf, sizeof buf, "%d:%.*s", l.type, (int)l.value.n, (const char *)l.value.p);
	return buf;
}

static void each_kind_of_value_becomes_a_leaf(void **state)
{
	static const char json[] = "{\"s\":\"text\",\"n\":3600,\"t\":true,\"f\":false,\"z\":null,\"o\":{},\"a\":[],"
				   "\"deep\":{\"list\":[1,{\"x\":\"y\"}]}}";
	(void)state;
	assert_string_equal(at(json, "/s"), "1:text");
	assert_string_equal(at(json, "/n"), "2:3600");
	assert_string_equal(at(json, "/t"), "3:true");
	assert_string_equal(at(json, "/f"), "3:false");
	assert_string_equal(at(json, "/z"), "4:");
	assert_string_equal(at(json, "/o"), "5:");
	assert_string_equal(at(json, "/a"), "6:");
	assert_string_equal(at(json, "/deep/list"), "6:");
	assert_string_equal(at(json, "/deep/list/0"), "2:1");
	assert_string_equal(at(json, "/deep/list/1/x"), "1:y");
	assert_string_equal(at(json, "/deep"), "none");
	assert_string_equal(at("{}", ""), "5:");
}

static void keys_are_escaped_as_pointers_want_it(void **state)
{
	static const char json[] = "{\"a/b\":1,\"c~d\":2,\"\":3,\"~1\":4,\"\\u00e9\":5}";
	(void)state;
	assert_string_equal(at(json, "/a~1b"), "2:1");
	assert_string_equal(at(json, "/c~0d"), "2:2");
	assert_string_equal(at(json, "/"), "2:3");
	assert_string_equal(at(json, "/~01"), "2:4");
	assert_string_equal(at(json, "/\xc3\xa9"), "2:5");
}

static void numbers_keep_their_value(void **state)
{
	static const char *const rows[][2] = {
		{ "0", "2:0" },
		{ "-0", "2:0" },
		{ "-0.0", "2:0" },
		{ "9223372036854775807", "2:9223372036854775807" },
		{ "-9223372036854775808", "2:-9223372036854775808" },
		{ "1.50", "2:1.5" },
		{ "0.1", "2:0.1" },
		{ "1e3", "2:1000" },
		{ "1732430000.5", "2:1732430000.5" },
		{ "0.30000000000000004", "2:0.30000000000000004" },
		{ "1e300", "2:1e+300" },
		{ "5e-324", "2:4.94065645841247e-324" },
	};
	char json[64];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		snprintf(json, sizeof json, "{\"n\":%s}", rows[i][0]);
		assert_string_equal(at(json, "/n"), rows[i][1]);
	}
	assert_int_equal(flat_of("{\"n\":9223372036854775808}"), MK_BAD_REQUEST);
	assert_int_equal(flat_of("{\"n\":1e999}"), MK_BAD_REQUEST);
}

static void strings_stay_as_they_are(void **state)
{
	(void)state;
	assert_string_equal(at("{\"t\":\"a\\r\\nb\\tc\"}", "/t"), "1:a\r\nb\tc");
	assert_string_equal(at("{\"t\":\"\\u20ac\\ud83d\\ude00\"}", "/t"), "1:\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_string_equal(at("{\"t\":\"\"}", "/t"), "1:");
}

static void what_is_no_object_is_refused(void **state)
{
	static const char *const rows[] = {
		"", " ", "1", "\"x\"", "null", "true", "[]", "[1]", "{", "{\"a\":}", "{\"a\":1,}", "{\"a\":1}x", "{\"a\":1}{}",
		"{a:1}", "{\"a\":01}", "{\"a\":NaN}", "{\"a\":\"\t\"}", "{\"a\":1,\"a\":2}", "{\"o\":{\"x\":1,\"x\":2}}",
		"{\"a\":\"\\u0000\"}", "{\"\\u0000\":1}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\xaf\"}",
		"{\"a\":\"\xed\xa0\x80\"}", "\xef\xbb\xbf{}",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++)
		assert_int_equal(flat_of(rows[i]), MK_BAD_REQUEST);
	assert_int_equal(flat("{\"a\":\"\0\"}", 9), MK_BAD_REQUEST);
	assert_int_equal(flat("{}\0", 3), MK_BAD_REQUEST);
	assert_int_equal(flat_of(" {\"a\":1}\n"), MK_OK);
}

/* {"k":{"k":…{}…}}: as many objects as depth says. */
static enum mk_err nested(size_t depth)
{
	const size_t n = 5 * (depth - 1) + 2 + (depth - 1);
	char *json = malloc(n);
	for (size_t i = 0; i < depth - 1; i++) {
		memcpy(json + 5 * i, "{\"k\":", 5);
		json[n - 1 - i] = '}';
	}
	memcpy(json + 5 * (depth - 1), "{}", 2);
	const enum mk_err e = flat(json, n);
	free(json);
	return e;
}

static void depth_has_its_limit(void **state)
{
	(void)state;
	assert_int_equal(nested(1), MK_OK);
	assert_int_equal(nested(MK_DEPTH_MAX), MK_OK);
	assert_int_equal(nested(MK_DEPTH_MAX + 1), MK_BAD_REQUEST);
	assert_int_equal(nested(2000), MK_BAD_REQUEST);
	assert_int_equal(nested(100000), MK_BAD_REQUEST);
}

static enum mk_err listed(size_t n)
{
	char *json = malloc(2 * n + 16);
	size_t len = (size_t)snprintf(json, 16, "{\"l\":[");
	for (size_t i = 0; i < n; i++) {
		json[len++] = '1';
		json[len++] = i + 1 < n ? ',' : ']';
	}
	json[len++] = '}';
	const enum mk_err e = flat(json, len);
	free(json);
	return e;
}

static void leaves_have_their_limit(void **state)
{
	(void)state;
	assert_int_equal(listed(MK_LEAVES_MAX - 1), MK_OK);
	assert_int_equal(listed(MK_LEAVES_MAX), MK_TOO_LARGE);
}

/* One string of n characters as value, or as key. */
static enum mk_err sized(size_t n, bool key)
{
	char *json = malloc(n + 16);
	size_t len = (size_t)snprintf(json, 16, key ? "{\"" : "{\"k\":\"");
	memset(json + len, 'x', n);
	len += n;
	len += (size_t)snprintf(json + len, 8, key ? "\":1}" : "\"}");
	const enum mk_err e = flat(json, len);
	free(json);
	return e;
}

static void bytes_have_their_limit(void **state)
{
	const size_t frame = 2 + 2 + 1 + 4; /* of one leaf with the pointer "/k" */
	(void)state;
	assert_int_equal(sized(MK_SECRET_MAX - frame, false), MK_OK);
	assert_int_equal(sized(MK_SECRET_MAX - frame + 1, false), MK_TOO_LARGE);
	assert_int_equal(sized(MK_POINTER_MAX - 1, true), MK_OK);
	assert_int_equal(sized(MK_POINTER_MAX, true), MK_TOO_LARGE);
}

/* The JSON text that a list gives; NULL where it is none. */
static const char *text_of(struct mk_span list, char *buf, size_t cap)
{
	struct mk_jw w = mk_jw_of(buf, cap - 1);
	size_t n = 0;
	if (mk_unflatten(list, &w) != MK_OK)
		return NULL;
	assert_int_equal(mk_jw_end(&w, &n), MK_OK);
	buf[n] = '\0';
	return buf;
}

static void what_was_flattened_becomes_the_same_json_again(void **state)
{
	static const char *const rows[] = {
		"{}", "{\"a\":1}", "{\"s\":\"text\",\"n\":3600,\"t\":true,\"f\":false,\"z\":null,\"o\":{},\"a\":[]}",
		"{\"a\":[1,[],{},[[2]],{\"0\":3}],\"b\":{\"0\":1,\"1\":2}}", "{\"0\":[\"x\"]}", "{\"\":{\"\":[{\"\":1}]}}",
		"{\"/\":{\"~\":1},\"~1\":2,\"~0\":3,\"a/b~c\":4}", "{\"q\":\"\\\"\\\\/\\u000a\\u0085\\u007f\",\"e\":\"\xe2\x82\xac\"}",
		"{\"n\":[0,-1,9223372036854775807,1.5,1e+300,4.94065645841247e-324]}",
		"{\"b\":1,\"a\":{\"z\":1,\"y\":{\"x\":2}},\"ab\":{\"c\":3},\"a1\":4}",
	};
	char buf[512];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		mk_auto(mk_secret_freep) struct mk_secret *s = NULL, *again = NULL;
		assert_int_equal(mk_flatten(mk_span_of(rows[i]), &s), MK_OK);
		assert_string_equal(text_of(mk_secret_span(s), buf, sizeof buf), rows[i]);
		assert_int_equal(mk_flatten(mk_span_of(buf), &again), MK_OK);
		assert_true(mk_secret_same(s, again));
	}
}

static void a_list_that_no_json_gives_is_refused(void **state)
{
	static const struct {
		const char *pointer;
		enum mk_leaf_type type;
	} rows[][4] = {
		{ { NULL, 0 } },
		{ { "", MK_LEAF_STRING } },                                        /* no object */
		{ { "", MK_LEAF_ARRAY }, { "/0", MK_LEAF_NULL } },
		{ { "", MK_LEAF_EMPTY }, { "/a", MK_LEAF_NULL } },
		{ { "/a", MK_LEAF_NULL }, { "", MK_LEAF_EMPTY } },
		{ { "/a", MK_LEAF_STRING }, { "/a/b", MK_LEAF_NULL } },            /* text and object at once */
		{ { "/a/b", MK_LEAF_NULL }, { "/a", MK_LEAF_STRING } },
		{ { "/a", MK_LEAF_EMPTY }, { "/a/b", MK_LEAF_NULL } },
		{ { "/a/b", MK_LEAF_NULL }, { "/c", MK_LEAF_NULL }, { "/a/d", MK_LEAF_NULL } }, /* apart */
		{ { "/a", MK_LEAF_ARRAY }, { "/a/1", MK_LEAF_NULL } },             /* gaps, order, no number */
		{ { "/a", MK_LEAF_ARRAY }, { "/a/0", MK_LEAF_NULL }, { "/a/2", MK_LEAF_NULL } },
		{ { "/a", MK_LEAF_ARRAY }, { "/a/00", MK_LEAF_NULL } },
		{ { "/a", MK_LEAF_ARRAY }, { "/a/x", MK_LEAF_NULL } },
		{ { "/a/0", MK_LEAF_NULL }, { "/a", MK_LEAF_ARRAY } },
	};
	uint8_t list[256];
	char buf[512];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		size_t n = 0;
		for (size_t j = 0; j < MK_COUNT(rows[i]) && rows[i][j].pointer; j++) {
			const struct mk_leaf l = { mk_span_of(rows[i][j].pointer), rows[i][j].type, mk_span("", 0) };
			assert_int_equal(mk_leaves_add(list, sizeof list, &n, &l), MK_OK);
		}
		assert_int_equal(mk_leaves_check(mk_span(list, n)), MK_OK);
		assert_null(text_of(mk_span(list, n), buf, sizeof buf));
	}
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, NULL, none_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(each_kind_of_value_becomes_a_leaf), EACH(keys_are_escaped_as_pointers_want_it),
		EACH(numbers_keep_their_value),          EACH(strings_stay_as_they_are),
		EACH(what_is_no_object_is_refused),      EACH(depth_has_its_limit),
		EACH(leaves_have_their_limit),           EACH(bytes_have_their_limit),
		EACH(what_was_flattened_becomes_the_same_json_again), EACH(a_list_that_no_json_gives_is_refused),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

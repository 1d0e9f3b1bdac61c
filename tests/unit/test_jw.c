/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the JSON writer and strict UTF-8. A JSON parser of other authors is the judge.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/jw.h"
#include "agent/base/utf8.h"
#include "mk/own.h"

#include <jansson.h>
#include <stdlib.h>

static void commas_and_brackets_come_by_themselves(void **state)
{
	(void)state;
	char buf[512];
	size_t n = 0;
	struct mk_jw w = mk_jw_of(buf, sizeof buf);
	mk_jw_open(&w, '{');
	mk_jw_kstr(&w, "a", "b");
	mk_jw_kstr(&w, "none", NULL);
	mk_jw_knum(&w, "n", INT64_MIN);
	mk_jw_key(&w, "list");
	mk_jw_open(&w, '[');
	mk_jw_num(&w, 1);
	mk_jw_bool(&w, true);
	mk_jw_null(&w);
	mk_jw_open(&w, '{');
	mk_jw_close(&w, '}');
	mk_jw_str(&w, mk_span(NULL, 0));
	mk_jw_close(&w, ']');
	mk_jw_kbool(&w, "f", false);
	mk_jw_knull(&w, "z");
	mk_jw_ktime(&w, "t", 1795503032123);
	mk_jw_ktime(&w, "never", MK_TIME_NONE);
	mk_jw_close(&w, '}');
	mk_jw_raw(&w, "\n");
	assert_int_equal(mk_jw_end(&w, &n), MK_OK);
	assert_true(mk_span_is(mk_span(buf, n),
			       "{\"a\":\"b\",\"none\":null,\"n\":-9223372036854775808,\"list\":[1,true,null,{},\"\"],\"f\":false,"
			       "\"z\":null,\"t\":\"2026-11-24T06:50:32Z\",\"never\":null}\n"));
}

static void expect(struct mk_span text, const char *json)
{
	char buf[128];
	size_t n = 0;
	struct mk_jw w = mk_jw_of(buf, sizeof buf);
	mk_jw_str(&w, text);
	assert_int_equal(mk_jw_end(&w, &n), MK_OK);
	buf[n] = '\0';
	assert_string_equal(buf, json);
}

static void text_is_escaped(void **state)
{
	(void)state;
	expect(mk_span_of("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
	expect(mk_span_of("\n\r\t\x1b\x7f"), "\"\\u000a\\u000d\\u0009\\u001b\\u007f\"");
	expect(mk_span("\0", 1), "\"\\u0000\"");
	expect(mk_span_of("\xc2\x9b" "31m"), "\"\\u009b31m\""); /* CSI: a control that terminals obey */
	expect(mk_span_of("caf\xc3\xa9 \xf0\x9f\x94\x91"), "\"caf\xc3\xa9 \xf0\x9f\x94\x91\"");
}

static void bytes_that_are_not_utf8_become_replacement_characters(void **state)
{
	(void)state;
	expect(mk_span_of("a\xff" "b"), "\"a\\ufffdb\"");
	expect(mk_span_of("\xc0\x80"), "\"\\ufffd\\ufffd\"");         /* overlong NUL */
	expect(mk_span_of("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""); /* surrogate */
	expect(mk_span_of("\xe2\x82"), "\"\\ufffd\\ufffd\"");         /* cut */
	expect(mk_span_of("\xe2\x82\""), "\"\\ufffd\\ufffd\\\"\""); /* a cut character hides no quote */
}

static void utf8_is_strict(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ "", true }, { "plain", true }, { "\xc2\x80", true }, { "\xdf\xbf", true }, { "\xe0\xa0\x80", true },
		{ "\xed\x9f\xbf", true }, { "\xee\x80\x80", true }, { "\xef\xbf\xbf", true }, { "\xf0\x90\x80\x80", true },
		{ "\xf4\x8f\xbf\xbf", true }, { "\x80", false }, { "\xc1\xbf", false }, { "\xe0\x9f\xbf", false },
		{ "\xed\xa0\x80", false }, { "\xed\xbf\xbf", false }, { "\xf0\x8f\xbf\xbf", false }, { "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false }, { "\xc2", false }, { "\xe1\x80", false }, { "\xf1\x80\x80", false },
		{ "\xe1\x80\xc0", false }, { "a\xfe", false },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++)
		assert_int_equal(mk_utf8_ok(mk_span_of(cases[i].text)), cases[i].ok);
	assert_false(mk_utf8_ok(mk_span("a\0b", 3)));
	assert_int_equal(mk_utf8_len(mk_span("\0", 1)), 1);
	assert_int_equal(mk_utf8_len(mk_span(NULL, 0)), 0);
}

static void whatever_bytes_come_the_result_is_one_line_of_json(void **state)
{
	(void)state;
	uint32_t seed = 1;
	for (unsigned round = 0; round < 5000; round++) {
		uint8_t in[24];
		char buf[512];
		size_t n = 0;
		for (size_t i = 0; i < sizeof in; i++) {
			seed = seed * 1664525 + 1013904223;
			in[i] = (uint8_t)(seed >> 24);
		}
		struct mk_jw w = mk_jw_of(buf, sizeof buf);
		mk_jw_open(&w, '{');
		mk_jw_kspan(&w, "k", mk_span(in, seed % (sizeof in + 1)));
		mk_jw_close(&w, '}');
		assert_int_equal(mk_jw_end(&w, &n), MK_OK);
		assert_null(memchr(buf, '\n', n));
		json_t *json = json_loadb(buf, n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		json_decref(json);
	}
}

static void a_full_buffer_is_told_and_never_passed(void **state)
{
	(void)state;
	char buf[64], whole[64];
	size_t len = 0;
	for (size_t cap = 0; cap <= sizeof buf; cap++) {
		memset(buf, 0x55, sizeof buf);
		struct mk_jw w = mk_jw_of(buf, cap);
		size_t n = 99;
		mk_jw_open(&w, '{');
		mk_jw_kstr(&w, "key", "va\nl\xc3\xa9\xff");
		mk_jw_knum(&w, "n", 12);
		mk_jw_close(&w, '}');
		for (size_t i = cap; i < sizeof buf; i++)
			assert_int_equal(buf[i], 0x55);
		if (mk_jw_end(&w, &n) == MK_OK) {
			if (len)
				assert_memory_equal(buf, whole, len);
			len = n;
			memcpy(whole, buf, len);
		} else {
			assert_int_equal(n, 99);
			assert_int_equal(len, 0);
		}
	}
	assert_true(len > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_and_brackets_come_by_themselves),
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(bytes_that_are_not_utf8_become_replacement_characters),
		cmocka_unit_test(utf8_is_strict),
		cmocka_unit_test(whatever_bytes_come_the_result_is_one_line_of_json),
		cmocka_unit_test(a_full_buffer_is_told_and_never_passed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

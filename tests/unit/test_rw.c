/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the binary reader and writer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/rw.h"

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	uint8_t buf[256];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_name name;
	struct mk_word word, none = { 0 };
	size_t n;
	assert_int_equal(mk_name_of(mk_span_of("acme-erp"), &name), MK_OK);
	assert_int_equal(mk_word_of(mk_span_of("production"), &word), MK_OK);
	mk_wr_u8(&w, 0xfe);
	mk_wr_u16(&w, 0xfedc);
	mk_wr_u32(&w, 0xfedcba98);
	mk_wr_u64(&w, UINT64_MAX - 1);
	mk_wr_i64(&w, INT64_MIN);
	mk_wr_bool(&w, true);
	mk_wr_name(&w, &name);
	mk_wr_word(&w, &word);
	mk_wr_word(&w, &none);
	mk_wr_str(&w, "text");
	mk_wr_var(&w, mk_span(NULL, 0));
	mk_wr_bytes(&w, mk_span_of("rest"));
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);

	struct mk_rd r = mk_rd_of(mk_span(buf, n));
	char text[5];
	assert_int_equal(mk_rd_u8(&r), 0xfe);
	assert_int_equal(mk_rd_u16(&r), 0xfedc);
	assert_int_equal(mk_rd_u32(&r), 0xfedcba98);
	assert_true(mk_rd_u64(&r) == UINT64_MAX - 1);
	assert_true(mk_rd_i64(&r) == INT64_MIN);
	assert_true(mk_rd_bool(&r));
	const struct mk_name name2 = mk_rd_name(&r);
	assert_true(mk_name_eq(&name, &name2));
	const struct mk_word word2 = mk_rd_word(&r), none2 = mk_rd_word(&r);
	assert_true(mk_word_eq(&word, &word2));
	assert_true(mk_word_eq(&none, &none2));
	mk_rd_str(&r, text, sizeof text);
	assert_string_equal(text, "text");
	assert_int_equal(mk_rd_var(&r, 0).n, 0);
	assert_true(mk_span_is(mk_rd_rest(&r), "rest"));
	assert_int_equal(mk_rd_end(&r), MK_OK);
}

static void numbers_are_little_endian(void **state)
{
	(void)state;
	uint8_t buf[4];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_wr_u32(&w, 0x01020304);
	assert_memory_equal(buf, "\x04\x03\x02\x01", 4);
}

static void a_short_message_is_refused_at_every_length(void **state)
{
	(void)state;
	const uint8_t in[] = { 1, 2, 3, 4, 2, 0, 0, 0, 'a', 'b' };
	for (size_t n = 0; n <= sizeof in; n++) {
		struct mk_rd r = mk_rd_of(mk_span(in, n));
		mk_rd_u32(&r);
		const struct mk_span s = mk_rd_var(&r, 2);
		assert_int_equal(mk_rd_end(&r), n == sizeof in ? MK_OK : MK_BAD_REQUEST);
		assert_int_equal(s.n, n == sizeof in ? 2 : 0);
	}
}

static void a_byte_too_many_is_refused(void **state)
{
	(void)state;
	struct mk_rd r = mk_rd_of(mk_span_of("ab"));
	mk_rd_u8(&r);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
	mk_rd_u8(&r);
	assert_int_equal(mk_rd_end(&r), MK_OK);
}

static void after_a_fault_everything_reads_as_zero(void **state)
{
	(void)state;
	const uint8_t in[] = { 9, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7 };
	struct mk_rd r = mk_rd_of(mk_span(in, sizeof in));
	char text[4] = "xyz";
	assert_int_equal(mk_rd_below(&r, 9), 0);
	assert_true(r.bad);
	assert_int_equal(mk_rd_u32(&r), 0);
	assert_int_equal(mk_rd_name(&r).s[0], 0);
	assert_int_equal(mk_rd_word(&r).s[0], 0);
	mk_rd_str(&r, text, sizeof text);
	assert_string_equal(text, "");
	assert_int_equal(mk_rd_rest(&r).n, 0);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
}

static void a_length_beyond_the_field_is_refused(void **state)
{
	(void)state;
	const uint8_t in[] = { 3, 0, 0, 0, 'a', 'b', 'c' }, huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
	struct mk_rd r = mk_rd_of(mk_span(in, sizeof in));
	mk_rd_var(&r, 2);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
	r = mk_rd_of(mk_span(huge, sizeof huge));
	mk_rd_var(&r, SIZE_MAX);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
	char text[3];
	r = mk_rd_of(mk_span(in, sizeof in));
	mk_rd_str(&r, text, sizeof text); /* no room for its NUL */
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
}

static void a_string_with_a_nul_inside_is_refused(void **state)
{
	(void)state;
	const uint8_t in[] = { 3, 0, 0, 0, 'a', 0, 'c' };
	char text[8];
	struct mk_rd r = mk_rd_of(mk_span(in, sizeof in));
	mk_rd_str(&r, text, sizeof text);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
	assert_string_equal(text, "");
}

static void only_0_and_1_are_booleans(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		const uint8_t in = (uint8_t)v;
		struct mk_rd r = mk_rd_of(mk_span(&in, 1));
		assert_int_equal(mk_rd_bool(&r), v == 1);
		assert_int_equal(mk_rd_end(&r), v < 2 ? MK_OK : MK_BAD_REQUEST);
	}
}

static void a_name_is_checked_when_read(void **state)
{
	(void)state;
	const uint8_t bad[] = { 2, '.', '.' }, none[] = { 0 };
	struct mk_rd r = mk_rd_of(mk_span(bad, sizeof bad));
	mk_rd_name(&r);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
	r = mk_rd_of(mk_span(bad, sizeof bad));
	mk_rd_word(&r);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
	r = mk_rd_of(mk_span(none, sizeof none));
	mk_rd_name(&r);
	assert_int_equal(mk_rd_end(&r), MK_BAD_REQUEST);
}

static void a_full_writer_keeps_its_fault_and_writes_nothing_more(void **state)
{
	(void)state;
	uint8_t buf[4] = { 0, 0, 0, 0xaa };
	size_t n = 77;
	struct mk_wr w = mk_wr_of(buf, 3);
	mk_wr_u16(&w, 0x0101);
	mk_wr_u16(&w, 0x0202);
	mk_wr_u8(&w, 3); /* would fit */
	assert_int_equal(mk_wr_end(&w, &n), MK_TOO_LARGE);
	assert_int_equal(n, 77);
	assert_int_equal(w.len, 2);
	assert_int_equal(buf[3], 0xaa);
}

static void an_empty_name_is_not_written(void **state)
{
	(void)state;
	uint8_t buf[4];
	size_t n;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_wr_name(&w, &(struct mk_name){ 0 });
	assert_int_equal(mk_wr_end(&w, &n), MK_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(a_short_message_is_refused_at_every_length),
		cmocka_unit_test(a_byte_too_many_is_refused),
		cmocka_unit_test(after_a_fault_everything_reads_as_zero),
		cmocka_unit_test(a_length_beyond_the_field_is_refused),
		cmocka_unit_test(a_string_with_a_nul_inside_is_refused),
		cmocka_unit_test(only_0_and_1_are_booleans),
		cmocka_unit_test(a_name_is_checked_when_read),
		cmocka_unit_test(a_full_writer_keeps_its_fault_and_writes_nothing_more),
		cmocka_unit_test(an_empty_name_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

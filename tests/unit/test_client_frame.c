/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the frames of makini/wire.h as the broker reads and writes them: what is not exactly
 * right is refused, and what is written is what the header says, byte by byte.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/broker/client_frame.h"
#include "makini/client.h"
#include "mk/own.h"

#include <string.h>

static const uint8_t hello[] = { 1, 1, 0, 0, 4, 3, 2, 1 };
static const uint8_t get[] = { 1, 2, 0, 0, 4, 3, 2, 1, 8, 'a', 'c', 'm', 'e', '-', 's', 'a', 'p' };
static const uint8_t watch[] = { 1, 3, 0, 0, 4, 3, 2, 1 };

static void asks_are_read_as_the_header_has_them(void **state)
{
	struct mk_client_ask a;
	(void)state;
	assert_int_equal(mk_client_ask_read(mk_span(hello, sizeof hello), &a), MK_OK);
	assert_int_equal(a.type, WIRE_HELLO);
	assert_int_equal(a.number, 0x01020304);
	assert_int_equal(mk_client_ask_read(mk_span(get, sizeof get), &a), MK_OK);
	assert_int_equal(a.type, WIRE_GET);
	assert_string_equal(a.name.s, "acme-sap");
	assert_int_equal(mk_client_ask_read(mk_span(watch, sizeof watch), &a), MK_OK);
	assert_int_equal(a.type, WIRE_WATCH);
}

static void an_ask_that_is_cut_or_has_more_behind_it_is_refused(void **state)
{
	const struct mk_span asks[] = { { hello, sizeof hello }, { get, sizeof get }, { watch, sizeof watch } };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(asks); i++) {
		uint8_t longer[32] = { 0 };
		struct mk_client_ask a = { .number = 77 };
		for (size_t n = 0; n < asks[i].n; n++)
			assert_int_equal(mk_client_ask_read(mk_span(asks[i].p, n), &a), MK_BAD_REQUEST);
		memcpy(longer, asks[i].p, asks[i].n);
		assert_int_equal(mk_client_ask_read(mk_span(longer, asks[i].n + 1), &a), MK_BAD_REQUEST);
		assert_int_equal(a.number, 77); /* untouched */
	}
}

static void any_other_head_is_refused(void **state)
{
	struct mk_client_ask a;
	(void)state;
	for (unsigned at = 0; at < 4; at++)
		for (unsigned v = 0; v < 256; v++) {
			uint8_t f[sizeof get];
			memcpy(f, get, sizeof f);
			f[at] = (uint8_t)v;
			assert_int_equal(mk_client_ask_read(mk_span(f, sizeof f), &a) == MK_OK, v == get[at]);
		}
}

static void a_name_that_is_none_is_refused(void **state)
{
	static const char *const names[] = { "", "ACME", "-a", "a--b", "a/b", "../a", "a\nb", "a b", "\xc3\xa4" };
	struct mk_client_ask a;
	uint8_t f[128] = { 1, 2, 0, 0, 1, 0, 0, 0 };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(names); i++) {
		const size_t n = strlen(names[i]);
		f[8] = (uint8_t)n;
		memcpy(f + 9, names[i], n);
		assert_int_equal(mk_client_ask_read(mk_span(f, 9 + n), &a), MK_BAD_REQUEST);
	}
	memset(f + 9, 'a', 64);
	f[8] = 63;
	assert_int_equal(mk_client_ask_read(mk_span(f, 9 + 63), &a), MK_OK);
	f[8] = 64;
	assert_int_equal(mk_client_ask_read(mk_span(f, 9 + 64), &a), MK_BAD_REQUEST);
	f[8] = 4;
	memcpy(f + 9, "a\0bc", 4);
	assert_int_equal(mk_client_ask_read(mk_span(f, 9 + 4), &a), MK_BAD_REQUEST);
}

static void expect(struct mk_wr *w, const void *bytes, size_t n)
{
	size_t len = 0;
	assert_int_equal(mk_wr_end(w, &len), MK_OK);
	assert_int_equal(len, n);
	assert_memory_equal(w->p, bytes, n);
}

static void answers_are_written_as_the_header_has_them(void **state)
{
	uint8_t buf[256];
	const struct mk_word env = { "production" };
	(void)state;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_client_write_hello(&w, 9, &env);
	expect(&w, "\1\1\0\0\11\0\0\0\370\1\0\0\12production", 23);
	w = mk_wr_of(buf, sizeof buf);
	mk_client_write(&w, WIRE_GET, 9, MK_RATE_LIMITED, 258);
	expect(&w, "\1\2\17\0\11\0\0\0\2\1\0\0", 12);
	w = mk_wr_of(buf, sizeof buf);
	mk_client_write(&w, WIRE_CHANGED, 0, MK_OK, 0);
	expect(&w, "\1\4\0\0\0\0\0\0", 8);
	w = mk_wr_of(buf, sizeof buf);
	const struct mk_page_word word = { 5, 0x0102030405060708 };
	const struct mk_answer a = { .version = "v7", .token_type = "bearer", .expires_ms = MK_TIME_NONE, .age_s = 3, .stale = true,
				     .token = { (const uint8_t *)"tok", 3 } };
	mk_client_write_token(&w, 9, &word, 2, &a);
	expect(&w, "\1\2\0\0\11\0\0\0" "\5\0\0\0" "\10\7\6\5\4\3\2\1" "\200\204\36\0\0\0\0\0" "\0\0\0\0\0\0\0\200" "\3\0\0\0" "\1"
		   "\2v7" "\6bearer" "\3\0tok", 8 + 4 + 8 + 8 + 8 + 4 + 1 + 3 + 7 + 5);
}

static void the_largest_answer_fits_what_a_client_has_room_for(void **state)
{
	static uint8_t buf[WIRE_ANSWER_MAX], token[MK_TOKEN_MAX];
	const struct mk_page_word word = { UINT32_MAX, UINT64_MAX };
	struct mk_answer a = { .expires_ms = INT64_MAX, .age_s = INT64_MAX, .token = { token, sizeof token } };
	size_t n = 0;
	(void)state;
	memset(a.version, 'v', MK_VERSION_MAX);
	memset(a.token_type, 't', sizeof a.token_type - 1);
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_client_write_token(&w, UINT32_MAX, &word, 0, &a);
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	assert_true(n <= MK_ANSWER_FRAME + MK_TOKEN_MAX);
}

static void every_error_has_a_status_that_the_public_header_knows(void **state)
{
	(void)state;
	assert_int_equal(mk_client_status(MK_OK), 0);
	for (unsigned e = 1; e < MK_ERR_COUNT_ + 3; e++)
		assert_in_range(mk_client_status((enum mk_err)e), 1, -MAKINI_EINTERNAL);
	assert_int_equal(mk_client_status(MK_DENIED), -MAKINI_EDENIED);
	assert_int_equal(mk_client_status(MK_REVOKED), -MAKINI_EREVOKED);
	assert_int_equal(mk_client_status(MK_FROZEN), -MAKINI_EFROZEN);
	assert_int_equal(mk_client_status(MK_AUDIT), -MAKINI_ENOTREADY);
	assert_int_equal(mk_client_status(MK_BUG), -MAKINI_EINTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_are_read_as_the_header_has_them),
		cmocka_unit_test(an_ask_that_is_cut_or_has_more_behind_it_is_refused),
		cmocka_unit_test(any_other_head_is_refused),
		cmocka_unit_test(a_name_that_is_none_is_refused),
		cmocka_unit_test(answers_are_written_as_the_header_has_them),
		cmocka_unit_test(the_largest_answer_fits_what_a_client_has_room_for),
		cmocka_unit_test(every_error_has_a_status_that_the_public_header_knows),
	};
	return cmocka_run_group_tests_name("client_frame", tests, NULL, NULL);
}

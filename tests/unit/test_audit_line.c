/* SPDX-License-Identifier: Apache-2.0
 *
 * The scanner takes exactly what the writer writes, and nothing that is merely JSON.
 */
#include "audit_kit.h"

#define MAC "\"mac\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}"
#define HEAD "{\"seq\":7,\"time\":\"2026-11-24T06:50:32.123Z\",\"mono\":5,\"env\":\"production\",\"event\":\"grant\""

static bool takes(const char *text)
{
	struct mk_line l;
	return mk_line_parse(mk_span_of(text), &l);
}

static void a_record_is_taken_apart(void **state)
{
	(void)state;
	struct mk_line l;
	uint64_t n = 0;
	struct mk_span v;
	const char *text = HEAD ",\"service\":\"bil\\\"ling\",\"uid\":1001,\"x\":-3,\"none\":null,\"yes\":true," MAC;
	assert_true(mk_line_parse(mk_span_of(text), &l));
	assert_int_equal(l.seq, 7);
	assert_int_equal(l.mono, 5);
	assert_true(mk_span_is(l.env, "production"));
	assert_true(mk_span_is(l.event, "grant"));
	assert_true(mk_line_is(&l, "service", "bil\\\"ling"));
	assert_true(mk_line_number(&l, "uid", &n));
	assert_int_equal(n, 1001);
	assert_false(mk_line_number(&l, "x", &n));
	assert_false(mk_line_field(&l, "absent", &v));
	assert_int_equal(l.mac[1], 0x11);
	assert_int_equal(l.body.n, strlen(text) - strlen("," MAC));
}

static void what_the_writer_never_writes_is_refused(void **state)
{
	(void)state;
	assert_true(takes(HEAD "," MAC)); /* the control */
	static const char *const bad[] = {
		"", "{}", MAC, HEAD MAC, HEAD "," MAC " ", " " HEAD "," MAC, HEAD "," MAC "\n",
		HEAD ", \"a\":1," MAC, HEAD ",\"a\" :1," MAC, HEAD ",\"a\":01," MAC, HEAD ",\"a\":1.5," MAC, HEAD ",\"a\":1e3," MAC,
		HEAD ",\"a\":9223372036854775808," MAC, HEAD ",\"a\":+1," MAC, HEAD ",\"a\":-," MAC, HEAD ",\"a\":{}," MAC,
		HEAD ",\"a\":[1]," MAC, HEAD ",\"a\":\"\t\"," MAC, HEAD ",\"a\":\"\x7f\"," MAC, HEAD ",\"a\":\"\x9b\"," MAC,
		HEAD ",\"a\":\"\xc2\x9b\"," MAC, HEAD ",\"a\":\"\xc3\"," MAC, HEAD ",\"a\":\"\\x\"," MAC,
		HEAD ",\"a\":\"\\u12G4\"," MAC, HEAD ",\"a\":\"\\u00AF\"," MAC, HEAD ",\"a\":\"," MAC, HEAD ",\"A\":1," MAC,
		HEAD ",\"\":1," MAC, HEAD ",\"a\":nul," MAC, HEAD ",\"a\":True," MAC, HEAD ",,\"a\":1," MAC, HEAD ",\"a\":1,," MAC,
		"{\"seq\":07,\"time\":\"\",\"mono\":5,\"env\":\"p\",\"event\":\"e\"," MAC,
		"{\"seq\":0,\"time\":\"\",\"mono\":5,\"env\":\"p\",\"event\":\"e\"," MAC,
		"{\"seq\":-7,\"time\":\"\",\"mono\":5,\"env\":\"p\",\"event\":\"e\"," MAC,
		"{\"seq\":1000000000000000001,\"time\":\"\",\"mono\":5,\"env\":\"p\",\"event\":\"e\"," MAC,
		"{\"seq\":7,\"time\":\"2026\",\"mono\":5,\"env\":\"p\",\"event\":\"e\"," MAC,
		"{\"seq\":7,\"time\":\"\",\"mono\":5,\"env\":\"\",\"event\":\"e\"," MAC,
		"{\"seq\":7,\"time\":\"\",\"mono\":5,\"env\":\"p\",\"event\":\"\"," MAC,
		"{\"seq\":7,\"time\":\"\",\"mono\":5,\"env\":\"P\",\"event\":\"e\"," MAC,
		"{\"time\":\"\",\"seq\":7,\"mono\":5,\"env\":\"p\",\"event\":\"e\"," MAC,
		HEAD ",\"mac\":\"00112233445566778899AABBccddeeff00112233445566778899aabbccddeeff\"}",
		HEAD ",\"mac\":\"0011\"}",
	};
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		if (takes(bad[i]))
			print_error("taken: %s\n", bad[i]);
		assert_false(takes(bad[i]));
	}
	assert_true(takes("{\"seq\":7,\"time\":\"\",\"mono\":5,\"env\":\"p\",\"event\":\"e\"," MAC));
	assert_true(takes(HEAD ",\"a\":\"\xc3\xa9\"," MAC));
}

static void a_line_longer_than_any_record_is_refused(void **state)
{
	(void)state;
	char text[MK_RECORD_MAX + 64];
	for (int over = -1; over < 2; over++) {
		const size_t want = (size_t)(MK_RECORD_MAX - 1 + over), fixed = strlen(HEAD ",\"a\":\"\"," MAC);
		snprintf(text, sizeof text, HEAD ",\"a\":\"%*s\"," MAC, (int)(want - fixed), "x");
		assert_int_equal(strlen(text), want);
		assert_int_equal(takes(text), over <= 0);
	}
}

static void hexadecimal_is_lowercase_and_whole(void **state)
{
	(void)state;
	uint8_t mac[32], back[32];
	char hex[65];
	for (unsigned i = 0; i < 32; i++)
		mac[i] = (uint8_t)(i * 9 + 200);
	mk_chain_hex(mac, hex);
	assert_true(mk_chain_unhex(mk_span_of(hex), back));
	assert_memory_equal(mac, back, 32);
	assert_false(mk_chain_unhex(mk_span(hex, 63), back));
	hex[5] = 'A';
	assert_false(mk_chain_unhex(mk_span_of(hex), back));
	hex[5] = 'g';
	assert_false(mk_chain_unhex(mk_span_of(hex), back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_taken_apart),
		cmocka_unit_test(what_the_writer_never_writes_is_refused),
		cmocka_unit_test(a_line_longer_than_any_record_is_refused),
		cmocka_unit_test(hexadecimal_is_lowercase_and_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

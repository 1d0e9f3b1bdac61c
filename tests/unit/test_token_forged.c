/* SPDX-License-Identifier: Apache-2.0
 *
 * Service-account tokens whose signature is forged. Each forgery differs from a token that is taken in
 * one thing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "token_forge.h"

static void add_dot(struct kit_token *t)
{
	const size_t n = strlen(t->s);
	t->s[n] = '.';
	t->s[n + 1] = '\0';
}

static void a_token_without_a_signature_is_refused(void **state)
{
	static const char *const none[] = { "none", "None", "NONE", "nOnE", "" };
	struct kit_token t;
	char header[128];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(none); i++) {
		snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"rsa-1\"}", none[i]);
		kit_text(header, kit_claims(NULL, NULL), &t);
		add_dot(&t);
		assert_int_equal(check(&t), MK_TOKEN_ALGORITHM);
		kit_token(rsa, header, kit_claims(NULL, NULL), &t); /* even with one */
		assert_int_equal(check(&t), MK_TOKEN_ALGORITHM);
	}
	kit_text(RS, kit_claims(NULL, NULL), &t);
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	add_dot(&t);
	assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
}

static void hmac_with_the_public_key_is_refused(void **state)
{
	static const char header[] = "{\"alg\":\"HS256\",\"kid\":\"rsa-1\"}";
	struct kit_token t;
	uint8_t mac[32], n[512], *der = NULL;
	unsigned len = 0;
	(void)state;
	const int der_n = i2d_PUBKEY(rsa, &der);
	assert_true(der_n > 0);
	kit_text(header, kit_claims(NULL, NULL), &t);
	HMAC(EVP_sha256(), der, der_n, (const uint8_t *)t.s, strlen(t.s), mac, &len);
	kit_add_signature(&t, mac, len);
	assert_int_equal(check(&t), MK_TOKEN_ALGORITHM);
	kit_text(header, kit_claims(NULL, NULL), &t);
	HMAC(EVP_sha256(), n, (int)kit_number(rsa, OSSL_PKEY_PARAM_RSA_N, n, sizeof n), (const uint8_t *)t.s, strlen(t.s), mac, &len);
	kit_add_signature(&t, mac, len);
	assert_int_equal(check(&t), MK_TOKEN_ALGORITHM);
	OPENSSL_free(der);
}

static void the_key_says_the_algorithm(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"ES256\",\"kid\":\"rsa-1\"}", "{\"alg\":\"RS384\",\"kid\":\"rsa-1\"}", "{\"alg\":\"PS256\",\"kid\":\"rsa-1\"}",
		"{\"alg\":\"rs256\",\"kid\":\"rsa-1\"}", "{\"alg\":\"RS256\",\"kid\":\"ec-1\"}", "{\"alg\":\"RS256 \",\"kid\":\"rsa-1\"}",
		"{\"kid\":\"rsa-1\"}",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(headers); i++)
		assert_int_equal(with(headers[i], kit_claims(NULL, NULL)), MK_TOKEN_ALGORITHM);
}

static void a_key_id_selects_one_known_key_and_is_nothing_else(void **state)
{
	static const char *const kids[] = { "rsa-3", "../../../../dev/null", "/etc/makini/key.pem", "rsa-1/../rsa-1", "rsa-1\\u0020", "RSA-1", "rsa",
					    "rsa-11", "https://evil.example/keys", "' or 1=1", "" };
	char header[256];
	struct kit_token t;
	(void)state;
	for (size_t i = 0; i < MK_COUNT(kids); i++) {
		snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kids[i]);
		assert_int_equal(with(header, kit_claims(NULL, NULL)), MK_TOKEN_UNKNOWN_KEY);
	}
	assert_int_equal(with("{\"alg\":\"RS256\"}", kit_claims(NULL, NULL)), MK_TOKEN_UNKNOWN_KEY);
	assert_int_equal(with("{\"alg\":\"RS256\",\"kid\":\"rsa-1\\u0000\"}", kit_claims(NULL, NULL)), MK_TOKEN_MALFORMED);
	kit_token(rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa-2\"}", kit_claims(NULL, NULL), &t); /* known, but not who signed */
	assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
	kit_token(other_rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa-2\"}", kit_claims(NULL, NULL), &t);
	assert_int_equal(check(&t), MK_TOKEN_GOOD);
}

static void a_header_that_brings_anything_else_is_refused(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"crit\":[\"exp\"]}", "{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"jku\":\"https://evil.example/jwks\"}",
		"{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"jwk\":{\"kty\":\"RSA\"}}", "{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"x5u\":\"https://evil.example\"}",
		"{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"x5c\":[\"MIIB\"]}", "{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"b64\":false}",
		"{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"zip\":\"DEF\"}", "{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"none\",\"alg\":\"RS256\",\"kid\":\"rsa-1\"}", "{\"alg\":[\"RS256\"],\"kid\":\"rsa-1\"}", "{\"alg\":\"RS256\",\"kid\":1}",
		"[]", "null", "{", "{\"alg\":\"RS256\",\"kid\":\"rsa-1\"} x", "\"RS256\"",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(headers); i++)
		assert_int_equal(with(headers[i], kit_claims(NULL, NULL)), MK_TOKEN_MALFORMED);
}

static void what_is_signed_is_what_counts(void **state)
{
	struct kit_token a, b, t;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &a);
	kit_token(rsa, RS, kit_claims("exp", "1800000601"), &b);
	assert_int_equal(check(&a), MK_TOKEN_GOOD);
	assert_int_equal(check(&b), MK_TOKEN_GOOD);
	snprintf(t.s, sizeof t.s, "%.*s%s", (int)(strrchr(a.s, '.') - a.s), a.s, strrchr(b.s, '.')); /* the signature of another token */
	assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
	for (const char *p = a.s; *p; p++) { /* no byte may change */
		t = a;
		char *q = t.s + (p - a.s);
		*q = *q == 'A' ? 'B' : 'A';
		assert_int_not_equal(check(&t), MK_TOKEN_GOOD);
	}
	for (size_t n = 0; n < strlen(a.s); n++) /* nor be missing */
		assert_int_not_equal(mk_token_check(keys, mk_span(a.s, n), &want, KIT_NOW * 1000, &(struct mk_token_who){ 0 }), MK_TOKEN_GOOD);
}

static void signatures_that_are_numbers_without_a_meaning_are_refused(void **state)
{
	struct kit_token t;
	uint8_t zeros[512] = { 0 }, ones[512], n[512], order[64];
	(void)state;
	memset(ones, 0xff, sizeof ones);
	static const size_t lengths[] = { 1, 63, 64, 65, 255, 256, 257, 512 };
	for (size_t i = 0; i < MK_COUNT(lengths); i++)
		for (unsigned k = 0; k < 4; k++) {
			kit_text(k & 1 ? RS : ES, kit_claims(NULL, NULL), &t);
			kit_add_signature(&t, k & 2 ? zeros : ones, lengths[i]);
			assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
		}
	kit_text(RS, kit_claims(NULL, NULL), &t); /* the modulus itself: 0 in disguise */
	kit_add_signature(&t, n, kit_number(rsa, OSSL_PKEY_PARAM_RSA_N, n, sizeof n));
	assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
	assert_int_equal(kit_number(ec, OSSL_PKEY_PARAM_EC_ORDER, order, sizeof order), 32);
	memcpy(order + 32, order, 32);
	kit_text(ES, kit_claims(NULL, NULL), &t); /* r = s = the order */
	kit_add_signature(&t, order, 64);
	assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
}

/* Of r and s, and of nothing behind them. */
static void an_es256_signature_needs_both_its_numbers(void **state)
{
	struct kit_token t;
	uint8_t sig[80], half[80];
	(void)state;
	kit_text(ES, kit_claims(NULL, NULL), &t);
	const struct kit_token bare = t;
	assert_int_equal(kit_sign(ec, mk_span_of(t.s), sig, sizeof sig), 64);
	kit_add_signature(&t, sig, 64);
	assert_int_equal(check(&t), MK_TOKEN_GOOD);
	for (unsigned which = 0; which < 2; which++) {
		memcpy(half, sig, 64);
		memset(half + which * 32, 0, 32);
		t = bare;
		kit_add_signature(&t, half, 64);
		assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
	}
	memcpy(half, sig, 64);
	memcpy(half + 64, sig, 16);
	t = bare;
	kit_add_signature(&t, half, 80);
	assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
}

static void a_signature_is_as_long_as_its_key(void **state)
{
	struct kit_token t;
	uint8_t sig[300] = { 0 };
	(void)state;
	kit_text(RS, kit_claims(NULL, NULL), &t);
	const struct kit_token bare = t;
	const size_t n = kit_sign(rsa, mk_span_of(t.s), sig + 1, sizeof sig - 1);
	kit_add_signature(&t, sig + 1, n);
	assert_int_equal(check(&t), MK_TOKEN_GOOD);
	t = bare;
	kit_add_signature(&t, sig, n + 1); /* the same number, with a 0 in front */
	assert_int_equal(check(&t), MK_TOKEN_SIGNATURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_without_a_signature_is_refused),
		cmocka_unit_test(hmac_with_the_public_key_is_refused),
		cmocka_unit_test(the_key_says_the_algorithm),
		cmocka_unit_test(a_key_id_selects_one_known_key_and_is_nothing_else),
		cmocka_unit_test(a_header_that_brings_anything_else_is_refused),
		cmocka_unit_test(what_is_signed_is_what_counts),
		cmocka_unit_test(signatures_that_are_numbers_without_a_meaning_are_refused),
		cmocka_unit_test(an_es256_signature_needs_both_its_numbers),
		cmocka_unit_test(a_signature_is_as_long_as_its_key),
	};
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}

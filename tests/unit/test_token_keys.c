/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of service-account tokens: which are taken, and which sets are none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "token_forge.h"

static void keys_of_all_sizes_that_are_taken_verify(void **state)
{
	static const unsigned bits[] = { 2048, 3072, 4096 };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bits); i++) {
		EVP_PKEY *k = kit_rsa(bits[i]);
		char entry[2048], text[2100];
		struct mk_token_keys *one = NULL;
		struct mk_token_who who;
		struct mk_jwks set;
		struct kit_token t;
		kit_jwk_rsa(k, "rsa-1", "", entry, sizeof entry);
		snprintf(text, sizeof text, "{\"keys\":[%s]}", entry);
		assert_int_equal(mk_jwks_parse(mk_span_of(text), &set, NULL), MK_OK);
		assert_int_equal(mk_token_keys_new(&set, &one), MK_OK);
		kit_token(k, RS, kit_claims(NULL, NULL), &t);
		assert_int_equal(mk_token_check(one, mk_span_of(t.s), &want, KIT_NOW * 1000, &who), MK_TOKEN_GOOD);
		mk_token_keys_free(one);
		set.key[0].e = 3; /* a small one is one, too */
		assert_int_equal(mk_token_keys_new(&set, &one), MK_OK);
		mk_token_keys_free(one);
		EVP_PKEY_free(k);
	}
}

/* ---- key sets ---- */

static size_t usable(const char *entry)
{
	char text[8192], good[2048];
	struct mk_jwks set = { .n = 99 };
	kit_jwk_rsa(rsa, "control", "", good, sizeof good);
	snprintf(text, sizeof text, "{\"keys\":[%s%s%s]}", good, entry[0] ? "," : "", entry);
	return mk_jwks_parse(mk_span_of(text), &set, NULL) == MK_OK ? set.n : 0;
}

static void keys_that_cannot_verify_here_are_passed_over(void **state)
{
	char e[2048];
	(void)state;
	assert_int_equal(usable(""), 1);
	kit_jwk_rsa(other_rsa, "r", "", e, sizeof e);
	assert_int_equal(usable(e), 2);
	kit_jwk_rsa(other_rsa, "r", ",\"use\":\"enc\"", e, sizeof e);
	assert_int_equal(usable(e), 1);
	kit_jwk_rsa(other_rsa, "r", ",\"alg\":\"RS512\"", e, sizeof e);
	assert_int_equal(usable(e), 1);
	kit_jwk_rsa(small_rsa, "r", "", e, sizeof e);
	assert_int_equal(usable(e), 1);
	kit_jwk_rsa(other_rsa, "", "", e, sizeof e);
	assert_int_equal(usable(e), 1);
	kit_jwk_ec(p384, "p", "P-384", e, sizeof e);
	assert_int_equal(usable(e), 1);
	assert_int_equal(usable("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"o\",\"x\":\"AAAA\"}"), 1);
	assert_int_equal(usable("{\"kid\":\"x\"}"), 1);
	assert_int_equal(usable("{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"o\",\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\",\"y\":\"AAAA\"}"), 1);
	assert_int_equal(usable("{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"o\",\"y\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\",\"x\":\"AAAA\"}"), 1);
	assert_int_equal(usable("{\"kty\":\"RSA\",\"kid\":\"o\",\"n\":\"AAAA\",\"e\":\"AQAB\"}"), 1);
	kit_jwk_rsa(other_rsa, "r", ",\"use\":7", e, sizeof e);
	assert_int_equal(usable(e), 1);
}

static void a_key_at_the_edge_of_what_verifies_is_one(void **state)
{
	uint8_t n[MK_RSA_LEAST] = { 0x80 };
	char n64[1400], e[2048];
	(void)state;
	n[sizeof n - 1] = 1;
	kit_b64(n, sizeof n, n64, sizeof n64);
	snprintf(e, sizeof e, "{\"kty\":\"RSA\",\"kid\":\"least\",\"n\":\"%s\",\"e\":\"Aw\"}", n64); /* 3 */
	assert_int_equal(usable(e), 2);
	char text[2200];
	struct mk_jwks set;
	struct mk_token_keys *k = NULL;
	snprintf(text, sizeof text, "{\"keys\":[%s]}", e);
	assert_int_equal(mk_jwks_parse(mk_span_of(text), &set, NULL), MK_OK);
	assert_int_equal(mk_token_keys_new(&set, &k), MK_OK);
	mk_token_keys_free(k);
	snprintf(e, sizeof e, "{\"kty\":\"RSA\",\"kid\":\"least\",\"n\":\"%s\",\"e\":\"AQ\"}", n64);
	assert_int_equal(usable(e), 1);
	n[0] = 0x7f;
	kit_b64(n, sizeof n, n64, sizeof n64);
	snprintf(e, sizeof e, "{\"kty\":\"RSA\",\"kid\":\"least\",\"n\":\"%s\",\"e\":\"Aw\"}", n64);
	assert_int_equal(usable(e), 1);
}

static void a_set_is_as_long_as_it_may_be(void **state)
{
	static char text[MK_JWKS_TEXT_MAX + 2];
	char e[2048];
	struct mk_jwks set;
	(void)state;
	kit_jwk_rsa(rsa, "k", "", e, sizeof e);
	size_t n = (size_t)snprintf(text, sizeof text, "{\"keys\":[%s", e);
	for (unsigned i = 1; i < 32; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, ",{}");
	const size_t open = n;
	n += (size_t)snprintf(text + n, sizeof text - n, "]}");
	assert_int_equal(mk_jwks_parse(mk_span(text, n), &set, NULL), MK_OK);
	memset(text + n, ' ', sizeof text - n);
	assert_int_equal(mk_jwks_parse(mk_span(text, MK_JWKS_TEXT_MAX), &set, NULL), MK_OK);
	assert_int_equal(mk_jwks_parse(mk_span(text, MK_JWKS_TEXT_MAX + 1), &set, NULL), MK_BAD_REQUEST);
	memcpy(text + open, ",{}]}", 5); /* and one entry more */
	assert_int_equal(mk_jwks_parse(mk_span(text, open + 5), &set, NULL), MK_BAD_REQUEST);
}

static void a_set_that_is_dangerous_or_none_is_refused(void **state)
{
	char e[2048], text[8192];
	const char *fault = NULL;
	struct mk_jwks set;
	(void)state;
	kit_jwk_rsa(other_rsa, "control", "", e, sizeof e); /* one kid, two keys */
	assert_int_equal(usable(e), 0);
	kit_jwk_rsa(other_rsa, "r", ",\"d\":\"AQAB\"", e, sizeof e);
	assert_int_equal(usable(e), 0);
	assert_int_equal(usable("{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"AAAA\"}"), 0);
	assert_int_equal(usable("1"), 0);
	static const char *const none[] = { "", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[" };
	for (size_t i = 0; i < MK_COUNT(none); i++) {
		assert_int_equal(mk_jwks_parse(mk_span_of(none[i]), &set, &fault), MK_BAD_REQUEST);
		assert_non_null(fault);
		assert_non_null(strstr(fault, i == 4 ? "no key that can be used" : "no JSON Web Key Set"));
	}
	size_t n = (size_t)snprintf(text, sizeof text, "{\"keys\":[");
	for (unsigned i = 0; i < 9; i++) {
		char eight[8192];
		if (i == 8) { /* a control */
			snprintf(eight, sizeof eight, "%.*s]}", (int)n, text);
			assert_int_equal(mk_jwks_parse(mk_span_of(eight), &set, &fault), MK_OK);
			struct mk_token_keys *k = NULL;
			assert_int_equal(mk_token_keys_new(&set, &k), MK_OK);
			mk_token_keys_free(k);
		}
		char kid[8];
		snprintf(kid, sizeof kid, "k%u", i);
		kit_jwk_rsa(rsa, kid, "", e, sizeof e);
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? "," : "", e);
	}
	snprintf(text + n, sizeof text - n, "]}");
	assert_int_equal(mk_jwks_parse(mk_span_of(text), &set, &fault), MK_BAD_REQUEST);
}

static void a_key_that_is_none_is_refused(void **state)
{
	struct mk_token_keys *k = NULL;
	struct mk_jwks all, set;
	(void)state;
	assert_int_equal(mk_jwks_parse(mk_span_of(jwks), &all, NULL), MK_OK);
	set = all;
	set.key[1].y[31] ^= 1; /* off the curve */
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set = all;
	set.key[0].n[set.key[0].n_len - 1] ^= 1; /* even */
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set = all;
	set.key[0].n_len = 128;
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set = all;
	set.key[0].e = 1; /* every signature would be its own text */
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set.key[0].e = 4;
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	assert_int_equal(mk_token_keys_count(NULL), 0);
	set = all;
	memcpy(set.key[2].kid, "rsa-1", 6);
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set.n = 0;
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set = all;
	set.key[0].n[0] = 0x7f; /* not as long as it says */
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set = all;
	set.key[0].n_len = MK_RSA_MOST + 1;
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set = all;
	set.n = MK_JWKS_MAX + 1;
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	set = all;
	set.key[1].type = 0;
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	memset(&set, 0, sizeof set);
	set.n = 1;
	assert_int_equal(mk_token_keys_new(&set, &k), MK_BAD_REQUEST);
	assert_null(k);
	assert_int_equal(mk_token_keys_new(&all, &k), MK_OK);
	assert_int_equal(mk_token_keys_count(k), 3);
	mk_token_keys_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_all_sizes_that_are_taken_verify),
		cmocka_unit_test(keys_that_cannot_verify_here_are_passed_over),
		cmocka_unit_test(a_key_at_the_edge_of_what_verifies_is_one),
		cmocka_unit_test(a_set_is_as_long_as_it_may_be),
		cmocka_unit_test(a_set_that_is_dangerous_or_none_is_refused),
		cmocka_unit_test(a_key_that_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}

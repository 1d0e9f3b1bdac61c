/* SPDX-License-Identifier: Apache-2.0
 *
 * Service-account tokens and key sets for tests: keys made here by OpenSSL, which shares
 * no line with what verifies them. Everything may be wrong in any way that a test wants.
 */
#ifndef MK_TEST_TOKEN_KIT_H
#define MK_TEST_TOKEN_KIT_H

#include "agent/token/jwks.h"
#include "agent/token/token.h"
#include "mk/own.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define KIT_POD "0b8b6a1e-7f0e-4b52-8f8e-000000000001"
#define KIT_ISSUER "https://kubernetes.default.svc.cluster.local"
#define KIT_AUDIENCE "makini-production"
#define KIT_NOW INT64_C(1800000000) /* seconds */

static inline void kit_b64(const void *p, size_t n, char *out, size_t cap)
{
	assert_non_null(sodium_bin2base64(out, cap, p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING));
}

/* Of three primes or four: far sooner made than of two, and who verifies cannot tell. */
static inline EVP_PKEY *kit_rsa(unsigned bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
	EVP_PKEY *k = NULL;
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, bits < 4096 ? 3 : 4), 1);
	assert_int_equal(EVP_PKEY_keygen(ctx, &k), 1);
	EVP_PKEY_CTX_free(ctx);
	assert_int_equal(EVP_PKEY_get_bits(k), bits);
	return k;
}

static inline EVP_PKEY *kit_ec(const char *curve)
{
	EVP_PKEY *k = EVP_EC_gen(curve);
	assert_non_null(k);
	return k;
}

static inline size_t kit_number(EVP_PKEY *k, const char *which, uint8_t *buf, size_t cap)
{
	BIGNUM *n = NULL;
	assert_int_equal(EVP_PKEY_get_bn_param(k, which, &n), 1);
	const int len = BN_num_bytes(n);
	assert_true(len >= 0 && (size_t)len <= cap);
	BN_bn2bin(n, buf);
	BN_free(n);
	return (size_t)len;
}

/* {"kty":"RSA",…}; extra: further members, with a comma in front. */
static inline void kit_jwk_rsa(EVP_PKEY *k, const char *kid, const char *extra, char *out, size_t cap)
{
	uint8_t n[1024], e[16];
	char n64[1400], e64[32];
	kit_b64(n, kit_number(k, OSSL_PKEY_PARAM_RSA_N, n, sizeof n), n64, sizeof n64);
	kit_b64(e, kit_number(k, OSSL_PKEY_PARAM_RSA_E, e, sizeof e), e64, sizeof e64);
	assert_true(snprintf(out, cap, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", kid, n64, e64, extra) < (int)cap);
}

static inline void kit_jwk_ec(EVP_PKEY *k, const char *kid, const char *crv, char *out, size_t cap)
{
	uint8_t point[256] = { 0 };
	char x64[128], y64[128];
	size_t n = 0;
	assert_int_equal(EVP_PKEY_get_octet_string_param(k, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n), 1);
	const size_t half = (n - 1) / 2;
	kit_b64(point + 1, half, x64, sizeof x64);
	kit_b64(point + 1 + half, half, y64, sizeof y64);
	assert_true(snprintf(out, cap, "{\"kty\":\"EC\",\"crv\":\"%s\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", crv, kid, x64, y64) < (int)cap);
}

/* Signs text; ECDSA as 64 bytes r and s. */
static inline size_t kit_sign(EVP_PKEY *k, struct mk_span text, uint8_t *out, size_t cap)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t raw[1024];
	size_t n = sizeof raw;
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k), 1);
	assert_int_equal(EVP_DigestSign(ctx, raw, &n, text.p, text.n), 1);
	EVP_MD_CTX_free(ctx);
	if (EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA) {
		assert_true(n <= cap);
		memcpy(out, raw, n);
		return n;
	}
	const uint8_t *p = raw;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);
	const int half = (EVP_PKEY_get_bits(k) + 7) / 8;
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(s), out, half), half);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(s), out + half, half), half);
	ECDSA_SIG_free(s);
	return (size_t)half * 2;
}

struct kit_token {
	char s[8192];
};

/* header.payload, both as JSON texts. */
static inline void kit_text(const char *header, const char *payload, struct kit_token *t)
{
	kit_b64(header, strlen(header), t->s, sizeof t->s);
	const size_t n = strlen(t->s);
	t->s[n] = '.';
	kit_b64(payload, strlen(payload), t->s + n + 1, sizeof t->s - n - 1);
}

static inline void kit_add_signature(struct kit_token *t, const uint8_t *signature, size_t n)
{
	const size_t at = strlen(t->s);
	t->s[at] = '.';
	kit_b64(signature, n, t->s + at + 1, sizeof t->s - at - 1);
}

static inline void kit_token(EVP_PKEY *k, const char *header, const char *payload, struct kit_token *t)
{
	uint8_t signature[1024];
	kit_text(header, payload, t);
	kit_add_signature(t, signature, kit_sign(k, mk_span_of(t->s), signature, sizeof signature));
}

/* The claims of a good token, but for what the arguments change. NULL takes the right one. */
static inline const char *kit_claims(const char *key, const char *value)
{
	static const char *const all[][2] = {
		{ "aud", "[\"" KIT_AUDIENCE "\"]" }, { "exp", "1800000600" }, { "iat", "1800000000" }, { "nbf", "1800000000" },
		{ "iss", "\"" KIT_ISSUER "\"" }, { "jti", "\"9c1f\"" },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"node\":{\"name\":\"n1\",\"uid\":\"u\"},\"pod\":{\"name\":\"p\",\"uid\":\"" KIT_POD
				   "\"},\"serviceaccount\":{\"name\":\"sync\",\"uid\":\"s\"}}" },
		{ "sub", "\"system:serviceaccount:erp:sync\"" },
	};
	static char text[4096];
	size_t n = 0;
	text[n++] = '{';
	for (size_t i = 0; i < MK_COUNT(all); i++) {
		const bool changed = key && strcmp(key, all[i][0]) == 0;
		if (changed && !value)
			continue;
		n += (size_t)snprintf(text + n, sizeof text - n, "%s\"%s\":%s", n > 1 ? "," : "", all[i][0], changed ? value : all[i][1]);
	}
	snprintf(text + n, sizeof text - n, "}");
	return text;
}

#endif

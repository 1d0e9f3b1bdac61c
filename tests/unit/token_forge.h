/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of each kind, and one look at a token that was forged with them.
 */
#ifndef MK_TEST_TOKEN_FORGE_H
#define MK_TEST_TOKEN_FORGE_H

#include "token_kit.h"

static EVP_PKEY *rsa, *other_rsa, *ec, *small_rsa, *p384;
static struct mk_token_keys *keys;
static char jwks[8192];
static const struct mk_token_want want = { KIT_ISSUER, KIT_AUDIENCE, KIT_POD };

#define RS "{\"alg\":\"RS256\",\"kid\":\"rsa-1\"}"
#define ES "{\"alg\":\"ES256\",\"kid\":\"ec-1\"}"

static inline int make_keys(void **state)
{
	char a[2048], b[512], c[2048];
	struct mk_jwks set;
	(void)state;
	assert_true(sodium_init() >= 0);
	rsa = kit_rsa(2048);
	other_rsa = kit_rsa(2048);
	small_rsa = kit_rsa(1024);
	ec = kit_ec("P-256");
	p384 = kit_ec("P-384");
	kit_jwk_rsa(rsa, "rsa-1", ",\"use\":\"sig\",\"alg\":\"RS256\"", a, sizeof a);
	kit_jwk_ec(ec, "ec-1", "P-256", b, sizeof b);
	kit_jwk_rsa(other_rsa, "rsa-2", "", c, sizeof c);
	snprintf(jwks, sizeof jwks, "{\"keys\":[%s,%s,%s]}", a, b, c);
	assert_int_equal(mk_jwks_parse(mk_span_of(jwks), &set, NULL), MK_OK);
	assert_int_equal(set.n, 3);
	assert_int_equal(mk_token_keys_new(&set, &keys), MK_OK);
	return 0;
}

static inline int drop_keys(void **state)
{
	EVP_PKEY *all[] = { rsa, other_rsa, small_rsa, ec, p384 };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(all); i++)
		EVP_PKEY_free(all[i]);
	keys = mk_token_keys_free(keys);
	return 0;
}

static inline enum mk_token_verdict at(const char *jwt, int64_t now_s, struct mk_token_who *who)
{
	return mk_token_check(keys, mk_span_of(jwt), &want, now_s * 1000, who);
}

static inline enum mk_token_verdict check(const struct kit_token *t)
{
	struct mk_token_who who = { .expires_ms = 1 };
	const enum mk_token_verdict v = at(t->s, KIT_NOW, &who);
	if (v != MK_TOKEN_GOOD)
		assert_int_equal(who.expires_ms, 1); /* untouched */
	return v;
}

static inline enum mk_token_verdict with(const char *header, const char *payload)
{
	struct kit_token t;
	kit_token(strstr(header, "ec-1") ? ec : rsa, header, payload, &t);
	return check(&t);
}

#endif

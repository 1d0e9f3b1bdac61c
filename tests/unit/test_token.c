/* SPDX-License-Identifier: Apache-2.0
 *
 * Service-account tokens: the good ones, and every way to forge one. Each forgery differs
 * from a token that is taken in one thing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "token_kit.h"

static EVP_PKEY *rsa, *other_rsa, *ec, *small_rsa, *p384;
static struct mk_token_keys *keys;
static char jwks[8192];
static const struct mk_token_want want = { KIT_ISSUER, KIT_AUDIENCE, KIT_POD };

#define RS "{\"alg\":\"RS256\",\"kid\":\"rsa-1\"}"
#define ES "{\"alg\":\"ES256\",\"kid\":\"ec-1\"}"

static int make_keys(void **state)
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

static int drop_keys(void **state)
{
	EVP_PKEY *all[] = { rsa, other_rsa, small_rsa, ec, p384 };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(all); i++)
		EVP_PKEY_free(all[i]);
	keys = mk_token_keys_free(keys);
	return 0;
}

static enum mk_token_verdict at(const char *jwt, int64_t now_s, struct mk_token_who *who)
{
	return mk_token_check(keys, mk_span_of(jwt), &want, now_s * 1000, who);
}

static enum mk_token_verdict check(const struct kit_token *t)
{
	struct mk_token_who who = { .expires_ms = 1 };
	const enum mk_token_verdict v = at(t->s, KIT_NOW, &who);
	if (v != MK_TOKEN_GOOD)
		assert_int_equal(who.expires_ms, 1); /* untouched */
	return v;
}

static enum mk_token_verdict with(const char *header, const char *payload)
{
	struct kit_token t;
	kit_token(strstr(header, "ec-1") ? ec : rsa, header, payload, &t);
	return check(&t);
}

static void a_good_token_tells_whose_it_is(void **state)
{
	struct kit_token t;
	struct mk_token_who who;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &t);
	assert_int_equal(at(t.s, KIT_NOW, &who), MK_TOKEN_GOOD);
	assert_string_equal(who.account.ns, "erp");
	assert_string_equal(who.account.name, "sync");
	assert_true(who.expires_ms == INT64_C(1800000600000));
	assert_int_equal(with(ES, kit_claims(NULL, NULL)), MK_TOKEN_GOOD);
	assert_int_equal(with("{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"typ\":\"JWT\"}", kit_claims(NULL, NULL)), MK_TOKEN_GOOD);
	assert_int_equal(with(RS, kit_claims("aud", "\"" KIT_AUDIENCE "\"")), MK_TOKEN_GOOD);
}

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

static void claims_must_be_ours_exactly(void **state)
{
	static const struct {
		const char *key, *value;
		enum mk_token_verdict v;
	} wrong[] = {
		{ "iss", "\"https://kubernetes.default.svc\"", MK_TOKEN_ISSUER }, { "iss", "\"" KIT_ISSUER "/\"", MK_TOKEN_ISSUER },
		{ "iss", NULL, MK_TOKEN_ISSUER }, { "iss", "[\"" KIT_ISSUER "\"]", MK_TOKEN_ISSUER }, { "iss", "\"\"", MK_TOKEN_ISSUER },
		{ "aud", "[\"makini-development\"]", MK_TOKEN_AUDIENCE }, { "aud", "[]", MK_TOKEN_AUDIENCE }, { "aud", NULL, MK_TOKEN_AUDIENCE },
		{ "aud", "\"makini-productio\"", MK_TOKEN_AUDIENCE }, { "aud", "\"makini-production2\"", MK_TOKEN_AUDIENCE },
		{ "aud", "[\"" KIT_AUDIENCE "\",\"vault\"]", MK_TOKEN_AUDIENCE }, { "aud", "[[\"" KIT_AUDIENCE "\"]]", MK_TOKEN_AUDIENCE },
		{ "aud", "{\"" KIT_AUDIENCE "\":1}", MK_TOKEN_AUDIENCE }, { "aud", "true", MK_TOKEN_AUDIENCE },
		{ "exp", NULL, MK_TOKEN_CLAIMS }, { "exp", "\"1800000600\"", MK_TOKEN_CLAIMS }, { "exp", "1800000600.5", MK_TOKEN_CLAIMS },
		{ "exp", "-1", MK_TOKEN_CLAIMS }, { "exp", "9223372036854775807", MK_TOKEN_CLAIMS }, { "exp", "null", MK_TOKEN_CLAIMS },
		{ "nbf", "\"0\"", MK_TOKEN_CLAIMS }, { "iat", "true", MK_TOKEN_CLAIMS },
		{ "sub", "\"system:serviceaccount:erp:billing\"", MK_TOKEN_CLAIMS }, { "sub", NULL, MK_TOKEN_CLAIMS },
		{ "sub", "\"system:serviceaccount:erp:sync:x\"", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", NULL, MK_TOKEN_CLAIMS }, { "kubernetes.io", "\"erp\"", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":{\"name\":\"sync\"}}", MK_TOKEN_POD },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"\"}}", MK_TOKEN_POD },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"0b8b6a1e-7f0e-4b52-8f8e-000000000002\"}}",
		  MK_TOKEN_POD },
		{ "kubernetes.io", "{\"namespace\":\"erp/../dev\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", "{\"namespace\":\"ERP\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":\"sync\",\"pod\":{\"uid\":\"" KIT_POD "\"}}", MK_TOKEN_CLAIMS },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(wrong); i++)
		if (with(RS, kit_claims(wrong[i].key, wrong[i].value)) != wrong[i].v)
			fail_msg("%s %s: %s", wrong[i].key, wrong[i].value ? wrong[i].value : "missing",
				 mk_jwt_word(with(RS, kit_claims(wrong[i].key, wrong[i].value))));
}

/* A token that is right in all but these two names, which its subject repeats. */
static enum mk_token_verdict named(const char *ns, const char *name)
{
	char claims[4096];
	snprintf(claims, sizeof claims,
		 "{\"iss\":\"" KIT_ISSUER "\",\"aud\":[\"" KIT_AUDIENCE "\"],\"exp\":1800000600,\"sub\":\"system:serviceaccount:%s:%s\","
		 "\"kubernetes.io\":{\"namespace\":\"%s\",\"serviceaccount\":{\"name\":\"%s\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}}",
		 ns, name, ns, name);
	return with(RS, claims);
}

static void names_are_those_that_kubernetes_gives(void **state)
{
	static const char *const good[][2] = { { "a", "a" }, { "az-09", "a.z-0.9" }, { "z", "0" }, { "9", "z" }, { "0", "9" } };
	static const char *const bad[][2] = {
		{ "", "sync" }, { "erp", "" }, { "e.rp", "sync" }, { "erp", "sy_nc" }, { "erp", "Sync" }, { "erP", "sync" }, { "erp", "sy nc" },
		{ "erp", "sy:nc" }, { "erp", "sy/nc" }, { "e{p", "sync" }, { "e`p", "sync" }, { "erp", "sy\xc3\xa4" }, { "erp", "sync\\n" },
		{ "/", "sync" }, { ":", "sync" }, { "erp", "-/0" },
	};
	char ns[MK_K8S_NAMESPACE_MAX + 2], name[MK_K8S_ACCOUNT_MAX + 2];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(good); i++)
		assert_int_equal(named(good[i][0], good[i][1]), MK_TOKEN_GOOD);
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		assert_int_equal(named(bad[i][0], bad[i][1]), MK_TOKEN_CLAIMS);
	memset(ns, 'n', sizeof ns);
	memset(name, 'a', sizeof name);
	ns[MK_K8S_NAMESPACE_MAX] = name[MK_K8S_ACCOUNT_MAX] = '\0';
	assert_int_equal(named(ns, name), MK_TOKEN_GOOD);
	ns[MK_K8S_NAMESPACE_MAX] = 'n';
	ns[MK_K8S_NAMESPACE_MAX + 1] = '\0';
	assert_int_equal(named(ns, name), MK_TOKEN_CLAIMS);
	name[MK_K8S_ACCOUNT_MAX] = 'a';
	name[MK_K8S_ACCOUNT_MAX + 1] = '\0';
	assert_int_equal(named("erp", name), MK_TOKEN_CLAIMS);
}

/* What is no name is not taken for none, which a subject could leave out as well. */
static void a_subject_does_not_stand_for_a_name_that_is_none(void **state)
{
	static const char *const names[][2] = { { "e.rp", "sync" }, { "erp", "sy_nc" }, { "", "sync" } };
	char claims[4096];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(names); i++) {
		snprintf(claims, sizeof claims,
			 "{\"iss\":\"" KIT_ISSUER "\",\"aud\":\"" KIT_AUDIENCE "\",\"exp\":1800000600,\"sub\":\"system:serviceaccount:%s:%s\","
			 "\"kubernetes.io\":{\"namespace\":\"%s\",\"serviceaccount\":{\"name\":\"%s\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}}",
			 i == 1 ? "erp" : "", i == 1 ? "" : "sync", names[i][0], names[i][1]);
		assert_int_equal(with(RS, claims), MK_TOKEN_CLAIMS);
	}
}

static void every_verdict_has_a_word(void **state)
{
	(void)state;
	assert_string_equal(mk_jwt_word(MK_TOKEN_GOOD), "good");
	for (unsigned v = 0; v < MK_TOKEN_REFUSALS; v++)
		assert_non_null(mk_jwt_word((enum mk_token_verdict)v));
	assert_string_equal(mk_jwt_word(MK_TOKEN_POD), "another_pod");
	assert_string_equal(mk_jwt_word(MK_TOKEN_REFUSALS), "malformed");
}

static void clocks_may_differ_by_half_a_minute_and_not_more(void **state)
{
	struct kit_token t;
	struct mk_token_who who;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &t); /* from NOW to NOW + 600 */
	assert_int_equal(at(t.s, KIT_NOW + 629, &who), MK_TOKEN_GOOD);
	assert_int_equal(at(t.s, KIT_NOW + 630, &who), MK_TOKEN_EXPIRED);
	assert_int_equal(at(t.s, KIT_NOW - 30, &who), MK_TOKEN_GOOD);
	assert_int_equal(at(t.s, KIT_NOW - 31, &who), MK_TOKEN_NOT_YET);
	kit_token(rsa, RS, kit_claims("nbf", "1800000031"), &t);
	assert_int_equal(check(&t), MK_TOKEN_NOT_YET);
	kit_token(rsa, RS, kit_claims("iat", "1800000031"), &t);
	assert_int_equal(check(&t), MK_TOKEN_NOT_YET);
	kit_token(rsa, RS, kit_claims("nbf", NULL), &t);
	assert_int_equal(check(&t), MK_TOKEN_GOOD);
	assert_int_equal(with(RS, kit_claims("nbf", "0")), MK_TOKEN_GOOD); /* the first moment and the last are some */
	assert_int_equal(with(RS, kit_claims("exp", "253402300799")), MK_TOKEN_GOOD);
	assert_int_equal(with(RS, kit_claims("exp", "253402300800")), MK_TOKEN_CLAIMS);
	assert_int_equal(with(RS, kit_claims("exp", "0")), MK_TOKEN_EXPIRED);
}

static void a_payload_that_says_a_thing_twice_is_refused(void **state)
{
	char text[8192];
	(void)state;
	const char *good = kit_claims(NULL, NULL);
	snprintf(text, sizeof text, "{\"iss\":\"" KIT_ISSUER "\",%s", good + 1);
	assert_int_equal(with(RS, text), MK_TOKEN_CLAIMS);
	snprintf(text, sizeof text, "{\"extra\":\"" KIT_ISSUER "\",%s", good + 1);
	assert_int_equal(with(RS, text), MK_TOKEN_GOOD); /* unlike in a header, others may be there */
	assert_int_equal(with(RS, "no JSON"), MK_TOKEN_CLAIMS);
	assert_int_equal(with(RS, "[]"), MK_TOKEN_CLAIMS);
}

static void a_payload_of_brackets_is_refused_before_it_is_parsed(void **state)
{
	char text[8192];
	(void)state;
	memset(text, '[', 1500);
	memset(text + 1500, '\0', 1);
	assert_int_equal(with(RS, text), MK_TOKEN_CLAIMS);
	snprintf(text, sizeof text, "{\"deep\":%.60s%.60s,%s", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", kit_claims(NULL, NULL) + 1);
	assert_int_equal(with(RS, text), MK_TOKEN_CLAIMS);
	static const char left[] = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
	static const char right[] = "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
	for (int more = 58; more <= 59; more++) { /* beside 6 of its own: 64 may be */
		snprintf(text, sizeof text, "{\"deep\":%.*s%.*s,%s", more, left, more, right, kit_claims(NULL, NULL) + 1);
		assert_int_equal(with(RS, text), more == 58 ? MK_TOKEN_GOOD : MK_TOKEN_CLAIMS);
	}
}

static void the_form_is_three_parts_of_bare_base64url(void **state)
{
	struct kit_token a, t;
	char *dot;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &a);
	static const char *const odd[] = { "", ".", "..", "...", "a.b.c", "a..c", "x", "a.b.c.d" };
	for (size_t i = 0; i < MK_COUNT(odd); i++)
		assert_int_equal(at(odd[i], KIT_NOW, &(struct mk_token_who){ 0 }), MK_TOKEN_MALFORMED);
	static const char *const tails[] = { "=", "==", ".", ".e30", " ", "\n", "!" };
	for (size_t i = 0; i < MK_COUNT(tails); i++) {
		snprintf(t.s, sizeof t.s, "%.6000s%s", a.s, tails[i]);
		assert_int_not_equal(check(&t), MK_TOKEN_GOOD);
	}
	snprintf(t.s, sizeof t.s, " %.6000s", a.s);
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	assert_int_equal(mk_token_check(keys, mk_span(NULL, 0), &want, KIT_NOW * 1000, &(struct mk_token_who){ 0 }), MK_TOKEN_MALFORMED);
	dot = strrchr(a.s, '.');
	snprintf(t.s, sizeof t.s, "%.*s.%s", (int)(dot - a.s), a.s, dot); /* a dot too many */
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	dot = strchr(a.s, '.');
	snprintf(t.s, sizeof t.s, "%.*s=%s", (int)(dot - a.s), a.s, dot); /* a padded header */
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	for (t = a; (dot = strpbrk(t.s, "-_"));) /* the other alphabet */
		*dot = *dot == '-' ? '+' : '/';
	if (strcmp(t.s, a.s) != 0)
		assert_int_not_equal(check(&t), MK_TOKEN_GOOD);
}

static void what_is_longer_than_a_token_is_not_looked_at(void **state)
{
	static char text[6000];
	struct kit_token t;
	char claims[8192];
	(void)state;
	snprintf(claims, sizeof claims, "{\"pad\":\"%0*d\",%s", 2600, 0, kit_claims(NULL, NULL) + 1);
	kit_token(rsa, RS, claims, &t);
	assert_true(strlen(t.s) > MK_BEARER_MAX);
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	memset(text, 'a', sizeof text - 1);
	assert_int_equal(at(text, KIT_NOW, &(struct mk_token_who){ 0 }), MK_TOKEN_MALFORMED);
	static const char header[] = "{\"alg\":\"RS256\", \"kid\":\"rsa-1\"}";
	for (int pad = 1800; strlen(t.s) != MK_BEARER_MAX; pad++) { /* as long as it may be */
		assert_true(pad < 2600);
		snprintf(claims, sizeof claims, "{\"pad\":\"%0*d\",%s", pad, 0, kit_claims(NULL, NULL) + 1);
		kit_text(header, claims, &t);
		if (strlen(t.s) + 1 + 342 == MK_BEARER_MAX)
			kit_token(rsa, header, claims, &t);
	}
	assert_int_equal(check(&t), MK_TOKEN_GOOD);
}

static void without_keys_nothing_is_good(void **state)
{
	struct kit_token t;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &t);
	assert_int_equal(mk_token_check(NULL, mk_span_of(t.s), &want, KIT_NOW * 1000, &(struct mk_token_who){ 0 }), MK_TOKEN_UNKNOWN_KEY);
	const struct mk_token_want nothing = { "", "", "" };
	kit_token(rsa, RS, "{\"iss\":\"\",\"aud\":\"\"}", &t);
	assert_int_equal(mk_token_check(keys, mk_span_of(t.s), &nothing, KIT_NOW * 1000, &(struct mk_token_who){ 0 }), MK_TOKEN_ISSUER);
}

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
		cmocka_unit_test(a_good_token_tells_whose_it_is),
		cmocka_unit_test(a_token_without_a_signature_is_refused),
		cmocka_unit_test(hmac_with_the_public_key_is_refused),
		cmocka_unit_test(the_key_says_the_algorithm),
		cmocka_unit_test(a_key_id_selects_one_known_key_and_is_nothing_else),
		cmocka_unit_test(a_header_that_brings_anything_else_is_refused),
		cmocka_unit_test(what_is_signed_is_what_counts),
		cmocka_unit_test(signatures_that_are_numbers_without_a_meaning_are_refused),
		cmocka_unit_test(an_es256_signature_needs_both_its_numbers),
		cmocka_unit_test(a_signature_is_as_long_as_its_key),
		cmocka_unit_test(claims_must_be_ours_exactly),
		cmocka_unit_test(names_are_those_that_kubernetes_gives),
		cmocka_unit_test(keys_of_all_sizes_that_are_taken_verify),
		cmocka_unit_test(a_subject_does_not_stand_for_a_name_that_is_none),
		cmocka_unit_test(every_verdict_has_a_word),
		cmocka_unit_test(clocks_may_differ_by_half_a_minute_and_not_more),
		cmocka_unit_test(a_payload_that_says_a_thing_twice_is_refused),
		cmocka_unit_test(a_payload_of_brackets_is_refused_before_it_is_parsed),
		cmocka_unit_test(the_form_is_three_parts_of_bare_base64url),
		cmocka_unit_test(what_is_longer_than_a_token_is_not_looked_at),
		cmocka_unit_test(without_keys_nothing_is_good),
		cmocka_unit_test(keys_that_cannot_verify_here_are_passed_over),
		cmocka_unit_test(a_key_at_the_edge_of_what_verifies_is_one),
		cmocka_unit_test(a_set_is_as_long_as_it_may_be),
		cmocka_unit_test(a_set_that_is_dangerous_or_none_is_refused),
		cmocka_unit_test(a_key_that_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}

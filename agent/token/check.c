/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of the checks: form, the key that the header names, the algorithm that this
 * key has, the signature; and only of what is signed are the claims read at all.
 */
#include "agent/token/token_.h"

#include "agent/base/secret.h"
#include "mk/own.h"

const char *mk_jwt_word(enum mk_token_verdict v)
{
	static const char *const words[MK_TOKEN_REFUSALS] = {
#define WORD(name, word) [MK_TOKEN_##name] = (word),
		MK_TOKEN_VERDICT_LIST(WORD)
#undef WORD
	};
	if (v == MK_TOKEN_GOOD)
		return "good";
	return (unsigned)v < MK_COUNT(words) ? words[v] : words[MK_TOKEN_MALFORMED];
}

struct parts {
	struct mk_span header, payload, signature, is_signed;
};

/* RFC 7515, 3.1: three parts, two dots, nothing else. All are empty where it is not so. */
static struct parts cut(struct mk_span jwt)
{
	const uint8_t *end = jwt.p + jwt.n, *one, *two;
	one = jwt.n > 0 && jwt.n <= MK_BEARER_MAX ? memchr(jwt.p, '.', jwt.n) : NULL;
	two = one ? memchr(one + 1, '.', (size_t)(end - one - 1)) : NULL;
	if (!two || memchr(two + 1, '.', (size_t)(end - two - 1)))
		return (struct parts){ .header = { NULL, 0 } };
	return (struct parts){
		.header = mk_span(jwt.p, (size_t)(one - jwt.p)),
		.payload = mk_span(one + 1, (size_t)(two - one - 1)),
		.signature = mk_span(two + 1, (size_t)(end - two - 1)),
		.is_signed = mk_span(jwt.p, (size_t)(two - jwt.p)),
	};
}

/* Nothing but these three: `crit` wants what is not understood here, and `jku`, `jwk`, `x5u` and their kin would
 * bring keys of their own (RFC 8725, 3.10). */
static bool header_holds(json_t *header)
{
	const char *key;
	json_t *value;
	json_object_foreach(header, key, value) {
		const bool known = strcmp(key, "alg") == 0 || strcmp(key, "kid") == 0 || strcmp(key, "typ") == 0;
		if (!known || !json_is_string(value))
			return false;
	}
	const json_t *typ = json_object_get(header, "typ");
	return !typ || mk_span_is(mk_token_text_(typ, 3), "JWT");
}

static json_t *read_part(struct mk_span text)
{
	uint8_t buf[MK_BEARER_MAX];
	size_t n = 0;
	json_t *j = mk_token_decode_(text, buf, sizeof buf, &n) ? mk_token_json_(mk_span(buf, n)) : NULL;
	mk_wipe(buf, sizeof buf);
	return j;
}

/* RFC 8725, 3.1 and 3.2: the key says the algorithm; the header may only agree. */
static enum mk_token_verdict find_key(const struct mk_token_keys *keys, struct mk_span text, const struct mk_token_key **ret)
{
	mk_auto(mk_token_json_freep_) json_t *header = read_part(text);
	if (!header || !header_holds(header))
		return MK_TOKEN_MALFORMED;
	const struct mk_span alg = mk_token_text_(json_object_get(header, "alg"), 16);
	const struct mk_token_key *key = mk_token_key_of_(keys, mk_token_text_(json_object_get(header, "kid"), MK_KID_MAX));
	if (!key)
		return MK_TOKEN_UNKNOWN_KEY;
	if (!mk_span_is(alg, mk_jwt_alg_(key)))
		return MK_TOKEN_ALGORITHM;
	*ret = key;
	return MK_TOKEN_GOOD;
}

static bool is_signed_by(const struct mk_token_key *key, const struct parts *p)
{
	uint8_t signature[MK_RSA_MOST];
	size_t n = 0;
	const bool good = mk_token_decode_(p->signature, signature, sizeof signature, &n) &&
			  mk_token_key_verify_(key, p->is_signed, mk_span(signature, n));
	mk_wipe(signature, sizeof signature);
	return good;
}

enum mk_token_verdict mk_token_check(const struct mk_token_keys *keys, struct mk_span jwt, const struct mk_token_want *want,
				     int64_t now_ms, struct mk_token_who *ret)
{
	const struct mk_token_key *key = NULL;
	const struct parts p = cut(jwt);
	const enum mk_token_verdict v = find_key(keys, p.header, &key);
	if (v != MK_TOKEN_GOOD || !key)
		return v;
	if (!is_signed_by(key, &p))
		return MK_TOKEN_SIGNATURE;
	mk_auto(mk_token_json_freep_) json_t *claims = read_part(p.payload);
	return claims ? mk_token_claims_(claims, want, now_ms, ret) : MK_TOKEN_CLAIMS;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The set's reader. A key that says of itself that it is for something else (`use`,
 * `alg`) is passed over, as RFC 7517 wants of keys that are not understood.
 */
#include "agent/token/jwks.h"

#include "agent/token/token_.h"
#include "mk/own.h"

#define ENTRIES_MAX 32u

static const char *const no_set = "it is no JSON Web Key Set: an object with the array \"keys\", at most 16 KiB";

/* "d" is the private part of both types; "k" is a symmetric key. */
static bool is_private(const json_t *entry)
{
	return json_object_get(entry, "d") || json_object_get(entry, "k");
}

static bool says(const json_t *entry, const char *key, const char *what)
{
	const json_t *v = json_object_get(entry, key);
	return !v || (json_is_string(v) && strcmp(json_string_value(v), what) == 0);
}

static bool number_of(const json_t *entry, const char *key, uint8_t *buf, size_t cap, size_t *ret)
{
	return mk_token_decode_(mk_token_text_(json_object_get(entry, key), cap * 2), buf, cap, ret);
}

static bool read_rsa(const json_t *entry, struct mk_jwk *k)
{
	uint8_t e[sizeof k->e];
	size_t n_e = 0;
	if (!says(entry, "alg", "RS256") || !number_of(entry, "n", k->n, sizeof k->n, &k->n_len) ||
	    !number_of(entry, "e", e, sizeof e, &n_e))
		return false;
	for (size_t i = 0; i < n_e; i++)
		k->e = k->e << 8 | e[i];
	return k->n_len >= MK_RSA_LEAST && k->n[0] >= 0x80 && k->e >= 3 && (k->e & 1) == 1;
}

static bool read_p256(const json_t *entry, struct mk_jwk *k)
{
	size_t x = 0, y = 0;
	return says(entry, "alg", "ES256") && json_object_get(entry, "crv") && says(entry, "crv", "P-256") &&
	       number_of(entry, "x", k->x, sizeof k->x, &x) && number_of(entry, "y", k->y, sizeof k->y, &y) &&
	       x == sizeof k->x && y == sizeof k->y;
}

/* Is it a key that can verify here? */
static bool read_key(const json_t *entry, struct mk_jwk *ret)
{
	struct mk_jwk k = { .type = 0 };
	const struct mk_span kid = mk_token_text_(json_object_get(entry, "kid"), MK_KID_MAX);
	const json_t *kty = json_object_get(entry, "kty");
	if (kid.n == 0 || !kty || !says(entry, "use", "sig"))
		return false;
	memcpy(k.kid, kid.p, kid.n);
	k.type = says(entry, "kty", "RSA") ? MK_JWK_RSA : MK_JWK_P256;
	const bool good = k.type == MK_JWK_RSA ? read_rsa(entry, &k) : says(entry, "kty", "EC") && read_p256(entry, &k);
	if (good)
		*ret = k;
	return good;
}

static bool has(const struct mk_jwks *set, const char *kid)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->key[i].kid, kid) == 0)
			return true;
	return false;
}

/* NULL: all is well. */
static const char *read_all(const json_t *keys, struct mk_jwks *set)
{
	const size_t n = json_array_size(keys);
	for (size_t i = 0; i < n; i++) {
		const json_t *entry = json_array_get(keys, i);
		struct mk_jwk k;
		if (!json_is_object(entry))
			return no_set;
		if (is_private(entry))
			return "it holds a private or a symmetric key: take it out and replace that key, as it has been published";
		if (!read_key(entry, &k))
			continue;
		if (has(set, k.kid))
			return "it has two keys of one kid, so that a token cannot name its own";
		if (set->n == MK_JWKS_MAX)
			return "it has more than 8 keys: keep those that sign";
		set->key[set->n++] = k;
	}
	return set->n > 0 ? NULL : "it has no key that can be used: RSA of 2048 to 4096 bits or P-256, with a kid";
}

enum mk_err mk_jwks_parse(struct mk_span text, struct mk_jwks *ret, const char **fault)
{
	mk_auto(mk_token_json_freep_) json_t *root = text.n <= MK_JWKS_TEXT_MAX ? mk_token_json_(text) : NULL;
	const json_t *keys = json_object_get(root, "keys");
	struct mk_jwks set = { .n = 0 };
	const bool is_set = json_is_array(keys) && json_array_size(keys) <= ENTRIES_MAX;
	const char *wrong = is_set ? read_all(keys, &set) : no_set;
	if (fault)
		*fault = wrong;
	if (wrong)
		return MK_BAD_REQUEST;
	*ret = set;
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures, by nettle: GnuTLS brings it into the broker with libmicrohttpd anyway, so
 * that it costs no memory; it reads no configuration, loads nothing, and makes no system
 * call. What it is given is public, so its time may depend on it.
 */
#include "agent/token/token_.h"

#include "mk/own.h"

#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>
#include <nettle/rsa.h>
#include <sodium.h>
#include <stdlib.h>

struct mk_token_key {
	struct mk_span kid;
	enum mk_jwk_type type;
	struct rsa_public_key rsa;
	struct ecc_point point;
};

struct mk_token_keys {
	struct mk_token_key key[MK_JWKS_MAX];
	char kids[MK_JWKS_MAX][MK_KID_MAX + 1];
	size_t n;
};

static void key_done(struct mk_token_key *k)
{
	if (k->type == MK_JWK_RSA)
		rsa_public_key_clear(&k->rsa);
	else
		ecc_point_clear(&k->point);
}

static void number_of(mpz_t n, const uint8_t *p, size_t len)
{
	mpz_import(n, len, 1, 1, 1, 0, p);
}

static mk_must rsa_new(const struct mk_jwk *jwk, struct mk_token_key *k)
{
	if (jwk->n_len < MK_RSA_LEAST || jwk->n_len > MK_RSA_MOST || jwk->n[0] < 0x80 || (jwk->n[jwk->n_len - 1] & 1) == 0 ||
	    jwk->e < 3 || (jwk->e & 1) == 0)
		return MK_BAD_REQUEST;
	rsa_public_key_init(&k->rsa);
	number_of(k->rsa.n, jwk->n, jwk->n_len);
	mpz_set_ui(k->rsa.e, jwk->e);
	if (rsa_public_key_prepare(&k->rsa))
		return MK_OK;
	rsa_public_key_clear(&k->rsa);
	return MK_BAD_REQUEST;
}

/* ecc_point_set refuses what does not lie on the curve. */
static mk_must p256_new(const struct mk_jwk *jwk, struct mk_token_key *k)
{
	mpz_t x, y;
	mpz_init(x);
	mpz_init(y);
	number_of(x, jwk->x, sizeof jwk->x);
	number_of(y, jwk->y, sizeof jwk->y);
	ecc_point_init(&k->point, nettle_get_secp_256r1());
	const bool on_curve = ecc_point_set(&k->point, x, y) == 1;
	mpz_clear(x);
	mpz_clear(y);
	if (on_curve)
		return MK_OK;
	ecc_point_clear(&k->point);
	return MK_BAD_REQUEST;
}

static mk_must add(struct mk_token_keys *keys, const struct mk_jwk *jwk)
{
	struct mk_token_key *k = &keys->key[keys->n];
	char *name = keys->kids[keys->n];
	_Static_assert(sizeof keys->kids[0] == sizeof jwk->kid, "copied whole");
	memcpy(name, jwk->kid, sizeof jwk->kid);
	name[MK_KID_MAX] = '\0';
	const struct mk_span kid = mk_span_of(name);
	if (kid.n == 0 || mk_token_key_of_(keys, kid))
		return MK_BAD_REQUEST;
	MK_TRY(jwk->type == MK_JWK_RSA ? rsa_new(jwk, k) : jwk->type == MK_JWK_P256 ? p256_new(jwk, k) : MK_BAD_REQUEST);
	k->kid = kid;
	k->type = jwk->type;
	keys->n++;
	return MK_OK;
}

struct mk_token_keys *mk_token_keys_free(struct mk_token_keys *k)
{
	for (size_t i = 0; k && i < k->n; i++)
		key_done(&k->key[i]);
	free(k);
	return NULL;
}

static void freep(struct mk_token_keys **k)
{
	mk_token_keys_free(*k);
}

enum mk_err mk_token_keys_new(const struct mk_jwks *set, struct mk_token_keys **ret)
{
	mk_auto(freep) struct mk_token_keys *k = calloc(1, sizeof *k);
	if (!k)
		return MK_NO_MEMORY;
	if (set->n == 0 || set->n > MK_JWKS_MAX)
		return MK_BAD_REQUEST;
	for (size_t i = 0; i < set->n; i++)
		MK_TRY(add(k, &set->key[i]));
	*ret = MK_TAKE(k);
	return MK_OK;
}

size_t mk_token_keys_count(const struct mk_token_keys *k)
{
	return k ? k->n : 0;
}

const struct mk_token_key *mk_token_key_of_(const struct mk_token_keys *k, struct mk_span kid)
{
	for (size_t i = 0; k && i < k->n; i++)
		if (mk_span_eq(k->key[i].kid, kid))
			return &k->key[i];
	return NULL;
}

const char *mk_jwt_alg_(const struct mk_token_key *key)
{
	return key->type == MK_JWK_RSA ? "RS256" : "ES256";
}

static bool rsa_good(const struct mk_token_key *key, const uint8_t *digest, struct mk_span signature)
{
	mpz_t s;
	if (signature.n != key->rsa.size)
		return false;
	mpz_init(s);
	number_of(s, signature.p, signature.n);
	const bool good = rsa_sha256_verify_digest(&key->rsa, digest, s) == 1;
	mpz_clear(s);
	return good;
}

/* RFC 7518, 3.4: r and s, 32 bytes each. Both are at least 1 and below the order, which nettle sees to; 0 is looked at here too. */
static bool p256_good(const struct mk_token_key *key, const uint8_t *digest, struct mk_span signature)
{
	struct dsa_signature s;
	if (signature.n != (size_t)MK_P256_BYTES * 2)
		return false;
	dsa_signature_init(&s);
	number_of(s.r, signature.p, MK_P256_BYTES);
	number_of(s.s, signature.p + MK_P256_BYTES, MK_P256_BYTES);
	const bool good = mpz_sgn(s.r) > 0 && mpz_sgn(s.s) > 0 &&
			  ecdsa_verify(&key->point, crypto_hash_sha256_BYTES, digest, &s) == 1;
	dsa_signature_clear(&s);
	return good;
}

bool mk_token_key_verify_(const struct mk_token_key *key, struct mk_span text, struct mk_span signature)
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256(digest, text.p, text.n);
	return key->type == MK_JWK_RSA ? rsa_good(key, digest, signature) : p256_good(key, digest, signature);
}

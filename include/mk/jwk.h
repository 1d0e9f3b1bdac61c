/* SPDX-License-Identifier: Apache-2.0
 *
 * Public keys that sign tokens (RFC 7517), parsed and checked for form: what agent/token
 * makes of a key set's text, the fetcher sends and the broker verifies with. No secret.
 */
#ifndef MK_JWK_H
#define MK_JWK_H

#include <stddef.h>
#include <stdint.h>

#define MK_JWKS_MAX     8u      /* keys of one set that can be used */
#define MK_JWKS_TEXT_MAX 16384u /* bytes of a set's text */
#define MK_KID_MAX      128u
#define MK_RSA_LEAST    256u    /* bytes of a modulus: 2048 bits */
#define MK_RSA_MOST     512u
#define MK_P256_BYTES   32u

/* The type says the algorithm, and nothing else does (RFC 8725, 3.1): RS256 or ES256. */
enum mk_jwk_type { MK_JWK_RSA = 1, MK_JWK_P256 };

struct mk_jwk {
	enum mk_jwk_type type;
	char kid[MK_KID_MAX + 1];
	uint8_t n[MK_RSA_MOST]; /* RSA: modulus, big endian, its first byte not 0 */
	size_t n_len;
	uint32_t e;
	uint8_t x[MK_P256_BYTES], y[MK_P256_BYTES];
};

struct mk_jwks {
	struct mk_jwk key[MK_JWKS_MAX];
	size_t n; /* no kid twice */
};

#endif

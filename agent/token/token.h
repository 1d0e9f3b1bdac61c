/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifies a Kubernetes service-account token: a JWT (RFC 7519) in the compact form of
 * RFC 7515, judged as RFC 8725 wants it. Pure: no clock, no file, no log, nothing kept
 * but the keys. The token's signature is what makes it a credential; it is decoded only
 * into memory that is wiped before this returns.
 */
#ifndef MK_TOKEN_H
#define MK_TOKEN_H

#include "mk/err.h"
#include "mk/jwk.h"
#include "mk/rules.h"

#define MK_BEARER_MAX 4096u /* bytes of a token */

struct mk_token_keys;

/* BAD_REQUEST: a key that is none (a point off the curve, an even modulus), a kid twice, or no key. */
mk_must mk_token_keys_new(const struct mk_jwks *set, struct mk_token_keys **ret);
struct mk_token_keys *mk_token_keys_free(struct mk_token_keys *k); /* NULL is fine */
size_t mk_token_keys_count(const struct mk_token_keys *k);

struct mk_token_want {
	const char *issuer, *audience, *pod_uid; /* all must be exactly so */
};

struct mk_token_who {
	struct mk_account account;
	int64_t expires_ms; /* wall clock; tolerance not counted */
};

#define MK_TOKEN_SKEW_MS 30000 /* clocks may differ by so much */

#define MK_TOKEN_VERDICT_LIST(X) /* in the order of the checks; the words are the audit log's */ \
	X(MALFORMED, "malformed")         /* not three parts of base64url, no JSON, a header that it may not have */ \
	X(UNKNOWN_KEY, "unknown_key")     /* no key of that kid */ \
	X(ALGORITHM, "wrong_algorithm")   /* not the one that the key's type says */ \
	X(SIGNATURE, "wrong_signature") \
	X(CLAIMS, "wrong_claims")         /* signed, but no token of a pod */ \
	X(ISSUER, "wrong_issuer") \
	X(AUDIENCE, "wrong_audience") \
	X(EXPIRED, "expired") \
	X(NOT_YET, "not_yet_valid") \
	X(POD, "another_pod")
enum mk_token_verdict { /* zeroed memory refuses */
#define MK_TOKEN_ENUM_(name, word) MK_TOKEN_##name,
	MK_TOKEN_VERDICT_LIST(MK_TOKEN_ENUM_)
#undef MK_TOKEN_ENUM_
	MK_TOKEN_REFUSALS,
	MK_TOKEN_GOOD = 0x5a
};
const char *mk_jwt_word(enum mk_token_verdict v); /* "good" for GOOD */

/* *ret only where it is GOOD. */
enum mk_token_verdict mk_token_check(const struct mk_token_keys *keys, struct mk_span jwt, const struct mk_token_want *want,
				     int64_t now_ms, struct mk_token_who *ret);

#endif

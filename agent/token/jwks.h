/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON Web Key Set's text (RFC 7517) as keys. Takes what can verify here (RSA of 2048
 * to 4096 bits, P-256, each with a kid) and passes over the rest; refuses a set with a
 * private key, with a kid twice, or without any key of use. Pure.
 */
#ifndef MK_TOKEN_JWKS_H
#define MK_TOKEN_JWKS_H

#include "mk/err.h"
#include "mk/jwk.h"
#include "mk/span.h"

/* BAD_REQUEST with a fixed text in *fault (NULL is fine): what is wrong with the set. */
mk_must mk_jwks_parse(struct mk_span text, struct mk_jwks *ret, const char **fault);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What this folder's files share.
 */
#ifndef MK_TOKEN_PRIVATE_H
#define MK_TOKEN_PRIVATE_H

#include "agent/token/token.h"

#include <jansson.h>

/* One JSON object of few brackets (so a parser's recursion is bounded), no key twice. NULL: it is none. */
json_t *mk_token_json_(struct mk_span text);
void mk_token_json_freep_(json_t **j);
/* A string, its length 1 to max; an empty span where it is none. Borrowed. */
struct mk_span mk_token_text_(const json_t *j, size_t max);

/* Base64url without padding, whole and canonical (RFC 7515, 2); at most cap bytes. False: it is not. */
bool mk_token_decode_(struct mk_span text, uint8_t *buf, size_t cap, size_t *ret);

struct mk_token_key;
/* The key of that name; compared byte for byte, and never used for anything else. */
const struct mk_token_key *mk_token_key_of_(const struct mk_token_keys *k, struct mk_span kid);
const char *mk_jwt_alg_(const struct mk_token_key *key);
bool mk_token_key_verify_(const struct mk_token_key *key, struct mk_span text, struct mk_span signature);

/* What a signed payload says. */
enum mk_token_verdict mk_token_claims_(const json_t *claims, const struct mk_token_want *want, int64_t now_ms, struct mk_token_who *ret);

#endif

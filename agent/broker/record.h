/* SPDX-License-Identifier: Apache-2.0
 *
 * The default record: what a secret's leaf list says of token, type and expiry when no
 * mapping is configured. Pure; the list was checked (mk_leaves_check) and is borrowed.
 *
 *     token    /access_token, or where there is none /token: a string of 1 to 16,384
 *              bytes without control characters
 *     type     /token_type, a word of at most 31 characters; "bearer" where there is none
 *     expiry   the first that is there and not null of /expires_at, /expires_in,
 *              /expires, /expiry, /expiration: an RFC 3339 time, or a number, or a string
 *              of digits, told apart by size whatever its name says, because issuers
 *              put all of them under any of the names:
 *                  below 10^8    seconds from `since` (3 years at most)
 *                  below 10^11   Unix time in seconds
 *                  below 10^14   Unix time in milliseconds
 *
 * What is there but makes no sense is a fault, never "no expiry".
 */
#ifndef MK_RECORD_H
#define MK_RECORD_H

#include "mk/err.h"
#include "mk/leaf.h"
#include "mk/limits.h"

#define MK_TOKEN_TYPE_MAX 31

struct mk_record {
	struct mk_span token; /* borrows the list */
	uint32_t token_room;  /* bytes of the token as a JSON string, without its quotes */
	char token_type[MK_TOKEN_TYPE_MAX + 1];
	int64_t expires_ms;   /* wall clock, or MK_TIME_NONE where the secret says nothing */
};

/* since_ms: wall clock; when the version was made, or first seen. BACKEND: *fault, where given, is a fixed
 * text that names the field, never a value. */
mk_must mk_record_of(struct mk_span leaves, int64_t since_ms, struct mk_record *ret, const char **fault);

/* The token of a list that mk_record_of found good before. NOT_FOUND where there is none. */
mk_must mk_record_token(struct mk_span leaves, struct mk_span *ret);

#endif

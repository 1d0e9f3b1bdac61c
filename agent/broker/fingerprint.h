/* SPDX-License-Identifier: Apache-2.0
 *
 * Keyed fingerprints of the tokens that are held, so that two instances can be compared
 * without showing either's tokens: BLAKE2b-128 (RFC 7693) of the value alone, under a key
 * that whoever compares makes for that one run.
 */
#ifndef MK_FINGERPRINT_H
#define MK_FINGERPRINT_H

#include "agent/broker/gate.h"

#define MK_FINGERPRINT_KEY  32
#define MK_FINGERPRINT_PAGE 200 /* entries of one page, about */

struct mk_fingerprint {
	struct mk_name name;
	bool previous;
	char hex[33];
};

/* A page: part `part` of `parts` of what is held; parts 0 lets this one decide, and *ret_parts says. Needs the action
 * `fingerprint` for each name that is in it, and for the instance; recorded before anything is unsealed.
 * *ret is the caller's, for free(3). */
struct mk_fingerprint_ask {
	uint8_t key[MK_FINGERPRINT_KEY];
	unsigned part, parts;
};
mk_must mk_gate_fingerprints(struct mk_broker *b, struct mk_caller *c, const struct mk_fingerprint_ask *ask,
			     struct mk_fingerprint **ret, size_t *ret_n, unsigned *ret_parts);

#endif

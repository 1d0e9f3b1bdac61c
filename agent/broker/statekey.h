/* SPDX-License-Identifier: Apache-2.0
 *
 * The state key: 32 bytes that outlive the process, in a file that configuration names or
 * in state_dir/state.key, which is made once. From it come the fingerprints by which a
 * revoked value is known again: BLAKE2b-256 under a key of this environment's own, so that
 * the database tells nothing of a value to who has not the key. Lives in guarded memory;
 * loaded before lock-down.
 */
#ifndef MK_STATEKEY_H
#define MK_STATEKEY_H

#include "agent/broker/statedb.h"
#include "mk/span.h"

struct mk_statekey;

struct mk_statekey_from {
	const char *dir, *file; /* file "": state.key in dir */
	bool in_pod;
	const struct mk_word *environment;
};
/* The key that db was made with; the first one where db has none yet, which is then noted there. NOT_FOUND, CONFLICT, DENIED,
 * BAD_REQUEST: no key, or another than the database's. */
mk_must mk_statekey_load(const struct mk_statekey_from *from, struct mk_statedb *db, struct mk_statekey **ret, struct mk_why *why);
struct mk_statekey *mk_statekey_free(struct mk_statekey *k);

/* Of a token, without spaces around it: they change what a store holds but not what a server takes. */
void mk_statekey_print(struct mk_statekey *k, struct mk_span token, uint8_t ret[MK_PRINT]);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What is dead, in memory: the connections that are revoked, and the keyed fingerprints of
 * values that were (statekey.h). Two sorted arrays, as each get looks into both. Knows no
 * time: what was revoked stays so until it is dropped here by name.
 */
#ifndef MK_REVOKED_H
#define MK_REVOKED_H

#include "agent/broker/statedb.h"

#define MK_REVOKED_MAX 65536u  /* connections */
#define MK_RETIRED_MAX 262144u /* values */

struct mk_dead { /* one connection */
	struct mk_name name;
	uint8_t unseen;   /* bits 1 << enum mk_slot: what the store has of it there is still to be looked up, and retired */
	bool due;         /* that is less than on disk, where the tick writes it */
	bool failed;      /* a value that was seen could not be written */
	int64_t asked_ms; /* boot clock: when it was looked for last; 0: never */
};
struct mk_revoked { /* zeroed: none */
	struct mk_dead *names;     /* owned, as are both: sorted */
	struct mk_retired *values;
	size_t n_names, names_cap, n_values, values_cap;
};
void mk_revoked_done(struct mk_revoked *r);

/* Room for so many more of each; NO_MEMORY also beyond the limits above: nothing changed. */
mk_must mk_revoked_room(struct mk_revoked *r, size_t names, size_t values);
void mk_revoked_add(struct mk_revoked *r, const struct mk_name *name);           /* there is room; again is nothing */
void mk_revoked_retire(struct mk_revoked *r, const struct mk_retired *value);    /* as well; who was first stays */
void mk_revoked_drop(struct mk_revoked *r, const struct mk_name *name, bool values_too);

struct mk_dead *mk_revoked_name(const struct mk_revoked *r, const struct mk_name *name); /* NULL: it is not */
/* The retired value with this fingerprint, or NULL. All zero: no value. */
const struct mk_retired *mk_revoked_value(const struct mk_revoked *r, const uint8_t print[MK_PRINT]);
size_t mk_revoked_values_of(const struct mk_revoked *r, const struct mk_name *name);

#endif

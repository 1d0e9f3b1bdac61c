/* SPDX-License-Identifier: Apache-2.0
 *
 * The durable state of an instance: state.db in its state directory, an SQLite database
 * (https://www.sqlite.org) in WAL mode that this process has for itself. Bound to one
 * environment. Each change is one transaction, on disk when the call returns, and moves
 * the generation on, which the audit log repeats every ten seconds.
 *
 * Opened and written once before lock-down; from then on it takes only brk, fdatasync,
 * ftruncate, fstat, pread64 and pwrite64. Holds no secret. Errors after opening: SYSTEM
 * (the disk; nothing was changed), NOT_FOUND, CONFLICT, RATE_LIMITED where said.
 */
#ifndef MK_STATEDB_H
#define MK_STATEDB_H

#include "mk/rules.h"
#include "mk/why.h"

struct mk_statedb;

/* Makes it where there is none. CONFLICT: another environment's; BAD_REQUEST: not a database of ours, or damaged. */
mk_must mk_statedb_open(const char *dir, const struct mk_word *environment, struct mk_statedb **ret, struct mk_why *why);
struct mk_statedb *mk_statedb_free(struct mk_statedb *db);
uint64_t mk_statedb_generation(const struct mk_statedb *db);
const char *mk_statedb_fault(const struct mk_statedb *db); /* why the last change failed, in SQLite's words: for the log */

#define MK_REASON_TEXT_MAX 256 /* bytes that a person may give as a reason */

struct mk_frozen {
	bool on;
	int64_t at_ms;          /* wall clock */
	struct mk_word by;      /* the service that asked */
	uid_t uid;
	char reason[MK_REASON_TEXT_MAX + 1];
};
mk_must mk_statedb_frozen(struct mk_statedb *db, struct mk_frozen *ret);
/* Freezing and thawing both end the proposals to thaw: they were of another freeze. */
mk_must mk_statedb_freeze(struct mk_statedb *db, const struct mk_frozen *f);
mk_must mk_statedb_thaw(struct mk_statedb *db);

/* An act that waits for a second person. */
#define MK_PROPOSALS_MAX     32
#define MK_PROPOSALS_PER_UID 8
#define MK_PROPOSAL_ID       16 /* hexadecimal digits */
#define MK_PROPOSAL_DIGEST   64
struct mk_proposal {
	char id[MK_PROPOSAL_ID + 1];
	enum mk_action action;
	char detail[MK_REASON_TEXT_MAX + 1]; /* what exactly, as the act reads it */
	char digest[MK_PROPOSAL_DIGEST + 1];
	struct mk_word by;
	uid_t uid;
	int64_t at_ms, expires_ms; /* wall clock */
};
/* Those that are over when it begins (p->at_ms) go. RATE_LIMITED: too many wait, of all or of this uid. */
mk_must mk_statedb_propose(struct mk_statedb *db, const struct mk_proposal *p);
mk_must mk_statedb_proposal(struct mk_statedb *db, const char *id, struct mk_proposal *ret);
mk_must mk_statedb_drop(struct mk_statedb *db, const char *id);
/* Those that are over at now_ms go; the others into ret, oldest first. */
mk_must mk_statedb_proposals(struct mk_statedb *db, int64_t now_ms, struct mk_proposal ret[MK_PROPOSALS_MAX], size_t *ret_n);

#endif

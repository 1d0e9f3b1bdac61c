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

#include "mk/name.h"
#include "mk/rules.h"
#include "mk/why.h"

struct mk_statedb;

/* Makes it where there is none. CONFLICT: another environment's; BAD_REQUEST: not a database of ours, or damaged. */
mk_must mk_statedb_open(const char *dir, const struct mk_word *environment, struct mk_statedb **ret, struct mk_why *why);
struct mk_statedb *mk_statedb_free(struct mk_statedb *db);
uint64_t mk_statedb_generation(const struct mk_statedb *db);
/* Moves it on to `generation`, at least. */
mk_must mk_statedb_catch_up(struct mk_statedb *db, uint64_t generation);
/* The newest time that was seen (wall.h); NOT_FOUND: none was kept. Moves no generation on. */
struct mk_wall_saved;
mk_must mk_statedb_newest(struct mk_statedb *db, struct mk_wall_saved *ret);
mk_must mk_statedb_set_newest(struct mk_statedb *db, const struct mk_wall_saved *saved);
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

/* Which state key it goes with (statekey.h); zeros: none yet. */
#define MK_STATEKEY_ID 16
mk_must mk_statedb_key(struct mk_statedb *db, uint8_t ret[MK_STATEKEY_ID]);
mk_must mk_statedb_set_key(struct mk_statedb *db, const uint8_t id[MK_STATEKEY_ID]);

/* Revoked connections, and the fingerprints of their values. */
#define MK_PRINT 32
#define MK_UNSEEN_ALL 3 /* of mk_statedb_revoke: both slots, see revoked.h */
struct mk_retired {
	uint8_t print[MK_PRINT];
	struct mk_name name; /* that it was the value of */
	int64_t at_ms;       /* wall clock; for people: nothing goes by it */
};
struct mk_revocation {
	int64_t at_ms;
	struct mk_word by;
	uid_t uid;
	const char *reason;
};
/* All of it or nothing. What is there already is replaced, a value stays its first owner's. Proposals to restore one of them end:
 * they were of another revocation. */
mk_must mk_statedb_revoke(struct mk_statedb *db, const struct mk_revocation *how, const struct mk_name *names, size_t n,
			  const struct mk_retired *values, size_t n_values);
/* What stores have of revoked connections was seen, and a value with it, or NULL. unseen: what is left to be looked up. */
struct mk_seen {
	struct mk_name name;
	uint8_t unseen;
};
mk_must mk_statedb_seen(struct mk_statedb *db, const struct mk_seen *seen, size_t n, const struct mk_retired *value);
mk_must mk_statedb_restore(struct mk_statedb *db, const struct mk_name *name, bool values_too);
/* Each that is there, once; ends at an error of the taker. */
struct mk_revoked_taker {
	enum mk_err (*name)(void *arg, const struct mk_name *name, uint8_t unseen);
	enum mk_err (*value)(void *arg, const struct mk_retired *value);
	void *arg;
};
mk_must mk_statedb_revoked(struct mk_statedb *db, const struct mk_revoked_taker *to);

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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Revocation: the order of its steps, each with its time, and its undoing. What is revoked
 * stays so until `restore` names it, whatever clocks say; the values that were known then
 * stay dead beyond that, wherever they come from. Knows of HTTP only that answers can be
 * cut off.
 */
#ifndef MK_ACTS_REVOKE_H
#define MK_ACTS_REVOKE_H

#include "agent/broker/acts.h"
#include "agent/broker/store.h"

#define MK_REVOKE_MAX 64u /* connections of one call */

#define MK_REVOKE_STEPS(X) /* in their order */                                          \
	X(DECIDED, "decided_us")   /* policy lets it through, for every name */       \
	X(IN_FORCE, "in_force_us") /* no decision from here on hands it out */        \
	X(RECORDED, "recorded_us") /* in the audit log, synced */                     \
	X(KEPT, "kept_us")         /* in the state database, synced */                \
	X(ABORTED, "aborted_us")   /* answers that carry it and had not all left */   \
	X(WIPED, "wiped_us")       /* the sealed copies */                            \
	X(WOKEN, "woken_us")       /* who waited for it, to be told that it is gone */
enum mk_revoke_step {
#define MK_REVOKED_ENUM_(name, word) MK_REVOKED_##name,
	MK_REVOKE_STEPS(MK_REVOKED_ENUM_)
#undef MK_REVOKED_ENUM_
	MK_REVOKED_STEPS
};
extern const char *const mk_revoke_step_words[MK_REVOKED_STEPS];

/* Does the store list it? Who mistyped a name revokes another. */
enum mk_listed_there { MK_LISTED_UNKNOWN, MK_LISTED_YES, MK_LISTED_NO };

struct mk_revoke {
	const struct mk_name *names; /* borrowed, each once */
	size_t n;                    /* 1 to MK_REVOKE_MAX */
	const char *reason;
	/* what came of it */
	int64_t at_ms;                       /* wall clock */
	int64_t steps[MK_REVOKED_STEPS];        /* µs from the beginning of the call */
	uint32_t aborted[MK_REVOKE_MAX], values[MK_REVOKE_MAX]; /* of each name; values: that are known to be dead */
	enum mk_listed_there listed[MK_REVOKE_MAX];
};
/* All of them or, where policy or a rate is against one, none. In force when this returns OK, AUDIT or SYSTEM. SYSTEM: it could
 * not be kept and ends with the process; AUDIT: it is kept, but not recorded. Again is fine, and writes again. */
mk_must mk_act_revoke(struct mk_broker *b, struct mk_caller *c, struct mk_revoke *r);

struct mk_restore {
	struct mk_name name;
	bool values_too; /* its values may be served again, too */
	bool in_store;   /* the stores are to hand it out again, too (in_store.h): pinned with the rest */
};
/* As a proposal says it, and back. */
#define MK_RESTORE_TEXT 96
void mk_restore_text(const struct mk_restore *r, char out[MK_RESTORE_TEXT]);
mk_must mk_restore_of_text(const char *text, struct mk_restore *ret);
/* For a caller that mk_act_begin or mk_act_approve let through. NOT_FOUND: neither it nor, where they are meant, a value of it is dead. */
mk_must mk_act_restore(struct mk_broker *b, const struct mk_restore *r);
bool mk_act_restorable(const struct mk_broker *b, const struct mk_restore *r);

/* At the start: key and what is dead, out of the state database. */
mk_must mk_revoked_load(struct mk_broker *b, const char *key_file, struct mk_why *why);
/* Is the database as new as the audit log says? Where not: refuse, or go on and raise an alarm. */
mk_must mk_rollback_check(struct mk_broker *b, struct mk_why *why);
/* The log could be read only after the start: true where it shows a rollback now, that is not accepted. */
bool mk_rollback_found(struct mk_broker *b);

/* Before its values are good again: who holds one of them under another name is told, and has it fetched. */
void mk_revoked_twins_return(struct mk_broker *b, const struct mk_name *name);

/* Another value of this one is dead: what holds it under another name is cut off, wiped and told. */
void mk_revoked_clear_twins(struct mk_broker *b, const struct mk_name *name);

/* ---- revoked_seen.c: what stores have of it afterwards ---- */

/* Asks the store for what it has of it, now and by the tick until it has answered: to be retired, too. */
void mk_revoked_ask(struct mk_broker *b, const struct mk_name *name);
void mk_revoked_tick(struct mk_broker *b);
/* A fetch brought this. True where the connection is revoked: its value is retired, if it is to be, and not to be kept. */
bool mk_revoked_take(struct mk_broker *b, const struct mk_fetched *f);
void mk_revoked_absent(struct mk_broker *b, const struct mk_name *name, enum mk_slot slot); /* the store has none */
/* It is kept: raises or clears the alarm about a retired value. */
void mk_revoked_look(struct mk_broker *b, const struct mk_fetched *f);

/* Figures for status. */
#define MK_TO_LOOK_UP_SHOWN 8u
struct mk_revoked_status {
	uint32_t connections, values;
	uint32_t to_look_up; /* of the connections: what their store has now could not be looked up and kept yet */
	struct mk_name first[MK_TO_LOOK_UP_SHOWN]; /* of those, as far as there are so many */
};
void mk_act_revoked(const struct mk_broker *b, struct mk_revoked_status *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate: the only way to a token, or to anything that policy decides. It asks the
 * policy, then writes the audit record, then unseals, in this order. It is what the
 * HTTP side sees of the broker; it knows nothing of HTTP.
 *
 * Nothing is remembered across an await but a slot and a generation: when a waiter is
 * woken it calls the gate again from the start, and the policy is asked again.
 */
#ifndef MK_GATE_H
#define MK_GATE_H

#include "agent/base/secret.h"
#include "agent/ipc/msgs.h"
#include "policy/policy.h"

struct mk_broker;
struct mk_uid;

/* A caller: evidence pinned at accept, the service looked up again whenever the policy changed. */
struct mk_caller {
	struct mk_evidence evidence;
	uint32_t service;     /* MK_NO_SERVICE: nobody */
	uint32_t generation;  /* of the policy that made `service`; 0: not looked up yet */
	const char *account_fault; /* a fixed word: why this request has no account although it needs one; NULL */
};

enum mk_cache { MK_CACHE_HIT, MK_CACHE_MISS, MK_CACHE_STALE };
enum mk_state { MK_STATE_CURRENT = 1, MK_STATE_PREVIOUS, MK_STATE_EXPIRED, MK_STATE_REVOKED };
const char *mk_state_word(enum mk_state s);

/* An entity tag without its quotes: of version, mapping and granted fields. */
#define MK_ETAG_MAX 80

struct mk_ask {
	struct mk_name name;
	bool previous;             /* ?version=previous */
	int64_t max_age_ms;        /* ?max_age=: fetched longer ago than this is fetched again; 0: as fresh as the ttl wants it */
	const char *not_version;   /* ?not=: this version was refused to the caller, look for another; NULL: none */
	bool waited;               /* the caller was woken after a fetch: X-Cache is a miss */
	int64_t wait_ms;           /* ?wait=: where the caller has it, the answer waits for a change for so long; 0: it does not */
	bool bare;                 /* the answer is to be the bare token: denied where policy does not give access_token */
	bool by_library;           /* for libmakini, which may repeat it: the record of a grant says so */
	struct mk_span if_none_match; /* the header's raw value, "" where there is none; list and * as RFC 9110 13.1.2 */
};

struct mk_answer {
	bool not_modified;         /* the caller has it: no token here, and no grant recorded */
	char etag[MK_ETAG_MAX];
	char version[MK_VERSION_MAX + 1];
	enum mk_state state;
	enum mk_cache cache;
	int64_t expires_ms;        /* wall clock, or MK_TIME_NONE */
	int64_t age_s;             /* since it was fetched */
	int64_t fetched_ms;        /* boot clock */
	bool stale;
	char token_type[32];       /* "bearer" where the store says nothing */
	bool has_token;            /* policy gives access_token; without it nothing is unsealed */
	struct mk_secret *leaves;  /* owned by the answer; NULL with not_modified, or without a token */
	struct mk_secret *room;    /* owned, empty: for the body, taken before the record so that no answer fails for want of it */
	struct mk_span token;      /* borrows leaves */
};
void mk_answer_done(struct mk_answer *a);
#define MK_ANSWER_FRAME 640u /* bytes of a body beside the token */

/* A request that waits for a fetch. The HTTP side embeds it; `woken` is called once, from the
 * loop, never from within mk_gate_get. mk_waiter_cancel when the peer left. Zero it at first. */
struct mk_waiter {
	void (*woken)(struct mk_waiter *w);
	struct mk_ref ref;
	struct mk_waiter *prev, *next, **head; /* the gate's (waiters.h) */
	uid_t uid;
	bool waiting;
	bool fetched;             /* a fetch for it ended: fail with `err` rather than begin another */
	bool for_names;           /* it is, or was, a fetch of the names, before the one that may follow */
	uint32_t tried;           /* a stream's: so many of its connections were fetched for their tags, or need not be */
	enum mk_err err;
	/* ?wait= (tell.c) */
	bool for_change;          /* it waits for a change, not for a fetch */
	bool changed;             /* it did, and has paid: decide again */
	int64_t until_ms;         /* boot clock; 0: not set yet */
	void *of;
	struct mk_uid *counted;
};
void mk_waiter_cancel(struct mk_broker *b, struct mk_waiter *w);

/* Around the decisions of requests that were all read before it began: what changed until then, in the stores and with the
 * audit log's file, is looked at once for all of them. Outside of a turn each decision looks. */
void mk_gate_turn(struct mk_broker *b, bool begins);

/* OK with *ret filled; OK with w->waiting true: answer later, when woken; or an error:
 * DENIED, NOT_FOUND (only where an allow rule covers the name), REVOKED, EXPIRED, DISABLED, RATE_LIMITED
 * (*retry_after_s), BACKEND, TIMEOUT, AUDIT (no record, no token), NOT_READY, NO_MEMORY. */
mk_must mk_gate_get(struct mk_broker *b, struct mk_caller *c, const struct mk_ask *ask, struct mk_waiter *w,
		    struct mk_answer *ret, unsigned *retry_after_s);

/* The names that the caller may read, ascending, after `after` ("" from the start), at most
 * n <= 1,000; *more tells whether others follow. Waits like mk_gate_get while the directory is cold. */
struct mk_list_item {
	struct mk_name name;
	char version[MK_VERSION_MAX + 1]; /* "" unknown */
	enum mk_state state;
	int64_t expires_ms;               /* MK_TIME_NONE: never, or not fetched yet */
};
mk_must mk_gate_list(struct mk_broker *b, struct mk_caller *c, const struct mk_name *after, size_t n,
		     struct mk_waiter *w, struct mk_list_item *items, size_t *ret_n, bool *more,
		     unsigned *retry_after_s);

/* An action on the instance (MK_ACTION_STATUS, MK_ACTION_RELOAD): policy, then a synced audit record. */
mk_must mk_gate_admin(struct mk_broker *b, struct mk_caller *c, enum mk_action action);

/* What a decision about a name goes by: its tags as they were fetched last. */
struct mk_subject mk_gate_subject(const struct mk_broker *b, const struct mk_name *name);

/* Would policy let it through? Not recorded: only for what must not even be read of others (a body). */
bool mk_gate_would(struct mk_broker *b, struct mk_caller *c, enum mk_action action);

/* The same of an action on connections that are not known yet: would any rule let it through for any? */
bool mk_gate_might(struct mk_broker *b, struct mk_caller *c, enum mk_action action);

/* A request that never reached a decision on a name (bad name, unknown path, wrong method, too many
 * connections): counted and written to the audit log as a coalesced denial. */
void mk_gate_refused(struct mk_broker *b, struct mk_caller *c, enum mk_err why);

/* May it be the clock's fault that a token counts as expired? */
bool mk_gate_clock_in_doubt(const struct mk_broker *b);

/* Looks the caller's service up under the policy in force (whoami). */
const struct mk_service *mk_gate_who(struct mk_broker *b, struct mk_caller *c);
const struct mk_policy *mk_gate_policy(const struct mk_broker *b);

#endif

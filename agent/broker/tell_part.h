/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of telling share; of no use elsewhere.
 */
#ifndef MK_TELL_PART_H
#define MK_TELL_PART_H

#include "agent/broker/core.h"
#include "agent/broker/tell.h"

#include <sodium.h>

#define MK_FOLLOWED_CHAINS 4096u

/* A connection that is followed by name, or of which it was said that it has no current token. */
struct mk_followed {
	struct mk_name name;
	struct mk_followed *next;
	uint32_t refs;            /* streams and waiting requests that name it; 0: `known` is remembered */
	struct mk_current known;  /* what is current as far as was told */
	int64_t asked_ms;         /* boot clock: fetched for want of an entry; 0: never */
	uint32_t asked_change;    /* and after which change */
	struct mk_waiter *first;
	bool over;                /* its token has just expired */
};

struct mk_tell {
	struct mk_broker *broker;
	struct mk_events *events;
	struct mk_timer *soon;    /* streams are to be woken, or stores changed */
	struct mk_followed *chain[MK_FOLLOWED_CHAINS];
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	size_t n_followed;
	struct mk_watcher *watchers;
	uint32_t n_watchers, n_waiting, n_all; /* n_all: streams that name nothing */
	struct mk_uids uids;
	bool dirty;               /* followed entries may be out of date */
	uint32_t change;          /* moves on when a store changed */
	int64_t again_ms;         /* boot clock: when what is not there is looked for next */
	bool rouse;               /* events were added that streams were not woken for */
	int64_t looked_ms;        /* wall clock: up to when `expiring` was told */
	uint64_t forgot;          /* the number of the next event when something was last forgotten; 0: never */
	uint32_t missing_left, look_from; /* of this look for what is not there: how many more, and the chain to begin with */
};

static inline struct mk_tell *mk_tell_of(const struct mk_broker *b)
{
	return b->tell;
}

/* NULL: not followed. */
struct mk_followed *mk_followed_find(const struct mk_tell *t, const struct mk_name *name);
/* One more ref. NULL: no memory, or too many. */
struct mk_followed *mk_followed_enter(struct mk_tell *t, const struct mk_name *name);
void mk_followed_leave(struct mk_tell *t, const struct mk_name *name);

/* One more stream or waiting request of a uid, within the limits. RATE_LIMITED, NOT_READY, NO_MEMORY. */
mk_must mk_tell_count_in(struct mk_tell *t, const struct mk_evidence *e, struct mk_uid **ret);
void mk_tell_count_out(struct mk_tell *t, struct mk_uid *u);

/* Makes it one of the streams. last_id: "" none. RATE_LIMITED, NOT_READY, NO_MEMORY. */
mk_must mk_watcher_enter(struct mk_broker *b, const struct mk_caller *c, struct mk_span last_id, struct mk_watcher *w);

void mk_tell_wake(struct mk_tell *t, struct mk_followed *f); /* all who wait for it */
void mk_tell_rouse(struct mk_tell *t);                       /* streams that have something to say */
void mk_tell_refresh(struct mk_tell *t);                     /* fetches what is followed and out of date */
void mk_tell_look_soon(struct mk_tell *t);
void mk_tell_look_again(struct mk_tell *t);                  /* with the tick: now and then for what is not there */
void mk_tell_expiring(struct mk_tell *t);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling services of changes: what happened to which connection, in the order in which it
 * happened, to streams (GET /v1/watch) and to requests that wait (?wait=). Names and versions,
 * never values. Whoever changes what a connection's current token is calls mk_tell_event; a fetch
 * that brings another version does so by itself. Who is told what is asked of the policy each time.
 */
#ifndef MK_TELL_H
#define MK_TELL_H

#include "agent/broker/events.h"
#include "agent/broker/gate.h"
#include "agent/broker/http_uids.h"

#define MK_WAIT_MAX_MS     60000  /* the longest ?wait= */
#define MK_WATCH_NAMES_MAX 32u    /* connections that one stream names */
#define MK_TELL_MAX        16384u /* streams and waiting requests, of all callers */
#define MK_TELL_NAMES_MAX  16384u /* connections that are followed by name */

struct mk_flight_key;
struct mk_entry;

/* A stream. It keeps no queue: only how far it has read in the ring of events that all share; what it missed there, or may
 * have missed before it came, is one `resync`. Its owner embeds it, zeroed, with `woken` set. */
struct mk_watcher {
	void (*woken)(struct mk_watcher *w); /* there may be something to say; from the loop, once until mk_watcher_next has said all */
	struct mk_watcher *prev, *next;
	struct mk_uid *counted;
	struct mk_name *names;               /* the owner's */
	size_t n;                            /* 0: all that the caller may watch */
	uint64_t at;                         /* the number of the next event to look at */
	bool open, resync, roused;
};

struct mk_watch_ask {
	struct mk_span last_id; /* Last-Event-ID, "" where there is none */
};
/* May the caller watch these (w->names), or anything (w->n 0)? Then it is recorded and w is open, until mk_watcher_leave. OK with
 * wait->waiting: tags are fetched first; come back when woken. DENIED, RATE_LIMITED, NOT_READY, AUDIT, NO_MEMORY. */
mk_must mk_gate_watch(struct mk_broker *b, struct mk_caller *c, const struct mk_watch_ask *ask, struct mk_waiter *wait,
		      struct mk_watcher *w, unsigned *retry_after_s);
void mk_watcher_leave(struct mk_broker *b, struct mk_watcher *w); /* one that is not open is fine */
/* The next event that the caller may have now. False: nothing to say, until woken. */
bool mk_watcher_next(struct mk_broker *b, struct mk_caller *c, struct mk_watcher *w, struct mk_event *ret);
/* Policy may have changed: may it go on? Not where a connection that it names, or every one, may not be watched any more. */
bool mk_watcher_may_stay(struct mk_broker *b, struct mk_caller *c, const struct mk_watcher *w);
/* The id of the event with that number, and of what a stream has read when it begins. */
void mk_watcher_id(const struct mk_broker *b, uint64_t n, char out[MK_EVENT_ID_MAX]);
uint64_t mk_watcher_read_up_to(const struct mk_watcher *w);

/* ---- the broker's side ---- */

struct mk_tell;
mk_must mk_tell_new(struct mk_broker *b, struct mk_tell **ret);
struct mk_tell *mk_tell_free(struct mk_tell *t);

/* It happened, to that connection (RESYNC: name is not looked at), and is in force already. version NULL: there is no current
 * one. Wakes who waits for that connection, and streams soon after. Never fails: where there is no memory, all are told RESYNC. */
void mk_tell_event(struct mk_broker *b, enum mk_told kind, const struct mk_name *name, const char *version);
/* All may be different: RESYNC to every stream, and every waiting request is decided again. */
void mk_tell_resync(struct mk_broker *b);
/* The store of tokens let go of some: what comes of those next cannot be compared. RESYNC, where any stream is of all. */
void mk_tell_let_go(struct mk_broker *b);
/* A new generation: every waiting request is decided again. */
void mk_tell_reconfigured(struct mk_broker *b);
/* The end is near: no request waits any longer. */
void mk_tell_drain(struct mk_broker *b);

/* Around a fetch of the current version: what was known before, then what came of it (err as its waiters are told). */
struct mk_current {
	bool known;
	char version[MK_VERSION_MAX + 1]; /* "": none */
};
void mk_tell_before(const struct mk_broker *b, const struct mk_name *name, struct mk_current *ret);
void mk_tell_fetched(struct mk_broker *b, const struct mk_name *name, const struct mk_current *before, enum mk_err e);
void mk_tell_fetch_ended(struct mk_broker *b); /* there may be room for the next */
/* What stores hold may have changed: what is followed is fetched at once. */
void mk_tell_stores_changed(struct mk_broker *b);
/* Is it followed, so that it is to be kept as fresh as if it were used? */
bool mk_tell_follows(const struct mk_broker *b, const struct mk_name *name);
/* It is from now on, for a client that holds a copy; each once more. False: no memory, or too many. */
bool mk_tell_follow(struct mk_broker *b, const struct mk_name *name);
void mk_tell_unfollow(struct mk_broker *b, const struct mk_name *name);
void mk_tell_tick(struct mk_broker *b);

/* For the gate: w waits for a change of that connection, until w->until_ms. RATE_LIMITED, NOT_READY, NO_MEMORY. */
mk_must mk_tell_wait(struct mk_broker *b, const struct mk_name *name, struct mk_waiter *w);
void mk_tell_leave(struct mk_broker *b, struct mk_waiter *w);

/* Figures for status. */
uint32_t mk_tell_watchers(const struct mk_broker *b), mk_tell_waiting(const struct mk_broker *b);

#endif

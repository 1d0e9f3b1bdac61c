/* SPDX-License-Identifier: Apache-2.0
 *
 * What a revocation, or its undoing, is to do in the stores themselves: each name in each
 * store, a few at a time, within a deadline, with an outcome for each. It comes after the act,
 * which stands whatever the stores do; it goes on when nobody waits for the answer any more.
 * Each outcome is in the audit log.
 */
#ifndef MK_IN_STORE_H
#define MK_IN_STORE_H

#include "agent/broker/gate.h"
#include "agent/ipc/msg_endpoint.h"

#define MK_IN_STORE_MS      45000 /* of the whole; then what is open has the outcome `unknown`, or `failed` where it was never asked */
#define MK_IN_STORE_ONE_MS  12000 /* of one question: the fetcher ends it by itself, after the backend's timeout */
#define MK_IN_STORE_AT_ONCE 8u    /* questions of one store that are open; no more, as a fetcher has the others wait, and their time runs */
#define MK_IN_STORE_MOST    128u  /* names times stores of one call */
#define MK_IN_STORE_CALLS   8u    /* calls under way */
#define MK_IN_STORE_HELD    2u    /* versions of one name that were held: current and previous */

#define MK_STORED_LIST(X) /* outcome, its word; the later one is said where a name's versions had several */ \
	X(WAITS, "waits")                                                                                  \
	X(NOT_FOUND, "not_found")       /* the store has no such name or version: it hands none out */      \
	X(ALREADY, "already")           /* it was so before */                                              \
	X(DONE, "done")                 /* said as disabled or enabled */                                   \
	X(NOT_WRITABLE, "not_writable") /* by configuration: not asked */                                   \
	X(CANNOT, "cannot")             /* this kind of store has nothing of the kind */                    \
	X(FAILED, "failed")             /* it was not done */                                               \
	X(UNKNOWN, "unknown")           /* it was asked, and nothing says what came of it */
enum mk_stored_outcome {
#define MK_STORED_ENUM_(name, word) MK_STORED_##name,
	MK_STORED_LIST(MK_STORED_ENUM_)
#undef MK_STORED_ENUM_
	MK_STORED_OUTCOMES
};

struct mk_stored { /* one name in one store */
	enum mk_stored_outcome outcome;
	enum mk_err err;                  /* of FAILED and UNKNOWN: why */
	char version[MK_VERSION_MAX + 1]; /* the store's current one that it was about; "": not told */
	char fault[MK_FAULT_MAX];         /* of FAILED, UNKNOWN and CANNOT: the fetcher's words for it; "": none */
	int64_t ms;                       /* from the first question to the outcome; 0: not asked */
};
/* "disabled" for DONE of DISABLE … */
const char *mk_stored_word(enum mk_verb verb, enum mk_stored_outcome o);
/* What an answer of the fetcher means. */
enum mk_stored_outcome mk_stored_of(enum mk_err e, bool already, bool unsure);

struct mk_in_store;

/* Before the act, so that it has what is held now: which versions, and who asks. verb: DISABLE or ENABLE. TOO_LARGE: more than
 * MK_IN_STORE_MOST, NO_MEMORY. To be begun, or freed. */
mk_must mk_in_store_new(struct mk_broker *b, struct mk_caller *c, enum mk_verb verb, const struct mk_name *names, size_t n,
			struct mk_in_store **ret);
/* True where it is over already; else `done` is called once, later, from the loop. */
bool mk_in_store_begin(struct mk_in_store *j, void (*done)(void *arg), void *arg);
/* The caller needs it no more: what was begun goes on, and frees itself. NULL is fine. */
struct mk_in_store *mk_in_store_free(struct mk_in_store *j);

enum mk_verb mk_in_store_verb(const struct mk_in_store *j);
size_t mk_in_store_stores(const struct mk_in_store *j);
const struct mk_word *mk_in_store_store(const struct mk_in_store *j, size_t store);
const struct mk_stored *mk_in_store_of(const struct mk_in_store *j, size_t name, size_t store);
/* Did every store do it, or have nothing of this name, and one at least have it? */
bool mk_in_store_all_done(const struct mk_in_store *j, size_t name);

/* fetch.c's: an answer came; the fetcher has gone, or another one came; time went by. */
mk_must mk_in_store_written(struct mk_broker *b, struct mk_span body);
void mk_in_store_no_fetcher(struct mk_broker *b);
void mk_in_store_go_on(struct mk_broker *b);
/* The process is to end soon: what is open has so little time now. */
#define MK_IN_STORE_DRAIN_MS 3000
void mk_in_store_hurry(struct mk_broker *b);
/* It ends: what is open is recorded as unknown. */
void mk_in_store_stop(struct mk_broker *b);

#endif

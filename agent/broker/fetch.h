/* SPDX-License-Identifier: Apache-2.0
 *
 * Where flights, the link to the fetcher, the store and the directory meet: questions
 * go out, answers are applied once and wake who waits. Backends are replicas in order:
 * one that fails hands the question to the next.
 */
#ifndef MK_FETCH_H
#define MK_FETCH_H

#include "agent/broker/core.h"

/* Joins a flight for this key, or begins one for w->uid. OK: w waits. RATE_LIMITED, NOT_READY. */
mk_must mk_fetch_wait(struct mk_broker *b, const struct mk_flight_key *key, struct mk_waiter *w);
/* The same without anybody waiting; where there is one already, nothing. */
void mk_fetch_start(struct mk_broker *b, const struct mk_flight_key *key, uid_t uid);

/* What the store holds may have changed: what was fetched until now is to be fetched again. */
void mk_fetch_changed(struct mk_broker *b, size_t backend);
void mk_fetch_changed_all(struct mk_broker *b);
/* The backends are others now: every open question is asked again, of the first. */
void mk_fetch_again(struct mk_broker *b);

/* A new link to a fetcher, taken over: open questions are asked again there. */
mk_must mk_fetch_peer(struct mk_broker *b, int fd);
/* Deadlines, questions that could not be sent, a look at stores that fail. */
void mk_fetch_tick(struct mk_broker *b);

/* Did the last call to every backend fail? False before the first. */
bool mk_fetch_failing(const struct mk_broker *b);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Service-account tokens as evidence: the section `kubernetes` as it is in force, the keys
 * that sign, and a look at the token that a request brings. A token is looked at where a
 * service needs one of this socket and uid, and nowhere else; it stays in the HTTP
 * library's memory. What it proves is the request's, and is taken back with its end.
 */
#ifndef MK_BEARER_H
#define MK_BEARER_H

#include "agent/broker/broker.h"
#include "agent/broker/gate.h"

struct mk_bearer;
struct mk_bearer_seen; /* what a connection keeps of the last token that was good: its hash, and whose it was */

/* UNAUTHENTICATED: a token is needed, and there is none or it is not good (c->account_fault says why). NOT_READY: there are
 * no keys yet to tell by. Else OK, with c's account set where a token was needed. header: the value of Authorization. */
mk_must mk_bearer_take(struct mk_broker *b, struct mk_caller *c, struct mk_span header, struct mk_bearer_seen **seen);
void mk_bearer_drop(struct mk_caller *c); /* the request has ended */
struct mk_bearer_seen *mk_bearer_seen_free(struct mk_bearer_seen *seen); /* NULL is fine */

/* The configuration's. Judge parses the keys of a file; why says what is wrong with them. */
mk_must mk_bearer_new(const struct mk_msg_kubernetes *m, struct mk_bearer **ret);
struct mk_bearer *mk_bearer_free(struct mk_bearer *t);
mk_must mk_bearer_judge(struct mk_bearer *t, struct mk_why *why);
/* Puts it in force (NULL: none). Keys that came from the same API server stay. Forgets all that connections have seen. */
void mk_bearer_swap(struct mk_broker *b, struct mk_bearer *next);

mk_must mk_bearer_keys(struct mk_broker *b, struct mk_span body); /* KEYS came */
void mk_bearer_tick(struct mk_broker *b);

void mk_bearer_status(const struct mk_broker *b, struct mk_keys_status *ret);

#endif

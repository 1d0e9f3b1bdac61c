/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the gate share; of no use elsewhere.
 */
#ifndef MK_GATE_PART_H
#define MK_GATE_PART_H

#include "agent/broker/core.h"

#define MK_PAUSE_MS    1000  /* between fetches for a value that could not be had, is past its expiry, or does not suit a caller */
#define MK_PATIENCE_MS 30000 /* so long after a failure a stale value is served at once, without waiting for the next try */

/* A record with the caller's evidence and service. Borrows c and the policy in force. */
void mk_gate_record(struct mk_broker *b, struct mk_caller *c, enum mk_action action, struct mk_audit_rec *ret);
/* The line of a verdict's rule; -1 for the default. */
int64_t mk_gate_line(const struct mk_broker *b, const struct mk_verdict *v);
/* May this caller do this to the instance? A denial is recorded; else *ret is the record that is still to be written. */
mk_must mk_gate_may(struct mk_broker *b, struct mk_caller *c, enum mk_action action, struct mk_audit_rec *ret);
/* The same with one connection, which the record borrows; NULL: the instance. */
mk_must mk_gate_may_with(struct mk_broker *b, struct mk_caller *c, enum mk_action action, const struct mk_name *name,
			 struct mk_audit_rec *ret);
/* Is what is held of the names still as the store has it? */
bool mk_gate_names_fresh(const struct mk_broker *b);
/* Writes the denial, then returns why; AUDIT where it could not be written. */
enum mk_err mk_gate_deny(struct mk_broker *b, struct mk_audit_rec *rec, enum mk_err why);
/* The caller's bucket for this verdict; RATE_LIMITED is not recorded here. */
mk_must mk_gate_rate(struct mk_broker *b, const struct mk_caller *c, const struct mk_verdict *v,
		     unsigned *retry_after_s);

/* So many calls more for one that turned out dear, from the bucket of calls without a rate of their own. */
void mk_gate_spend(struct mk_broker *b, const struct mk_caller *c, uint32_t calls);

/* How long what was fetched counts as fresh; jitter (of 65,535) makes it shorter. */
int64_t mk_gate_ttl(const struct mk_broker *b, uint16_t jitter);
/* Did a store change since, or go away? */
bool mk_gate_changed(const struct mk_broker *b, uint8_t backend, uint32_t epoch);
/* Did the last fetch fail just now, with nothing changed since? Then a stale value is served at once. */
bool mk_gate_failing(const struct mk_broker *b, const struct mk_failure *f);
/* Is it time for the next try? */
bool mk_gate_try_again(const struct mk_failure *f);

#endif

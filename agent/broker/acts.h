/* SPDX-License-Identifier: Apache-2.0
 *
 * What administrators do to an instance: freeze and thaw, and the second person for the
 * acts that take one. Each is decided by policy, and on disk (audit log, then state) before
 * it is OK. Knows nothing of HTTP.
 */
#ifndef MK_ACTS_H
#define MK_ACTS_H

#include "agent/broker/gate.h"
#include "agent/broker/statedb.h"

#define MK_PROPOSAL_MS (15 * 60 * 1000)

/* All hand-outs stop before this returns, whatever it returns but DENIED, RATE_LIMITED and NOT_READY. SYSTEM: it could not
 * be kept and ends with the process; AUDIT: it is kept, but not recorded. One person is enough. Again: another freeze, which
 * no proposal of before ends. */
mk_must mk_act_freeze(struct mk_broker *b, struct mk_caller *c, const char *reason);
const struct mk_frozen *mk_act_frozen(const struct mk_broker *b); /* ->on */

struct mk_act {
	enum mk_action action;
	const struct mk_name *about; /* NULL: the instance */
	const char *detail;          /* what exactly; of a thaw that waits, which freeze takes its place */
};
/* May this caller do it now? *ret_waits: not before another person approves *ret. Where nothing is frozen, thawing waits for
 * nobody. CONFLICT: too many proposals wait. */
mk_must mk_act_begin(struct mk_broker *b, struct mk_caller *c, const struct mk_act *act, struct mk_proposal *ret, bool *ret_waits);
/* Passes on what the database says to an act; why it could not be written, the log says. */
enum mk_err mk_act_kept(const struct mk_broker *b, enum mk_err e, const char *act);
/* Ends the freeze; for a caller that mk_act_begin or mk_act_approve let through. */
mk_must mk_act_thaw(struct mk_broker *b);

enum mk_approval { /* why not */
	MK_APPROVAL_OK, MK_APPROVAL_SAME_PERSON, MK_APPROVAL_DIGEST, MK_APPROVAL_WITHDRAWN, MK_APPROVAL_OVERTAKEN,
};
/* The proposal *ret is approved, recorded and gone: what it says is now to be done. NOT_FOUND: there is none, or it is over;
 * CONFLICT: *ret_why says. WITHDRAWN: who proposed it may not do it any more; OVERTAKEN: that freeze is not what is in force. */
mk_must mk_act_approve(struct mk_broker *b, struct mk_caller *c, const char *id, const char *digest, struct mk_proposal *ret,
		       enum mk_approval *ret_why);
/* Those that wait; for status. */
mk_must mk_act_proposals(struct mk_broker *b, struct mk_proposal ret[MK_PROPOSALS_MAX], size_t *ret_n);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy that is not in force: what would it have decided? Each difference is counted,
 * and logged now and then. It changes no answer and no audit record.
 */
#ifndef MK_SHADOW_H
#define MK_SHADOW_H

#include "agent/broker/gate.h"

#define MK_SHADOWS_MAX 256u /* kinds of differences told apart; more are only counted */

struct mk_shadow_status {
	bool on;
	uint64_t decisions, would_deny, would_allow, would_change; /* change: other fields */
};

/* One kind: who, what, and which rules decided. */
struct mk_shadow_kind {
	struct mk_word service;
	enum mk_action action;
	uint32_t rule, other; /* in force; in the shadow */
	uint64_t count;
};

struct mk_shadow {
	struct mk_policy *policy; /* owned; NULL: there is none */
	struct mk_shadow_status status;
	struct mk_shadow_kind *kinds; /* owned */
	size_t n_kinds;
};

struct mk_broker;
/* Takes over policy; NULL ends it. The figures start again. */
mk_must mk_shadow_set(struct mk_shadow *s, struct mk_policy *policy);
void mk_shadow_done(struct mk_shadow *s);
/* After a decision of the policy in force. */
void mk_shadow_compare(struct mk_broker *b, const struct mk_caller *c, enum mk_action action, const struct mk_subject *about,
		       const struct mk_verdict *v);

#endif

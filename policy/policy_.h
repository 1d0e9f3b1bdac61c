/* SPDX-License-Identifier: Apache-2.0
 *
 * The compiled policy's inside, private to this folder. Immutable once made. Each
 * service has its own allow and deny rules as runs in one array of indices, so that a
 * decision looks at no rule of another service.
 */
#ifndef MK_POLICY_PRIVATE_H
#define MK_POLICY_PRIVATE_H

#include "policy/policy.h"

struct mk_run {
	const uint32_t *rule; /* indices of rules, in file order; borrows mk_policy.index */
	size_t n;
};

struct mk_grants {
	struct mk_run allow, deny;
};

struct mk_policy {
	struct mk_rules rules;    /* a copy of its own */
	struct mk_grants *grants; /* one for each service */
	uint32_t *index;
};

/* Whoever fits `narrow` fits `wide` too, so that nobody can ever be `narrow`. */
bool mk_identity_within_(const struct mk_identity *narrow, const struct mk_identity *wide);

#endif

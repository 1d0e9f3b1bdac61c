/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a decision is what it is, and what would have to change. For people: it walks all
 * rules, so it is no part of a request's way. Pure.
 */
#ifndef MK_POLICY_EXPLAIN_H
#define MK_POLICY_EXPLAIN_H

#include "agent/base/jw.h"
#include "policy/policy.h"

#define MK_EXPLAIN_RULES_MAX 8   /* of each kind that are named */
#define MK_EXPLAIN_TEXT_MAX  2048

struct mk_explained_rules {
	uint32_t rule[MK_EXPLAIN_RULES_MAX];
	size_t n, more;
};

struct mk_explained {
	uint32_t service;
	enum mk_action action;
	struct mk_subject about;
	struct mk_verdict verdict;
	struct mk_explained_rules denies; /* all that take it away */
	struct mk_explained_rules tagged; /* allows that would hold with other tags */
	bool allowed;                     /* an allow holds, were it not for the denies */
};

/* about is borrowed by ret. */
void mk_policy_explain(const struct mk_policy *p, uint32_t service, enum mk_action action, const struct mk_subject *about,
		       struct mk_explained *ret);
/* What would have to change, as sentences; "" where it is allowed. file: as the rules' place is named, "FILE:LINE". */
void mk_explain_remedy(const struct mk_policy *p, const struct mk_explained *e, const char *file, char text[MK_EXPLAIN_TEXT_MAX]);
/* One object: service, action, connection, decision, rule, denies, tags_matter, rate_per_hour, fields, remedy. */
void mk_explain_json(const struct mk_policy *p, const struct mk_explained *e, const char *file, struct mk_jw *w);

#endif

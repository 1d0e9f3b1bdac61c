/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of cases for a policy: who asks for what, and what the answer must be. Read by
 * key tables like the configuration, with the same errors.
 */
#ifndef MK_CONF_CASES_H
#define MK_CONF_CASES_H

#include "mk/rules.h"
#include "mk/why.h"

#define MK_CASES_MAX 16384

struct mk_case {
	struct mk_word as;
	enum mk_action action;
	struct mk_name name;      /* "" : the instance */
	bool allow;               /* what is expected */
	bool tags_set;            /* false: the tags are not known */
	struct mk_rule_tag tags[MK_RULE_TAGS_MAX];
	size_t n_tags;
	uint32_t rule_line;       /* of the rule that must decide; 0: any */
	unsigned line;
};

struct mk_cases {
	char policy[1024];        /* the policy's file, or "" */
	struct mk_case *of;       /* owned */
	size_t n;
};

mk_must mk_cases_load(const char *path, struct mk_cases *ret, struct mk_why *why);
mk_must mk_cases_parse(struct mk_span text, const char *file, struct mk_cases *ret, struct mk_why *why);
void mk_cases_done(struct mk_cases *c);

#endif

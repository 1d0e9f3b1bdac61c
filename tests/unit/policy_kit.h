/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules in a test: words and names from text, a policy that must compile, and one that must be
 * refused for its line and reason. Both take the rules.
 */
#ifndef MK_TEST_POLICY_KIT_H
#define MK_TEST_POLICY_KIT_H

#include "policy/policy.h"

#define OWN 999u

static const struct mk_nobody host = { .own_uid = OWN, .overflow_uid = 65534, .pid_required = true };
static const struct mk_nobody pod = { .own_uid = OWN, .overflow_uid = 65534, .pid_required = false };

static inline struct mk_word word(const char *s)
{
	struct mk_word w = { "" };
	assert_int_equal(mk_word_of(mk_span_of(s), &w), MK_OK);
	return w;
}

static inline struct mk_name name_of(const char *s)
{
	struct mk_name n = { "" };
	assert_int_equal(mk_name_of(mk_span_of(s), &n), MK_OK);
	return n;
}

static inline struct mk_policy *compiled(struct mk_rules *r)
{
	struct mk_policy *p = NULL;
	struct mk_why why = { 0 };
	if (mk_policy_new(r, &p, &why) != MK_OK)
		fail_msg("line %u: %s", why.line, why.text);
	mk_rules_done(r); /* the policy borrows nothing */
	return p;
}

static inline void refused(struct mk_rules *r, unsigned line, const char *part)
{
	struct mk_policy *p = NULL;
	struct mk_why why = { 0 };
	assert_int_equal(mk_policy_new(r, &p, &why), MK_BAD_REQUEST);
	assert_null(p);
	if (why.line != line || !strstr(why.text, part))
		fail_msg("line %u: \"%s\" does not say \"%s\" (line %u)", why.line, why.text, part, line);
	mk_rules_done(r);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A plain walk over all rules: their meaning, as policy.h has it, and nothing else. What the
 * compiled policy decides is compared with it.
 */
#ifndef MK_TEST_POLICY_PLAIN_H
#define MK_TEST_POLICY_PLAIN_H

#include "policy/policy.h"

#define BIT(a) (1u << MK_ACTION_##a)

static inline bool speaks_of(const struct mk_rules *d, const struct mk_rule *r, const struct mk_word *service)
{
	if (mk_word_eq(&r->service, service))
		return true;
	for (size_t g = 0; g < d->n_groups; g++)
		for (size_t i = 0; mk_word_eq(&d->groups[g].name, &r->service) && i < d->groups[g].n_services; i++)
			if (mk_word_eq(&d->groups[g].services[i], service))
				return true;
	return false;
}

static inline bool covers(const struct mk_rule *r, enum mk_action a, const struct mk_name *name)
{
	uint32_t actions = r->actions;
	if (actions & BIT(GET))
		actions |= BIT(LIST);
	if (!(actions & 1u << a) || (!name && r->n_tags > 0))
		return false;
	for (size_t i = 0; i < r->n_patterns; i++)
		if (name ? mk_pattern_match(&r->patterns[i], name) : strcmp(r->patterns[i].s, "*") == 0)
			return true;
	return false;
}

enum holds { NO, UNKNOWN, YES };

static inline enum holds tag_holds(const struct mk_rule_tag *t, const struct mk_subject *s)
{
	for (size_t i = 0; s->tags_known && i < s->n_tags; i++)
		if (strcmp(s->tags[i].key, t->key) == 0)
			return strcmp(s->tags[i].value, t->value) == 0 ? YES : NO;
	return UNKNOWN;
}

static inline enum holds tags_hold(const struct mk_rule *r, const struct mk_subject *s)
{
	enum holds all = YES;
	for (size_t i = 0; i < r->n_tags; i++) {
		const enum holds one = tag_holds(&r->tags[i], s);
		all = one < all ? one : all;
	}
	return all;
}

static inline struct mk_verdict plain(const struct mk_rules *d, size_t service, enum mk_action a, const struct mk_subject *s)
{
	uint32_t allow = MK_NO_RULE, deny = MK_NO_RULE;
	bool hard = false, might = false;
	for (uint32_t i = 0; i < d->n_rules; i++) {
		const struct mk_rule *r = &d->rules[i];
		const enum holds tags = tags_hold(r, s);
		if (!speaks_of(d, r, &d->services[service].name) || !covers(r, a, s->name))
			continue;
		if (r->deny && tags != NO && deny == MK_NO_RULE)
			deny = i;
		hard = hard || (r->deny && r->n_tags == 0);
		if (!r->deny && (r->n_tags == 0 || (tags == YES && s->tags_trusted)) && allow == MK_NO_RULE)
			allow = i;
		might = might || (!r->deny && r->n_tags > 0 && s->tags_trusted);
	}
	struct mk_verdict v = { .rule = deny != MK_NO_RULE ? deny : allow };
	v.decision = deny == MK_NO_RULE && allow != MK_NO_RULE ? MK_ALLOW : MK_DENY;
	v.tags_matter = v.decision == MK_DENY && !s->tags_known && !hard && (might || allow != MK_NO_RULE);
	if (v.decision == MK_ALLOW)
		v.rate_per_hour = d->rules[allow].rate_per_hour ? d->rules[allow].rate_per_hour : MK_RATE_DEFAULT_PER_HOUR;
	return v;
}

#endif

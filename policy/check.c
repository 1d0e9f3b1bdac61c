/* SPDX-License-Identifier: Apache-2.0
 *
 * May this service do this? The answer starts as "no, by default" and names the rule
 * that changed it. A deny beats any allow, wherever it stands.
 */
#include "policy/policy_.h"

static bool is_all(const struct mk_pattern *p)
{
	return p->s[0] == '*' && !p->s[1];
}

/* Without a name the action is on the instance, which only "*" covers. */
static bool covers(const struct mk_rule *r, enum mk_action action, const struct mk_name *name)
{
	if (!(r->actions & (UINT32_C(1) << action)))
		return false;
	for (size_t i = 0; i < r->n_patterns; i++)
		if (is_all(&r->patterns[i]) || (name && mk_pattern_match(&r->patterns[i], name)))
			return true;
	return false;
}

/* The first rule of the run that covers, or MK_NO_RULE. */
static uint32_t first(const struct mk_policy *p, const struct mk_run *run, enum mk_action action,
		      const struct mk_name *name)
{
	for (size_t i = 0; i < run->n; i++)
		if (covers(&p->rules.rules[run->rule[i]], action, name))
			return run->rule[i];
	return MK_NO_RULE;
}

struct mk_verdict mk_policy_check(const struct mk_policy *p, uint32_t service, enum mk_action action,
				  const struct mk_name *name)
{
	struct mk_verdict v = { .decision = MK_DENY, .rule = MK_NO_RULE };
	if (service >= p->rules.n_services || action >= MK_ACTION_COUNT || (name && !name->s[0]))
		return v;
	const struct mk_grants *g = &p->grants[service];
	const uint32_t allow = first(p, &g->allow, action, name);
	const uint32_t deny = first(p, &g->deny, action, name);
	v.rule = deny != MK_NO_RULE ? deny : allow;
	if (allow == MK_NO_RULE || deny != MK_NO_RULE)
		return v;
	v.rate_per_hour = p->rules.rules[allow].rate_per_hour;
	if (v.rate_per_hour == 0)
		v.rate_per_hour = MK_RATE_DEFAULT_PER_HOUR;
	v.decision = MK_ALLOW;
	return v;
}

const struct mk_service *mk_policy_service(const struct mk_policy *p, uint32_t service)
{
	return service < p->rules.n_services ? &p->rules.services[service] : NULL;
}

const struct mk_rule *mk_policy_rule(const struct mk_policy *p, uint32_t rule)
{
	return rule < p->rules.n_rules ? &p->rules.rules[rule] : NULL;
}

size_t mk_policy_rules(const struct mk_policy *p)
{
	return p->rules.n_rules;
}

size_t mk_policy_services(const struct mk_policy *p)
{
	return p->rules.n_services;
}

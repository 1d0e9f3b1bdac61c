/* SPDX-License-Identifier: Apache-2.0
 *
 * May this service do this? The answer starts as "no, by default" and names the rule
 * that changed it. A deny beats any allow, wherever it stands.
 */
#include "policy/policy_.h"

/* What was found so far: the first of each in file order. */
struct found {
	uint32_t bit; /* of the action */
	uint32_t allow, deny;
	bool hard;    /* a deny that no tag could lift */
	bool might;   /* an allow that only needs its tags to be known */
};

static uint32_t earlier(uint32_t a, uint32_t b)
{
	return a < b ? a : b; /* MK_NO_RULE is after all */
}

static void note(struct mk_seek *s, const struct mk_shape *shape, const struct mk_entry_ *e)
{
	struct found *f = s->arg;
	if (!(e->actions & f->bit))
		return;
	if (shape->deny) {
		f->deny = earlier(f->deny, e->rule);
		f->hard = f->hard || shape->keys == 0;
	} else if (shape->keys != 0 && shape->mask == 0) {
		f->might = true;
	} else {
		f->allow = earlier(f->allow, e->rule);
	}
}

static struct mk_verdict verdict_of(const struct mk_policy *p, const struct found *f, bool tags_known)
{
	struct mk_verdict v = { .decision = MK_DENY, .rule = f->deny != MK_NO_RULE ? f->deny : f->allow };
	if (f->allow == MK_NO_RULE || f->deny != MK_NO_RULE) {
		v.tags_matter = !tags_known && !f->hard && (f->might || f->allow != MK_NO_RULE);
		return v;
	}
	v.allow = &p->rules.rules[f->allow];
	v.rate_per_hour = v.allow->rate_per_hour ? v.allow->rate_per_hour : MK_RATE_DEFAULT_PER_HOUR;
	v.decision = MK_ALLOW;
	return v;
}

struct mk_verdict mk_policy_decide_(const struct mk_policy *p, uint32_t service, enum mk_action action,
				    const struct mk_subject *about, unsigned *work)
{
	struct found f = { .allow = MK_NO_RULE, .deny = MK_NO_RULE };
	if (service >= p->rules.n_services || action >= MK_ACTION_COUNT || (about->name && !about->name->s[0]))
		return (struct mk_verdict){ .decision = MK_DENY, .rule = MK_NO_RULE };
	f.bit = UINT32_C(1) << action;
	struct mk_seek s = {
		.text = about->name ? about->name->s : NULL, .tags = about->tags, .n_tags = about->n_tags,
		.tags_known = about->tags_known, .tags_trusted = about->tags_trusted, .hit = note, .arg = &f,
	};
	mk_seek_begin(&s);
	mk_seek_who(p, &s, service);
	for (uint32_t i = p->member_at[service]; i < p->member_at[service + 1]; i++)
		mk_seek_who(p, &s, p->member[i]);
	*work = s.work;
	return verdict_of(p, &f, about->tags_known);
}

struct mk_verdict mk_policy_check(const struct mk_policy *p, uint32_t service, enum mk_action action,
				  const struct mk_subject *about)
{
	unsigned work = 0;
	return mk_policy_decide_(p, service, action, about, &work);
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

uint32_t mk_policy_service_of(const struct mk_policy *p, const struct mk_word *name)
{
	for (size_t i = 0; i < p->rules.n_services; i++)
		if (mk_word_eq(&p->rules.services[i].name, name))
			return (uint32_t)i;
	return MK_NO_SERVICE;
}

bool mk_policy_concerns(const struct mk_policy *p, uint32_t rule, uint32_t service)
{
	if (rule >= p->rules.n_rules || service >= p->rules.n_services)
		return false;
	bool found = p->owner[rule] == service;
	for (uint32_t i = p->member_at[service]; i < p->member_at[service + 1]; i++)
		found = found || p->owner[rule] == p->member[i];
	return found;
}

bool mk_rule_grants(const struct mk_rule *allow, const char *field)
{
	if (!allow || allow->deny)
		return false;
	for (size_t i = 0; i < allow->n_fields; i++)
		if (strcmp(allow->fields[i].s, field) == 0)
			return true;
	return !allow->fields_set;
}

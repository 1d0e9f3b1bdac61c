/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules that can never decide: an allow all of which is denied, or was allowed before.
 * Whoever wrote it believes that it does something. Found with the index, by asking it
 * for what covers each of the rule's patterns.
 */
#include "policy/policy_.h"

/* Which of the rule's actions are taken away, or allowed before it, and by what: the first of such rules. */
struct taken {
	uint32_t actions, first;
	bool others;
};

/* What rules without tags say of all that one pattern can match. */
struct cover {
	uint32_t rule;    /* the allow that is looked at */
	uint32_t actions; /* its */
	struct taken denied, allowed;
};

static void take(struct taken *t, uint32_t actions, uint32_t rule)
{
	if (!actions)
		return;
	t->actions |= actions;
	t->others = t->others || (t->first != MK_NO_RULE && t->first != rule);
	t->first = rule < t->first ? rule : t->first;
}

static void note(struct mk_seek *s, const struct mk_shape *shape, const struct mk_entry_ *e)
{
	struct cover *c = s->arg;
	if (shape->deny)
		take(&c->denied, e->actions & c->actions, e->rule);
	else if (e->rule < c->rule)
		take(&c->allowed, e->actions & c->actions, e->rule);
}

static void cover_of(const struct mk_policy *p, const struct mk_pattern *pattern, struct cover *c)
{
	struct mk_seek s = { .text = pattern->s, .untagged = true, .hit = note, .arg = c };
	const uint32_t who = p->owner[c->rule];
	mk_seek_begin(&s);
	mk_seek_who(p, &s, who);
	if (who >= p->rules.n_services)
		return; /* a group is in no group */
	for (uint32_t i = p->member_at[who]; i < p->member_at[who + 1]; i++)
		mk_seek_who(p, &s, p->member[i]);
}

static mk_must is_denied(const struct mk_policy *p, const struct mk_rule *r, const struct taken *by, struct mk_why *why)
{
	return mk_why_at(why, MK_BAD_REQUEST, "", r->line,
			 "this allow can never match: the deny on line %u%s takes away all of it: remove this allow, or narrow that "
			 "deny (to stop all hand-outs at once, whatever the policy says: makinictl freeze)",
			 p->rules.rules[by->first].line, by->others ? ", with others," : "");
}

static mk_must is_allowed(const struct mk_policy *p, const struct mk_rule *r, const struct taken *by, struct mk_why *why)
{
	return mk_why_at(why, MK_BAD_REQUEST, "", r->line,
			 "this allow can never decide: the one on line %u%s, which stands before it, allows all of it, with its own "
			 "rate and fields: remove this rule, or put it before that one",
			 p->rules.rules[by->first].line, by->others ? ", with others," : "");
}

static mk_must check_allow(const struct mk_policy *p, uint32_t rule, struct mk_why *why)
{
	const struct mk_rule *r = &p->rules.rules[rule];
	struct cover c = { .rule = rule, .actions = r->actions, .denied.first = MK_NO_RULE, .allowed.first = MK_NO_RULE };
	bool denied = r->n_patterns > 0 && r->actions, allowed = denied;
	for (size_t i = 0; i < r->n_patterns && (denied || allowed); i++) {
		c.denied.actions = c.allowed.actions = 0;
		cover_of(p, &r->patterns[i], &c);
		denied = denied && c.denied.actions == r->actions;
		allowed = allowed && c.allowed.actions == r->actions;
	}
	if (denied)
		return is_denied(p, r, &c.denied, why);
	return allowed ? is_allowed(p, r, &c.allowed, why) : MK_OK;
}

mk_must mk_policy_no_dead_rules_(const struct mk_policy *p, struct mk_why *why)
{
	for (uint32_t i = 0; i < p->rules.n_rules; i++)
		if (!p->rules.rules[i].deny)
			MK_TRY(check_allow(p, i, why));
	return MK_OK;
}

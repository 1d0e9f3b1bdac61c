/* SPDX-License-Identifier: Apache-2.0
 *
 * Differences of one kind are logged at the first, the second, the fourth, the eighth
 * and so on, so that the log stays short however often they are met.
 */
#include "agent/broker/shadow.h"

#include "agent/base/log.h"
#include "agent/broker/core.h"

#include <stdlib.h>

mk_must mk_shadow_set(struct mk_shadow *s, struct mk_policy *policy)
{
	struct mk_shadow new = { .policy = policy, .status.on = policy != NULL };
	if (policy) {
		new.kinds = calloc(MK_SHADOWS_MAX, sizeof *new.kinds);
		if (!new.kinds)
			return MK_NO_MEMORY;
	}
	mk_shadow_done(s);
	*s = new;
	return MK_OK;
}

void mk_shadow_done(struct mk_shadow *s)
{
	mk_policy_free(s->policy);
	free(s->kinds);
	*s = (struct mk_shadow){ 0 };
}

/* How often this kind was met, this time included; 0: there is no room to tell. */
static uint64_t met(struct mk_shadow *s, const struct mk_shadow_kind *kind)
{
	size_t i = 0;
	for (; i < s->n_kinds; i++) {
		const struct mk_shadow_kind *k = &s->kinds[i];
		if (k->action == kind->action && k->rule == kind->rule && k->other == kind->other && mk_word_eq(&k->service, &kind->service))
			break;
	}
	if (i == MK_SHADOWS_MAX)
		return 0;
	if (i == s->n_kinds)
		s->kinds[s->n_kinds++] = *kind;
	return ++s->kinds[i].count;
}

static int64_t line_of(const struct mk_policy *p, uint32_t rule)
{
	const struct mk_rule *r = mk_policy_rule(p, rule);
	return r ? (int64_t)r->line : 0;
}

static void tell(const struct mk_broker *b, const struct mk_shadow_kind *kind, uint64_t count, const struct mk_subject *about,
		 const char *would)
{
	if (count == 0 || (count & (count - 1)) != 0)
		return;
	mk_log(MK_INFO, "policy_shadow_differs", MK_KV_S("service", kind->service.s), MK_KV_S("action", mk_action_word(kind->action)),
	       MK_KV_S("connection", about->name ? about->name->s : ""), MK_KV_S("would", would),
	       MK_KV_N("rule", line_of(b->policy, kind->rule)), MK_KV_N("shadow_rule", line_of(b->shadow.policy, kind->other)),
	       MK_KV_N("count", (int64_t)count));
}

/* NULL: the same. */
static const char *differs(struct mk_shadow_status *s, const struct mk_verdict *now, const struct mk_verdict *then)
{
	if (now->decision != then->decision) {
		++*(then->decision == MK_ALLOW ? &s->would_allow : &s->would_deny);
		return then->decision == MK_ALLOW ? "allow" : "deny";
	}
	if (mk_rule_grants(now->allow, "access_token") == mk_rule_grants(then->allow, "access_token"))
		return NULL;
	s->would_change++;
	return then->allow && mk_rule_grants(then->allow, "access_token") ? "give the token" : "give no token";
}

void mk_shadow_compare(struct mk_broker *b, const struct mk_caller *c, enum mk_action action, const struct mk_subject *about,
		       const struct mk_verdict *v)
{
	struct mk_shadow *s = &b->shadow;
	if (!s->policy)
		return;
	const uint32_t who = mk_policy_who(s->policy, &c->evidence, &b->nobody);
	const struct mk_verdict then = mk_policy_check(s->policy, who, action, about);
	s->status.decisions++;
	const char *would = differs(&s->status, v, &then);
	if (!would)
		return;
	const struct mk_service *service = mk_policy_service(b->policy, c->service);
	if (!service)
		service = mk_policy_service(s->policy, who);
	struct mk_shadow_kind kind = { .action = action, .rule = v->rule, .other = then.rule };
	if (service)
		kind.service = service->name;
	tell(b, &kind, met(s, &kind), about, would);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/whoami and GET /v1/health: for everyone, nobody included. They say what the
 * caller itself is taken for, and codes; never another caller's rules, and no name but
 * those in its own.
 */
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"

#define WHOAMI_MAX   ((size_t)128 * 1024)
#define RULE_MAX     ((size_t)MK_PATTERNS_MAX * (MK_PATTERN_MAX + 3) + MK_RULE_FIELDS_MAX * (MK_FIELD_MAX + 3) + \
		      MK_RULE_TAGS_MAX * 6 * (MK_TAG_KEY_MAX + MK_TAG_VALUE_MAX + 2) + 512)
#define HEALTH_MAX   512
#define WHOAMI_TAIL  64 /* what follows the rules */
_Static_assert(RULE_MAX * 2 < WHOAMI_MAX, "any one rule fits");

static void write_account(struct mk_jw *w, const struct mk_caller *c)
{
	const struct mk_account *a = &c->evidence.account;
	if (a->ns[0]) {
		mk_jw_key(w, "account");
		mk_jw_open(w, '{');
		mk_jw_kstr(w, "namespace", a->ns);
		mk_jw_kstr(w, "service_account", a->name);
		mk_jw_close(w, '}');
	} else {
		mk_jw_knull(w, "account");
	}
	if (c->account_fault)
		mk_jw_kstr(w, "account_refused", c->account_fault);
}

static void write_evidence(struct mk_jw *w, const struct mk_caller *c)
{
	const struct mk_evidence *e = &c->evidence;
	mk_jw_key(w, "evidence");
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "socket", e->socket.s);
	if (e->known) {
		mk_jw_knum(w, "uid", e->uid);
		mk_jw_knum(w, "gid", e->gid);
	} else {
		mk_jw_knull(w, "uid");
		mk_jw_knull(w, "gid");
	}
	mk_jw_key(w, "groups");
	mk_jw_open(w, '[');
	for (size_t i = 0; e->known && i < e->n_groups && i < MK_GROUPS_MAX; i++)
		mk_jw_num(w, e->groups[i]);
	mk_jw_close(w, ']');
	if (e->unit[0])
		mk_jw_kstr(w, "unit", e->unit);
	else
		mk_jw_knull(w, "unit");
	write_account(w, c);
	mk_jw_close(w, '}');
}

static void write_tags(struct mk_jw *w, const struct mk_rule *r)
{
	if (r->n_tags == 0)
		return;
	mk_jw_key(w, "tags");
	mk_jw_open(w, '{');
	for (size_t i = 0; i < r->n_tags; i++)
		mk_jw_kstr(w, r->tags[i].key, r->tags[i].value);
	mk_jw_close(w, '}');
}

static void write_fields(struct mk_jw *w, const struct mk_rule *r)
{
	if (!r->fields_set)
		return;
	mk_jw_key(w, "fields");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < r->n_fields; i++)
		mk_jw_str(w, mk_span_of(r->fields[i].s));
	mk_jw_close(w, ']');
}

static void write_rule(struct mk_jw *w, const struct mk_rule *r)
{
	mk_jw_open(w, '{');
	mk_jw_kstr(w, r->deny ? "deny" : "allow", r->service.s);
	mk_jw_key(w, "actions");
	mk_jw_open(w, '[');
	for (unsigned a = 0; a < MK_ACTION_COUNT; a++)
		if (r->actions & 1u << a)
			mk_jw_str(w, mk_span_of(mk_action_word((enum mk_action)a)));
	mk_jw_close(w, ']');
	mk_jw_key(w, "connections");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < r->n_patterns; i++)
		mk_jw_str(w, mk_span_of(r->patterns[i].s));
	mk_jw_close(w, ']');
	write_tags(w, r);
	write_fields(w, r);
	mk_jw_close(w, '}');
}

static void write_rules(struct mk_jw *w, const struct mk_policy *p, uint32_t who)
{
	bool cut = false;
	mk_jw_key(w, "rules");
	mk_jw_open(w, '[');
	for (size_t i = 0; p && !cut && i < mk_policy_rules(p); i++) {
		const struct mk_rule *r = mk_policy_rule(p, (uint32_t)i);
		if (!r || !mk_policy_concerns(p, (uint32_t)i, who))
			continue;
		cut = w->cap - w->len < RULE_MAX + WHOAMI_TAIL;
		if (!cut)
			write_rule(w, r);
	}
	mk_jw_close(w, ']');
	if (cut)
		mk_jw_kbool(w, "rules_cut", true);
}

enum MHD_Result mk_route_whoami(struct mk_conn *c)
{
	struct mk_broker *b = c->http->broker;
	const struct mk_service *s = mk_gate_who(b, &c->caller);
	struct mk_doc d = mk_doc_of(WHOAMI_MAX);
	if (d.p) {
		mk_jw_open(&d.w, '{');
		if (s)
			mk_jw_kstr(&d.w, "service", s->name.s);
		else
			mk_jw_knull(&d.w, "service");
		mk_jw_kstr(&d.w, "environment", mk_broker_environment(b)->s);
		write_evidence(&d.w, &c->caller);
		write_rules(&d.w, mk_gate_policy(b), s ? c->caller.service : MK_NO_SERVICE);
		mk_jw_close(&d.w, '}');
	}
	return mk_reply_doc(c, 200, "application/json", &d);
}

enum MHD_Result mk_route_health(struct mk_conn *c)
{
	const uint32_t reasons = mk_broker_reasons(c->http->broker);
	struct mk_doc d = mk_doc_of(HEALTH_MAX);
	mk_jw_open(&d.w, '{');
	if (reasons == 0) {
		mk_jw_kstr(&d.w, "status", "ready");
		mk_jw_kstr(&d.w, "environment", mk_broker_environment(c->http->broker)->s);
		mk_jw_close(&d.w, '}');
		return mk_reply_doc(c, 200, "application/json", &d);
	}
	mk_problem_write(&d.w, MK_HINT_NOT_READY, mk_span_of("the reasons are listed"));
	mk_jw_key(&d.w, "reasons");
	mk_jw_open(&d.w, '[');
	for (unsigned r = 0; r < MK_REASON_COUNT; r++)
		if (reasons & 1u << r)
			mk_jw_str(&d.w, mk_span_of(mk_reason_word((enum mk_reason)r)));
	mk_jw_close(&d.w, ']');
	mk_jw_close(&d.w, '}');
	return mk_reply_doc(c, 503, MK_PROBLEM_TYPE, &d);
}

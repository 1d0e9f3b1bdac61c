/* SPDX-License-Identifier: Apache-2.0
 *
 * Records, rates and times, as all decisions of the gate use them; and the decisions that
 * are not about a token.
 */
#include "agent/broker/gate_part.h"

#include "agent/base/clock.h"
#include "agent/broker/now.h"
#include "agent/broker/schedule.h"
#include "agent/broker/tell.h"

#define RULE_DEFAULT (MK_NO_RULE - 1) /* the bucket of all calls without a rate of their own */

const struct mk_service *mk_gate_who(struct mk_broker *b, struct mk_caller *c)
{
	if (!b->policy)
		return NULL;
	if (c->generation != b->generation) {
		c->service = mk_policy_who(b->policy, &c->evidence, &b->nobody);
		c->generation = b->generation;
	}
	return c->service == MK_NO_SERVICE ? NULL : mk_policy_service(b->policy, c->service);
}

const struct mk_policy *mk_gate_policy(const struct mk_broker *b)
{
	return b->policy;
}

void mk_gate_record(struct mk_broker *b, struct mk_caller *c, enum mk_action action, struct mk_audit_rec *ret)
{
	const struct mk_service *s = mk_gate_who(b, c);
	*ret = (struct mk_audit_rec){
		.service = s ? s->name.s : NULL, .listener = c->evidence.socket.s, .peer = c->evidence.known,
		.uid = c->evidence.uid, .gid = c->evidence.gid, .pid = c->evidence.pid,
		.action = action < MK_ACTION_COUNT ? mk_action_word(action) : NULL, .rule_line = -1,
		.account = c->evidence.account.ns[0] ? &c->evidence.account : NULL, .detail = c->account_fault,
	};
}

int64_t mk_gate_line(const struct mk_broker *b, const struct mk_verdict *v)
{
	return v->rule == MK_NO_RULE ? -1 : (int64_t)mk_policy_rule(b->policy, v->rule)->line;
}

/* The store keeps tags for a secret, not for a version: what came last with any of them counts. */
struct mk_subject mk_gate_subject(const struct mk_broker *b, const struct mk_name *name)
{
	struct mk_subject s = { .name = name };
	const struct mk_version *v = mk_entry_newest(mk_store_find(b->store, name));
	if (v) {
		s.tags = v->tags;
		s.n_tags = v->n_tags;
		s.tags_known = true;
		s.tags_trusted = v->backend < b->n_replicas && b->replicas[v->backend].trust_tags;
		return s;
	}
	for (size_t i = 0; i < b->n_replicas; i++) /* whichever will answer */
		s.tags_trusted = s.tags_trusted || b->replicas[i].trust_tags;
	return s;
}

bool mk_gate_names_fresh(const struct mk_broker *b)
{
	const struct mk_directory *d = &b->directory;
	return d->held && !mk_gate_changed(b, d->backend, d->epoch) && mk_boot_ms() - d->fetched_ms < b->refresh.ttl_ms;
}

enum mk_err mk_gate_deny(struct mk_broker *b, struct mk_audit_rec *rec, enum mk_err why)
{
	rec->event = "deny";
	rec->reason = mk_err_word(why);
	if (mk_audit_deny(b->audit, rec) == MK_OK)
		return why;
	mk_health_check(b);
	return MK_AUDIT;
}

/* at: the rule that decided; one with a rate of its own has a bucket of its own. */
static struct mk_rate_key bucket(const struct mk_broker *b, const struct mk_caller *c, uint32_t at)
{
	const struct mk_rule *rule = at == MK_NO_RULE ? NULL : mk_policy_rule(b->policy, at);
	const bool own = rule && rule->rate_per_hour != 0;
	return (struct mk_rate_key){
		.service = mk_policy_service(b->policy, c->service)->name,
		.rule = own ? at : RULE_DEFAULT,
		.per_hour = own ? rule->rate_per_hour : MK_RATE_DEFAULT_PER_HOUR,
	};
}

mk_must mk_gate_rate(struct mk_broker *b, const struct mk_caller *c, const struct mk_verdict *v,
		     unsigned *retry_after_s)
{
	const struct mk_rate_key key = bucket(b, c, v->rule);
	return mk_rate_take(b->rates, &key, mk_boot_ms(), retry_after_s);
}

void mk_gate_spend(struct mk_broker *b, const struct mk_caller *c, uint32_t calls)
{
	const struct mk_rate_key key = bucket(b, c, MK_NO_RULE);
	mk_rate_spend(b->rates, &key, mk_boot_ms(), calls);
}

int64_t mk_gate_ttl(const struct mk_broker *b, uint16_t jitter)
{
	return mk_schedule_ttl(b->refresh.ttl_ms, b->refresh.jitter_percent, jitter);
}

bool mk_gate_changed(const struct mk_broker *b, uint8_t backend, uint32_t epoch)
{
	return backend >= b->n_replicas || b->replicas[backend].epoch != epoch;
}

bool mk_gate_failing(const struct mk_broker *b, const struct mk_failure *f)
{
	return f->at_ms != MK_TIME_NONE && mk_boot_ms() - f->at_ms < MK_PATIENCE_MS && !mk_gate_changed(b, f->backend, f->epoch);
}

bool mk_gate_try_again(const struct mk_failure *f)
{
	return mk_boot_ms() - f->at_ms >= MK_PAUSE_MS;
}

mk_must mk_gate_may_with(struct mk_broker *b, struct mk_caller *c, enum mk_action action, const struct mk_name *name,
			 struct mk_audit_rec *ret)
{
	struct mk_audit_rec rec;
	if (b->generation == 0)
		return MK_NOT_READY;
	mk_gate_record(b, c, action, &rec);
	const struct mk_subject instance = { 0 }, about = name ? mk_gate_subject(b, name) : instance;
	const struct mk_verdict v = mk_policy_check(b->policy, c->service, action, &about);
	mk_shadow_compare(b, c, action, &about, &v);
	rec.connection = name ? name->s : NULL;
	rec.rule_line = mk_gate_line(b, &v);
	if (v.decision != MK_ALLOW)
		return mk_gate_deny(b, &rec, MK_DENIED);
	if (mk_gate_rate(b, c, &v, NULL) != MK_OK)
		return mk_gate_deny(b, &rec, MK_RATE_LIMITED);
	*ret = rec;
	return MK_OK;
}

mk_must mk_gate_may(struct mk_broker *b, struct mk_caller *c, enum mk_action action, struct mk_audit_rec *ret)
{
	return mk_gate_may_with(b, c, action, NULL, ret);
}

bool mk_gate_might(struct mk_broker *b, struct mk_caller *c, enum mk_action action)
{
	if (!mk_gate_who(b, c))
		return false;
	for (uint32_t i = 0; i < mk_policy_rules(b->policy); i++) {
		const struct mk_rule *r = mk_policy_rule(b->policy, i);
		if (!r->deny && (r->actions & UINT32_C(1) << action) && mk_policy_concerns(b->policy, i, c->service))
			return true;
	}
	return false;
}

bool mk_gate_would(struct mk_broker *b, struct mk_caller *c, enum mk_action action)
{
	const struct mk_subject instance = { .name = NULL };
	return mk_gate_who(b, c) && mk_policy_check(b->policy, c->service, action, &instance).decision == MK_ALLOW;
}

mk_must mk_gate_admin(struct mk_broker *b, struct mk_caller *c, enum mk_action action)
{
	struct mk_audit_rec rec;
	MK_TRY(mk_gate_may(b, c, action, &rec));
	rec.event = "admin";
	return mk_audit_write_synced(b->audit, &rec);
}

void mk_gate_refused(struct mk_broker *b, struct mk_caller *c, enum mk_err why)
{
	struct mk_audit_rec rec;
	if (b->generation == 0)
		return;
	mk_gate_record(b, c, MK_ACTION_COUNT, &rec);
	mk_ignore(mk_gate_deny(b, &rec, why), "what is answered is decided by who refused");
}

bool mk_gate_clock_in_doubt(const struct mk_broker *b)
{
	return mk_now_doubt(b) != NULL;
}

void mk_waiter_cancel(struct mk_broker *b, struct mk_waiter *w)
{
	if (w->for_change)
		mk_tell_leave(b, w);
	else
		mk_flight_leave(b->flights, w);
}

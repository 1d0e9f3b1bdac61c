/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/status, for those whom policy grants `status`: the instance in figures. A
 * connection is named only by an alarm about it.
 */
#include "agent/base/clock.h"
#include "agent/base/lock/lockdown.h"
#include "agent/broker/acts_revoke.h"
#include "agent/broker/http_acts.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"

#define STATUS_MAX ((size_t)96 * 1024)
#ifndef MK_VERSION
#define MK_VERSION "unknown"
#endif

static void write_reasons(struct mk_jw *w, uint32_t reasons)
{
	mk_jw_key(w, "reasons");
	mk_jw_open(w, '[');
	for (unsigned r = 0; r < MK_REASON_COUNT; r++)
		if (reasons & 1u << r)
			mk_jw_str(w, mk_span_of(mk_reason_word((enum mk_reason)r)));
	mk_jw_close(w, ']');
}

static void write_audit(struct mk_jw *w, const struct mk_audit_status *a)
{
	mk_jw_key(w, "audit");
	mk_jw_open(w, '{');
	mk_jw_kbool(w, "writable", a->writable);
	mk_jw_kstr(w, "fault", a->fault ? a->fault : "");
	mk_jw_knum(w, "seq", (int64_t)a->seq);
	mk_jw_kstr(w, "head", a->head);
	mk_jw_knum(w, "free_bytes", (int64_t)a->free_bytes);
	mk_jw_knum(w, "grants", (int64_t)a->grants);
	mk_jw_close(w, '}');
}

/* Null where no policy is compared with the one in force. */
static void write_shadow(struct mk_jw *w, const struct mk_shadow_status *s)
{
	if (!s->on) {
		mk_jw_knull(w, "policy_shadow");
		return;
	}
	mk_jw_key(w, "policy_shadow");
	mk_jw_open(w, '{');
	mk_jw_knum(w, "decisions", (int64_t)s->decisions);
	mk_jw_knum(w, "would_deny", (int64_t)s->would_deny);
	mk_jw_knum(w, "would_allow", (int64_t)s->would_allow);
	mk_jw_knum(w, "would_change_fields", (int64_t)s->would_change);
	mk_jw_close(w, '}');
}

static void write_role(struct mk_jw *w, const struct mk_msg_role *r)
{
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "role", mk_role_word((enum mk_role)r->role));
	mk_jw_knum(w, "pid", r->pid);
	mk_jw_knum(w, "restarts", r->restarts);
	mk_jw_ktime(w, "since", r->since_ms);
	mk_jw_key(w, "lockdown");
	mk_jw_open(w, '{');
	mk_jw_knum(w, "landlock_abi", r->landlock_abi);
	mk_jw_key(w, "guards");
	mk_jw_open(w, '{');
	for (unsigned g = 0; g < MK_GUARD_COUNT && g < MK_GUARDS_MAX; g++)
		mk_jw_kstr(w, mk_guards[g].word, mk_guard_state_word((enum mk_guard_state)r->guards[g]));
	mk_jw_close(w, '}');
	mk_jw_close(w, '}');
	mk_jw_close(w, '}');
}

static void write_roles(struct mk_jw *w, const struct mk_broker_status *s)
{
	mk_jw_key(w, "processes");
	mk_jw_open(w, '[');
	for (unsigned i = 0; i < MK_ROLE_COUNT; i++)
		if (s->roles[i].pid != 0)
			write_role(w, &s->roles[i]);
	mk_jw_close(w, ']');
}

static void write_error(struct mk_jw *w, const struct mk_store_status *s)
{
	const bool told = s->told && s->endpoint.err != MK_OK;
	const enum mk_err e = told ? s->endpoint.err : s->seen;
	if (e == MK_OK) {
		mk_jw_knull(w, "last_error");
		return;
	}
	mk_jw_key(w, "last_error");
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "code", mk_err_word(e));
	mk_jw_kstr(w, "text", told ? s->endpoint.fault : "the process on the network did not answer for it");
	mk_jw_ktime(w, "at", told ? s->endpoint.err_at_ms : MK_TIME_NONE);
	mk_jw_close(w, '}');
}

static void write_login(struct mk_jw *w, const struct mk_msg_endpoint *e)
{
	static const char *const words[MK_LOGIN_COUNT] = { NULL, "pending", "ok", "failing" };
	if (e->login == MK_LOGIN_NONE) {
		mk_jw_knull(w, "login");
		return;
	}
	mk_jw_key(w, "login");
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "state", words[e->login]);
	mk_jw_ktime(w, "until", e->login_until_ms);
	mk_jw_close(w, '}');
}

static void write_calls(struct mk_jw *w, const struct mk_store_status *s)
{
	mk_jw_knum(w, "calls", (int64_t)s->calls);
	mk_jw_knum(w, "calls_last_hour", s->endpoint.calls_hour);
	mk_jw_knum(w, "forecast_per_hour", s->forecast);
	if (s->limit > 0)
		mk_jw_knum(w, "limit_per_hour", s->limit);
	else
		mk_jw_knull(w, "limit_per_hour");
	mk_jw_knum(w, "waiting", s->endpoint.waiting);
}

static void write_store(struct mk_jw *w, const struct mk_store_status *s)
{
	static const char *const circuits[MK_CIRCUIT_COUNT] = { "closed", "open", "half_open" };
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "name", s->name.s);
	mk_jw_kstr(w, "type", s->type);
	mk_jw_kbool(w, "writable", s->writable);
	mk_jw_kstr(w, "health", s->health);
	mk_jw_kstr(w, "breaker", circuits[s->endpoint.circuit]);
	mk_jw_knum(w, "retry_in", (s->endpoint.pause_ms + 999) / 1000);
	write_error(w, s);
	mk_jw_ktime(w, "last_ok", s->last_ok_ms);
	write_calls(w, s);
	write_login(w, &s->endpoint);
	mk_jw_close(w, '}');
}

static void write_stores(struct mk_jw *w, const struct mk_broker_status *s)
{
	mk_jw_key(w, "stores");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < s->n_stores && i < MK_BACKENDS_MAX; i++)
		write_store(w, &s->stores[i]);
	mk_jw_close(w, ']');
}

/* Null where no service-account token counts. */
static void write_token_keys(struct mk_jw *w, const struct mk_keys_status *k)
{
	if (!k->on) {
		mk_jw_knull(w, "token_keys");
		return;
	}
	mk_jw_key(w, "token_keys");
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "from", k->from);
	mk_jw_knum(w, "keys", k->keys);
	mk_jw_ktime(w, "fetched_at", k->fetched_ms);
	mk_jw_kstr(w, "last_error", k->last_error);
	mk_jw_close(w, '}');
}

static void write_alarms(struct mk_jw *w, const struct mk_alarms *all)
{
	mk_jw_key(w, "alarms");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < all->n; i++) {
		const struct mk_alarm *a = &all->items[i];
		mk_jw_open(w, '{');
		mk_jw_kstr(w, "code", mk_alarm_word(a->code));
		mk_jw_kstr(w, "subject", a->subject);
		mk_jw_ktime(w, "since", a->since_ms);
		mk_jw_knum(w, "count", (int64_t)a->count);
		mk_jw_kstr(w, "detail", mk_alarm_text(a->code));
		mk_jw_close(w, '}');
	}
	mk_jw_close(w, ']');
	mk_jw_knum(w, "alarms_unlisted", (int64_t)all->unlisted);
}

/* Where they cannot be read the list is null, not empty. */
static void write_proposals(struct mk_jw *w, struct mk_broker *b)
{
	struct mk_proposal all[MK_PROPOSALS_MAX];
	size_t n = 0;
	mk_jw_key(w, "approvals");
	if (mk_act_proposals(b, all, &n) != MK_OK) {
		mk_jw_null(w);
		return;
	}
	mk_jw_open(w, '[');
	for (size_t i = 0; i < n; i++) {
		mk_jw_open(w, '{');
		mk_jw_kstr(w, "approval", all[i].id);
		mk_jw_kstr(w, "action", mk_action_word(all[i].action));
		mk_jw_kstr(w, "detail", all[i].detail);
		mk_jw_kstr(w, "digest", all[i].digest);
		mk_jw_kstr(w, "by", all[i].by.s);
		mk_jw_knum(w, "uid", all[i].uid);
		mk_jw_ktime(w, "expires_at", all[i].expires_ms);
		mk_jw_close(w, '}');
	}
	mk_jw_close(w, ']');
}

static void write_revoked(struct mk_jw *w, const struct mk_revoked_status *dead)
{
	mk_jw_knum(w, "connections", dead->connections);
	mk_jw_knum(w, "values", dead->values);
	mk_jw_knum(w, "to_look_up", dead->to_look_up);
	mk_jw_key(w, "to_look_up_first");
	mk_jw_open(w, '[');
	for (uint32_t i = 0; i < dead->to_look_up && i < MK_TO_LOOK_UP_SHOWN; i++)
		mk_jw_str(w, mk_span_of(dead->first[i].s));
	mk_jw_close(w, ']');
}

static void write_all(struct mk_jw *w, const struct mk_conn *c, const struct mk_broker_status *s)
{
	const struct mk_broker *b = c->http->broker;
	struct mk_revoked_status dead;
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "environment", mk_broker_environment(b)->s);
	mk_jw_kstr(w, "version", MK_VERSION);
	write_reasons(w, mk_broker_reasons(b));
	mk_jw_knum(w, "generation", s->generation);
	mk_jw_ktime(w, "started_at", s->started_ms);
	mk_jw_knum(w, "uptime", s->uptime_ms / 1000);
	mk_jw_knum(w, "tokens", s->tokens);
	mk_jw_knum(w, "waiters", s->waiters);
	mk_jw_knum(w, "polls", s->polls);
	mk_jw_knum(w, "streams", s->streams);
	mk_jw_knum(w, "connections", c->http->open);
	mk_jw_key(w, "libmakini");
	mk_jw_open(w, '{');
	mk_jw_knum(w, "clients", s->clients);
	mk_jw_knum(w, "pages", s->pages);
	mk_jw_close(w, '}');
	mk_jw_knum(w, "secrets_in_use", s->secrets_in_use);
	mk_jw_key(w, "freeze");
	mk_jw_open(w, '{');
	mk_frozen_write(w, mk_act_frozen(b));
	mk_jw_close(w, '}');
	mk_act_revoked(b, &dead);
	mk_jw_key(w, "revocations");
	mk_jw_open(w, '{');
	write_revoked(w, &dead);
	mk_jw_close(w, '}');
	write_proposals(w, c->http->broker);
	write_shadow(w, &s->shadow);
	write_audit(w, &s->audit);
	write_roles(w, s);
	write_stores(w, s);
	write_token_keys(w, &s->token_keys);
	write_alarms(w, &s->alarms);
	mk_jw_close(w, '}');
}

enum MHD_Result mk_route_status(struct mk_conn *c)
{
	const enum mk_err e = mk_gate_admin(c->http->broker, &c->caller, MK_ACTION_STATUS);
	if (e != MK_OK)
		return mk_reply_err(c, e, 0);
	struct mk_broker_status s;
	mk_broker_status(c->http->broker, &s);
	struct mk_doc d = mk_doc_of(STATUS_MAX);
	write_all(&d.w, c, &s);
	return mk_reply_doc(c, 200, "application/json", &d);
}

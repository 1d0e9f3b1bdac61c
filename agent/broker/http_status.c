/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/status, for those whom policy grants `status`: the instance in figures. No
 * connection's name and no service's is in it.
 */
#include "agent/base/clock.h"
#include "agent/base/lock/lockdown.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"

#define STATUS_MAX ((size_t)32 * 1024)
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

static void write_stores(struct mk_jw *w, const struct mk_broker_status *s)
{
	mk_jw_key(w, "stores");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < s->n_stores && i < MK_BACKENDS_MAX; i++) {
		const struct mk_store_status *store = &s->stores[i];
		mk_jw_open(w, '{');
		mk_jw_kstr(w, "name", store->name.s);
		mk_jw_kstr(w, "type", store->type);
		mk_jw_kstr(w, "health", store->health);
		mk_jw_kstr(w, "last_error", store->last_error);
		mk_jw_knum(w, "calls", (int64_t)store->calls);
		mk_jw_ktime(w, "last_ok", store->last_ok_ms);
		mk_jw_close(w, '}');
	}
	mk_jw_close(w, ']');
}

static void write_alarms(struct mk_jw *w, const struct mk_broker_status *s)
{
	mk_jw_key(w, "alarms");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < s->n_alarms; i++) {
		mk_jw_open(w, '{');
		mk_jw_kstr(w, "code", s->alarms[i].code);
		mk_jw_ktime(w, "since", s->alarms[i].since_ms);
		mk_jw_knum(w, "count", (int64_t)s->alarms[i].count);
		mk_jw_close(w, '}');
	}
	mk_jw_close(w, ']');
}

static void write_all(struct mk_jw *w, const struct mk_conn *c, const struct mk_broker_status *s)
{
	const struct mk_broker *b = c->http->broker;
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "environment", mk_broker_environment(b)->s);
	mk_jw_kstr(w, "version", MK_VERSION);
	write_reasons(w, mk_broker_reasons(b));
	mk_jw_knum(w, "generation", s->generation);
	mk_jw_ktime(w, "started_at", s->started_ms);
	mk_jw_knum(w, "uptime", (mk_wall_ms() - s->started_ms) / 1000);
	mk_jw_knum(w, "tokens", s->tokens);
	mk_jw_knum(w, "waiters", s->waiters);
	mk_jw_knum(w, "connections", c->http->open);
	mk_jw_knum(w, "secrets_in_use", s->secrets_in_use);
	write_audit(w, &s->audit);
	write_roles(w, s);
	write_stores(w, s);
	write_alarms(w, s);
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

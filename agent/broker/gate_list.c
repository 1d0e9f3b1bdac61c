/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate for a list: names that the caller may read, never values. Each name passes the
 * policy by itself; one record says how many were shown.
 */
#include "agent/base/clock.h"
#include "agent/broker/fetch.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/now.h"

#define LIST_MAX  1000u
#define CALL_NAMES 100u /* looking through so many names costs what another call does */

static bool good_stale(const struct mk_broker *b)
{
	const struct mk_directory *d = &b->directory;
	return d->held && mk_boot_ms() - d->fetched_ms < b->refresh.ttl_ms + b->refresh.serve_stale_ms;
}

/* OK with a directory to read, OK with the caller waiting, or an error. */
static mk_must directory_ready(struct mk_broker *b, struct mk_waiter *w)
{
	const struct mk_flight_key key = { .kind = MK_FLIGHT_LIST };
	const struct mk_directory *d = &b->directory;
	if (mk_gate_names_fresh(b))
		return MK_OK;
	if (w->fetched) {
		if (w->err == MK_OK)
			return d->held ? MK_OK : MK_BACKEND;
		return good_stale(b) ? MK_OK : w->err;
	}
	if (!good_stale(b) || !mk_gate_failing(b, &d->failure)) {
		const enum mk_err e = mk_fetch_wait(b, &key, w);
		return good_stale(b) ? MK_OK : e;
	}
	if (mk_gate_try_again(&d->failure))
		mk_fetch_start(b, &key, w->uid);
	return MK_OK;
}

static void describe(struct mk_broker *b, const struct mk_listed *from, struct mk_list_item *to)
{
	const struct mk_entry *e = mk_store_find(b->store, &from->name);
	const struct mk_version *v = e ? &e->at[MK_SLOT_CURRENT] : NULL;
	*to = (struct mk_list_item){ .name = from->name, .state = MK_STATE_CURRENT, .expires_ms = MK_TIME_NONE };
	memcpy(to->version, from->version, sizeof to->version);
	if (mk_revoked_name(&b->revoked, &from->name)) {
		to->state = MK_STATE_REVOKED;
		return;
	}
	if (!v || !v->held || strcmp(v->version, from->version) != 0)
		return;
	to->expires_ms = v->expires_ms;
	if (mk_revoked_value(&b->revoked, v->print))
		to->state = MK_STATE_REVOKED;
	else if (v->expires_ms != MK_TIME_NONE && mk_now_ms(b) >= v->expires_ms)
		to->state = MK_STATE_EXPIRED;
}

/* At most n of the names after `after` that the caller may list; true where there are more. *looked counts all it went through. */
static bool collect(struct mk_broker *b, const struct mk_caller *c, const struct mk_name *after, size_t n,
		    struct mk_list_item *items, size_t *ret_n, size_t *looked)
{
	const struct mk_names *names = &b->directory.names;
	*ret_n = 0;
	for (size_t i = mk_names_after(names, after); i < names->n; i++, (*looked)++) {
		const struct mk_subject about = mk_gate_subject(b, &names->items[i].name);
		const struct mk_verdict v = mk_policy_check(b->policy, c->service, MK_ACTION_LIST, &about);
		mk_shadow_compare(b, c, MK_ACTION_LIST, &about, &v);
		if (v.decision != MK_ALLOW)
			continue;
		if (*ret_n == n)
			return true;
		describe(b, &names->items[i], &items[(*ret_n)++]);
	}
	return false;
}

static mk_must may_list(struct mk_broker *b, struct mk_caller *c, const struct mk_waiter *w, struct mk_audit_rec *rec,
			unsigned *retry_after_s)
{
	const struct mk_verdict none = { .rule = MK_NO_RULE };
	mk_gate_record(b, c, MK_ACTION_LIST, rec);
	if (c->service == MK_NO_SERVICE)
		return mk_gate_deny(b, rec, MK_DENIED);
	if (!w->fetched && mk_gate_rate(b, c, &none, retry_after_s) != MK_OK)
		return mk_gate_deny(b, rec, MK_RATE_LIMITED);
	return MK_OK;
}

mk_must mk_gate_list(struct mk_broker *b, struct mk_caller *c, const struct mk_name *after, size_t n,
		     struct mk_waiter *w, struct mk_list_item *items, size_t *ret_n, bool *more,
		     unsigned *retry_after_s)
{
	struct mk_audit_rec rec;
	if (b->generation == 0)
		return MK_NOT_READY;
	mk_now_look(b);
	mk_watch_poll(b);
	MK_TRY(may_list(b, c, w, &rec, retry_after_s));
	w->uid = c->evidence.uid;
	const enum mk_err e = directory_ready(b, w);
	if (e == MK_RATE_LIMITED)
		return mk_gate_deny(b, &rec, e);
	MK_TRY(e);
	if (w->waiting)
		return MK_OK;
	size_t found = 0, looked = 0;
	const bool others = collect(b, c, after, n < LIST_MAX ? n : LIST_MAX, items, &found, &looked);
	mk_gate_spend(b, c, (uint32_t)(looked / CALL_NAMES));
	rec.event = "list";
	rec.count = found;
	rec.detail = found == 0 ? "no names" : NULL;
	MK_TRY(mk_audit_write(b->audit, &rec));
	*ret_n = found;
	*more = others;
	return MK_OK;
}

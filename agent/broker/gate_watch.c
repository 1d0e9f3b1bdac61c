/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate for a stream of changes: policy for each connection that it names, or for whether there is
 * any that it may watch; one record; then it is open. What it is told later is decided at each event.
 */
#include "agent/broker/fetch.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/tell_part.h"

#include <stdio.h>

#define DETAIL_MAX 384 /* of a record: the names; where they are more, another record goes on */

static struct mk_verdict verdict_of(const struct mk_broker *b, const struct mk_caller *c, const struct mk_name *name)
{
	const struct mk_subject about = mk_gate_subject(b, name);
	return mk_policy_check(b->policy, c->service, MK_ACTION_WATCH, &about);
}

/* Those behind the one that is waited for: all are fetched at the same time. */
static void fetch_others(struct mk_broker *b, const struct mk_caller *c, const struct mk_watcher *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct mk_flight_key key = { MK_FLIGHT_GET, w->names[i], false };
		const struct mk_verdict v = verdict_of(b, c, &w->names[i]);
		if (v.decision != MK_ALLOW && v.tags_matter && mk_names_have(&b->directory.names, &w->names[i]))
			mk_fetch_start(b, &key, c->evidence.uid);
	}
}

/* Tags may allow it: they come with a fetch, once for each name that the store is known to have. True when the caller waits. */
static bool waits_for_tags(struct mk_broker *b, const struct mk_caller *c, const struct mk_watcher *w, size_t i, struct mk_waiter *wait)
{
	const struct mk_flight_key key = { MK_FLIGHT_GET, w->names[i], false }, list = { .kind = MK_FLIGHT_LIST };
	if (i < wait->tried || b->frozen.on)
		return false;
	if (!mk_gate_names_fresh(b) && !wait->for_names && !mk_gate_failing(b, &b->directory.failure)) {
		wait->for_names = mk_fetch_wait(b, &list, wait) == MK_OK;
		return wait->for_names;
	}
	wait->tried = (uint32_t)i + 1;
	if (!mk_names_have(&b->directory.names, &key.name) || mk_fetch_wait(b, &key, wait) != MK_OK)
		return false;
	fetch_others(b, c, w);
	return true;
}

/* With the policy in the shadow: once it is decided, by the tags that decided. */
static void compare(struct mk_broker *b, const struct mk_caller *c, const struct mk_watcher *w, size_t n)
{
	for (size_t i = 0; b->shadow.policy && i < n; i++) {
		const struct mk_subject about = mk_gate_subject(b, &w->names[i]);
		const struct mk_verdict v = mk_policy_check(b->policy, c->service, MK_ACTION_WATCH, &about);
		mk_shadow_compare(b, c, MK_ACTION_WATCH, &about, &v);
	}
}

/* Each of the names. OK with the caller waiting; else the first that is denied is. */
static mk_must may_watch_these(struct mk_broker *b, struct mk_caller *c, const struct mk_watcher *w, struct mk_waiter *wait,
			       struct mk_audit_rec *rec)
{
	size_t i = 0;
	for (; i < w->n; i++) {
		const struct mk_verdict v = verdict_of(b, c, &w->names[i]);
		rec->rule_line = mk_gate_line(b, &v);
		if (v.decision == MK_ALLOW)
			continue;
		if (v.tags_matter && waits_for_tags(b, c, w, i, wait))
			return MK_OK;
		break;
	}
	compare(b, c, w, i < w->n ? i + 1 : i);
	if (i == w->n)
		return MK_OK;
	rec->connection = w->names[i].s;
	return mk_gate_deny(b, rec, MK_DENIED);
}

static mk_must may_watch(struct mk_broker *b, struct mk_caller *c, const struct mk_watcher *w, struct mk_waiter *wait,
			 struct mk_audit_rec *rec)
{
	if (w->n > 0)
		return may_watch_these(b, c, w, wait, rec);
	return mk_gate_might(b, c, MK_ACTION_WATCH) ? MK_OK : mk_gate_deny(b, rec, MK_DENIED);
}

/* Those from *at on that find room. */
static void names_into(const struct mk_watcher *w, size_t *at, char detail[DETAIL_MAX])
{
	size_t n = 0;
	detail[0] = '\0';
	for (; *at < w->n && n < DETAIL_MAX - MK_NAME_MAX - 8; ++*at)
		n += (size_t)snprintf(detail + n, DETAIL_MAX - n, "%s%s", n ? " " : "", w->names[*at].s);
}

static mk_must record(struct mk_broker *b, const struct mk_watcher *w, struct mk_audit_rec *rec)
{
	char detail[DETAIL_MAX];
	size_t at = 0;
	rec->event = "watch";
	rec->count = w->n;
	rec->connection = w->n == 1 ? w->names[0].s : NULL;
	do {
		names_into(w, &at, detail);
		rec->detail = w->n == 0 ? "all that it may watch" : w->n == 1 ? NULL : detail;
		MK_TRY(mk_audit_write(b->audit, rec));
	} while (at < w->n);
	return MK_OK;
}

static mk_must may_begin(struct mk_broker *b, struct mk_caller *c, struct mk_audit_rec *rec, const struct mk_waiter *wait,
			 unsigned *retry_after_s)
{
	const struct mk_verdict none = { .rule = MK_NO_RULE };
	mk_gate_record(b, c, MK_ACTION_WATCH, rec);
	if (c->service == MK_NO_SERVICE)
		return mk_gate_deny(b, rec, MK_DENIED);
	if (!wait->fetched && !wait->changed && mk_gate_rate(b, c, &none, retry_after_s) != MK_OK)
		return mk_gate_deny(b, rec, MK_RATE_LIMITED);
	return MK_OK;
}

mk_must mk_gate_watch(struct mk_broker *b, struct mk_caller *c, const struct mk_watch_ask *ask, struct mk_waiter *wait,
		      struct mk_watcher *w, unsigned *retry_after_s)
{
	struct mk_audit_rec rec;
	if (b->generation == 0 || b->draining)
		return MK_NOT_READY;
	MK_TRY(may_begin(b, c, &rec, wait, retry_after_s));
	wait->uid = c->evidence.uid;
	if (wait->for_names)
		wait->fetched = false; /* that was not yet the fetch for the tags */
	MK_TRY(may_watch(b, c, w, wait, &rec));
	if (wait->waiting)
		return MK_OK;
	enum mk_err e = mk_watcher_enter(b, c, ask->last_id, w);
	if (e == MK_RATE_LIMITED)
		return mk_gate_deny(b, &rec, e);
	MK_TRY(e);
	e = record(b, w, &rec);
	if (e != MK_OK) {
		mk_watcher_leave(b, w);
		mk_health_check(b);
	}
	return e;
}

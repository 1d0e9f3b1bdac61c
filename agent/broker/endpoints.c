/* SPDX-License-Identifier: Apache-2.0
 *
 * The forecast plays the schedule: every token that policy can hand out is taken to be in
 * use, those in memory with their own jitter and expiry, the others with any; lists are
 * fetched once in a ttl where a rule allows them. Failures, retries and callers' own
 * wishes (max_age, not) come on top and are not foreseen.
 */
#include "agent/broker/endpoints.h"

#include "agent/base/clock.h"
#include "agent/broker/ahead.h"
#include "agent/broker/fetch.h"
#include "agent/broker/now.h"
#include "agent/broker/schedule.h"

#include <string.h>

#define HOUR_MS      3600000.0
#define SAMPLES      256u  /* names that are judged by the policy; of more, evenly chosen ones stand for all */
#define STRIDE       7919u /* a prime: one sample after the other, each is looked at once, and the first few are spread, too */
#define LOOK_MS      2     /* then the loop goes on, and those looked at stand for all, however long a policy takes */
#define JITTER_STEPS 16u

/* ---- what the fetcher says ---- */

/* The alarm stands until a login succeeds: that a fresh fetcher has not tried one yet does not end it. */
static void note_unwrap(struct mk_broker *b, const struct mk_replica *r, struct mk_msg_endpoint *m)
{
	const bool failed = r->told && r->endpoint.unwrap_failed;
	if (m->unwrap_failed && !failed)
		mk_alarm_raise(b, MK_ALARM_UNWRAP_FAILED, r->name.s);
	else if (!m->unwrap_failed && (m->login == MK_LOGIN_OK || m->login == MK_LOGIN_NONE))
		mk_alarm_clear(b, MK_ALARM_UNWRAP_FAILED, r->name.s);
	else
		m->unwrap_failed = failed;
}

mk_must mk_endpoints_take(struct mk_broker *b, struct mk_span body)
{
	struct mk_msg_endpoint m;
	MK_TRY(mk_msg_endpoint_read(body, &m));
	if (m.backend >= b->n_replicas || b->other_stores)
		return MK_OK;
	struct mk_replica *r = &b->replicas[m.backend];
	if (m.err == MK_OK && r->told) { /* a fresh fetcher does not know what the one before it saw */
		m.err = r->endpoint.err;
		m.err_at_ms = r->endpoint.err_at_ms;
		memcpy(m.fault, r->endpoint.fault, sizeof m.fault);
	}
	note_unwrap(b, r, &m);
	r->endpoint = m;
	r->told = true;
	r->told_ms = mk_boot_ms();
	return MK_OK;
}

static bool configured(const struct mk_broker *b, const char *name)
{
	for (size_t i = 0; i < b->n_replicas; i++)
		if (strcmp(b->replicas[i].name.s, name) == 0)
			return true;
	return false;
}

void mk_endpoints_forget(struct mk_broker *b)
{
	for (size_t i = b->alarms.n; i-- > 0;) {
		const struct mk_alarm a = b->alarms.items[i];
		if (a.code == MK_ALARM_UNWRAP_FAILED && !configured(b, a.subject))
			mk_alarm_clear(b, a.code, a.subject);
	}
}

/* ---- the forecast ---- */

/* A look at the store is late by half a round, in the mean. */
static double an_hour(int64_t every_ms, int64_t ttl_ms)
{
	return HOUR_MS / ((double)(every_ms > 1 ? every_ms : 1) + (double)mk_ahead_round_ms(ttl_ms) / 2);
}

double mk_forecast_fetches(size_t names, int64_t ttl_ms, uint8_t percent)
{
	double sum = 0;
	for (unsigned i = 0; i < JITTER_STEPS; i++) {
		const uint16_t jitter = (uint16_t)((2 * i + 1) * (UINT16_MAX / (2 * JITTER_STEPS)));
		const struct mk_fetched_at at = { .boot_ms = 0, .expires_ms = MK_TIME_NONE, .jitter = jitter };
		sum += an_hour(mk_schedule_refresh(&at, ttl_ms, percent, 0, 0), ttl_ms);
	}
	return (double)names * sum / JITTER_STEPS;
}

struct sum {
	const struct mk_broker *b;
	int64_t boot_ms, wall_ms;
	double calls;
	size_t names;
};

static void add_entry(void *arg, const struct mk_entry *e)
{
	struct sum *s = arg;
	const struct mk_broker *b = s->b;
	const struct mk_version *v = &e->at[MK_SLOT_CURRENT];
	if (!v->held)
		return;
	const struct mk_fetched_at at = { .boot_ms = v->fetched_ms, .expires_ms = v->expires_ms, .jitter = e->jitter };
	const int64_t next = mk_schedule_refresh(&at, b->refresh.ttl_ms, b->refresh.jitter_percent, s->boot_ms, s->wall_ms);
	s->calls += an_hour(next - v->fetched_ms, b->refresh.ttl_ms);
	s->names++;
}

/* Of the names that are known, how many policy can hand out. */
static size_t names_to_hand_out(const struct mk_broker *b)
{
	const struct mk_names *names = &b->directory.names;
	const size_t looks = names->n < SAMPLES ? names->n : SAMPLES;
	const int64_t began = mk_boot_ms();
	size_t found = 0, i = 0;
	for (; i < looks && mk_boot_ms() - began < LOOK_MS; i++)
		found += mk_ahead_can_be_handed_out(b, &names->items[i * STRIDE % looks * names->n / looks].name);
	return i > 0 ? found * names->n / i : 0;
}

static bool somebody_lists(const struct mk_policy *p)
{
	for (uint32_t i = 0; i < mk_policy_rules(p); i++) {
		const struct mk_rule *r = mk_policy_rule(p, i);
		if (!r->deny && (r->actions & 1u << MK_ACTION_LIST))
			return true;
	}
	return false;
}

/* Calls an hour to the backend that is asked, without its logins. */
static double forecast(const struct mk_broker *b)
{
	struct sum s = { .b = b, .boot_ms = mk_boot_ms(), .wall_ms = mk_now_ms(b) };
	const int64_t ttl = b->refresh.ttl_ms;
	mk_store_part(b->store, 0, 1, add_entry, &s);
	const size_t known = names_to_hand_out(b);
	if (known > s.names)
		s.calls += mk_forecast_fetches(known - s.names, ttl, b->refresh.jitter_percent);
	if (somebody_lists(b->policy))
		s.calls += (double)(b->directory.names.n / MK_LIST_PAGE_MAX + 1) * HOUR_MS / (double)(ttl > 1 ? ttl : 1);
	return s.calls;
}

static uint32_t whole(double calls)
{
	return calls < (double)UINT32_MAX ? (uint32_t)(calls + 0.5) : UINT32_MAX;
}

/* ---- status ---- */

static void one(const struct mk_replica *r, struct mk_store_status *ret)
{
	const int64_t since = mk_boot_ms() - r->told_ms;
	const bool ok = r->last == MK_OK || r->last == MK_NOT_FOUND || r->last == MK_DISABLED;
	*ret = (struct mk_store_status){
		.name = r->name, .calls = r->calls, .last_ok_ms = r->last_ok_ms, .limit = r->calls_per_hour,
		.health = !r->called ? "unknown" : ok ? "ok" : "failing", .writable = r->writable, .told = r->told, .endpoint = r->endpoint,
		.seen = ok ? MK_OK : r->last,
	};
	memcpy(ret->type, r->type, sizeof ret->type);
	struct mk_msg_endpoint *e = &ret->endpoint;
	e->pause_ms = e->pause_ms > since ? e->pause_ms - since : 0;
	if (e->circuit == MK_CIRCUIT_OPEN && e->pause_ms == 0)
		e->circuit = MK_CIRCUIT_HALF_OPEN;
}

void mk_endpoints_status(const struct mk_broker *b, struct mk_broker_status *ret)
{
	const double calls = b->generation != 0 ? forecast(b) : 0;
	for (size_t i = 0; i < b->n_replicas; i++) {
		struct mk_store_status *s = &ret->stores[i];
		one(&b->replicas[i], s);
		const int64_t every = s->told ? s->endpoint.login_every_ms : 0;
		s->forecast = whole(calls + (every > 0 ? HOUR_MS / (double)every : 0));
	}
}

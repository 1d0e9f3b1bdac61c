/* SPDX-License-Identifier: Apache-2.0
 *
 * Each tick looks at a part of the store, and at some names of the directory. Where too
 * many are under way the rest waits for the next tick; a name, not a position, says how
 * far the prefetch has come, so that a directory may be swapped under it.
 */
#include "agent/broker/ahead.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/fetch.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/now.h"
#include "agent/broker/schedule.h"
#include "agent/broker/tell.h"

#include <sodium.h>

#define REFRESH_FLIGHTS  32u /* of the agent's own, under way at one time */
#define REFRESH_A_TICK   16u
#define PREFETCH_FLIGHTS 4u
#define NAMES_A_TICK     64u
#define LOOK_MS          5   /* then the loop goes on, however long a policy takes */
#define PARTS            16u /* the whole store in 4 s */
#define PARTS_SHORT      1u  /* where the ttl is short */
#define TTL_SHORT_MS     30000

static const struct mk_flight_key the_list = { .kind = MK_FLIGHT_LIST };

static size_t under_way(const struct mk_broker *b)
{
	return mk_flights_of_uid(b->flights, b->nobody.own_uid);
}

/* ---- again ---- */

struct round {
	struct mk_broker *b;
	size_t left; /* that may be begun */
};

static void look(void *arg, const struct mk_entry *e)
{
	struct round *r = arg;
	const struct mk_broker *b = r->b;
	const struct mk_version *v = &e->at[MK_SLOT_CURRENT];
	if (r->left == 0 || !v->held || (!v->used && !mk_tell_follows(b, &e->name)) || mk_gate_failing(b, &v->failure))
		return;
	const struct mk_fetched_at at = { .boot_ms = v->fetched_ms, .expires_ms = v->expires_ms, .jitter = e->jitter };
	const int64_t now = mk_boot_ms();
	if (now < mk_schedule_refresh(&at, b->refresh.ttl_ms, b->refresh.jitter_percent, now, mk_now_ms(b)))
		return;
	const struct mk_flight_key key = { MK_FLIGHT_GET, e->name, false };
	if (mk_flight_find(b->flights, &key))
		return; /* on its way */
	mk_fetch_start(r->b, &key, b->nobody.own_uid);
	r->left--;
}

static size_t parts_of(int64_t ttl_ms)
{
	return ttl_ms < TTL_SHORT_MS ? PARTS_SHORT : PARTS;
}

int64_t mk_ahead_round_ms(int64_t ttl_ms)
{
	return (int64_t)parts_of(ttl_ms) * MK_TICK_MS;
}

static void refresh(struct mk_broker *b)
{
	const size_t busy = under_way(b), room = busy < REFRESH_FLIGHTS ? REFRESH_FLIGHTS - busy : 0;
	const size_t parts = parts_of(b->refresh.ttl_ms);
	struct round r = { .b = b, .left = room < REFRESH_A_TICK ? room : REFRESH_A_TICK };
	if (r.left == 0)
		return;
	b->ahead.part = (b->ahead.part + 1) % parts;
	mk_store_part(b->store, b->ahead.part, parts, look, &r);
}

/* ---- what policy can hand out ---- */

/* Or could be, once its tags are known. */
bool mk_ahead_can_be_handed_out(const struct mk_broker *b, const struct mk_name *name)
{
	const struct mk_subject about = mk_gate_subject(b, name);
	const size_t n = mk_policy_services(b->policy);
	for (uint32_t s = 0; s < n; s++) {
		const struct mk_verdict v = mk_policy_check(b->policy, s, MK_ACTION_GET, &about);
		if (v.decision == MK_ALLOW || v.tags_matter)
			return true;
	}
	return false;
}

static bool wanted(const struct mk_broker *b, const struct mk_name *name)
{
	const struct mk_entry *e = mk_store_find(b->store, name);
	const struct mk_version *v = e ? &e->at[MK_SLOT_CURRENT] : NULL;
	const bool there = v && v->held && !mk_gate_changed(b, v->backend, v->epoch);
	return !there && !mk_revoked_name(&b->revoked, name) && mk_ahead_can_be_handed_out(b, name);
}

/* From where it stood; true when all names were looked at. */
static bool prefetch_names(struct mk_broker *b)
{
	struct mk_ahead *a = &b->ahead;
	const struct mk_names *names = &b->directory.names;
	const int64_t began = mk_boot_ms();
	const size_t busy = under_way(b);
	size_t room = busy < PREFETCH_FLIGHTS ? PREFETCH_FLIGHTS - busy : 0, i = mk_names_after(names, &a->after);
	for (size_t looked = 0; i < names->n && a->left > 0; i++, looked++) {
		const struct mk_name *name = &names->items[i].name;
		if (room == 0 || looked == NAMES_A_TICK || mk_boot_ms() - began >= LOOK_MS)
			return false;
		if (wanted(b, name)) {
			const struct mk_flight_key key = { MK_FLIGHT_GET, *name, false };
			mk_fetch_start(b, &key, b->nobody.own_uid);
			room--;
			a->left--;
		}
		a->after = *name;
	}
	return true;
}

/* A directory to go by, or on its way. */
static bool names_known(struct mk_broker *b)
{
	const struct mk_directory *d = &b->directory;
	if (d->held && !mk_gate_changed(b, d->backend, d->epoch))
		return true;
	if (!mk_gate_failing(b, &d->failure))
		mk_fetch_start(b, &the_list, b->nobody.own_uid);
	return false;
}

static void prefetch(struct mk_broker *b)
{
	struct mk_ahead *a = &b->ahead;
	if (!a->prefetch || mk_boot_ms() < a->from_ms || !names_known(b) || !prefetch_names(b))
		return;
	a->prefetch = false;
	mk_log(MK_INFO, "prefetched", MK_KV_N("tokens", MK_PREFETCH_MAX - a->left));
}

void mk_ahead_tick(struct mk_broker *b)
{
	if (!b->fetcher || b->other_stores || b->draining || mk_fetch_failing(b))
		return;
	refresh(b);
	prefetch(b);
}

/* Many instances that start together ask a server one after the other. A file of one's own needs no such care. */
static bool all_files(const struct mk_broker *b)
{
	for (size_t i = 0; i < b->n_replicas; i++)
		if (b->replicas[i].calls_per_hour > 0)
			return false;
	return true;
}

void mk_ahead_begin(struct mk_broker *b)
{
	const uint16_t jitter = (uint16_t)randombytes_uniform(UINT16_MAX);
	b->ahead = (struct mk_ahead){
		.prefetch = b->refresh.prefetch, .left = MK_PREFETCH_MAX,
		.from_ms = mk_boot_ms() + (all_files(b) ? 0 : mk_schedule_start(b->refresh.ttl_ms, jitter)),
	};
}

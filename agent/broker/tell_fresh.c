/* SPDX-License-Identifier: Apache-2.0
 *
 * What is followed is kept fresh: ahead.c fetches it again as if it were used; here it is fetched at
 * once when a store changed, or for the first time. And the moment before a token's end is told.
 * Fetches are the agent's own, few at a time, so that no caller waits behind them.
 */
#include "agent/broker/tell_part.h"

#include "agent/base/clock.h"
#include "agent/broker/fetch.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/now.h"
#include "agent/broker/pages.h"

#define FLIGHTS     32u               /* of the agent's own, under way at one time */
#define AGAIN_MS    INT64_C(30000)    /* between questions for what is not there, and is asked for by nobody else */
#define LOOK_AGAIN_MS INT64_C(5000)   /* between looks for what is not there … */
#define LOOK_MOST     64u             /* … of so many, as anybody may watch names that never come */
#define WARN_MS     INT64_C(300000)   /* before its end a token is told to expire: a tenth of its life, at most this */
#define LOOK_MS     INT64_C(1000)     /* how exact that is */

struct round {
	struct mk_tell *t;
	size_t room;
	bool more;         /* there was no room for one */
	int64_t from, to;  /* wall clock: moments that were passed */
};

void mk_tell_stores_changed(struct mk_broker *b)
{
	b->tell->change++;
	mk_tell_look_soon(b->tell);
}

void mk_tell_fetch_ended(struct mk_broker *b)
{
	if (b->tell->dirty && mk_flights_of_uid(b->flights, b->nobody.own_uid) <= FLIGHTS / 2)
		mk_timer_set(b->tell->soon, 0);
}

void mk_tell_look_soon(struct mk_tell *t)
{
	t->dirty = true;
	mk_timer_set(t->soon, 0);
}

bool mk_tell_follow(struct mk_broker *b, const struct mk_name *name)
{
	return mk_followed_enter(b->tell, name) != NULL;
}

void mk_tell_unfollow(struct mk_broker *b, const struct mk_name *name)
{
	mk_followed_leave(b->tell, name);
}

static void fetch(struct round *r, const struct mk_name *name)
{
	struct mk_broker *b = r->t->broker;
	const struct mk_flight_key key = { MK_FLIGHT_GET, *name, false };
	if (mk_flight_find(b->flights, &key))
		return;
	if (r->room == 0) {
		r->more = true;
		return;
	}
	r->room--;
	mk_fetch_start(b, &key, b->nobody.own_uid);
}

/* Of one that is held: it may be another by now. One whose fetch has just failed is tried again a little later. */
static void fetch_again(struct round *r, const struct mk_name *name, const struct mk_version *v)
{
	if (!mk_gate_changed(r->t->broker, v->backend, v->epoch))
		return;
	if (v->failure.at_ms != MK_TIME_NONE && !mk_gate_try_again(&v->failure))
		r->more = true;
	else
		fetch(r, name);
}

/* Of one that is not there: an entry that never comes must not be asked for at each turn. */
static bool asked_already(struct mk_tell *t, const struct mk_followed *f, int64_t now)
{
	if (mk_missing_known(t->broker->missing, &f->name, false, now, AGAIN_MS))
		return true;
	if (f->asked_ms == 0 || f->asked_change != t->change)
		return false;
	return now - f->asked_ms < AGAIN_MS || t->missing_left == 0;
}

static void look_followed(struct round *r, struct mk_followed *f)
{
	struct mk_broker *b = r->t->broker;
	const struct mk_entry *e = mk_store_find(b->store, &f->name);
	const struct mk_version *v = e ? &e->at[MK_SLOT_CURRENT] : NULL;
	const int64_t now = mk_boot_ms();
	if (f->refs == 0 && r->t->n_all == 0)
		return;
	if (v && v->held) {
		fetch_again(r, &f->name, v);
		return;
	}
	if (asked_already(r->t, f, now))
		return;
	if (r->room > 0) {
		r->t->missing_left -= f->asked_ms != 0 && f->asked_change == r->t->change;
		f->asked_ms = now;
		f->asked_change = r->t->change;
	}
	fetch(r, &f->name);
}

static void look_entry(void *arg, const struct mk_entry *e)
{
	struct round *r = arg;
	if (e->at[MK_SLOT_CURRENT].held)
		fetch_again(r, &e->name, &e->at[MK_SLOT_CURRENT]);
}

static void each_followed(struct round *r, void (*look)(struct round *r, struct mk_followed *f))
{
	const uint32_t from = r->t->look_from;
	for (uint32_t i = 0; i < MK_FOLLOWED_CHAINS; i++) {
		const uint32_t left = r->t->missing_left, at = (from + i) % MK_FOLLOWED_CHAINS;
		for (struct mk_followed *f = r->t->chain[at]; f; f = f->next)
			look(r, f);
		if (left > 0 && r->t->missing_left == 0)
			r->t->look_from = at; /* the next look begins here: each has its turn */
	}
}

void mk_tell_look_again(struct mk_tell *t)
{
	const int64_t now = mk_boot_ms();
	if (t->n_followed == 0 || now < t->again_ms)
		return;
	t->again_ms = now + LOOK_AGAIN_MS;
	t->missing_left = LOOK_MOST;
	t->dirty = true;
}

/* Comes again with the tick, and when fetches ended, until nothing is left. */
void mk_tell_refresh(struct mk_tell *t)
{
	struct mk_broker *b = t->broker;
	const size_t busy = mk_flights_of_uid(b->flights, b->nobody.own_uid);
	struct round r = { .t = t, .room = busy < FLIGHTS ? FLIGHTS - busy : 0 };
	if (!b->fetcher || b->other_stores || b->draining || r.room == 0 || mk_fetch_failing(b))
		return; /* it stays to be done */
	each_followed(&r, look_followed);
	if (t->n_all > 0 && !r.more)
		mk_store_part(b->store, 0, 1, look_entry, &r);
	t->dirty = r.more;
}

/* ---- the moment before the end ---- */

static int64_t warn_at(const struct mk_version *v)
{
	const int64_t tenth = (v->expires_ms - v->first_ms) / 10;
	return v->expires_ms - (tenth < WARN_MS ? tenth : WARN_MS);
}

static void look_end(struct round *r, const struct mk_entry *e)
{
	const struct mk_version *v = &e->at[MK_SLOT_CURRENT];
	if (!v->held || v->disabled || v->expires_ms == MK_TIME_NONE || v->expires_ms <= v->first_ms)
		return;
	const int64_t at = warn_at(v);
	if (at > r->from && at <= r->to)
		mk_tell_event(r->t->broker, MK_TOLD_EXPIRING, &e->name, v->version);
}

static void look_end_of(void *arg, const struct mk_entry *e)
{
	look_end(arg, e);
}

/* Who waits for a change of a token that is past its end has waited long enough; so have clients of libmakini. */
static void look_followed_end(struct round *r, struct mk_followed *f)
{
	const struct mk_entry *e = mk_store_find(r->t->broker->store, &f->name);
	if (f->refs == 0 || !e)
		return;
	if (r->t->n_all == 0)
		look_end(r, e);
	const int64_t end = e->at[MK_SLOT_CURRENT].held ? e->at[MK_SLOT_CURRENT].expires_ms : MK_TIME_NONE;
	if (end > r->from && end <= r->to) {
		mk_pages_move(r->t->broker, &f->name);
		f->over = f->first != NULL;
	}
}

static bool wake_one_over(struct mk_tell *t)
{
	for (size_t i = 0; i < MK_FOLLOWED_CHAINS; i++)
		for (struct mk_followed *f = t->chain[i]; f; f = f->next)
			if (f->over) {
				f->over = false;
				mk_tell_wake(t, f);
				return true;
			}
	return false;
}

void mk_tell_expiring(struct mk_tell *t)
{
	const int64_t now = mk_now_ms(t->broker);
	struct round r = { .t = t, .from = t->looked_ms, .to = now };
	if (now >= t->looked_ms && now - t->looked_ms < LOOK_MS)
		return;
	t->looked_ms = now; /* where a jump of the clock was undone, it passes the moments once more */
	if (t->n_all > 0)
		mk_store_part(t->broker->store, 0, 1, look_end_of, &r);
	if (t->n_followed == 0)
		return;
	each_followed(&r, look_followed_end);
	while (wake_one_over(t)) {
	}
}

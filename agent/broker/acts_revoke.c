/* SPDX-License-Identifier: Apache-2.0
 *
 * As a freeze, a revocation is in force before it is written. Then it is written, audit log
 * first; then what may still carry the token is cut off, wiped and woken, whether or not the
 * disk took it. Only then is it acknowledged.
 */
#include "agent/broker/acts_revoke.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/core.h"
#include "agent/broker/environment.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/http.h"
#include "agent/broker/pages.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

const char *const mk_revoke_step_words[MK_REVOKED_STEPS] = {
#define WORD(name, word) [MK_REVOKED_##name] = (word),
	MK_REVOKE_STEPS(WORD)
#undef WORD
};

/* Other connections that hold a value which is dead as one of these. */
struct twins {
	struct mk_broker *b;
	const struct mk_name *of;
	size_t n_of, n;
	struct mk_name *names; /* owned */
};

struct revoking {
	struct mk_broker *b;
	struct mk_revoke *r;
	struct mk_audit_rec recs[MK_REVOKE_MAX];
	struct mk_revocation how;
	int64_t began_us;
	struct twins twins;
};

static bool is_among(const struct mk_name *name, const struct mk_name *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (mk_name_eq(name, &names[i]))
			return true;
	return false;
}

static void step(struct revoking *w, enum mk_revoke_step s)
{
	w->r->steps[s] = mk_boot_us() - w->began_us;
}

/* ---- may they ---- */

static mk_must decide(struct revoking *w, struct mk_caller *c)
{
	for (size_t i = 0; i < w->r->n; i++)
		MK_TRY(mk_gate_may_with(w->b, c, MK_ACTION_REVOKE, &w->r->names[i], &w->recs[i]));
	const struct mk_service *s = mk_gate_who(w->b, c);
	w->how = (struct mk_revocation){ .at_ms = mk_wall_ms(), .uid = c->evidence.uid, .reason = w->r->reason };
	if (s)
		w->how.by = s->name;
	w->r->at_ms = w->how.at_ms;
	step(w, MK_REVOKED_DECIDED);
	return MK_OK;
}

/* ---- in force ---- */

static void retire_held(struct mk_broker *b, const struct mk_name *name, int64_t at_ms)
{
	const struct mk_entry *e = mk_store_find(b->store, name);
	for (unsigned slot = 0; e && slot <= MK_SLOT_PREVIOUS; slot++) {
		struct mk_retired v = { .name = *name, .at_ms = at_ms };
		memcpy(v.print, e->at[slot].print, sizeof v.print);
		mk_revoked_retire(&b->revoked, &v);
	}
}

static enum mk_listed_there listed(const struct mk_broker *b, const struct mk_name *name)
{
	if (!mk_gate_names_fresh(b))
		return MK_LISTED_UNKNOWN;
	return mk_names_have(&b->directory.names, name) ? MK_LISTED_YES : MK_LISTED_NO;
}

static mk_must put_in_force(struct revoking *w)
{
	struct mk_broker *b = w->b;
	MK_TRY(mk_revoked_room(&b->revoked, w->r->n, w->r->n * 2));
	for (size_t i = 0; i < w->r->n; i++) {
		const struct mk_name *name = &w->r->names[i];
		mk_revoked_add(&b->revoked, name);
		retire_held(b, name, w->how.at_ms);
		w->r->values[i] = (uint32_t)mk_revoked_values_of(&b->revoked, name);
		mk_revoked_name(&b->revoked, name)->unseen = MK_UNSEEN_ALL;
		w->r->listed[i] = listed(b, name);
		mk_pages_move(b, name);
	}
	mk_pages_move_dead(b);
	step(w, MK_REVOKED_IN_FORCE);
	return MK_OK;
}

/* ---- on disk ---- */

/* The last one is synced, and so are those before it. */
static enum mk_err record(struct revoking *w)
{
	for (size_t i = 0; i < w->r->n; i++) {
		struct mk_audit_rec *rec = &w->recs[i];
		rec->event = "revoke";
		rec->detail = w->r->reason;
		MK_TRY(i + 1 < w->r->n ? mk_audit_write(w->b->audit, rec) : mk_audit_write_synced(w->b->audit, rec));
	}
	step(w, MK_REVOKED_RECORDED);
	return MK_OK;
}

/* With the values that are known since before: what could not be written then is written now. */
static enum mk_err keep(struct revoking *w)
{
	const struct mk_revoked *all = &w->b->revoked;
	mk_auto(mk_freep) struct mk_retired *values = calloc(all->n_values + 1, sizeof *values);
	size_t n = 0;
	if (!values)
		return MK_NO_MEMORY;
	for (size_t i = 0; i < all->n_values; i++)
		if (is_among(&all->values[i].name, w->r->names, w->r->n))
			values[n++] = all->values[i];
	MK_TRY(w->b->db ? mk_statedb_revoke(w->b->db, &w->how, w->r->names, w->r->n, values, n) : MK_SYSTEM);
	mk_audit_state(w->b->audit, mk_statedb_generation(w->b->db));
	step(w, MK_REVOKED_KEPT);
	return MK_OK;
}

static enum mk_err write_down(struct revoking *w)
{
	const enum mk_err recorded = record(w);
	const enum mk_err kept = keep(w);
	if (recorded == MK_OK && kept == MK_OK)
		return MK_OK;
	mk_health_check(w->b);
	if (kept == MK_OK)
		return MK_AUDIT;
	mk_log(MK_ERROR, "revocation_not_kept", MK_KV_S("err", mk_err_word(kept)),
	       MK_KV_S("fault", w->b->db ? mk_statedb_fault(w->b->db) : ""),
	       MK_KV_S("remedy", "it is in force until this process ends: free the disk and revoke again"));
	return MK_SYSTEM;
}

/* ---- one value under other names ---- */

static bool is_dead_as(const struct twins *t, const struct mk_version *v)
{
	const struct mk_retired *dead = v->held ? mk_revoked_value(&t->b->revoked, v->print) : NULL;
	return dead && is_among(&dead->name, t->of, t->n_of);
}

static void look_twin(void *arg, const struct mk_entry *e)
{
	struct twins *t = arg;
	if (!is_among(&e->name, t->of, t->n_of) && (is_dead_as(t, &e->at[MK_SLOT_CURRENT]) || is_dead_as(t, &e->at[MK_SLOT_PREVIOUS])))
		t->names[t->n++] = e->name;
}

static void find_twins(struct twins *t)
{
	t->names = calloc(mk_store_count(t->b->store) + 1, sizeof *t->names);
	if (t->names)
		mk_store_part(t->b->store, 0, 1, look_twin, t);
	else
		mk_tell_resync(t->b); /* they are refused all the same; whom that concerns has to find out */
}

static uint32_t abort_twins(const struct twins *t)
{
	uint32_t n = 0;
	for (size_t i = 0; i < t->n && t->b->http; i++)
		n += mk_http_abort(t->b->http, &t->names[i]);
	return n;
}

static void wipe_twins(const struct twins *t)
{
	for (size_t i = 0; i < t->n; i++)
		for (unsigned slot = 0; slot <= MK_SLOT_PREVIOUS; slot++)
			if (is_dead_as(t, &mk_store_find(t->b->store, &t->names[i])->at[slot]))
				mk_store_wipe(t->b->store, &t->names[i], (enum mk_slot)slot);
}

/* Those of whom it is the current one; administrators, too, who did not name them. */
static void tell_of_twins(const struct twins *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct mk_name *name = &t->names[i];
		if (!is_dead_as(t, &mk_store_find(t->b->store, name)->at[MK_SLOT_CURRENT]) || mk_revoked_name(&t->b->revoked, name))
			continue;
		mk_alarm_raise(t->b, MK_ALARM_RETIRED_VALUE_BACK, name->s);
		mk_tell_event(t->b, MK_TOLD_REVOKED, name, NULL);
	}
}

void mk_revoked_clear_twins(struct mk_broker *b, const struct mk_name *name)
{
	struct twins t = { .b = b, .of = name, .n_of = 1 };
	find_twins(&t);
	abort_twins(&t);
	wipe_twins(&t);
	tell_of_twins(&t);
	free(t.names);
}

void mk_revoked_twins_return(struct mk_broker *b, const struct mk_name *name)
{
	struct twins t = { .b = b, .of = name, .n_of = 1 };
	find_twins(&t);
	for (size_t i = 0; i < t.n; i++) {
		const bool current = is_dead_as(&t, &mk_store_find(b->store, &t.names[i])->at[MK_SLOT_CURRENT]);
		mk_store_remove(b->store, &t.names[i], MK_SLOT_CURRENT);
		if (current)
			mk_tell_event(b, MK_TOLD_RESTORED, &t.names[i], NULL);
	}
	free(t.names);
}

/* ---- out of the way ---- */

static void wake(struct mk_broker *b, const struct mk_name *name)
{
	size_t at = 0;
	mk_tell_event(b, MK_TOLD_REVOKED, name, NULL);
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		if (f->key.kind == MK_FLIGHT_GET && mk_name_eq(&f->key.name, name))
			mk_flight_end(b->flights, f, MK_REVOKED); /* whoever waits asks the gate again, which says so */
}

static void clear_away(struct revoking *w)
{
	struct mk_broker *b = w->b;
	const struct mk_revoke *r = w->r;
	w->twins = (struct twins){ .b = b, .of = r->names, .n_of = r->n };
	find_twins(&w->twins);
	for (size_t i = 0; i < r->n && b->http; i++)
		w->r->aborted[i] = mk_http_abort(b->http, &r->names[i]);
	w->r->aborted[0] += abort_twins(&w->twins);
	step(w, MK_REVOKED_ABORTED);
	for (size_t i = 0; i < r->n; i++) { /* the tags stay, by which policy may decide who is told */
		mk_store_wipe(b->store, &r->names[i], MK_SLOT_CURRENT);
		mk_store_wipe(b->store, &r->names[i], MK_SLOT_PREVIOUS);
	}
	wipe_twins(&w->twins);
	mk_environment_settle(b);
	step(w, MK_REVOKED_WIPED);
	for (size_t i = 0; i < r->n; i++)
		wake(b, &r->names[i]);
	tell_of_twins(&w->twins);
	free(w->twins.names);
	step(w, MK_REVOKED_WOKEN);
}

mk_must mk_act_revoke(struct mk_broker *b, struct mk_caller *c, struct mk_revoke *r)
{
	struct revoking w = { .b = b, .r = r, .began_us = mk_boot_us() };
	mk_assert(r->n > 0 && r->n <= MK_REVOKE_MAX);
	MK_TRY(decide(&w, c));
	MK_TRY(put_in_force(&w));
	const enum mk_err e = write_down(&w);
	clear_away(&w);
	for (size_t i = 0; i < r->n; i++) {
		mk_log(MK_WARN, "revoked", MK_KV_S("connection", r->names[i].s), MK_KV_S("service", w.how.by.s), MK_KV_N("uid", w.how.uid),
		       MK_KV_N("aborted", r->aborted[i]), MK_KV_N("values", r->values[i]));
		mk_revoked_ask(b, &r->names[i]);
	}
	return e;
}

void mk_act_revoked(const struct mk_broker *b, struct mk_revoked_status *ret)
{
	*ret = (struct mk_revoked_status){ .connections = (uint32_t)b->revoked.n_names, .values = (uint32_t)b->revoked.n_values };
	for (size_t i = 0; i < b->revoked.n_names; i++) {
		const struct mk_dead *dead = &b->revoked.names[i];
		if (!(dead->unseen & 1u << MK_SLOT_CURRENT))
			continue;
		if (ret->to_look_up < MK_TO_LOOK_UP_SHOWN)
			ret->first[ret->to_look_up] = dead->name;
		ret->to_look_up++;
	}
}

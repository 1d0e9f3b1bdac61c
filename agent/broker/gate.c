/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate for a token, in three steps that never change places: may they (policy, rate),
 * is it written (audit), here it is (unseal). Between the first and the second stands the
 * choice of a version, which may have to be fetched; then the caller is asked to come back,
 * and all begins again.
 */
#include "agent/broker/gate.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/environment.h"
#include "agent/broker/etag.h"
#include "agent/broker/fetch.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/now.h"
#include "agent/broker/tell.h"

/* One call's way; nothing of it outlives the call. */
struct get {
	struct mk_broker *b;
	const struct mk_ask *ask;
	struct mk_waiter *w;
	struct mk_audit_rec rec;
	bool paid;        /* for the rate, before it waited */
	bool names_asked; /* it waited for the names, which have come or not */
	struct mk_verdict verdict; /* the last one */
	/* what was chosen */
	struct mk_entry *entry;
	const struct mk_version *version;
	bool stale;
};

const char *mk_state_word(enum mk_state s)
{
	switch (s) {
	case MK_STATE_CURRENT:
		return "current";
	case MK_STATE_PREVIOUS:
		return "previous";
	case MK_STATE_EXPIRED:
		return "expired";
	case MK_STATE_REVOKED:
		return "revoked";
	}
	return "unknown";
}

void mk_answer_done(struct mk_answer *a)
{
	mk_secret_free(a->leaves);
	mk_secret_free(a->room);
	*a = (struct mk_answer){ 0 };
}

static enum mk_slot slot_of(const struct get *g)
{
	return g->ask->previous ? MK_SLOT_PREVIOUS : MK_SLOT_CURRENT;
}

static bool expired(const struct get *g, const struct mk_version *v)
{
	return v->expires_ms != MK_TIME_NONE && mk_now_ms(g->b) >= v->expires_ms;
}

static int64_t age_ms(const struct mk_version *v)
{
	return mk_boot_ms() - v->fetched_ms;
}

/* How old an answer the caller takes, where that is less than usual. All callers together cause one fetch in a pause. */
static int64_t most_age(const struct get *g, int64_t usual)
{
	const int64_t most = g->ask->max_age_ms;
	if (most == 0 || most >= usual)
		return usual;
	return most > MK_PAUSE_MS ? most : MK_PAUSE_MS;
}

/* Is it what the caller wants? One that was refused to it may have been replaced just now. */
static bool suits(const struct get *g, const struct mk_version *v)
{
	const bool refused = g->ask->not_version && strcmp(g->ask->not_version, v->version) == 0;
	return age_ms(v) < (refused ? MK_PAUSE_MS : most_age(g, INT64_MAX));
}

/* Did the store say just now that there is none? */
static bool known_missing(const struct get *g)
{
	const struct mk_broker *b = g->b;
	const int64_t usual = b->refresh.ttl_ms < MK_MISSING_MS ? b->refresh.ttl_ms : MK_MISSING_MS;
	return mk_missing_known(b->missing, &g->ask->name, g->ask->previous, mk_boot_ms(), most_age(g, usual));
}

/* Good enough without asking the store. One that is past its expiry is asked for again, at most once in a pause. */
static bool fresh(const struct get *g, const struct mk_version *v)
{
	if (!suits(g, v))
		return false;
	if (mk_gate_changed(g->b, v->backend, v->epoch) || age_ms(v) >= mk_gate_ttl(g->b, g->entry->jitter))
		return false;
	return !expired(g, v) || age_ms(v) < MK_PAUSE_MS;
}

/* May it be served although the store could not be asked? Never past its expiry. */
static bool good_stale(const struct get *g, const struct mk_version *v)
{
	return !expired(g, v) && age_ms(v) < g->b->refresh.ttl_ms + g->b->refresh.serve_stale_ms;
}

/* ---- may they ---- */

/* Could other tags than those that are held, if any, change the answer, and may they be others by now? */
static bool tags_may_help(const struct get *g, const struct mk_caller *c, const struct mk_verdict *v)
{
	const struct mk_version *held = mk_entry_newest(mk_store_find(g->b->store, &g->ask->name));
	if (!held)
		return v->tags_matter;
	const bool old = mk_gate_changed(g->b, held->backend, held->epoch) || age_ms(held) >= g->b->refresh.ttl_ms;
	if (!old || mk_gate_failing(g->b, &held->failure))
		return false;
	struct mk_subject unknown = mk_gate_subject(g->b, &g->ask->name);
	unknown.tags_known = false;
	return mk_policy_check(g->b->policy, c->service, MK_ACTION_GET, &unknown).tags_matter;
}

/* The names, where they are not known: once for a caller. True when it waits. */
static bool waits_for_names(struct get *g)
{
	const struct mk_flight_key key = { .kind = MK_FLIGHT_LIST };
	struct mk_broker *b = g->b;
	if (g->names_asked || mk_gate_names_fresh(b) || mk_gate_failing(b, &b->directory.failure))
		return false;
	g->w->for_names = mk_fetch_wait(b, &key, g->w) == MK_OK;
	return g->w->for_names;
}

/* A name that the store does not have is not asked for on the strength of a guess; and what
 * goes wrong on this way is the same denial, so that it tells nothing of what there is. */
static bool waits_for_tags(struct get *g, struct mk_caller *c, const struct mk_verdict *v)
{
	const struct mk_verdict none = { .rule = MK_NO_RULE };
	const struct mk_flight_key key = { MK_FLIGHT_GET, g->ask->name, g->ask->previous };
	unsigned unused = 0;
	if (g->w->fetched || g->b->frozen.on || !tags_may_help(g, c, v))
		return false;
	if (!g->paid && mk_gate_rate(g->b, c, &none, &unused) != MK_OK)
		return false;
	if (known_missing(g))
		return false;
	if (waits_for_names(g))
		return true;
	return mk_names_have(&g->b->directory.names, &g->ask->name) && mk_fetch_wait(g->b, &key, g->w) == MK_OK;
}

/* Policy, and the rate, which a caller that comes back after a fetch has paid already. */
static mk_must may_get(struct get *g, struct mk_caller *c, unsigned *retry_after_s)
{
	mk_gate_record(g->b, c, MK_ACTION_GET, &g->rec);
	g->rec.connection = g->ask->name.s;
	const struct mk_subject about = mk_gate_subject(g->b, &g->ask->name);
	const struct mk_verdict v = mk_policy_check(g->b->policy, c->service, MK_ACTION_GET, &about);
	g->rec.rule_line = mk_gate_line(g->b, &v);
	g->verdict = v;
	if (v.decision != MK_ALLOW && waits_for_tags(g, c, &v))
		return MK_OK;
	if (v.decision != MK_ALLOW || (g->ask->bare && !mk_rule_grants(v.allow, "access_token")))
		return mk_gate_deny(g->b, &g->rec, MK_DENIED);
	if (g->b->frozen.on)
		return mk_gate_deny(g->b, &g->rec, MK_FROZEN);
	if (mk_revoked_name(&g->b->revoked, &g->ask->name))
		return mk_gate_deny(g->b, &g->rec, MK_REVOKED);
	if (g->paid)
		return MK_OK;
	if (mk_gate_rate(g->b, c, &v, retry_after_s) != MK_OK)
		return mk_gate_deny(g->b, &g->rec, MK_RATE_LIMITED);
	return MK_OK;
}

/* ---- which version ---- */

static mk_must settle(struct get *g, const struct mk_version *v, bool stale)
{
	if (mk_revoked_value(&g->b->revoked, v->print))
		return MK_REVOKED; /* whatever else is wrong with it: that will not get better by itself */
	if (!mk_environment_fits(g->b, v->backend, v->tags, v->n_tags))
		return MK_BACKEND;
	if (mk_store_twice(g->b->store, &g->ask->name, v))
		return MK_BACKEND;
	if (v->disabled)
		return MK_DISABLED;
	if (expired(g, v))
		return MK_EXPIRED;
	g->version = v;
	g->stale = stale;
	return MK_OK;
}

/* The fetch ended: what it brought, or what is left. */
static mk_must after_fetch(struct get *g, const struct mk_version *v)
{
	const enum mk_err e = g->w->err;
	if (e == MK_OK)
		return v ? settle(g, v, false) : MK_NOT_FOUND;
	if (e == MK_NOT_FOUND || e == MK_DISABLED)
		return e;
	return v && good_stale(g, v) ? settle(g, v, true) : e;
}

/* OK with a version chosen, OK with the caller waiting, or an error. */
static mk_must choose(struct get *g)
{
	struct mk_broker *b = g->b;
	g->entry = mk_store_find(b->store, &g->ask->name);
	const struct mk_version *v = g->entry ? &g->entry->at[slot_of(g)] : NULL;
	if (v && !v->held)
		v = NULL;
	if (g->w->fetched)
		return after_fetch(g, v);
	if (v && fresh(g, v))
		return settle(g, v, false);
	if (!v && known_missing(g))
		return MK_NOT_FOUND;
	const struct mk_flight_key key = { MK_FLIGHT_GET, g->ask->name, g->ask->previous };
	const bool stale = v && good_stale(g, v);
	if (!stale || !mk_gate_failing(b, &v->failure)) {
		const enum mk_err e = mk_fetch_wait(b, &key, g->w);
		if (e == MK_OK || !stale)
			return e;
	} else if (mk_gate_try_again(&v->failure)) {
		mk_fetch_start(b, &key, g->w->uid);
	}
	return settle(g, v, true);
}

/* Who comes here was allowed: a missing token may be said to be missing. */
static enum mk_err choice_failed(struct get *g, enum mk_err e)
{
	if (mk_err_retry(e) && e != MK_RATE_LIMITED)
		return e; /* not a decision: nothing was refused */
	if (e == MK_EXPIRED)
		g->rec.detail = mk_now_doubt(g->b);
	return mk_gate_deny(g->b, &g->rec, e);
}

static void describe(const struct get *g, struct mk_answer *a)
{
	const struct mk_version *v = g->version;
	a->state = g->ask->previous ? MK_STATE_PREVIOUS : MK_STATE_CURRENT;
	a->stale = g->stale;
	a->cache = g->stale ? MK_CACHE_STALE : g->ask->waited ? MK_CACHE_MISS : MK_CACHE_HIT;
	a->expires_ms = v->expires_ms;
	a->age_s = age_ms(v) / 1000;
	a->fetched_ms = v->fetched_ms;
	_Static_assert(sizeof a->token_type > MK_TOKEN_TYPE_MAX && sizeof a->version > MK_VERSION_MAX, "whole");
	memcpy(a->version, v->version, strlen(v->version) + 1);
	memcpy(a->token_type, v->token_type, strlen(v->token_type) + 1);
	a->has_token = mk_rule_grants(g->verdict.allow, "access_token");
	mk_etag_make(&g->ask->name, v->version, g->verdict.allow, a->etag);
}

/* What is known of the token, without the token: nothing is unsealed. */
static mk_must hand_out_frame(struct get *g, struct mk_answer *a)
{
	mk_auto(mk_secret_freep) struct mk_secret *room = NULL;
	MK_TRY(mk_secret_new(MK_ANSWER_FRAME, &room));
	g->rec.event = "grant";
	g->rec.version = a->version;
	g->rec.state = mk_state_word(a->state);
	g->rec.detail = "without access_token";
	MK_TRY(mk_audit_write(g->b->audit, &g->rec));
	a->room = MK_TAKE(room);
	return MK_OK;
}

/* The slab's slots first, so that a record is followed by an answer; then the record; then the token. */
static mk_must hand_out(struct get *g, struct mk_answer *a)
{
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL, *room = NULL;
	struct mk_span token;
	MK_TRY(mk_secret_new(mk_store_plain_len(g->version), &leaves));
	MK_TRY(mk_secret_new(MK_ANSWER_FRAME + g->version->token_room, &room));
	g->rec.event = "grant";
	if (g->ask->by_library)
		g->rec.detail = "libmakini";
	g->rec.version = a->version;
	g->rec.state = mk_state_word(a->state);
	MK_TRY(mk_audit_write(g->b->audit, &g->rec));
	enum mk_err e = mk_store_open_(g->b->store, g->entry, slot_of(g), leaves);
	if (e == MK_OK)
		e = mk_record_token(mk_secret_span(leaves), &token);
	if (e != MK_OK) {
		mk_alarm_raise(g->b, MK_ALARM_UNSEAL_FAILED, ""); /* memory was changed: nothing of this entry is trusted */
		mk_store_remove(g->b->store, &g->ask->name, MK_SLOT_CURRENT);
		return MK_BUG;
	}
	a->token = token;
	a->leaves = MK_TAKE(leaves);
	a->room = MK_TAKE(room);
	return MK_OK;
}

/* It has what is current, and asked to be told of the next. */
static bool goes_on_waiting(const struct get *g)
{
	const int64_t now = mk_boot_ms();
	if (g->ask->wait_ms == 0 || g->b->draining)
		return false;
	if (g->w->until_ms == 0)
		g->w->until_ms = now + g->ask->wait_ms;
	return now < g->w->until_ms;
}

static mk_must answer(struct get *g, struct mk_answer *ret)
{
	struct mk_answer a = { 0 };
	describe(g, &a);
	g->entry->at[slot_of(g)].used = true;
	a.not_modified = g->ask->if_none_match.n > 0 && mk_etag_match(g->ask->if_none_match, a.etag);
	if (a.not_modified && goes_on_waiting(g)) {
		const enum mk_err e = mk_tell_wait(g->b, &g->ask->name, g->w);
		return e == MK_RATE_LIMITED ? mk_gate_deny(g->b, &g->rec, e) : e;
	}
	if (!a.not_modified)
		MK_TRY(a.has_token ? hand_out(g, &a) : hand_out_frame(g, &a));
	*ret = a;
	return MK_OK;
}

/* What changed since the last decision. */
static void look(struct mk_broker *b)
{
	mk_now_look(b);
	mk_watch_poll(b);
}

void mk_gate_turn(struct mk_broker *b, bool begins)
{
	if (begins && b->generation != 0)
		look(b);
	b->in_turn = begins;
	if (b->audit)
		mk_audit_turn(b->audit, begins);
}

static mk_must get(struct get *g, struct mk_caller *c, struct mk_answer *ret, unsigned *retry_after_s)
{
	struct mk_waiter *w = g->w;
	if (!g->b->in_turn)
		look(g->b);
	w->uid = c->evidence.uid;
	g->paid = w->fetched || w->changed;
	g->names_asked = w->for_names;
	if (w->for_names)
		w->for_names = w->fetched = false; /* that was not yet the fetch for the token */
	MK_TRY(may_get(g, c, retry_after_s));
	if (w->waiting)
		return MK_OK;
	enum mk_err e = choose(g);
	if (e != MK_OK)
		return choice_failed(g, e);
	if (w->waiting)
		return MK_OK;
	e = answer(g, ret);
	if (e == MK_AUDIT)
		mk_health_check(g->b);
	return e;
}

mk_must mk_gate_get(struct mk_broker *b, struct mk_caller *c, const struct mk_ask *ask, struct mk_waiter *w,
		    struct mk_answer *ret, unsigned *retry_after_s)
{
	struct get g = { .b = b, .ask = ask, .w = w };
	if (b->generation == 0)
		return MK_NOT_READY;
	const enum mk_err e = get(&g, c, ret, retry_after_s);
	if (b->shadow.policy && !w->waiting) { /* by the tags that decided, which a fetch may have brought */
		const struct mk_subject about = mk_gate_subject(b, &ask->name);
		mk_shadow_compare(b, c, MK_ACTION_GET, &about, &g.verdict);
	}
	return e;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of connections that are followed by name, and those who wait for them. Who is woken
 * comes back through the gate, which decides anew; so waking one too many is harmless, and one
 * too few is not. A list is unhooked before its waiters are woken, as they may wait again at once.
 */
#include "agent/broker/tell_part.h"

#include "agent/base/clock.h"
#include "agent/broker/pages.h"
#include "agent/broker/now.h"
#include "agent/broker/waiters.h"

#include <stdlib.h>

/* ---- the index ---- */

static struct mk_followed **place_of(const struct mk_tell *t, const struct mk_name *name)
{
	uint64_t h;
	crypto_shorthash((uint8_t *)&h, (const uint8_t *)name->s, sizeof name->s, t->hash_key);
	struct mk_followed *const *at = &t->chain[h % MK_FOLLOWED_CHAINS];
	while (*at && !mk_name_eq(&(*at)->name, name))
		at = &(*at)->next;
	return (struct mk_followed **)(uintptr_t)at;
}

struct mk_followed *mk_followed_find(const struct mk_tell *t, const struct mk_name *name)
{
	return *place_of(t, name);
}

/* What the store of tokens knows of the current one. */
static void held_now(const struct mk_broker *b, const struct mk_name *name, struct mk_current *ret)
{
	const struct mk_entry *e = mk_store_find(b->store, name);
	const struct mk_version *v = e ? &e->at[MK_SLOT_CURRENT] : NULL;
	*ret = (struct mk_current){ .known = v && v->held };
	if (ret->known && !v->disabled && !mk_revoked_name(&b->revoked, name) && !mk_revoked_value(&b->revoked, v->print))
		memcpy(ret->version, v->version, strlen(v->version) + 1);
}

/* Would the next version be no news to anybody, if this were forgotten? */
static bool says_more(const struct mk_tell *t, const struct mk_followed *f)
{
	struct mk_current held;
	held_now(t->broker, &f->name, &held);
	return f->known.known && !(held.known && strcmp(held.version, f->known.version) == 0);
}

/* What nobody follows is kept where it says more than the store of tokens does: a stream may come back and go on. */
static void drop_idle(struct mk_tell *t, const struct mk_name *name)
{
	struct mk_followed **at = place_of(t, name), *f = *at;
	if (!f || f->refs > 0 || says_more(t, f))
		return;
	*at = f->next;
	t->n_followed--;
	free(f);
}

static void add_event(struct mk_tell *t, enum mk_told kind, const struct mk_name *name, const char *version)
{
	mk_events_add(t->events, kind, name, version);
	t->rouse = true;
	mk_timer_set(t->soon, 0);
}

/* To make room. Who comes back from before now cannot be told what it missed. */
static void forget_idle(struct mk_tell *t)
{
	t->forgot = mk_events_end(t->events);
	for (size_t i = 0; i < MK_FOLLOWED_CHAINS; i++)
		for (struct mk_followed **at = &t->chain[i], *f; (f = *at);) {
			if (f->refs > 0) {
				at = &f->next;
				continue;
			}
			*at = f->next;
			t->n_followed--;
			free(f);
		}
	if (t->n_all > 0)
		add_event(t, MK_TOLD_RESYNC, NULL, NULL);
}

static struct mk_followed *find_or_make(struct mk_tell *t, const struct mk_name *name)
{
	struct mk_followed *f = mk_followed_find(t, name);
	if (f)
		return f;
	if (t->n_followed >= MK_TELL_NAMES_MAX)
		forget_idle(t);
	struct mk_followed **at = place_of(t, name);
	if (t->n_followed >= MK_TELL_NAMES_MAX || !(*at = calloc(1, sizeof **at)))
		return NULL;
	(*at)->name = *name;
	mk_tell_before(t->broker, name, &(*at)->known); /* from the store, as it is not here */
	t->n_followed++;
	return *at;
}

struct mk_followed *mk_followed_enter(struct mk_tell *t, const struct mk_name *name)
{
	struct mk_followed *f = find_or_make(t, name);
	if (f && f->refs++ == 0)
		mk_tell_look_soon(t); /* it may have to be fetched */
	return f;
}

void mk_followed_leave(struct mk_tell *t, const struct mk_name *name)
{
	struct mk_followed *f = mk_followed_find(t, name);
	mk_assert(f && f->refs > 0);
	f->refs--;
	drop_idle(t, name);
}

bool mk_tell_follows(const struct mk_broker *b, const struct mk_name *name)
{
	const struct mk_followed *f = mk_followed_find(b->tell, name);
	return b->tell->n_all > 0 || (f && f->refs > 0);
}

/* ---- limits ---- */

mk_must mk_tell_count_in(struct mk_tell *t, const struct mk_evidence *e, struct mk_uid **ret)
{
	if (t->n_watchers + t->n_waiting >= MK_TELL_MAX)
		return MK_NOT_READY;
	struct mk_uid *u = mk_uids_enter(&t->uids, e->uid, e->known);
	if (!u)
		return MK_NO_MEMORY;
	if (u->connections > t->broker->limits.waiters_per_uid) {
		mk_uids_leave(&t->uids, u);
		return MK_RATE_LIMITED;
	}
	*ret = u;
	return MK_OK;
}

void mk_tell_count_out(struct mk_tell *t, struct mk_uid *u)
{
	mk_uids_leave(&t->uids, u);
}

/* ---- requests that wait ---- */

mk_must mk_tell_wait(struct mk_broker *b, const struct mk_name *name, struct mk_waiter *w)
{
	struct mk_tell *t = b->tell;
	const struct mk_evidence who = { .known = true, .uid = w->uid };
	MK_TRY(mk_tell_count_in(t, &who, &w->counted));
	struct mk_followed *f = mk_followed_enter(t, name);
	if (!f) {
		mk_tell_count_out(t, w->counted);
		return MK_NO_MEMORY;
	}
	t->n_waiting++;
	w->for_change = true;
	w->of = f;
	mk_waiters_add(&f->first, w);
	return MK_OK;
}

void mk_tell_leave(struct mk_broker *b, struct mk_waiter *w)
{
	struct mk_followed *f = w->of;
	if (!w->waiting)
		return;
	mk_waiters_drop(w);
	b->tell->n_waiting--;
	mk_tell_count_out(b->tell, w->counted);
	const struct mk_name name = f->name;
	mk_followed_leave(b->tell, &name);
}

/* It has paid for its rate, and whatever it waited for before is long over. */
static void wake(struct mk_tell *t, struct mk_waiter *w)
{
	mk_tell_leave(t->broker, w);
	w->changed = true;
	w->fetched = w->for_names = false;
	w->woken(w);
}

/* Moves those who wait until then at most to a list of their own. */
static void unhook(struct mk_followed *f, int64_t until_ms, struct mk_waiter **all)
{
	for (struct mk_waiter *w = f->first, *next; w; w = next) {
		next = w->next;
		if (w->until_ms > until_ms)
			continue;
		mk_waiters_drop(w);
		mk_waiters_add(all, w);
	}
}

static void wake_all(struct mk_tell *t, struct mk_waiter **all)
{
	while (*all)
		wake(t, *all);
}

void mk_tell_wake(struct mk_tell *t, struct mk_followed *f)
{
	struct mk_waiter *all = NULL;
	unhook(f, INT64_MAX, &all);
	wake_all(t, &all);
}

static void wake_until(struct mk_tell *t, int64_t until_ms)
{
	struct mk_waiter *all = NULL;
	for (size_t i = 0; t->n_waiting > 0 && i < MK_FOLLOWED_CHAINS; i++)
		for (struct mk_followed *f = t->chain[i]; f; f = f->next)
			unhook(f, until_ms, &all);
	wake_all(t, &all);
}

void mk_tell_reconfigured(struct mk_broker *b)
{
	mk_pages_move_all(b);
	wake_until(b->tell, INT64_MAX);
	if (b->other_stores) /* what was known is of stores that are there no more */
		mk_tell_event(b, MK_TOLD_RESYNC, NULL, NULL);
}

void mk_tell_resync(struct mk_broker *b)
{
	mk_pages_move_all(b);
	mk_tell_event(b, MK_TOLD_RESYNC, NULL, NULL);
	wake_until(b->tell, INT64_MAX);
}

void mk_tell_let_go(struct mk_broker *b)
{
	b->tell->forgot = mk_events_end(b->tell->events);
	if (b->tell->n_all > 0)
		mk_tell_event(b, MK_TOLD_RESYNC, NULL, NULL);
}

void mk_tell_drain(struct mk_broker *b)
{
	mk_pages_end(b);
	wake_until(b->tell, INT64_MAX); /* the gate lets nobody wait any more */
}

/* ---- what happened ---- */

/* What is told to be current counts from now on, whatever the store of tokens holds. */
static struct mk_followed *remember(struct mk_tell *t, const struct mk_name *name, const char *version)
{
	struct mk_followed *f = find_or_make(t, name); /* for streams that come back, too; what the store knows is dropped again */
	if (!f)
		return NULL;
	f->known = (struct mk_current){ .known = true };
	if (version)
		memcpy(f->known.version, version, strnlen(version, MK_VERSION_MAX));
	return f;
}

void mk_tell_event(struct mk_broker *b, enum mk_told kind, const struct mk_name *name, const char *version)
{
	struct mk_tell *t = b->tell;
	add_event(t, kind, name, version);
	if (kind == MK_TOLD_RESYNC || kind == MK_TOLD_EXPIRING)
		return;
	mk_pages_move(b, name);
	struct mk_followed *f = remember(t, name, kind == MK_TOLD_REVOKED ? NULL : version);
	if (!f) { /* what comes next could not be told from this */
		add_event(t, MK_TOLD_RESYNC, NULL, NULL);
		t->forgot = mk_events_end(t->events);
	}
	if (f && kind == MK_TOLD_RESTORED) {
		f->asked_ms = 0; /* what is there now is to be told, too */
		mk_tell_look_soon(t);
	}
	if (f && f->first)
		mk_tell_wake(t, f);
	drop_idle(t, name);
}

/* ---- what a fetch brought ---- */

void mk_tell_before(const struct mk_broker *b, const struct mk_name *name, struct mk_current *ret)
{
	const struct mk_followed *f = b->tell ? mk_followed_find(b->tell, name) : NULL;
	if (f && f->known.known)
		*ret = f->known;
	else
		held_now(b, name, ret);
}

void mk_tell_fetched(struct mk_broker *b, const struct mk_name *name, const struct mk_current *before, enum mk_err e)
{
	struct mk_current after = { .known = true };
	if (e != MK_OK && e != MK_NOT_FOUND && e != MK_DISABLED)
		return; /* nothing was learnt */
	if (e == MK_OK)
		held_now(b, name, &after);
	if (!after.known || (before->known && strcmp(before->version, after.version) == 0))
		return;
	if (before->known) {
		mk_tell_event(b, MK_TOLD_ROTATED, name, after.version[0] ? after.version : NULL);
		return;
	}
	struct mk_followed *f = mk_followed_find(b->tell, name); /* seen for the first time: nobody can hold another */
	if (f)
		f->known = after;
}

uint32_t mk_tell_watchers(const struct mk_broker *b)
{
	return b->tell->n_watchers;
}

uint32_t mk_tell_waiting(const struct mk_broker *b)
{
	return b->tell->n_waiting;
}

/* ---- life ---- */

static void on_soon(void *arg)
{
	struct mk_tell *t = arg;
	if (t->dirty)
		mk_tell_refresh(t);
	if (t->rouse)
		mk_tell_rouse(t);
}

mk_must mk_tell_new(struct mk_broker *b, struct mk_tell **ret)
{
	struct mk_tell *t = calloc(1, sizeof *t);
	if (!t)
		return MK_NO_MEMORY;
	t->broker = b;
	t->looked_ms = mk_now_ms(b);
	randombytes_buf(t->hash_key, sizeof t->hash_key);
	enum mk_err e = mk_events_new(&t->events);
	if (e == MK_OK)
		e = mk_timer_new(b->loop, on_soon, t, &t->soon);
	if (e != MK_OK) {
		mk_tell_free(t);
		return e;
	}
	*ret = t;
	return MK_OK;
}

struct mk_tell *mk_tell_free(struct mk_tell *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < MK_FOLLOWED_CHAINS; i++)
		while (t->chain[i]) {
			struct mk_followed *f = t->chain[i];
			t->chain[i] = f->next;
			while (f->first)
				f->first = f->first->next;
			free(f);
		}
	mk_timer_free(t->soon);
	mk_events_free(t->events);
	free(t);
	return NULL;
}

void mk_tell_tick(struct mk_broker *b)
{
	wake_until(b->tell, mk_boot_ms());
	mk_tell_look_again(b->tell);
	if (b->tell->dirty)
		mk_tell_refresh(b->tell);
	mk_tell_expiring(b->tell);
}

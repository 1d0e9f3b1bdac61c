/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams: where each has come to in the ring. A burst of events wakes a stream once; what
 * is not its business is skipped here, what it may not know is skipped when it is asked for.
 */
#include "agent/broker/tell_part.h"

static bool names_it(const struct mk_watcher *w, const struct mk_name *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (mk_name_eq(&w->names[i], name))
			return true;
	return w->n == 0;
}

/* Is there an event for it, or a resync? Moves on over what is not. */
static bool has_some(struct mk_tell *t, struct mk_watcher *w)
{
	const struct mk_event *e;
	while (!w->resync) {
		const enum mk_events_at at = mk_events_look(t->events, w->at, &e);
		if (at == MK_EVENTS_NONE)
			return false;
		w->resync = at == MK_EVENTS_LOST;
		if (at == MK_EVENTS_ONE && (e->kind == MK_TOLD_RESYNC || names_it(w, &e->name)))
			return true;
		w->at++;
	}
	return true;
}

void mk_tell_rouse(struct mk_tell *t)
{
	t->rouse = false;
	for (struct mk_watcher *w = t->watchers, *next; w; w = next) {
		next = w->next;
		if (w->roused || !has_some(t, w))
			continue;
		w->roused = true;
		w->woken(w);
	}
}

static bool may_know(struct mk_broker *b, struct mk_caller *c, const struct mk_name *name)
{
	const struct mk_subject about = mk_gate_subject(b, name);
	return mk_gate_who(b, c) && mk_policy_check(b->policy, c->service, MK_ACTION_WATCH, &about).decision == MK_ALLOW;
}

static void give_resync(struct mk_tell *t, struct mk_watcher *w, struct mk_event *ret)
{
	w->resync = false;
	w->at = mk_events_end(t->events);
	*ret = (struct mk_event){ .n = w->at - 1, .kind = MK_TOLD_RESYNC };
}

bool mk_watcher_next(struct mk_broker *b, struct mk_caller *c, struct mk_watcher *w, struct mk_event *ret)
{
	struct mk_tell *t = b->tell;
	while (has_some(t, w)) {
		const struct mk_event *e = NULL;
		if (!w->resync && mk_events_look(t->events, w->at, &e) != MK_EVENTS_ONE)
			break;
		if (!e || e->kind == MK_TOLD_RESYNC) { /* all before it is part of it */
			give_resync(t, w, ret);
			return true;
		}
		w->at++;
		if (may_know(b, c, &e->name)) {
			*ret = *e;
			return true;
		}
	}
	w->roused = false;
	return false;
}

bool mk_watcher_may_stay(struct mk_broker *b, struct mk_caller *c, const struct mk_watcher *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!may_know(b, c, &w->names[i]))
			return false;
	return mk_gate_might(b, c, MK_ACTION_WATCH);
}

void mk_watcher_id(const struct mk_broker *b, uint64_t n, char out[MK_EVENT_ID_MAX])
{
	mk_events_id(b->tell->events, n, out);
}

uint64_t mk_watcher_read_up_to(const struct mk_watcher *w)
{
	return w->at - 1;
}

/* ---- coming and going ---- */

static mk_must follow(struct mk_tell *t, struct mk_watcher *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (mk_followed_enter(t, &w->names[i]))
			continue;
		while (i-- > 0)
			mk_followed_leave(t, &w->names[i]);
		return MK_NO_MEMORY;
	}
	return MK_OK;
}

mk_must mk_watcher_enter(struct mk_broker *b, const struct mk_caller *c, struct mk_span last_id, struct mk_watcher *w)
{
	struct mk_tell *t = b->tell;
	MK_TRY(mk_tell_count_in(t, &c->evidence, &w->counted));
	if (follow(t, w) != MK_OK) {
		mk_tell_count_out(t, w->counted);
		return MK_NO_MEMORY;
	}
	w->at = mk_events_end(t->events);
	if (last_id.n > 0 && (!mk_events_after(t->events, last_id, &w->at) || w->at <= t->forgot))
		w->resync = true;
	w->open = true;
	w->next = t->watchers;
	if (w->next)
		w->next->prev = w;
	t->watchers = w;
	t->n_watchers++;
	t->n_all += w->n == 0;
	return MK_OK;
}

void mk_watcher_leave(struct mk_broker *b, struct mk_watcher *w)
{
	struct mk_tell *t = b->tell;
	if (!w->open)
		return;
	w->open = false;
	*(w->prev ? &w->prev->next : &t->watchers) = w->next;
	if (w->next)
		w->next->prev = w->prev;
	t->n_watchers--;
	t->n_all -= w->n == 0;
	for (size_t i = 0; i < w->n; i++)
		mk_followed_leave(t, &w->names[i]);
	mk_tell_count_out(t, w->counted);
}

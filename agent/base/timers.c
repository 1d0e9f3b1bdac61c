/* SPDX-License-Identifier: Apache-2.0
 *
 * Timers on CLOCK_BOOTTIME. Memory is taken when a timer is made, so that setting one
 * cannot fail. A timer that fires is disarmed before its handler runs, which may set
 * or free it or any other.
 */
#include "agent/base/timers.h"

#include "agent/base/clock.h"

#include <stdlib.h>

struct mk_timer {
	struct mk_timers *all;
	mk_timer_fn *fn;
	void *arg;
	int64_t due;
	size_t place; /* in the heap, from 1; 0: not armed */
};

static void put(struct mk_timers *all, size_t place, struct mk_timer *t)
{
	all->heap[place] = t;
	t->place = place;
}

/* Moves t from a free place to where it belongs, up or down. */
static void settle(struct mk_timers *all, size_t at, struct mk_timer *t)
{
	for (; at > 1 && t->due < all->heap[at / 2]->due; at /= 2)
		put(all, at, all->heap[at / 2]);
	for (size_t kid = at * 2; kid <= all->armed; kid = at * 2) {
		if (kid < all->armed && all->heap[kid + 1]->due < all->heap[kid]->due)
			kid++;
		if (t->due <= all->heap[kid]->due)
			break;
		put(all, at, all->heap[kid]);
		at = kid;
	}
	put(all, at, t);
}

static void disarm(struct mk_timer *t)
{
	const size_t hole = t->place;
	if (hole == 0)
		return;
	struct mk_timer *last = t->all->heap[t->all->armed--];
	if (last != t)
		settle(t->all, hole, last);
	t->place = 0;
}

static mk_must make_room(struct mk_timers *all)
{
	if (all->made + 1 < all->room)
		return MK_OK;
	const size_t room = all->room ? all->room * 2 : 16;
	struct mk_timer **heap = reallocarray(all->heap, room, sizeof(struct mk_timer *));
	if (!heap)
		return MK_NO_MEMORY;
	all->heap = heap;
	all->room = room;
	return MK_OK;
}

mk_must mk_timers_new(struct mk_timers *all, mk_timer_fn *fn, void *arg, struct mk_timer **ret)
{
	MK_TRY(make_room(all));
	struct mk_timer *t = calloc(1, sizeof *t);
	if (!t)
		return MK_NO_MEMORY;
	*t = (struct mk_timer){ .all = all, .fn = fn, .arg = arg };
	all->made++;
	*ret = t;
	return MK_OK;
}

void mk_timers_done(struct mk_timers *all)
{
	free(all->heap);
	*all = (struct mk_timers){ 0 };
}

void mk_timer_set(struct mk_timer *t, int64_t in_ms)
{
	disarm(t);
	if (in_ms < 0)
		return;
	if (__builtin_add_overflow(mk_boot_ms(), in_ms, &t->due))
		t->due = INT64_MAX;
	settle(t->all, ++t->all->armed, t);
}

bool mk_timer_armed(const struct mk_timer *t)
{
	return t->place != 0;
}

struct mk_timer *mk_timer_free(struct mk_timer *t)
{
	if (!t)
		return NULL;
	disarm(t);
	t->all->made--;
	free(t);
	return NULL;
}

/* At most as many as are armed now: a timer that sets itself to 0 does not hold up the loop. */
void mk_timers_run(struct mk_timers *all, const bool *stop)
{
	const int64_t now = mk_boot_ms();
	for (size_t left = all->armed; left > 0 && all->armed > 0 && !*stop; left--) {
		struct mk_timer *t = all->heap[1];
		if (t->due > now)
			return;
		disarm(t);
		t->fn(t->arg);
	}
}

int mk_timers_nap(const struct mk_timers *all, int max)
{
	if (all->armed == 0)
		return -1;
	const int64_t now = mk_boot_ms(), due = all->heap[1]->due;
	if (due <= now)
		return 0;
	return due - now < max ? (int)(due - now) : max;
}

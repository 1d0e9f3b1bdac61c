/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of slots. A flight that ends wakes one waiter at a time from the head of its
 * list, so that a woken one may cancel any other. Waiters are counted by uid in a
 * small array of the uids that wait now; callers cannot make uids up.
 */
#include "agent/broker/flight.h"

#include "agent/broker/waiters.h"

#include <stdlib.h>

#define UIDS_MAX 1024u /* different uids that wait at one time */

struct mk_flights {
	struct mk_flight slot[MK_FLIGHTS_MAX];
	size_t high; /* slots from here on were never used */
	size_t waiting;
	uint32_t questions;
	size_t n_uids;
	struct {
		uid_t uid;
		uint32_t n;
	} uids[UIDS_MAX];
};

mk_must mk_flights_new(struct mk_flights **ret)
{
	struct mk_flights *fs = calloc(1, sizeof *fs);
	if (!fs)
		return MK_NO_MEMORY;
	*ret = fs;
	return MK_OK;
}

size_t mk_flights_waiting(const struct mk_flights *fs)
{
	return fs->waiting;
}

size_t mk_flights_of_uid(struct mk_flights *fs, uid_t uid)
{
	size_t at = 0, n = 0;
	for (const struct mk_flight *f; (f = mk_flight_each(fs, &at));)
		n += f->uid == uid;
	return n;
}

static bool same_key(const struct mk_flight_key *a, const struct mk_flight_key *b)
{
	return a->kind == b->kind && a->previous == b->previous && mk_name_eq(&a->name, &b->name);
}

struct mk_flight *mk_flight_find(struct mk_flights *fs, const struct mk_flight_key *key)
{
	for (size_t i = 0; i < fs->high; i++) {
		struct mk_flight *f = &fs->slot[i];
		if (f->used && f->joinable && same_key(&f->key, key))
			return f;
	}
	return NULL;
}

mk_must mk_flight_begin(struct mk_flights *fs, const struct mk_flight_key *key, uid_t uid, struct mk_flight **ret)
{
	size_t i = 0;
	if (mk_flights_of_uid(fs, uid) >= MK_FLIGHTS_PER_UID)
		return MK_RATE_LIMITED;
	while (i < fs->high && fs->slot[i].used)
		i++;
	if (i == MK_FLIGHTS_MAX)
		return MK_NOT_READY;
	if (i == fs->high)
		fs->high++;
	struct mk_flight *f = &fs->slot[i];
	*f = (struct mk_flight){ .key = *key, .uid = uid, .used = true, .joinable = true, .gen = f->gen + 1 };
	*ret = f;
	return MK_OK;
}

struct mk_ref mk_flight_ask(struct mk_flights *fs, struct mk_flight *f)
{
	f->question = ++fs->questions;
	f->sent = true;
	return (struct mk_ref){ (uint32_t)(f - fs->slot), f->question };
}

struct mk_flight *mk_flight_of(struct mk_flights *fs, struct mk_ref question)
{
	struct mk_flight *f = question.slot < fs->high ? &fs->slot[question.slot] : NULL;
	return f && f->used && f->sent && f->question == question.gen ? f : NULL;
}

struct mk_flight *mk_flight_each(struct mk_flights *fs, size_t *at)
{
	while (*at < fs->high) {
		struct mk_flight *f = &fs->slot[(*at)++];
		if (f->used)
			return f;
	}
	return NULL;
}

/* One more of this uid, within the limit. */
static mk_must count_in(struct mk_flights *fs, uid_t uid, uint32_t per_uid)
{
	size_t i = 0;
	while (i < fs->n_uids && fs->uids[i].uid != uid)
		i++;
	if (i == UIDS_MAX)
		return MK_RATE_LIMITED;
	if (i == fs->n_uids) {
		fs->uids[i].uid = uid;
		fs->uids[i].n = 0;
		fs->n_uids++;
	}
	if (fs->uids[i].n >= per_uid)
		return MK_RATE_LIMITED;
	fs->uids[i].n++;
	fs->waiting++;
	return MK_OK;
}

static void count_out(struct mk_flights *fs, uid_t uid)
{
	size_t i = 0;
	while (i < fs->n_uids && fs->uids[i].uid != uid)
		i++;
	mk_assert(i < fs->n_uids && fs->uids[i].n > 0);
	fs->waiting--;
	if (--fs->uids[i].n == 0)
		fs->uids[i] = fs->uids[--fs->n_uids];
}

mk_must mk_flight_join(struct mk_flights *fs, struct mk_flight *f, struct mk_waiter *w, uint32_t per_uid)
{
	MK_TRY(count_in(fs, w->uid, per_uid));
	w->ref = (struct mk_ref){ (uint32_t)(f - fs->slot), f->gen };
	w->for_change = false;
	mk_waiters_add(&f->first, w);
	return MK_OK;
}

/* One in a list that does not know of it any more is not a waiter: its memory is somebody else's by now. */
static void unhook(struct mk_flights *fs, struct mk_waiter *w)
{
	mk_assert(w->waiting && w->ref.slot < fs->high && fs->slot[w->ref.slot].gen == w->ref.gen);
	mk_waiters_drop(w);
	count_out(fs, w->uid);
}

void mk_flight_leave(struct mk_flights *fs, struct mk_waiter *w)
{
	if (w->waiting)
		unhook(fs, w);
}

void mk_flight_end(struct mk_flights *fs, struct mk_flight *f, enum mk_err err)
{
	f->joinable = false;
	f->sent = false;
	while (f->first) {
		struct mk_waiter *w = f->first;
		unhook(fs, w);
		w->fetched = true;
		w->err = err;
		w->woken(w);
	}
	mk_names_done(&f->names);
	f->used = false;
}

struct mk_flights *mk_flights_free(struct mk_flights *fs)
{
	if (fs) {
		size_t at = 0;
		for (struct mk_flight *f; (f = mk_flight_each(fs, &at));) {
			while (f->first)
				unhook(fs, f->first);
			mk_names_done(&f->names);
		}
		free(fs);
	}
	return NULL;
}

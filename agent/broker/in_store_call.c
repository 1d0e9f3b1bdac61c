/* SPDX-License-Identifier: Apache-2.0
 *
 * A call: made before its act, with what is held then; begun after it; and what it is asked
 * when it is over.
 */
#include "agent/broker/in_store_part.h"

#include "agent/base/clock.h"
#include "agent/broker/gate_part.h"
#include "mk/own.h"

#include <stdlib.h>

/* ---- a call ---- */

void mk_in_store_take_held(struct mk_in_store *j, size_t name)
{
	const struct mk_entry *e = mk_store_find(j->b->store, &j->names[name]);
	for (unsigned slot = 0; e && slot <= MK_SLOT_PREVIOUS; slot++) {
		const struct mk_version *v = &e->at[slot];
		char *held = v->backend < j->n_stores ? j->works[name * j->n_stores + v->backend].held[slot] : NULL;
		if (v->held && v->version && held && held[0] == '\0')
			strncpy(held, v->version, MK_VERSION_MAX);
	}
}

static void take_caller(struct mk_in_store *j, struct mk_caller *c)
{
	const struct mk_service *s = mk_gate_who(j->b, c);
	j->evidence = c->evidence;
	if (s)
		j->service = s->name;
}

mk_must mk_in_store_new(struct mk_broker *b, struct mk_caller *c, enum mk_verb verb, const struct mk_name *names, size_t n,
			struct mk_in_store **ret)
{
	_Static_assert(MK_IN_STORE_HELD == MK_SLOT_PREVIOUS + 1, "each slot's version");
	if (n == 0 || n * b->n_replicas > MK_IN_STORE_MOST)
		return MK_TOO_LARGE;
	struct mk_in_store *j = calloc(1, sizeof *j);
	if (!j)
		return MK_NO_MEMORY;
	*j = (struct mk_in_store){ .b = b, .verb = verb, .n = n, .n_stores = b->n_replicas, .open = n * b->n_replicas };
	j->names = calloc(n, sizeof *j->names);
	j->works = calloc(j->open + 1, sizeof *j->works);
	if (!j->names || !j->works) {
		mk_in_store_destroy(j);
		return MK_NO_MEMORY;
	}
	memcpy(j->names, names, n * sizeof *names);
	for (size_t i = 0; i < j->n_stores; i++)
		j->stores[i] = b->replicas[i].name;
	for (size_t i = 0; i < n; i++)
		mk_in_store_take_held(j, i);
	take_caller(j, c);
	*ret = j;
	return MK_OK;
}

static bool too_many(const struct mk_broker *b)
{
	unsigned n = 0;
	for (const struct mk_in_store *j = b->in_stores; j; j = j->next)
		n++;
	return n >= MK_IN_STORE_CALLS;
}

/* Those that are not asked have their outcome at once. */
static void sort_out(struct mk_in_store *j)
{
	const enum mk_err e = too_many(j->b) ? MK_RATE_LIMITED : mk_in_store_record_begin(j);
	for (size_t i = 0; i < j->n * j->n_stores; i++) {
		const size_t store = i % j->n_stores;
		if (store >= j->b->n_replicas || !j->b->replicas[store].writable)
			mk_in_store_end(j, &j->works[i], MK_STORED_NOT_WRITABLE, MK_OK);
		else if (e != MK_OK)
			mk_in_store_end(j, &j->works[i], MK_STORED_FAILED, e);
	}
}

bool mk_in_store_begin(struct mk_in_store *j, void (*done)(void *arg), void *arg)
{
	mk_assert(!j->begun);
	j->begun = true;
	j->done = done;
	j->arg = arg;
	j->began_ms = mk_boot_ms();
	j->until_ms = j->began_ms + (j->b->draining ? MK_IN_STORE_DRAIN_MS : MK_IN_STORE_MS);
	sort_out(j);
	if (j->open == 0) {
		j->told = true;
		return true;
	}
	j->next = j->b->in_stores;
	j->b->in_stores = j;
	mk_in_store_look(j);
	if (j->open > 0)
		return false;
	j->told = true;
	mk_in_store_unlink(j);
	return true;
}

struct mk_in_store *mk_in_store_free(struct mk_in_store *j)
{
	if (j && j->begun && j->open > 0)
		j->let_go = true;
	else if (j)
		mk_in_store_destroy(j);
	return NULL;
}

/* ---- what came of it ---- */

enum mk_verb mk_in_store_verb(const struct mk_in_store *j)
{
	return j->verb;
}

size_t mk_in_store_stores(const struct mk_in_store *j)
{
	return j->n_stores;
}

const struct mk_word *mk_in_store_store(const struct mk_in_store *j, size_t store)
{
	return &j->stores[store];
}

const struct mk_stored *mk_in_store_of(const struct mk_in_store *j, size_t name, size_t store)
{
	return &j->works[name * j->n_stores + store].is;
}

bool mk_in_store_all_done(const struct mk_in_store *j, size_t name)
{
	bool has = false;
	for (size_t i = 0; i < j->n_stores; i++) {
		const enum mk_stored_outcome o = mk_in_store_of(j, name, i)->outcome;
		if (o > MK_STORED_DONE || o == MK_STORED_WAITS)
			return false;
		has = has || o != MK_STORED_NOT_FOUND;
	}
	return has;
}

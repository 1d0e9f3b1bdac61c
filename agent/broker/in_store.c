/* SPDX-License-Identifier: Apache-2.0
 *
 * Each name in each store is a piece of work of its own, which ends with an outcome exactly
 * once. Nothing is kept across an await but a question's number. A fetcher that goes away in
 * the middle is asked again once, as both verbs may be asked twice; a second time would be a
 * store that ends every fetcher.
 */
#include "agent/broker/in_store_part.h"

#include "agent/base/clock.h"
#include "agent/ipc/msg_write.h"
#include "mk/own.h"

#include <stdlib.h>

#define TRIES_MAX    2u
#define QUESTION_MAX 256
#define KNOWN_MS     INT64_C(1000)

const char *mk_stored_word(enum mk_verb verb, enum mk_stored_outcome o)
{
	static const char *const words[MK_STORED_OUTCOMES] = {
#define WORD(name, word) [MK_STORED_##name] = (word),
		MK_STORED_LIST(WORD)
#undef WORD
	};
	if (o == MK_STORED_DONE)
		return verb == MK_VERB_ENABLE ? "enabled" : "disabled";
	return words[o];
}

enum mk_stored_outcome mk_stored_of(enum mk_err e, bool already, bool unsure)
{
	if (e == MK_OK)
		return already ? MK_STORED_ALREADY : MK_STORED_DONE;
	if (unsure)
		return MK_STORED_UNKNOWN;
	if (e == MK_METHOD)
		return MK_STORED_CANNOT;
	return e == MK_NOT_FOUND ? MK_STORED_NOT_FOUND : MK_STORED_FAILED;
}

/* ---- one piece of work ---- */

static size_t at_of(const struct mk_in_store *j, const struct mk_in_store_work *w)
{
	return (size_t)(w - j->works);
}

static const struct mk_name *name_of(const struct mk_in_store *j, const struct mk_in_store_work *w)
{
	return &j->names[at_of(j, w) / j->n_stores];
}

void mk_in_store_end(struct mk_in_store *j, struct mk_in_store_work *w, enum mk_stored_outcome o, enum mk_err e)
{
	w->question = 0;
	w->is.outcome = o;
	if (o < MK_STORED_CANNOT)
		w->is.fault[0] = '\0';
	w->is.err = o == MK_STORED_FAILED || o == MK_STORED_UNKNOWN ? e : MK_OK;
	w->is.ms = w->began_ms > 0 ? mk_boot_ms() - w->began_ms : 0;
	j->open--;
	if (j->verb == MK_VERB_ENABLE && (o == MK_STORED_DONE || o == MK_STORED_ALREADY))
		mk_in_store_enabled(j, name_of(j, w));
	mk_in_store_record(j, w);
}

/* A question that will have no answer. */
static void lost(struct mk_in_store_work *w)
{
	w->maybe = w->maybe || w->question != 0;
	w->question = 0;
}

static void give_up(struct mk_in_store *j, struct mk_in_store_work *w, enum mk_err e)
{
	lost(w);
	mk_in_store_end(j, w, w->maybe ? MK_STORED_UNKNOWN : MK_STORED_FAILED, e);
}

static const char *version_asked(const struct mk_in_store_work *w)
{
	return w->next == 0 ? "" : w->held[w->next - 1];
}

/* The next held version that was not among those asked about; false: there is none. A restore has the current one only. */
static bool another_version(const struct mk_in_store *j, struct mk_in_store_work *w)
{
	while (j->verb == MK_VERB_DISABLE && w->next++ < MK_IN_STORE_HELD) {
		const char *v = version_asked(w);
		bool asked = v[0] == '\0' || strcmp(v, w->is.version) == 0;
		for (unsigned i = 0; i + 1 < w->next; i++)
			asked = asked || strcmp(v, w->held[i]) == 0;
		if (!asked)
			return true;
	}
	return false;
}

/* A store that was replaced by a reload is not asked by its old number. */
static bool store_is_there(const struct mk_in_store *j, size_t store)
{
	const struct mk_broker *b = j->b;
	return store < b->n_replicas && mk_word_eq(&b->replicas[store].name, &j->stores[store]) && b->replicas[store].writable;
}

static mk_must send_it(const struct mk_in_store *j, struct mk_in_store_work *w)
{
	uint8_t buf[QUESTION_MAX];
	struct mk_broker *b = j->b;
	struct mk_wr out = mk_wr_of(buf, sizeof buf);
	size_t n = 0;
	if (++b->writes == 0)
		b->writes = 1;
	struct mk_msg_write m = { .ref = { (uint32_t)at_of(j, w), b->writes }, .backend = (uint8_t)(at_of(j, w) % j->n_stores),
				  .verb = j->verb, .name = *name_of(j, w) };
	memcpy(m.version, version_asked(w), strlen(version_asked(w)) + 1);
	mk_msg_write_write(&out, &m);
	MK_TRY(mk_wr_end(&out, &n));
	MK_TRY(mk_link_send(b->fetcher, MK_MSG_WRITE_BEGIN, mk_span(buf, n), -1));
	w->question = b->writes;
	w->tries++;
	w->asked_ms = mk_boot_ms();
	if (w->began_ms == 0)
		w->began_ms = w->asked_ms;
	return MK_OK;
}

/* While what the store has is being looked up, so that it is known to be dead: a store that hands it out no more could not be asked
 * for it. Not for long where a value is known already. */
static bool value_comes(const struct mk_in_store *j, const struct mk_in_store_work *w)
{
	struct mk_broker *b = j->b;
	const struct mk_dead *dead = mk_revoked_name(&b->revoked, name_of(j, w));
	const int64_t waited = mk_boot_ms() - j->began_ms;
	size_t at = 0;
	if (j->verb != MK_VERB_DISABLE || !dead || !dead->unseen || waited > MK_FLIGHT_MS)
		return false;
	if (waited > KNOWN_MS && mk_revoked_values_of(&b->revoked, name_of(j, w)) > 0)
		return false;
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		if (f->key.kind == MK_FLIGHT_GET && mk_name_eq(&f->key.name, name_of(j, w)))
			return true;
	return false;
}

/* A later act undid the one that this was to follow: what the stores are to do is for that one to say. */
static bool is_overtaken(const struct mk_in_store *j, const struct mk_in_store_work *w)
{
	const bool dead = mk_revoked_name(&j->b->revoked, name_of(j, w)) != NULL;
	return dead != (j->verb == MK_VERB_DISABLE);
}

/* Another call asks that store about that name just now: which of the two comes last there must not be left to chance. */
static bool is_busy(const struct mk_in_store *mine, const struct mk_in_store_work *w)
{
	const struct mk_word *store = &mine->stores[at_of(mine, w) % mine->n_stores];
	for (const struct mk_in_store *j = mine->b->in_stores; j; j = j->next)
		for (size_t i = 0; j != mine && i < j->n * j->n_stores; i++)
			if (j->works[i].question && mk_word_eq(&j->stores[i % j->n_stores], store) &&
			    mk_name_eq(name_of(j, &j->works[i]), name_of(mine, w)))
				return true;
	return false;
}

/* ---- all of it ---- */

static void ask(struct mk_in_store *j, struct mk_in_store_work *w)
{
	const size_t store = at_of(j, w) % j->n_stores;
	mk_in_store_take_held(j, at_of(j, w) / j->n_stores); /* what is looked up meanwhile is dead as well, and may not be held for long */
	if (is_overtaken(j, w))
		give_up(j, w, MK_CONFLICT);
	else if (!store_is_there(j, store))
		give_up(j, w, MK_NOT_READY);
	else if (w->tries >= TRIES_MAX)
		give_up(j, w, MK_NOT_READY);
	else if (j->b->fetcher && !j->b->other_stores && !is_busy(j, w) && !value_comes(j, w))
		mk_ignore(send_it(j, w), "it is tried again at the next look");
}

static bool is_late(const struct mk_in_store *j, const struct mk_in_store_work *w, int64_t now)
{
	return now >= j->until_ms || (w->question && now - w->asked_ms >= MK_IN_STORE_ONE_MS);
}

void mk_in_store_look(struct mk_in_store *j)
{
	const int64_t now = mk_boot_ms();
	unsigned going[MK_BACKENDS_MAX] = { 0 };
	for (size_t i = 0; i < j->n * j->n_stores; i++) {
		struct mk_in_store_work *w = &j->works[i];
		unsigned *of_store = &going[i % j->n_stores];
		if (w->is.outcome != MK_STORED_WAITS)
			continue;
		if (is_late(j, w, now))
			give_up(j, w, MK_TIMEOUT);
		else if (!w->question && *of_store < MK_IN_STORE_AT_ONCE)
			ask(j, w);
		*of_store += w->question != 0;
	}
}

struct mk_in_store *mk_in_store_destroy(struct mk_in_store *j)
{
	free(j->names);
	free(j->works);
	free(j);
	return NULL;
}

void mk_in_store_unlink(struct mk_in_store *j)
{
	struct mk_in_store **at = &j->b->in_stores;
	while (*at && *at != j)
		at = &(*at)->next;
	if (*at)
		*at = j->next;
	j->next = NULL;
}

/* Over: nobody but its caller knows of it from now on. */
static void close_it(struct mk_in_store *j)
{
	mk_in_store_unlink(j);
	if (j->let_go)
		mk_in_store_destroy(j);
	else if (!j->told) {
		j->told = true;
		j->done(j->arg);
	}
}

void mk_in_store_go_on(struct mk_broker *b)
{
	for (struct mk_in_store *j = b->in_stores, *next; j; j = next) {
		next = j->next;
		mk_in_store_look(j);
		if (j->open == 0)
			close_it(j);
	}
}

void mk_in_store_no_fetcher(struct mk_broker *b)
{
	for (struct mk_in_store *j = b->in_stores; j; j = j->next)
		for (size_t i = 0; i < j->n * j->n_stores; i++)
			lost(&j->works[i]);
}

static struct mk_in_store_work *work_of(struct mk_broker *b, struct mk_ref ref, struct mk_in_store **ret_j)
{
	for (struct mk_in_store *j = b->in_stores; j; j = j->next)
		if (ref.gen != 0 && ref.slot < j->n * j->n_stores && j->works[ref.slot].question == ref.gen) {
			*ret_j = j;
			return &j->works[ref.slot];
		}
	return NULL;
}

static void apply(struct mk_in_store *j, struct mk_in_store_work *w, const struct mk_msg_written *m)
{
	const enum mk_stored_outcome o = mk_stored_of(m->err, m->already, m->unsure);
	const enum mk_stored_outcome worst = o > w->so_far ? o : w->so_far;
	if (w->next == 0)
		memcpy(w->is.version, m->version, sizeof w->is.version);
	memcpy(w->is.fault, m->fault, sizeof w->is.fault);
	w->question = 0;
	w->tries = 0;
	w->maybe = false;
	if (o <= MK_STORED_DONE && another_version(j, w)) {
		w->so_far = worst;
		return;
	}
	mk_in_store_end(j, w, worst, m->err);
}

mk_must mk_in_store_written(struct mk_broker *b, struct mk_span body)
{
	struct mk_msg_written m;
	struct mk_in_store *j = NULL;
	MK_TRY(mk_msg_written_read(body, &m));
	struct mk_in_store_work *w = work_of(b, m.ref, &j);
	if (w)
		apply(j, w, &m); /* else too late */
	mk_in_store_go_on(b);
	return MK_OK;
}

void mk_in_store_hurry(struct mk_broker *b)
{
	const int64_t until = mk_boot_ms() + MK_IN_STORE_DRAIN_MS;
	for (struct mk_in_store *j = b->in_stores; j; j = j->next)
		j->until_ms = j->until_ms < until ? j->until_ms : until;
}

void mk_in_store_stop(struct mk_broker *b)
{
	for (struct mk_in_store *j = b->in_stores, *next; j; j = next) {
		next = j->next;
		for (size_t i = 0; i < j->n * j->n_stores; i++)
			if (j->works[i].is.outcome == MK_STORED_WAITS)
				give_up(j, &j->works[i], MK_NOT_READY);
		j->told = true; /* there is nobody to be told */
		close_it(j);
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions, and what their answers change. Nothing is kept across an await but the
 * flight's number.
 */
#include "agent/broker/fetch_part.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/acts_revoke.h"
#include "agent/broker/environment.h"
#include "agent/broker/in_store.h"
#include "agent/broker/now.h"
#include "agent/broker/pages.h"
#include "agent/broker/standing.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#define QUESTION_MAX 512

/* ---- questions ---- */

static void ask(struct mk_broker *b, struct mk_flight *f)
{
	uint8_t buf[QUESTION_MAX];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	size_t n = 0;
	if (!b->fetcher || b->other_stores) {
		f->sent = false;
		return;
	}
	const struct mk_ref ref = mk_flight_ask(b->flights, f);
	if (f->key.kind == MK_FLIGHT_GET) {
		const struct mk_msg_fetch m = { .ref = ref, .backend = f->backend, .name = f->key.name,
						.previous = f->key.previous };
		mk_msg_fetch_write(&w, &m);
	} else {
		struct mk_msg_list m = { .ref = ref, .backend = f->backend };
		if (f->names.n > 0)
			m.after = f->names.items[f->names.n - 1].name;
		mk_msg_list_write(&w, &m);
	}
	const enum mk_msg type = f->key.kind == MK_FLIGHT_GET ? MK_MSG_FETCH_BEGIN : MK_MSG_LIST_BEGIN;
	if (mk_wr_end(&w, &n) != MK_OK || mk_link_send(b->fetcher, type, mk_span(buf, n), -1) != MK_OK)
		f->sent = false; /* the tick asks again */
}

void mk_fetch_ask_backend(struct mk_broker *b, struct mk_flight *f, uint8_t backend)
{
	f->backend = backend;
	f->epoch = b->replicas[backend].epoch;
	mk_names_done(&f->names);
	ask(b, f);
}

static mk_must flight_for(struct mk_broker *b, const struct mk_flight_key *key, uid_t uid, struct mk_flight **ret)
{
	*ret = mk_flight_find(b->flights, key);
	if (*ret)
		return MK_OK;
	if (b->n_replicas == 0)
		return MK_NOT_READY;
	MK_TRY(mk_flight_begin(b->flights, key, uid, ret));
	(*ret)->deadline_ms = mk_boot_ms() + MK_FLIGHT_MS;
	mk_fetch_ask_backend(b, *ret, 0);
	return MK_OK;
}

mk_must mk_fetch_wait(struct mk_broker *b, const struct mk_flight_key *key, struct mk_waiter *w)
{
	struct mk_flight *f = NULL;
	MK_TRY(flight_for(b, key, w->uid, &f));
	return mk_flight_join(b->flights, f, w, b->limits.waiters_per_uid);
}

void mk_fetch_start(struct mk_broker *b, const struct mk_flight_key *key, uid_t uid)
{
	struct mk_flight *f = NULL;
	mk_ignore(flight_for(b, key, uid, &f), "nobody waits; it is tried again when somebody asks");
}

void mk_fetch_changed(struct mk_broker *b, size_t backend)
{
	size_t at = 0;
	b->replicas[backend].epoch++;
	mk_missing_clear(b->missing);
	mk_tell_stores_changed(b);
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		if (f->backend == backend)
			f->joinable = false; /* it may bring what was there before the change */
}

void mk_fetch_changed_all(struct mk_broker *b)
{
	mk_pages_move_all(b); /* what clients repeat, too */
	for (size_t i = 0; i < b->n_replicas; i++)
		mk_fetch_changed(b, i);
}

void mk_fetch_again(struct mk_broker *b)
{
	size_t at = 0;
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		mk_fetch_ask_backend(b, f, 0);
}

/* ---- answers ---- */

/* The fetcher may say only what a store can say. */
static enum mk_err as_store_error(enum mk_err e)
{
	const bool known = e == MK_OK || e == MK_NOT_FOUND || e == MK_DISABLED || e == MK_TIMEOUT || e == MK_NOT_READY;
	return known ? e : MK_BACKEND;
}

static bool healthy(enum mk_err e)
{
	return e == MK_OK || e == MK_NOT_FOUND || e == MK_DISABLED;
}

/* Logged when a store's health turns, not at each call. */
void mk_fetch_note_call(struct mk_broker *b, uint8_t backend, enum mk_err e)
{
	struct mk_replica *r = &b->replicas[backend];
	const bool was = !r->called || healthy(r->last);
	if (was && !healthy(e))
		mk_log(MK_WARN, "backend_failing", MK_KV_S("backend", r->name.s), MK_KV_S("err", mk_err_word(e)));
	else if (!was && healthy(e))
		mk_log(MK_INFO, "backend_recovered", MK_KV_S("backend", r->name.s));
	r->called = true;
	r->calls++;
	r->last = e;
	if (healthy(e))
		r->last_ok_ms = mk_wall_ms();
}

bool mk_fetch_failing(const struct mk_broker *b)
{
	for (size_t i = 0; i < b->n_replicas; i++)
		if (!b->replicas[i].called || healthy(b->replicas[i].last))
			return false;
	return b->n_replicas > 0;
}

static enum mk_slot slot_of(const struct mk_flight *f)
{
	return f->key.previous ? MK_SLOT_PREVIOUS : MK_SLOT_CURRENT;
}

void mk_fetch_note_failure(struct mk_broker *b, const struct mk_flight *f)
{
	const struct mk_failure failure = { .at_ms = mk_boot_ms(), .backend = f->backend, .epoch = f->epoch };
	if (f->key.kind == MK_FLIGHT_GET)
		mk_store_failed(b->store, &f->key.name, slot_of(f), &failure);
	else
		b->directory.failure = failure;
}

static enum mk_err keep(struct mk_broker *b, const struct mk_flight *f, const struct mk_msg_fetched *m, bool disabled)
{
	const char *fault = NULL;
	struct mk_fetched got = {
		.name = f->key.name, .slot = slot_of(f), .version = m->err == MK_OK ? m->meta.version : "",
		.created_ms = m->err == MK_OK ? m->meta.created_ms : MK_TIME_NONE, .disabled = disabled,
		.leaves = m->leaves, .backend = f->backend, .epoch = f->epoch,
		.tags = m->meta.tags, .n_tags = m->err == MK_OK ? m->meta.n_tags : 0,
		.wall_ms = mk_now_ms(b), .boot_ms = mk_boot_ms(),
	};
	got.disabled = mk_revoked_take(b, &got) || disabled; /* of one that is revoked only the tags stay: by them policy may decide who is told */
	const enum mk_err e = mk_store_put(b->store, &got, &fault);
	if (e == MK_BACKEND)
		mk_log(MK_WARN, "secret_unusable", MK_KV_S("connection", f->key.name.s), MK_KV_S("fault", fault ? fault : ""));
	else if (e == MK_NO_MEMORY)
		mk_alarm_raise(b, MK_ALARM_STORE_FULL, "");
	else if (e == MK_OK) {
		mk_revoked_look(b, &got);
		mk_environment_look(b, &got);
		mk_missing_drop(b->missing, &f->key.name, f->key.previous);
		mk_alarm_clear(b, MK_ALARM_STORE_FULL, "");
	}
	return e;
}

static void not_there(struct mk_broker *b, const struct mk_flight *f)
{
	mk_store_remove(b->store, &f->key.name, slot_of(f));
	mk_revoked_absent(b, &f->key.name, slot_of(f));
	mk_environment_settle(b);
	if (f->joinable) /* else the store has changed since it was asked */
		mk_missing_add(b->missing, &f->key.name, f->key.previous, mk_boot_ms());
}

/* What the answer changes, and what who waits is told. */
static enum mk_err apply_get(struct mk_broker *b, const struct mk_flight *f, const struct mk_msg_fetched *m, enum mk_err e)
{
	if (e == MK_OK || e == MK_DISABLED) {
		const bool disabled = e == MK_DISABLED || m->meta.disabled;
		const enum mk_err kept = keep(b, f, m, disabled);
		e = kept == MK_OK && disabled ? MK_DISABLED : kept;
		if (kept == MK_OK)
			return e;
	}
	if (e == MK_BACKEND && f->key.previous)
		mk_revoked_absent(b, &f->key.name, MK_SLOT_PREVIOUS); /* it refuses previous versions: to ask again is no use */
	if (e == MK_NOT_FOUND)
		not_there(b, f);
	else
		mk_fetch_note_failure(b, f);
	return e;
}

static bool next_backend(struct mk_broker *b, struct mk_flight *f, enum mk_err e)
{
	if (healthy(e) || (size_t)f->backend + 1 >= b->n_replicas)
		return false;
	mk_fetch_ask_backend(b, f, (uint8_t)(f->backend + 1));
	return true;
}

/* A store may give its tokens but not their names, nor what a previous version takes: that it refuses those says nothing of its health. */
static void note_extra(struct mk_broker *b, uint8_t backend, enum mk_err e)
{
	if (e == MK_BACKEND)
		b->replicas[backend].calls++;
	else
		mk_fetch_note_call(b, backend, e);
}

mk_must mk_fetch_on_fetched(struct mk_broker *b, struct mk_span body)
{
	struct mk_msg_fetched m;
	MK_TRY(mk_msg_fetched_read(body, &m));
	struct mk_flight *f = mk_flight_of(b->flights, m.ref);
	if (!f)
		return MK_OK; /* too late, or asked of another backend meanwhile */
	if (f->key.kind != MK_FLIGHT_GET)
		return MK_BAD_REQUEST;
	const enum mk_err e = as_store_error(m.err);
	(f->key.previous ? note_extra : mk_fetch_note_call)(b, f->backend, e);
	if (next_backend(b, f, e))
		return MK_OK;
	const struct mk_flight_key key = f->key;
	struct mk_stood before;
	mk_standing_before(b, &key.name, &before);
	const enum mk_err done = apply_get(b, f, &m, e);
	if (!key.previous)
		mk_standing_after(b, &key.name, &before, done);
	mk_flight_end(b->flights, f, done);
	mk_tell_fetch_ended(b);
	mk_in_store_go_on(b); /* one may have waited for this value */
	return MK_OK;
}

/* A listing has no name that could be missing. */
static enum mk_err list_error(enum mk_err e)
{
	const bool known = e == MK_OK || e == MK_TIMEOUT || e == MK_NOT_READY || e == MK_NO_MEMORY;
	return known ? e : MK_BACKEND;
}

mk_must mk_fetch_on_listed(struct mk_broker *b, struct mk_span body)
{
	struct mk_msg_listed m = { .items = b->page };
	MK_TRY(mk_msg_listed_read(body, &m));
	struct mk_flight *f = mk_flight_of(b->flights, m.ref);
	if (!f)
		return MK_OK;
	if (f->key.kind != MK_FLIGHT_LIST)
		return MK_BAD_REQUEST;
	enum mk_err e = as_store_error(m.err);
	note_extra(b, f->backend, e);
	if (next_backend(b, f, e))
		return MK_OK;
	if (e == MK_OK)
		e = mk_names_add(&f->names, m.items, m.n);
	if (e == MK_BAD_REQUEST)
		return e;
	if (e == MK_TOO_LARGE)
		mk_log(MK_WARN, "listing_too_long", MK_KV_S("backend", b->replicas[f->backend].name.s), MK_KV_N("most", MK_NAMES_MAX));
	if (e == MK_OK && m.more) {
		f->deadline_ms = mk_boot_ms() + MK_FLIGHT_MS; /* it moves on */
		ask(b, f);
		return MK_OK;
	}
	if (e == MK_OK)
		mk_directory_set(&b->directory, &f->names, f->backend, f->epoch, mk_boot_ms());
	else
		mk_fetch_note_failure(b, f);
	mk_flight_end(b->flights, f, list_error(e));
	return MK_OK;
}

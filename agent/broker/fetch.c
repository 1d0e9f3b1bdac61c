/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing is kept across an await but the flight's number. A frame from the fetcher
 * that does not hold costs it the link; open questions wait for the next one.
 */
#include "agent/broker/fetch.h"

#include "agent/broker/bearer.h"
#include "agent/broker/environment.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/endpoints.h"
#include "agent/broker/schedule.h"
#include "mk/own.h"

#include <sodium.h>

#define QUESTION_MAX 512
#define LEFT_MS      1000 /* one that has ended closes its link, too, and its supervisor sees that by itself */

static const struct mk_flight_key the_list = { .kind = MK_FLIGHT_LIST };

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

static void ask_backend(struct mk_broker *b, struct mk_flight *f, uint8_t backend)
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
	ask_backend(b, *ret, 0);
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
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		if (f->backend == backend)
			f->joinable = false; /* it may bring what was there before the change */
}

void mk_fetch_changed_all(struct mk_broker *b)
{
	for (size_t i = 0; i < b->n_replicas; i++)
		mk_fetch_changed(b, i);
}

void mk_fetch_again(struct mk_broker *b)
{
	size_t at = 0;
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		ask_backend(b, f, 0);
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
static void note_call(struct mk_broker *b, uint8_t backend, enum mk_err e)
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

static void note_failure(struct mk_broker *b, const struct mk_flight *f)
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
	const struct mk_fetched got = {
		.name = f->key.name, .slot = slot_of(f), .version = m->err == MK_OK ? m->meta.version : "",
		.created_ms = m->err == MK_OK ? m->meta.created_ms : MK_TIME_NONE, .disabled = disabled,
		.leaves = m->leaves, .backend = f->backend, .epoch = f->epoch,
		.tags = m->meta.tags, .n_tags = m->err == MK_OK ? m->meta.n_tags : 0,
		.wall_ms = mk_wall_ms(), .boot_ms = mk_boot_ms(),
	};
	const enum mk_err e = mk_store_put(b->store, &got, &fault);
	if (e == MK_BACKEND)
		mk_log(MK_WARN, "secret_unusable", MK_KV_S("connection", f->key.name.s), MK_KV_S("fault", fault ? fault : ""));
	else if (e == MK_NO_MEMORY)
		mk_alarm_raise(b, MK_ALARM_STORE_FULL, "");
	else if (e == MK_OK) {
		mk_environment_look(b, &got);
		mk_missing_drop(b->missing, &f->key.name, f->key.previous);
		mk_alarm_clear(b, MK_ALARM_STORE_FULL, "");
	}
	return e;
}

static void not_there(struct mk_broker *b, const struct mk_flight *f)
{
	mk_store_remove(b->store, &f->key.name, slot_of(f));
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
	if (e == MK_NOT_FOUND)
		not_there(b, f);
	else
		note_failure(b, f);
	return e;
}

static bool next_backend(struct mk_broker *b, struct mk_flight *f, enum mk_err e)
{
	if (healthy(e) || (size_t)f->backend + 1 >= b->n_replicas)
		return false;
	ask_backend(b, f, (uint8_t)(f->backend + 1));
	return true;
}

static mk_must on_fetched(struct mk_broker *b, struct mk_span body)
{
	struct mk_msg_fetched m;
	MK_TRY(mk_msg_fetched_read(body, &m));
	struct mk_flight *f = mk_flight_of(b->flights, m.ref);
	if (!f)
		return MK_OK; /* too late, or asked of another backend meanwhile */
	if (f->key.kind != MK_FLIGHT_GET)
		return MK_BAD_REQUEST;
	const enum mk_err e = as_store_error(m.err);
	note_call(b, f->backend, e);
	if (next_backend(b, f, e))
		return MK_OK;
	mk_flight_end(b->flights, f, apply_get(b, f, &m, e));
	return MK_OK;
}

/* A store may give its tokens but not their names: that it refuses a list says nothing of its health. */
static void note_list(struct mk_broker *b, uint8_t backend, enum mk_err e)
{
	if (e == MK_BACKEND)
		b->replicas[backend].calls++;
	else
		note_call(b, backend, e);
}

/* A listing has no name that could be missing. */
static enum mk_err list_error(enum mk_err e)
{
	const bool known = e == MK_OK || e == MK_TIMEOUT || e == MK_NOT_READY || e == MK_NO_MEMORY;
	return known ? e : MK_BACKEND;
}

static mk_must on_listed(struct mk_broker *b, struct mk_span body)
{
	struct mk_msg_listed m = { .items = b->page };
	MK_TRY(mk_msg_listed_read(body, &m));
	struct mk_flight *f = mk_flight_of(b->flights, m.ref);
	if (!f)
		return MK_OK;
	if (f->key.kind != MK_FLIGHT_LIST)
		return MK_BAD_REQUEST;
	enum mk_err e = as_store_error(m.err);
	note_list(b, f->backend, e);
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
		note_failure(b, f);
	mk_flight_end(b->flights, f, list_error(e));
	return MK_OK;
}

/* ---- the link ---- */

static enum mk_err on_frame(void *arg, struct mk_frame *f)
{
	struct mk_broker *b = arg;
	enum mk_err e = MK_BAD_REQUEST;
	if (f->type == MK_MSG_FETCH_DONE)
		e = on_fetched(b, f->body);
	else if (f->type == MK_MSG_LIST_DONE)
		e = on_listed(b, f->body);
	else if (f->type == MK_MSG_ENDPOINT_STATE)
		e = mk_endpoints_take(b, f->body);
	else if (f->type == MK_MSG_KEYS)
		e = mk_bearer_keys(b, f->body);
	mk_health_check(b);
	return e;
}

static void no_fetcher(struct mk_broker *b)
{
	size_t at = 0;
	b->fetcher = mk_link_free(b->fetcher);
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		f->sent = false;
}

static void on_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	struct mk_broker *b = arg;
	if (e != MK_OK)
		mk_log(MK_ERROR, "fetcher_link_dropped", MK_KV_S("err", mk_err_word(e)),
		       MK_KV_S("at", at < MK_MSG_COUNT ? mk_msgs[at].name : ""));
	no_fetcher(b);
	if (e != MK_OK)
		mk_broker_say_peer_broke(b);
	else
		b->left_ms = mk_boot_ms();
	mk_health_check(b);
}

static void ask_unsent(struct mk_broker *b)
{
	size_t at = 0;
	for (struct mk_flight *f; b->fetcher && (f = mk_flight_each(b->flights, &at));)
		if (!f->sent)
			ask_backend(b, f, f->backend); /* from the start: what the store holds now is what counts */
}

mk_must mk_fetch_peer(struct mk_broker *b, int fd)
{
	mk_fd owned = fd;
	no_fetcher(b);
	b->peers++;
	b->left_ms = 0;
	MK_TRY(mk_link_new(b->loop, owned, MK_ROLE_BROKER, MK_ROLE_FETCHER, on_frame, on_gone, b, &b->fetcher));
	owned = -1;
	if (b->swapped) /* it may have been configured anew */
		mk_fetch_changed_all(b);
	b->swapped = b->other_stores = false;
	ask_unsent(b);
	mk_health_check(b);
	return MK_OK;
}

static void give_up(struct mk_broker *b, struct mk_flight *f)
{
	const enum mk_err e = f->sent ? MK_TIMEOUT : MK_NOT_READY;
	if (f->sent)
		note_call(b, f->backend, e);
	note_failure(b, f);
	mk_flight_end(b->flights, f, e);
}

/* So that the instance heals soon, also while nobody asks. */
static void probe(struct mk_broker *b, int64_t now)
{
	if (!mk_fetch_failing(b)) {
		b->probes = 0;
	} else if (b->fetcher && now >= b->probe_ms) {
		b->probe_ms = now + mk_schedule_probe(b->probes++, (uint16_t)randombytes_uniform(UINT16_MAX));
		mk_fetch_start(b, &the_list, b->nobody.own_uid);
	}
}

/* One that closed its link and lives is of no use to anybody, however well it answers its supervisor. */
static void tell_of_left(struct mk_broker *b, int64_t now)
{
	if (b->left_ms == 0 || now - b->left_ms < LEFT_MS)
		return;
	b->left_ms = 0;
	mk_broker_say_peer_broke(b);
}

void mk_fetch_tick(struct mk_broker *b)
{
	const int64_t now = mk_boot_ms();
	size_t at = 0;
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		if (now >= f->deadline_ms)
			give_up(b, f);
	ask_unsent(b);
	probe(b, now);
	tell_of_left(b, now);
}

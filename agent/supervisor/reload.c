/* SPDX-License-Identifier: Apache-2.0
 *
 * A new configuration, wholly or not at all: parsed and checked, its sockets opened, the
 * next fetcher made ready where its part changed, then offered to the broker. Only when
 * the broker has it in force is the old one dropped; until then anything that goes wrong
 * leaves the old one as it was.
 */
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#include <stdio.h>
#include <time.h>

#define FETCHER_LEAVES_MS 5000
#define RELOAD_MAX_MS 30000 /* as long as a fetcher has to become ready; a broker takes milliseconds */
#define BACKEND_MAX       16384 /* as a message */

/* ---- what cannot change without a restart ---- */

static bool same_environment(const struct mk_conf *a, const struct mk_conf *b)
{
	return mk_word_eq(&a->environment, &b->environment);
}
static bool same_platform(const struct mk_conf *a, const struct mk_conf *b)
{
	return a->platform == b->platform;
}
static bool same_runtime_dir(const struct mk_conf *a, const struct mk_conf *b)
{
	return strcmp(a->runtime_dir, b->runtime_dir) == 0;
}
static bool same_state_dir(const struct mk_conf *a, const struct mk_conf *b)
{
	return strcmp(a->state_dir, b->state_dir) == 0;
}
static bool same_audit(const struct mk_conf *a, const struct mk_conf *b)
{
	return strcmp(a->audit.file, b->audit.file) == 0 && a->audit.max_size == b->audit.max_size &&
	       memcmp(a->audit.recipient, b->audit.recipient, sizeof a->audit.recipient) == 0 && a->audit.keep == b->audit.keep;
}
static bool same_reporter(const struct mk_conf *a, const struct mk_conf *b)
{
	return a->reporter_on == b->reporter_on && memcmp(&a->reporter_addr, &b->reporter_addr, sizeof a->reporter_addr) == 0;
}
static bool same_exceptions(const struct mk_conf *a, const struct mk_conf *b)
{
	return a->lockdown_exceptions == b->lockdown_exceptions;
}

static bool is_written(const struct mk_conf *c, const char *file)
{
	char dir[MK_PATH_MAX], other[MK_PATH_MAX];
	for (size_t i = 0; i < c->n_backends; i++) {
		const struct mk_conf_backend *b = &c->backends[i];
		if (b->writable && b->file[0] && mk_path_dir(b->file, other, sizeof other) == MK_OK &&
		    mk_path_dir(file, dir, sizeof dir) == MK_OK && strcmp(dir, other) == 0)
			return true;
	}
	return false;
}
/* This process's own lock-down, which its children inherit, has no room for another directory. */
static bool same_written(const struct mk_conf *a, const struct mk_conf *b)
{
	const size_t n = strlen(a->state_dir);
	for (size_t i = 0; i < b->n_backends; i++) {
		const char *file = b->backends[i].file;
		const bool below = strncmp(file, a->state_dir, n) == 0 && file[n] == '/';
		if (b->backends[i].writable && file[0] && !below && !is_written(a, file))
			return false;
	}
	return true;
}

static const struct {
	const char *key;
	bool (*same)(const struct mk_conf *a, const struct mk_conf *b);
} fixed[] = {
	{ "environment", same_environment }, { "platform", same_platform }, { "runtime_dir", same_runtime_dir },
	{ "state_dir", same_state_dir },     { "audit", same_audit },       { "reporter", same_reporter },
	{ "lockdown", same_exceptions },     { "writable", same_written },
};

static mk_must check_fixed(const struct mk_sup *s, const struct mk_conf *next, struct mk_why *why)
{
	for (size_t i = 0; i < MK_COUNT(fixed); i++)
		if (!fixed[i].same(s->conf, next))
			return mk_why_at(why, MK_CONFLICT, next->file, 0,
					 "\"%s\" cannot change while the instance runs: restart it, or put the old value back",
					 fixed[i].key);
	return MK_OK;
}

/* All that a fetcher is told of it, so that no key can be forgotten here. */
static size_t as_told(const struct mk_conf_backend *b, uint8_t *to, size_t cap)
{
	const struct mk_msg_backend m = { .backend = *b };
	struct mk_wr w = mk_wr_of(to, cap);
	size_t n = 0;
	mk_msg_backend_write(&w, &m);
	return mk_wr_end(&w, &n) == MK_OK ? n : 0;
}

static bool same_backend(const struct mk_conf_backend *a, const struct mk_conf_backend *b)
{
	static uint8_t told[2][BACKEND_MAX];
	const size_t n = as_told(a, told[0], sizeof told[0]);
	return n > 0 && n == as_told(b, told[1], sizeof told[1]) && memcmp(told[0], told[1], n) == 0;
}

static bool same_keys_from(const struct mk_conf_kubernetes *a, const struct mk_conf_kubernetes *b)
{
	return strcmp(a->address, b->address) == 0 && strcmp(a->ca_file, b->ca_file) == 0 && strcmp(a->token_file, b->token_file) == 0;
}

static bool same_backends(const struct mk_conf *a, const struct mk_conf *b)
{
	bool same = a->n_backends == b->n_backends && same_keys_from(&a->kubernetes, &b->kubernetes);
	for (size_t i = 0; same && i < a->n_backends; i++)
		same = same_backend(&a->backends[i], &b->backends[i]);
	return same;
}

/* ---- how it ends ---- */

/* The broker is told of each, for its alarm; one that nobody asked it for has the number 0. */
static void answer(struct mk_sup *s, enum mk_err e, const char *text)
{
	struct mk_msg_result m = { .n = s->reload.answer ? s->reload.number : 0, .generation = s->generation, .err = e };
	if (!mk_kid_serves(s->broker))
		return;
	snprintf(m.text, sizeof m.text, "%s", text);
	struct mk_wr w = mk_say_room();
	mk_msg_result_write(&w, &m);
	mk_ignore(mk_say(s->broker, MK_MSG_RELOAD_DONE, &w, -1), "who asked has gone");
}

static void finish(struct mk_sup *s, enum mk_err e, const char *text)
{
	s->refused = e != MK_OK;
	answer(s, e, text);
	const struct mk_reloading r = s->reload;
	s->reload = (struct mk_reloading){ .again = r.again, .again_answer = r.again_answer, .again_number = r.again_number };
	mk_sup_say_ready(s);
	mk_sup_health(s);
}

void mk_reload_told(struct mk_sup *s)
{
	if (s->refused && s->reload.state == MK_RELOAD_NONE)
		answer(s, MK_CONFLICT, "the last reload was refused");
}

static void refuse(struct mk_sup *s, enum mk_err e, const struct mk_why *why)
{
	char text[sizeof(struct mk_msg_result)];
	const char *slash = strrchr(why->file, '/');
	const char *base = slash ? slash + 1 : why->file;
	mk_log_why(MK_ERROR, "reload_refused", e, why);
	if (why->file[0] && why->line)
		snprintf(text, sizeof text, "%s:%u: %s", base, why->line, why->text);
	else
		snprintf(text, sizeof text, "%s%s%s", base, base[0] ? ": " : "", why->text);
	s->reload.conf = mk_conf_free(s->reload.conf);
	finish(s, e, text);
}

void mk_reload_drop(struct mk_sup *s, enum mk_err e, const char *text)
{
	const bool had_broker = s->reload.state == MK_RELOAD_BROKER, new_fetcher = s->reload.new_fetcher;
	mk_log(MK_ERROR, "reload_refused", MK_KV_S("err", mk_err_word(e)), MK_KV_S("text", text),
	       MK_KV_N("generation", s->generation));
	mk_listeners_close(&s->reload.listeners, &s->listeners);
	s->broker->feed.running = false;
	s->reload.conf = mk_conf_free(s->reload.conf);
	finish(s, e, text);
	if (!new_fetcher)
		return;
	if (had_broker)
		mk_sup_peer(s, s->fetcher); /* it was offered the next one already */
	if (s->spare->state != MK_KID_DOWN)
		mk_kid_leave(s->spare, 0);
}

/* The fetcher that was spare serves from now on; the one before it finishes. */
static void swap_fetchers(struct mk_sup *s)
{
	struct mk_kid *old = s->fetcher;
	s->fetcher = s->spare;
	s->spare = old;
	if (old->state == MK_KID_DOWN)
		mk_timer_set(old->timer, -1);
	else
		mk_kid_leave(old, FETCHER_LEAVES_MS);
	if (s->fetcher->state == MK_KID_DOWN)
		mk_timer_set(s->fetcher->timer, 0); /* it died meanwhile: as a spare it was not started again */
}

/* A child that was still being given the old configuration cannot go on with it. */
static void cut_feeds(struct mk_sup *s)
{
	for (size_t i = 0; i < MK_KIDS_MAX; i++)
		if (s->kids[i].feed.running) {
			s->kids[i].feed.running = false;
			mk_kid_kill(&s->kids[i], "its configuration was replaced");
		}
}

void mk_reload_commit(struct mk_sup *s)
{
	struct mk_reloading *r = &s->reload;
	cut_feeds(s);
	mk_listeners_close(&s->listeners, &r->listeners);
	s->listeners = r->listeners;
	mk_conf_free(s->conf);
	s->conf = MK_TAKE(r->conf);
	s->generation = r->generation;
	if (r->new_fetcher)
		swap_fetchers(s);
	mk_log(MK_INFO, "reloaded", MK_KV_N("generation", s->generation), MK_KV_N("listeners", s->listeners.n),
	       MK_KV_N("services", s->conf->rules.n_services), MK_KV_N("rules", s->conf->rules.n_rules));
	finish(s, MK_OK, "");
}

/* ---- how it goes ---- */

static struct mk_plan next_plan(const struct mk_sup *s)
{
	return (struct mk_plan){ s->reload.conf, &s->reload.listeners, s->reload.generation };
}

/* What is down may be so because of the configuration before: no more waiting. */
static void start_afresh(struct mk_kid *k)
{
	k->back_off_ms = 0;
	if (k->state == MK_KID_DOWN)
		mk_timer_set(k->timer, 0);
	else
		mk_kid_kill(k, "its configuration was replaced");
}

/* Nobody to ask: the next broker starts with the new configuration. */
static void take_without_broker(struct mk_sup *s)
{
	const bool in_place = s->reload.new_fetcher && s->reload.state == MK_RELOAD_NONE; /* no other one was started */
	s->reload.new_fetcher = s->reload.new_fetcher && !in_place;
	mk_reload_commit(s);
	start_afresh(s->broker);
	if (in_place)
		start_afresh(s->fetcher);
}

void mk_reload_go_on(struct mk_sup *s)
{
	const struct mk_plan plan = next_plan(s);
	if (!mk_kid_serves(s->broker)) {
		take_without_broker(s);
		return;
	}
	s->reload.state = MK_RELOAD_BROKER;
	if (mk_feed_start(s->broker, &plan, false) != MK_OK)
		mk_kid_kill(s->broker, "its configuration could not be sent"); /* its end drops the reload */
}

static mk_must prepare(struct mk_sup *s, struct mk_why *why)
{
	struct mk_reloading *r = &s->reload;
	MK_TRY(mk_conf_load(s->conf_file, &r->conf, why));
	MK_TRY(mk_conf_load_pod(r->conf, why));
	MK_TRY(check_fixed(s, r->conf, why));
	MK_TRY(mk_listeners_open(r->conf, &s->listeners, &r->listeners, why));
	r->generation = ++s->last_generation;
	r->new_fetcher = !same_backends(s->conf, r->conf);
	return MK_OK;
}

static void begin(struct mk_sup *s)
{
	struct mk_why why = { 0 };
	struct timespec now = { 0 };
	clock_gettime(CLOCK_MONOTONIC, &now);
	(void)mk_notify(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
			(long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	mk_log(MK_INFO, "reload", MK_KV_S("file", s->conf_file));
	const enum mk_err e = prepare(s, &why);
	if (e != MK_OK) {
		refuse(s, e, &why);
	} else if (!mk_kid_serves(s->broker) || !s->reload.new_fetcher) {
		mk_reload_go_on(s);
	} else {
		const struct mk_plan plan = next_plan(s);
		s->reload.state = MK_RELOAD_FETCHER;
		if (mk_kid_start(s->spare, &plan) != MK_OK)
			mk_reload_drop(s, MK_SYSTEM, "a fetcher for the new backends could not be started");
	}
}

static bool must_wait(const struct mk_sup *s)
{
	return !s->started || s->reload.state != MK_RELOAD_NONE || s->spare->state != MK_KID_DOWN;
}

void mk_reload(struct mk_sup *s, bool wants_answer, uint32_t number)
{
	if (s->draining)
		return;
	if (must_wait(s)) {
		s->reload.again = true;
		if (wants_answer) {
			s->reload.again_answer = true;
			s->reload.again_number = number;
		}
		if (s->reload.state == MK_RELOAD_NONE)
			mk_kid_kill(s->spare, "its place is needed");
		return;
	}
	s->reload = (struct mk_reloading){ .answer = wants_answer, .number = number, .since_ms = mk_boot_ms() };
	begin(s);
}

/* Who answers pings but not this is not in its right mind: its end drops the reload. */
void mk_reload_tick(struct mk_sup *s)
{
	struct mk_kid *k = s->reload.state == MK_RELOAD_BROKER ? s->broker : s->spare;
	if (s->reload.state != MK_RELOAD_NONE && mk_boot_ms() - s->reload.since_ms > RELOAD_MAX_MS)
		mk_kid_kill(k, "it did not take the new configuration in time");
}

void mk_reload_waiting(struct mk_sup *s)
{
	const struct mk_reloading r = s->reload;
	if (!r.again || must_wait(s))
		return;
	s->reload = (struct mk_reloading){ 0 };
	mk_reload(s, r.again_answer, r.again_number);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's life: made with a link to the supervisor, configured over it, ticking,
 * drained or ended at once when the supervisor is gone.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/acts_revoke.h"
#include "agent/broker/ahead.h"
#include "agent/broker/bearer.h"
#include "agent/broker/client.h"
#include "agent/broker/credential.h"
#include "agent/broker/evidence.h"
#include "agent/broker/fetch.h"
#include "agent/broker/http.h"
#include "agent/broker/pages.h"
#include "agent/broker/in_store.h"
#include "agent/broker/now.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <signal.h>
#include <stdlib.h>

#define SECRETS_SMALL 640u /* 2.5 MiB: answers on their way, in twos */
#define SECRETS_LARGE 24u   /* 1.9 MiB: big secrets, and the frame that is being read */
#define DRAIN_LOOK_MS 20
#define SWEEP_MS      60000

const struct mk_word *mk_broker_environment(const struct mk_broker *b)
{
	return &b->environment;
}

struct mk_loop *mk_broker_loop(struct mk_broker *b)
{
	return b->loop;
}

const struct mk_conf_limits *mk_broker_limits(const struct mk_broker *b)
{
	return &b->limits;
}

int mk_broker_proc(const struct mk_broker *b)
{
	return b->proc_fd;
}

void mk_broker_stop(struct mk_broker *b, int exit_code)
{
	b->exit_code = exit_code;
	mk_loop_stop(b->loop);
}

/* ---- reload ---- */

static mk_must send_number(struct mk_broker *b, enum mk_msg type, uint32_t number)
{
	uint8_t buf[16];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	const struct mk_msg_number m = { .n = number };
	mk_msg_number_write(&w, &m);
	MK_TRY(mk_wr_end(&w, &n));
	return mk_link_send(b->supervisor, type, mk_span(buf, n), -1);
}

void mk_broker_say_peer_broke(struct mk_broker *b)
{
	if (b->supervisor && send_number(b, MK_MSG_PEER_BROKE, b->peers) != MK_OK)
		mk_broker_stop(b, 1); /* it cannot be told: a fresh broker brings a fresh link */
}

mk_must mk_broker_want_page(struct mk_broker *b, uint32_t number)
{
	return b->supervisor ? send_number(b, MK_MSG_PAGE_WANTED, number) : MK_NOT_READY;
}

mk_must mk_broker_reload(struct mk_broker *b, struct mk_reload *r)
{
	if (b->reload || !b->supervisor || b->draining)
		return MK_NOT_READY;
	MK_TRY(send_number(b, MK_MSG_RELOAD, ++b->reload_n));
	b->reload = r;
	return MK_OK;
}

void mk_broker_reload_cancel(struct mk_broker *b, struct mk_reload *r)
{
	if (b->reload == r)
		b->reload = NULL;
}

static mk_must on_reload_done(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_result m;
	MK_TRY(mk_msg_result_read(f->body, &m));
	if (m.err == MK_OK)
		mk_alarm_clear(b, MK_ALARM_RELOAD_REFUSED, "");
	else
		mk_alarm_raise(b, MK_ALARM_RELOAD_REFUSED, "");
	if (b->reload && m.n == b->reload_n) {
		struct mk_reload *r = MK_TAKE(b->reload);
		r->done(r, &m);
	}
	return MK_OK;
}

/* ---- the supervisor's other messages ---- */

static mk_must on_peer(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_peer m;
	MK_TRY(mk_msg_peer_read(f->body, &m));
	if (m.role != MK_ROLE_FETCHER)
		return MK_BAD_REQUEST;
	return mk_fetch_peer(b, MK_TAKE_FD(f->fd));
}

static mk_must on_page(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	mk_pages_came(b->pages, m.n, MK_TAKE_FD(f->fd));
	return MK_OK;
}

static mk_must on_ping(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	return send_number(b, MK_MSG_PONG, m.n);
}

static void drain(void *arg)
{
	struct mk_broker *b = arg;
	mk_credentials_leave(b->credentials);
	const bool answered = mk_clients_drain(b->clients);
	if (mk_http_drain(b->http) && mk_credentials_idle(b->credentials) && answered && !b->in_stores)
		mk_broker_stop(b, 0);
	else
		mk_timer_set(b->drain, DRAIN_LOOK_MS);
}

static mk_must on_drain(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	b->draining = true;
	mk_tell_drain(b);
	mk_in_store_hurry(b);
	mk_log(MK_INFO, "draining");
	drain(b);
	return MK_OK;
}

static mk_must on_role(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_role m;
	MK_TRY(mk_msg_role_read(f->body, &m));
	b->roles[m.role] = m;
	return MK_OK;
}

typedef enum mk_err message_fn(struct mk_broker *b, struct mk_frame *f);
static message_fn *const messages[MK_MSG_COUNT] = {
	[MK_MSG_PEER] = on_peer,	     [MK_MSG_PING] = on_ping,		      [MK_MSG_DRAIN] = on_drain,
	[MK_MSG_ROLE_STATE] = on_role, [MK_MSG_RELOAD_DONE] = on_reload_done, [MK_MSG_PAGE] = on_page,
};

static enum mk_err on_frame(void *arg, struct mk_frame *f)
{
	struct mk_broker *b = arg;
	if (mk_config_is(f->type))
		return mk_config_frame(b, f);
	return messages[f->type] ? messages[f->type](b, f) : MK_BAD_REQUEST;
}

/* Nobody holds the listeners, the chain's head and the other processes any more: nothing may be served or written. */
static void on_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	struct mk_broker *b = arg;
	mk_log(MK_ERROR, "supervisor_link_gone", MK_KV_S("err", mk_err_word(e)),
	       MK_KV_S("at", at < MK_MSG_COUNT ? mk_msgs[at].name : ""));
	b->supervisor = mk_link_free(b->supervisor);
	mk_broker_stop(b, 1);
}

/* ---- life ---- */

static void tick(void *arg)
{
	struct mk_broker *b = arg;
	const int64_t now = mk_boot_ms();
	mk_timer_set(b->tick, MK_TICK_MS);
	if (b->generation == 0)
		return;
	mk_audit_tick(b->audit);
	if (mk_health_log_replaced(b) || mk_rollback_found(b)) {
		mk_broker_stop(b, 1);
		return;
	}
	mk_start_record_due(b);
	mk_now_tick(b);
	mk_fetch_tick(b);
	mk_ahead_tick(b);
	mk_revoked_tick(b);
	mk_tell_tick(b);
	mk_pages_tick(b);
	mk_bearer_tick(b);
	if (now - b->swept_ms >= SWEEP_MS) {
		b->swept_ms = now;
		const size_t held = mk_store_count(b->store);
		mk_store_sweep(b->store, now, b->refresh.ttl_ms + b->refresh.serve_stale_ms);
		if (mk_store_count(b->store) < held)
			mk_tell_let_go(b);
	}
	mk_health_tick(b);
}

mk_must mk_broker_new(struct mk_broker **ret)
{
	struct mk_broker *b = calloc(1, sizeof *b);
	if (!b)
		return MK_NO_MEMORY;
	b->started_ms = mk_wall_ms();
	b->started_boot_ms = mk_boot_ms();
	b->audit_was_writable = true;
	b->proc_fd = -1;
	mk_directory_done(&b->directory);
	enum mk_err e = mk_loop_new(&b->loop);
	if (e == MK_OK)
		e = mk_flights_new(&b->flights);
	if (e == MK_OK)
		e = mk_rates_new(&b->rates);
	if (e == MK_OK)
		e = mk_missing_new(&b->missing);
	if (e == MK_OK)
		e = mk_timer_new(b->loop, tick, b, &b->tick);
	if (e == MK_OK)
		e = mk_timer_new(b->loop, drain, b, &b->drain);
	if (e == MK_OK)
		e = mk_tell_new(b, &b->tell);
	if (e == MK_OK)
		e = mk_pages_new(b, &b->pages);
	if (e != MK_OK) {
		mk_broker_free(b);
		return e;
	}
	*ret = b;
	return MK_OK;
}

struct mk_broker *mk_broker_free(struct mk_broker *b)
{
	if (!b)
		return NULL;
	mk_clients_free(b->clients);
	b->clients = NULL;
	b->pages = mk_pages_free(b->pages);
	if (b->http)
		mk_http_free(b->http);
	b->audit = NULL; /* closed by now */
	mk_in_store_stop(b);
	mk_credentials_free(b->credentials);
	mk_config_forget(b);
	mk_link_free(b->supervisor);
	mk_link_free(b->fetcher);
	mk_watch_clear(b);
	mk_flights_free(b->flights);
	mk_tell_free(b->tell);
	mk_directory_done(&b->directory);
	mk_store_free(b->store);
	mk_seal_free(b->seal);
	mk_rates_free(b->rates);
	mk_missing_free(b->missing);
	mk_statedb_free(b->db);
	mk_revoked_done(&b->revoked);
	mk_statekey_free(b->statekey);
	mk_bearer_free(b->bearer);
	mk_policy_free(b->policy);
	mk_shadow_done(&b->shadow);
	mk_timer_free(b->tick);
	mk_timer_free(b->drain);
	mk_loop_free(b->loop);
	mk_close(b->proc_fd);
	free(b);
	return NULL;
}

/* The whole process group may get them (a terminal, systemd): when to end is the supervisor's to say. */
static void on_signal(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}

static mk_must prepare(struct mk_broker *b, int link_fd, struct mk_why *why)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, 0 };
	bool locked = false;
	MK_TRY(mk_loop_signals(b->loop, signals, on_signal, b));
	if (mk_secret_arena_init(SECRETS_SMALL, SECRETS_LARGE, &locked) != MK_OK)
		return mk_why_set(why, MK_NO_MEMORY, "the memory for secrets cannot be reserved");
	b->lock.state[MK_GUARD_MEMORY_LOCK] = locked ? MK_GUARD_FULL : MK_GUARD_NONE;
	b->lock.state[MK_GUARD_PEER_PIDFD] = mk_peer_pidfd_works(link_fd) ? MK_GUARD_FULL : MK_GUARD_FALLBACK;
	MK_TRY(mk_link_new(b->loop, link_fd, MK_ROLE_BROKER, MK_ROLE_SUPERVISOR, on_frame, on_gone, b, &b->supervisor));
	mk_timer_set(b->tick, MK_TICK_MS);
	return MK_OK;
}

int mk_broker_run(int link_fd)
{
	static struct mk_broker *b;
	struct mk_why why = { 0 };
	struct mk_lockdown_report lock;
	enum mk_err e = mk_lockdown_early(true, &lock, &why);
	if (e == MK_OK)
		e = mk_broker_new(&b);
	if (e == MK_OK)
		b->lock = lock;
	if (e == MK_OK)
		e = prepare(b, link_fd, &why);
	if (e == MK_OK)
		e = mk_loop_run(b->loop);
	if (e != MK_OK) {
		mk_log_why(MK_ERROR, "broker_failed", e, &why);
		return 1;
	}
	mk_pages_end(b);
	if (b->supervisor && b->audit) { /* else another broker may be writing by now */
		mk_now_keep(b);
		mk_in_store_stop(b);
		mk_health_tell_head(b);
		b->audit = mk_audit_close(b->audit);
	}
	return b->exit_code; /* the rest ends with the process, the link last: while it stands, this process has not ended */
}

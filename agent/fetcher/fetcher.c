/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher's life: its links, and what the supervisor says. It ends when the
 * supervisor's link does, at once; and by DRAIN, when what was begun is answered. The
 * broker's link may come and go.
 */
#include "agent/fetcher/fetcher.h"

#include "agent/base/log.h"
#include "mk/own.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>

void mk_fetcher_stop(struct mk_fetcher *f, int code)
{
	f->code = code;
	f->ending = true;
	mk_loop_stop(f->loop);
}

static mk_must say(struct mk_fetcher *f, enum mk_msg type, const struct mk_wr *w)
{
	size_t n = 0;
	MK_TRY(mk_wr_end(w, &n));
	return mk_link_send(f->supervisor, type, mk_span(w->p, n), -1);
}

void mk_fetcher_drained(struct mk_fetcher *f)
{
	if (f->draining && (!f->broker || (f->questions == 0 && mk_link_queued(f->broker) == 0)))
		mk_fetcher_stop(f, 0);
}

static void on_room(void *arg)
{
	mk_fetcher_drained(arg);
}

static mk_must on_broker(void *arg, struct mk_frame *frame)
{
	return mk_fetcher_on_broker(arg, frame);
}

/* A broker that ended is followed by another, on a new link. One that breaks the rules, or cannot be
 * understood, leaves both without a link: a fresh fetcher brings one. */
static void on_broker_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	struct mk_fetcher *f = arg;
	f->broker = mk_link_free(f->broker);
	if (e != MK_OK) {
		mk_log(MK_ERROR, "link_dropped", MK_KV_S("peer", "broker"), MK_KV_S("err", mk_err_word(e)),
		       MK_KV_S("msg", at < MK_MSG_COUNT ? mk_msgs[at].name : ""));
		mk_fetcher_stop(f, 1);
	} else if (f->draining) {
		mk_fetcher_stop(f, 0);
	}
}

static mk_must attach_broker(struct mk_fetcher *f)
{
	f->broker = mk_link_free(f->broker);
	MK_TRY(mk_link_new(f->loop, f->peer, MK_ROLE_FETCHER, MK_ROLE_BROKER, on_broker, on_broker_gone, f, &f->broker));
	f->peer = -1;
	f->broker_number++;
	mk_link_on_room(f->broker, on_room);
	mk_fetcher_tell_again(f);
	if (f->now && f->now->keys)
		mk_keys_tell(f->now->keys);
	return MK_OK;
}

static mk_must on_begin(struct mk_fetcher *f, struct mk_frame *frame)
{
	struct mk_msg_begin m;
	MK_TRY(mk_msg_begin_read(frame->body, &m));
	return mk_fetcher_conf_begin(f, &m);
}

static mk_must on_backend(struct mk_fetcher *f, struct mk_frame *frame)
{
	struct mk_msg_backend m;
	MK_TRY(mk_msg_backend_read(frame->body, &m));
	return mk_fetcher_conf_add(f, &m);
}

static mk_must on_keys_from(struct mk_fetcher *f, struct mk_frame *frame)
{
	struct mk_msg_keys_from m;
	MK_TRY(mk_msg_keys_from_read(frame->body, &m));
	return mk_fetcher_conf_keys(f, &m);
}

static mk_must say_refused(struct mk_fetcher *f, enum mk_err e, const struct mk_why *why)
{
	uint8_t buf[1024];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_msg_result m = { .n = f->next->begin.generation, .generation = f->now ? f->now->begin.generation : 0, .err = e };
	snprintf(m.text, sizeof m.text, "%s", why->text[0] ? why->text : mk_err_word(e));
	mk_msg_result_write(&w, &m);
	f->next = mk_fetcher_conf_free(f->next);
	return say(f, MK_MSG_REFUSED, &w);
}

static mk_must say_ready(struct mk_fetcher *f)
{
	uint8_t buf[64];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_msg_ready m = { .generation = f->now->begin.generation, .landlock_abi = f->report.landlock_abi };
	_Static_assert(sizeof f->report.state <= sizeof m.guards, "the message has room for all guards");
	memcpy(m.guards, f->report.state, sizeof f->report.state);
	mk_msg_ready_write(&w, &m);
	return say(f, MK_MSG_READY, &w);
}

/* What was locked half can neither serve nor try again. */
static mk_must on_end(struct mk_fetcher *f, struct mk_frame *frame)
{
	struct mk_msg_number m;
	struct mk_why why = { .text = "" };
	MK_TRY(mk_msg_number_read(frame->body, &m));
	if (!f->next)
		return MK_BAD_REQUEST;
	const enum mk_err e = mk_fetcher_conf_take(f, &why);
	if (e != MK_OK) {
		mk_log_why(MK_ERROR, "configuration_refused", e, &why);
		if (!f->locked)
			mk_fetcher_stop(f, 1);
		return say_refused(f, e, &why);
	}
	MK_TRY(say_ready(f));
	return f->peer >= 0 ? attach_broker(f) : MK_OK;
}

static mk_must on_peer(struct mk_fetcher *f, struct mk_frame *frame)
{
	struct mk_msg_peer m;
	MK_TRY(mk_msg_peer_read(frame->body, &m));
	if (m.role != MK_ROLE_BROKER)
		return MK_BAD_REQUEST;
	mk_close(f->peer);
	f->peer = MK_TAKE_FD(frame->fd);
	return f->now ? attach_broker(f) : MK_OK;
}

static mk_must on_ping(struct mk_fetcher *f, struct mk_frame *frame)
{
	uint8_t buf[16];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(frame->body, &m));
	mk_msg_number_write(&w, &m);
	return say(f, MK_MSG_PONG, &w);
}

static mk_must on_drain(struct mk_fetcher *f, struct mk_frame *frame)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(frame->body, &m));
	f->draining = true;
	mk_fetcher_drained(f);
	return MK_OK;
}

static mk_must on_supervisor(void *arg, struct mk_frame *frame)
{
	static const struct {
		enum mk_msg type;
		enum mk_err (*fn)(struct mk_fetcher *, struct mk_frame *);
	} rows[] = {
		{ MK_MSG_CONF_BEGIN, on_begin }, { MK_MSG_CONF_BACKEND, on_backend }, { MK_MSG_CONF_END, on_end },
		{ MK_MSG_CONF_KEYS_FROM, on_keys_from },
		{ MK_MSG_PEER, on_peer },        { MK_MSG_PING, on_ping },            { MK_MSG_DRAIN, on_drain },
	};
	for (size_t i = 0; i < MK_COUNT(rows); i++)
		if (rows[i].type == frame->type)
			return rows[i].fn(arg, frame);
	return MK_BAD_REQUEST;
}

static void on_supervisor_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	struct mk_fetcher *f = arg;
	if (e != MK_OK)
		mk_log(MK_ERROR, "link_dropped", MK_KV_S("peer", "supervisor"), MK_KV_S("err", mk_err_word(e)),
		       MK_KV_S("msg", at < MK_MSG_COUNT ? mk_msgs[at].name : ""));
	f->supervisor = mk_link_free(f->supervisor);
	mk_fetcher_stop(f, 1);
}

/* Signals sent to the whole group are the supervisor's to act upon; it says DRAIN. */
static void on_signal(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}

static mk_must start(struct mk_fetcher *f)
{
	static const int not_ours[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2, 0 };
	MK_TRY(mk_loop_new(&f->loop));
	f->driver = (struct mk_driver){ .loop = f->loop, .random = randombytes_random };
	MK_TRY(mk_loop_signals(f->loop, not_ours, on_signal, f));
	MK_TRY(mk_fetcher_tell_start(f));
	return mk_link_new(f->loop, MK_LINK_FD, MK_ROLE_FETCHER, MK_ROLE_SUPERVISOR, on_supervisor, on_supervisor_gone, f,
			   &f->supervisor);
}

/* Without a store on the network the loop waits by itself. The configuration that brings one stops it, and libcurl's
 * wait takes over. */
static mk_must run(struct mk_fetcher *f)
{
	MK_TRY(mk_loop_run(f->loop));
	return f->ending ? MK_OK : mk_curl_run(f->curl, f->loop);
}

int mk_fetcher_run(const struct mk_lockdown_report *report)
{
	struct mk_fetcher f = { .peer = -1, .report = *report, .code = 1 };
	enum mk_err e = start(&f);
	if (e == MK_OK)
		e = run(&f);
	if (e != MK_OK)
		mk_log(MK_ERROR, "start_failed", MK_KV_S("err", mk_err_word(e)),
		       MK_KV_S("remedy", "makini-fetcher is started by makini-agent, with a link on descriptor 3"));
	f.broker = mk_link_free(f.broker); /* runs that end below have nobody to tell */
	mk_link_free(f.supervisor);
	mk_close(f.peer);
	mk_fetcher_conf_free(f.next);
	mk_fetcher_conf_free(f.now);
	mk_curl_free(f.curl);
	mk_timer_free(f.told.timer);
	mk_loop_free(f.loop);
	return e == MK_OK ? f.code : 1;
}

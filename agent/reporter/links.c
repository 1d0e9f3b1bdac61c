/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's messages to the reporter: its configuration, once, after which it is
 * locked down; then health to show, and questions whether it is there.
 */
#include "agent/base/log.h"
#include "agent/reporter/reporter.h"
#include "agent/reporter/sandbox.h"
#include "mk/own.h"

_Static_assert((size_t)MK_GUARD_COUNT <= MK_GUARDS_MAX, "every guard has a place in READY");

static mk_must say(struct mk_reporter *r, enum mk_msg type, const struct mk_wr *w)
{
	size_t n = 0;
	MK_TRY(mk_wr_end(w, &n));
	return mk_link_send(r->supervisor, type, mk_span(w->p, n), -1);
}

static mk_must say_ready(struct mk_reporter *r)
{
	uint8_t buf[64];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_msg_ready m = { .generation = r->generation, .landlock_abi = r->guards.landlock_abi };
	memcpy(m.guards, r->guards.state, sizeof r->guards.state);
	mk_msg_ready_write(&w, &m);
	return say(r, MK_MSG_READY, &w);
}

static mk_must say_refused(struct mk_reporter *r, enum mk_err e, const struct mk_why *why)
{
	uint8_t buf[1024];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_msg_result m = { .n = r->begin.generation, .generation = r->generation, .err = e };
	_Static_assert(sizeof why->text <= sizeof m.text, "the explanation is sent whole");
	memcpy(m.text, why->text, sizeof why->text);
	mk_msg_result_write(&w, &m);
	return say(r, MK_MSG_REFUSED, &w);
}

/* No file, no path: it needs none. */
static mk_must lock_down(struct mk_reporter *r, struct mk_why *why)
{
	const uint32_t exceptions = r->begin.exceptions;
	r->guards.state[MK_GUARD_MEMORY_LOCK] = MK_GUARD_UNUSED; /* no secret comes here */
	r->guards.state[MK_GUARD_SECRETMEM] = MK_GUARD_UNUSED;
	r->guards.state[MK_GUARD_PEER_PIDFD] = MK_GUARD_UNUSED;
	MK_TRY(mk_lockdown_files(NULL, 0, true, exceptions, &r->guards, why));
	MK_TRY(mk_lockdown_calls(mk_reporter_calls(), exceptions, &r->guards, why));
	return mk_lockdown_check(&r->guards, exceptions, why);
}

static mk_must take(struct mk_reporter *r, struct mk_why *why)
{
	if (r->generation == 0 && r->listen_fd < 0)
		return mk_why_set(why, MK_BAD_REQUEST, "no listening socket came with the configuration");
	if (r->generation == 0) {
		const enum mk_err e = mk_probe_new(r->loop, MK_TAKE_FD(r->listen_fd), &r->reasons, &r->probe);
		if (e != MK_OK)
			return mk_why_set(why, e, "the HTTP server could not be started");
		MK_TRY(lock_down(r, why));
	}
	r->generation = r->begin.generation;
	return MK_OK;
}

static enum mk_err on_begin(struct mk_reporter *r, struct mk_frame *f)
{
	MK_TRY(mk_msg_begin_read(f->body, &r->begin));
	mk_log_env(&r->begin.environment);
	return MK_OK;
}

static enum mk_err on_listener(struct mk_reporter *r, struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	if (r->generation != 0 || r->listen_fd >= 0)
		return MK_BAD_REQUEST; /* it has one already */
	r->listen_fd = MK_TAKE_FD(f->fd);
	return MK_OK;
}

static enum mk_err on_end(struct mk_reporter *r, struct mk_frame *f)
{
	struct mk_msg_number m;
	struct mk_why why = { 0 };
	MK_TRY(mk_msg_number_read(f->body, &m));
	const enum mk_err e = take(r, &why);
	if (e == MK_OK)
		return say_ready(r);
	MK_TRY(say_refused(r, e, &why));
	r->exit_code = 1; /* half begun: a fresh process tries again */
	mk_loop_stop(r->loop);
	return MK_OK;
}

static enum mk_err on_ping(struct mk_reporter *r, struct mk_frame *f)
{
	uint8_t buf[8];
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_msg_number_write(&w, &m);
	return say(r, MK_MSG_PONG, &w);
}

static enum mk_err on_health(struct mk_reporter *r, struct mk_frame *f)
{
	struct mk_msg_health m;
	MK_TRY(mk_msg_health_read(f->body, &m));
	r->reasons = m.reasons;
	return MK_OK;
}

static enum mk_err on_drain(struct mk_reporter *r, struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	mk_loop_stop(r->loop);
	return MK_OK;
}

enum mk_err mk_reporter_frame(void *arg, struct mk_frame *f)
{
	static enum mk_err (*const handlers[MK_MSG_COUNT])(struct mk_reporter *, struct mk_frame *) = {
		[MK_MSG_CONF_BEGIN] = on_begin, [MK_MSG_HTTP_LISTENER] = on_listener, [MK_MSG_CONF_END] = on_end,
		[MK_MSG_PING] = on_ping,	[MK_MSG_HEALTH_SHOW] = on_health,     [MK_MSG_DRAIN] = on_drain,
	};
	struct mk_reporter *r = arg;
	return handlers[f->type] ? handlers[f->type](r, f) : MK_BAD_REQUEST;
}

void mk_reporter_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	struct mk_reporter *r = arg;
	mk_log(e == MK_OK ? MK_INFO : MK_ERROR, "supervisor_gone", MK_KV_S("err", mk_err_word(e)),
	       MK_KV_S("message", at < MK_MSG_COUNT ? mk_msgs[at].name : "none"));
	r->exit_code = 1;
	mk_loop_stop(r->loop);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The session of an instance. It never frees a credential but to put another in its place,
 * so a renewal may borrow it. A store that refused a login is not asked again for a while
 * (it may lock the account); one that could not be reached is the breaker's to spare.
 */
#include "agent/fetcher/login.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/fetcher/backoff.h"
#include "agent/fetcher/walk.h"
#include "mk/own.h"

#include <stdlib.h>

#define HOLD_LEAST_MS    1000
#define HOLD_LONGEST_MS  15000
#define AGAIN_LEAST_MS   1000  /* a renewal that failed, while the credential still holds */
#define AGAIN_LONGEST_MS 60000
#define FORCED_EVERY_MS  1000  /* logins because of a refusal: not more often */
#define TELL_AGAIN_MS    60000
#define NEVER INT64_MAX

struct mk_session {
	struct mk_instance *at;
	mk_landed_fn *landed;
	struct mk_timer *timer; /* renewal */
	struct mk_secret *credential;
	void *keep; /* the login method's */
	uint32_t number;
	int64_t until_ms, first_ttl_ms, ttl_ms;
	bool usable, renewable;
	/* the login under way */
	bool flying;
	struct mk_login_op op;
	struct mk_walk walk;
	/* failures */
	unsigned failures;
	int64_t hold_until_ms, forced_ms, told_ms;
	enum mk_err err;
	bool alarm;
	const char *fault, *told;
};

static void op_done(struct mk_session *s)
{
	const struct mk_login *m = s->at->login;
	mk_walk_done(&s->walk);
	s->op.credential = mk_secret_free(s->op.credential);
	if (s->op.state) {
		if (m->done)
			m->done(&s->op);
		mk_wipe(s->op.state, m->state_size);
		free(s->op.state);
	}
	s->op = (struct mk_login_op){ 0 };
	s->flying = false;
}

static void tell(struct mk_session *s, enum mk_err e, const char *fault)
{
	const int64_t now = mk_boot_ms();
	if (s->told == fault && now - s->told_ms < TELL_AGAIN_MS)
		return;
	s->told = fault;
	s->told_ms = now;
	mk_log(MK_WARN, "login_failed", MK_KV_S("backend", s->at->conf.name.s), MK_KV_S("method", s->at->login->name),
	       MK_KV_S("err", mk_err_word(e)), MK_KV_S("fault", fault));
}

/* What a login's error is to an operation: never the caller's own "denied" or "not found". */
static enum mk_err to_caller(enum mk_err e)
{
	return e == MK_NO_MEMORY || e == MK_TIMEOUT || e == MK_NOT_READY ? e : MK_BACKEND;
}

static bool holds(const struct mk_session *s)
{
	return s->usable && mk_boot_ms() < s->until_ms;
}

static void schedule(struct mk_session *s, int64_t ttl_ms)
{
	int64_t until = NEVER;
	if (ttl_ms <= 0 || __builtin_add_overflow(mk_boot_ms(), ttl_ms, &until))
		until = NEVER;
	s->until_ms = until;
	s->ttl_ms = until == NEVER ? 0 : ttl_ms;
	mk_timer_set(s->timer, until == NEVER ? -1 : mk_renew_ms(ttl_ms, s->at->driver->random()));
}

static void fly(struct mk_session *s, bool renew);

static void landed_well(struct mk_session *s)
{
	struct mk_login_op *op = &s->op;
	s->renewable = op->renewable;
	if (op->credential) {
		mk_secret_free(s->credential);
		s->credential = MK_TAKE(op->credential);
		s->number++;
		s->first_ttl_ms = op->ttl_ms;
		s->usable = true;
	} else if (op->ttl_ms < s->first_ttl_ms / 2) { /* the store's longest life is near: the next is a fresh login */
		s->renewable = false;
	}
	s->failures = 0;
	s->hold_until_ms = 0;
	s->told = NULL;
	s->alarm = false;
	schedule(s, op->ttl_ms);
}

static void landed_badly(struct mk_session *s)
{
	const int64_t now = mk_boot_ms();
	const uint32_t random = s->at->driver->random();
	s->err = to_caller(s->op.err);
	s->fault = s->op.fault ? s->op.fault : "the login failed";
	s->alarm |= s->op.alarm; /* until a login succeeds */
	tell(s, s->op.err, s->fault);
	mk_endpoint_ended(s->at, s->err, s->fault);
	if (s->walk.told) {
		const unsigned shift = s->failures < 8 ? s->failures : 8;
		const int64_t hold = (int64_t)HOLD_LEAST_MS << shift;
		s->hold_until_ms = now + (hold < HOLD_LONGEST_MS ? hold : HOLD_LONGEST_MS);
	}
	if (holds(s))
		mk_timer_set(s->timer, AGAIN_LEAST_MS + mk_backoff_ms(AGAIN_LEAST_MS, AGAIN_LONGEST_MS, s->failures, random));
	s->failures++;
}

static void on_ended(void *owner, enum mk_step verdict)
{
	struct mk_session *s = owner;
	struct mk_login_op *op = &s->op;
	const bool renewed = op->renew;
	if (s->walk.err != MK_OK)
		op->err = s->walk.err;
	if (verdict == MK_STEP_FAIL && s->walk.fault)
		op->fault = s->walk.fault;
	bool well = verdict == MK_STEP_DONE && (renewed || op->credential);
	if (!well && op->err == MK_OK)
		op->err = verdict == MK_STEP_LOGIN ? MK_DENIED : MK_BUG;
	if (renewed && (well ? !s->usable : op->err == MK_DENIED)) { /* refused meanwhile, or not to be renewed */
		op_done(s);
		fly(s, false);
		return;
	}
	if (well)
		landed_well(s);
	else
		landed_badly(s);
	op_done(s);
	s->landed(s->at, well ? MK_OK : s->err, well ? NULL : s->fault);
}

static enum mk_step on_step(void *owner, const struct mk_res *res, struct mk_req *out)
{
	struct mk_session *s = owner;
	return s->at->login->step(&s->op, res, out);
}

static void fly(struct mk_session *s, bool renew)
{
	const struct mk_login *m = s->at->login;
	const int64_t time = mk_walk_time(s->at) / 10 * 9; /* it ends before those who began it and wait for it */
	s->flying = true;
	s->op = (struct mk_login_op){ .conf = &s->at->conf, .renew = renew, .old = renew ? s->credential : NULL,
				      .keep = s->keep };
	s->walk = (struct mk_walk){ .at = s->at, .owner = s, .step = on_step, .ended = on_ended, .deadline_ms = mk_boot_ms() + time };
	s->op.state = calloc(1, m->state_size > 0 ? m->state_size : 1);
	if (s->op.state) {
		mk_walk_begin(&s->walk);
		return;
	}
	s->op.err = MK_NO_MEMORY;
	on_ended(s, MK_STEP_FAIL);
}

static void on_renewal(void *arg)
{
	struct mk_session *s = arg;
	if (!s->flying)
		fly(s, s->renewable && holds(s));
}

enum mk_err mk_session_new(struct mk_instance *at, mk_landed_fn *landed, struct mk_session **ret)
{
	struct mk_session *s = calloc(1, sizeof *s);
	if (!s)
		return MK_NO_MEMORY;
	s->at = at;
	s->landed = landed;
	s->forced_ms = INT64_MIN / 2;
	s->keep = calloc(1, at->login->keep_size > 0 ? at->login->keep_size : 1);
	const enum mk_err e = s->keep ? mk_timer_new(at->driver->loop, on_renewal, s, &s->timer) : MK_NO_MEMORY;
	if (e != MK_OK) {
		free(s->keep);
		free(s);
		return e;
	}
	*ret = s;
	return MK_OK;
}

struct mk_session *mk_session_free(struct mk_session *s)
{
	if (!s)
		return NULL;
	if (s->flying)
		op_done(s);
	mk_timer_free(s->timer);
	mk_secret_free(s->credential);
	if (s->at->login->forget)
		s->at->login->forget(s->keep);
	free(s->keep);
	free(s);
	return NULL;
}

enum mk_err mk_session_copy(const struct mk_session *s, struct mk_secret **ret, uint32_t *ret_number)
{
	if (!holds(s))
		return MK_NOT_READY;
	MK_TRY(mk_secret_copy(mk_secret_span(s->credential), ret));
	*ret_number = s->number;
	return MK_OK;
}

void mk_session_login(struct mk_session *s)
{
	if (s->flying)
		return;
	if (mk_boot_ms() < s->hold_until_ms)
		s->landed(s->at, s->err, s->fault);
	else
		fly(s, false);
}

void mk_session_state(const struct mk_session *s, struct mk_session_state *ret)
{
	const bool good = holds(s);
	*ret = (struct mk_session_state){ .now = s->failures > 0 ? MK_LOGIN_FAILING : good ? MK_LOGIN_OK : MK_LOGIN_PENDING,
					  .left_ms = -1, .alarm = s->alarm };
	if (good && s->until_ms != NEVER)
		ret->left_ms = s->until_ms - mk_boot_ms();
	if (s->ttl_ms > 0)
		ret->every_ms = mk_renew_ms(s->ttl_ms, UINT32_MAX / 2);
}

bool mk_session_refused(struct mk_session *s, uint32_t number)
{
	const int64_t now = mk_boot_ms();
	if (number != s->number || !s->usable)
		return true;
	if (now - s->forced_ms < FORCED_EVERY_MS)
		return false;
	s->forced_ms = now;
	s->usable = false;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's tries. Everything goes through the timer, so that nothing is answered from
 * inside mk_ask_begin and a wait is a wait, whatever it is for.
 */
#include "agent/fetcher/ask.h"

#include "agent/base/clock.h"
#include "agent/base/secret.h"
#include "agent/fetcher/backoff.h"

#define TRY_LEAST_MS     1000  /* a try gets half of what is left, but not less */
#define AGAIN_LEAST_MS   100
#define AGAIN_LONGEST_MS 5000
#define PAUSE_LONGEST_MS 60000 /* so long may an endpoint ask all to wait */
#define PAUSE_UNSAID_MS  1000  /* one that says "too many" and not for how long */

_Static_assert(offsetof(struct mk_ask, call) == 0, "a call's address is its ask's");

static void drop_answer(struct mk_ask *a)
{
	a->call.body = mk_secret_free(a->call.body);
	a->call.res = (struct mk_res){ 0 };
	a->call.fault = NULL;
	a->call.hopeless = false;
	a->call.retry_after_ms = -1;
}

static void fail(struct mk_ask *a, enum mk_err e, const char *fault)
{
	drop_answer(a);
	a->call.res.err = e;
	a->call.fault = fault;
	a->answered(a);
}

static bool may_go_again(const struct mk_ask *a)
{
	return !a->single && !a->call.req->once;
}

/* What the answer says of the endpoint. */
static void judge(struct mk_ask *a)
{
	if (a->call.res.err == MK_OK && a->call.res.status == 429 && a->call.retry_after_ms <= 0 && may_go_again(a))
		a->call.retry_after_ms = PAUSE_UNSAID_MS;
	const struct mk_res *res = &a->call.res;
	struct mk_breaker *b = &a->at->breaker;
	const int64_t now = mk_boot_ms(), after = a->call.retry_after_ms;
	if (after > 0)
		mk_bucket_pause(&a->at->bucket, now + (after < PAUSE_LONGEST_MS ? after : PAUSE_LONGEST_MS));
	if (res->err == MK_BACKEND || res->err == MK_TIMEOUT || (res->err == MK_OK && res->status >= 500))
		mk_breaker_failure(b, now);
	else if (res->err == MK_TOO_LARGE || (res->err == MK_OK && res->status != 429))
		mk_breaker_success(b);
	else
		mk_breaker_nothing(b);
}

static bool helps(const struct mk_call *c)
{
	if (c->res.err == MK_OK)
		return c->res.status == 429 || (c->res.status >= 500 && c->res.status != 501);
	return !c->hopeless && (c->res.err == MK_BACKEND || c->res.err == MK_TIMEOUT);
}

/* Sets the time of another try, where there is to be one. */
static bool again(struct mk_ask *a)
{
	const int64_t now = mk_boot_ms(), after = a->call.retry_after_ms;
	const int64_t jitter = mk_backoff_ms(AGAIN_LEAST_MS, AGAIN_LONGEST_MS, a->tries, a->at->driver->random());
	const int64_t wait = (after > 0 ? after : 0) + jitter;
	if (!may_go_again(a) || !helps(&a->call) || now + wait >= a->deadline_ms || !mk_breaker_allows(&a->at->breaker, now + wait))
		return false;
	drop_answer(a);
	a->tries++;
	a->paid = false;
	mk_timer_set(a->timer, wait);
	return true;
}

static void on_answer(struct mk_call *c)
{
	struct mk_ask *a = (struct mk_ask *)(void *)c;
	a->sent = false;
	judge(a);
	if (!again(a))
		a->answered(a);
}

static void send_now(struct mk_ask *a, int64_t now)
{
	struct mk_call *c = &a->call;
	const struct mk_transport *t = &a->at->driver->transport;
	const int64_t left = a->deadline_ms - now;
	c->timeout_ms = left;
	if (may_go_again(a) && left > TRY_LEAST_MS)
		c->timeout_ms = left / 2 > TRY_LEAST_MS ? left / 2 : TRY_LEAST_MS;
	mk_breaker_begin(&a->at->breaker);
	mk_endpoint_called(&a->at->endpoint, now);
	const enum mk_err e = t->start ? t->start(t->self, c) : MK_BUG;
	a->sent = e == MK_OK;
	a->tried |= a->sent;
	if (a->sent)
		return;
	mk_breaker_nothing(&a->at->breaker);
	fail(a, e, c->fault ? c->fault : "the request could not be made");
}

/* ms until the bucket lets it go; -1: not before its deadline. */
static int64_t bucket_wait(struct mk_ask *a, int64_t now)
{
	struct mk_bucket *b = &a->at->bucket;
	const int64_t most = a->deadline_ms - now - 1;
	const int64_t wait = a->paid ? mk_bucket_paused(b, now) : mk_bucket_take(b, now, most);
	return wait <= most ? wait : -1;
}

static void on_time(void *arg)
{
	struct mk_ask *a = arg;
	const int64_t now = mk_boot_ms();
	if (now >= a->deadline_ms) {
		fail(a, MK_TIMEOUT, "no time was left for the request");
		return;
	}
	if (!mk_breaker_allows(&a->at->breaker, now)) {
		fail(a, MK_NOT_READY, "the store failed several times in a row and is left alone for a while: see its errors before this one");
		return;
	}
	const int64_t wait = bucket_wait(a, now);
	if (wait < 0) {
		fail(a, MK_NOT_READY, "the calls allowed to this backend in an hour are used up, or it asked for a pause: see its `rate`");
		return;
	}
	a->paid = true;
	if (wait > 0)
		mk_timer_set(a->timer, wait);
	else
		send_now(a, now);
}

enum mk_err mk_ask_begin(struct mk_ask *a, const struct mk_req *req)
{
	a->call = (struct mk_call){ .answered = on_answer, .req = req, .conf = &a->at->conf, .in_pod = a->at->in_pod,
				    .retry_after_ms = -1 };
	a->tries = 0;
	a->sent = a->paid = a->tried = false;
	MK_TRY(mk_timer_new(a->at->driver->loop, on_time, a, &a->timer));
	mk_timer_set(a->timer, 0);
	return MK_OK;
}

void mk_ask_done(struct mk_ask *a)
{
	if (a->sent) {
		a->at->driver->transport.cancel(a->at->driver->transport.self, &a->call);
		mk_breaker_nothing(&a->at->breaker);
	}
	a->sent = false;
	a->timer = mk_timer_free(a->timer);
	drop_answer(a);
}

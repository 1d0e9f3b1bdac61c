/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of the driver: a clock that jumps, a transport that answers by a script, a
 * backend and a login of the test's own. Include after cmocka.h.
 */
#ifndef MK_TEST_DRIVER_KIT_H
#define MK_TEST_DRIVER_KIT_H

#include "agent/base/clock.h"
#include "agent/base/loop.h"
#include "agent/base/secret.h"
#include "agent/fetcher/driver.h"
#include "agent/fetcher/login.h"
#include "mk/own.h"

#include <stdio.h>

#define KIT_CALLS_MAX 400
#define NEVER_ANSWERS (-1)

struct kit_answer { /* what the store says; the last one goes on for ever */
	enum mk_err err;
	long status;
	int64_t after_ms, retry_after_ms;
	const char *body;
};

static struct {
	int64_t boot, wall;
	uint32_t random;
	struct mk_driver driver;
	const struct kit_answer *script;
	size_t n_script;
	struct {
		struct mk_call *call;
		int64_t due, begun, timeout;
		struct kit_answer answer;
		char url[64], head[64];
	} calls[KIT_CALLS_MAX];
	size_t n_calls, cancelled;
} kit;

static uint32_t kit_random(void)
{
	return kit.random;
}

static enum mk_err kit_start(void *self, struct mk_call *c)
{
	(void)self;
	assert_true(kit.n_calls < KIT_CALLS_MAX);
	const size_t i = kit.n_calls++;
	const struct kit_answer *a = &kit.script[i < kit.n_script ? i : kit.n_script - 1];
	const struct mk_secret *s = c->req->n_headers ? c->req->headers[0].secret : NULL;
	kit.calls[i].call = c;
	kit.calls[i].answer = *a;
	kit.calls[i].begun = kit.boot;
	kit.calls[i].timeout = c->timeout_ms;
	kit.calls[i].due = a->after_ms == NEVER_ANSWERS || a->after_ms > c->timeout_ms ? kit.boot + c->timeout_ms : kit.boot + a->after_ms;
	if (a->after_ms == NEVER_ANSWERS || a->after_ms > c->timeout_ms)
		kit.calls[i].answer = (struct kit_answer){ .err = MK_TIMEOUT };
	snprintf(kit.calls[i].url, sizeof kit.calls[i].url, "%s", c->req->url);
	snprintf(kit.calls[i].head, sizeof kit.calls[i].head, "%.*s", s ? (int)mk_secret_span(s).n : 0, s ? (const char *)mk_secret_span(s).p : "");
	return MK_OK;
}

static void kit_cancel(void *self, struct mk_call *c)
{
	(void)self;
	kit.cancelled++;
	for (size_t i = 0; i < kit.n_calls; i++)
		if (kit.calls[i].call == c)
			kit.calls[i].call = NULL;
}

static void kit_deliver(void)
{
	for (size_t i = 0; i < kit.n_calls; i++) {
		struct mk_call *c = kit.calls[i].call;
		const struct kit_answer *a = &kit.calls[i].answer;
		if (!c || kit.calls[i].due > kit.boot)
			continue;
		kit.calls[i].call = NULL;
		c->res = (struct mk_res){ .err = a->err, .status = a->status };
		c->retry_after_ms = a->retry_after_ms > 0 ? a->retry_after_ms : -1;
		c->fault = a->err == MK_OK ? NULL : "the script says so";
		if (a->err == MK_OK && a->body) {
			assert_int_equal(mk_secret_copy(mk_span_of(a->body), &c->body), MK_OK);
			c->res.body = mk_secret_span(c->body);
		}
		c->answered(c);
	}
}

/* The world goes on for so long. */
static void kit_pass(int64_t ms)
{
	const int64_t end = kit.boot + ms;
	for (;;) {
		assert_int_equal(mk_loop_turn(kit.driver.loop), MK_OK);
		kit_deliver();
		const int wait = mk_loop_wait_ms(kit.driver.loop);
		int64_t next = wait < 0 ? end : kit.boot + wait;
		for (size_t i = 0; i < kit.n_calls; i++)
			if (kit.calls[i].call && kit.calls[i].due < next)
				next = kit.calls[i].due;
		if (kit.boot >= end && next > end)
			return;
		if (next > end)
			next = end;
		if (next == kit.boot && kit.boot >= end && wait != 0)
			return;
		kit.boot = next;
	}
}

static void kit_script(const struct kit_answer *script, size_t n)
{
	kit.script = script;
	kit.n_script = n;
	kit.n_calls = kit.cancelled = 0;
}
#define KIT_SCRIPT(...) kit_script((const struct kit_answer[]){ __VA_ARGS__ }, sizeof((const struct kit_answer[]){ __VA_ARGS__ }) / sizeof(struct kit_answer))

static int kit_setup(void **state)
{
	bool locked;
	(void)state;
	kit.boot = 1000000;
	kit.wall = 1800000000000;
	mk_clock_fake(&kit.boot, &kit.wall);
	if (mk_secret_arena_init(64, 4, &locked) != MK_OK || mk_loop_new(&kit.driver.loop) != MK_OK)
		return -1;
	kit.driver.random = kit_random;
	kit.driver.transport = (struct mk_transport){ .start = kit_start, .cancel = kit_cancel };
	return 0;
}

static int kit_teardown(void **state)
{
	(void)state;
	mk_loop_free(kit.driver.loop);
	mk_clock_fake(NULL, NULL);
	return 0;
}

#endif

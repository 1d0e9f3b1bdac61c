/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters by the minute in a ring: a minute that comes wipes what stood in its place an
 * hour ago, and those that were skipped.
 */
#include "agent/fetcher/endpoint.h"

#include "agent/base/clock.h"
#include "agent/fetcher/driver.h"
#include "agent/fetcher/login.h"

#include <stdio.h>

#define MINUTE_MS 60000
#define FAR_MS    (INT64_C(10) * 366 * 24 * 3600 * 1000) /* what a store says to end later than this does not end */

static uint32_t *slot(struct mk_endpoint *e, int64_t minute)
{
	return &e->calls[minute % MK_ENDPOINT_MINUTES];
}

void mk_endpoint_called(struct mk_endpoint *e, int64_t boot_ms)
{
	const int64_t now = boot_ms / MINUTE_MS;
	if (now - e->minute >= MK_ENDPOINT_MINUTES)
		e->minute = now - MK_ENDPOINT_MINUTES;
	while (e->minute < now)
		*slot(e, ++e->minute) = 0;
	++*slot(e, now);
}

uint32_t mk_endpoint_calls(const struct mk_endpoint *e, int64_t boot_ms)
{
	const int64_t now = boot_ms / MINUTE_MS;
	uint32_t sum = 0;
	for (int64_t m = e->minute; m > e->minute - MK_ENDPOINT_MINUTES && m > now - MK_ENDPOINT_MINUTES && m >= 0; m--)
		sum += e->calls[m % MK_ENDPOINT_MINUTES];
	return sum;
}

void mk_endpoint_ended(struct mk_instance *at, enum mk_err err, const char *fault)
{
	struct mk_endpoint *e = &at->endpoint;
	if (err == MK_OK || err == MK_NOT_FOUND || err == MK_DISABLED) {
		e->ok_at_ms = mk_wall_ms();
		return;
	}
	if (err == MK_NOT_READY && at->breaker.pause_ms > 0 && e->err != MK_OK)
		return;
	e->err = err;
	e->fault = fault;
	e->err_at_ms = mk_wall_ms() > 0 ? mk_wall_ms() : 0;
}

static uint32_t length(const struct mk_runs *runs)
{
	const struct mk_run *run;
	uint32_t n = 0;
	TAILQ_FOREACH(run, runs, entry)
		n++;
	return n;
}

static void tell_circuit(const struct mk_breaker *b, int64_t now, struct mk_msg_endpoint *ret)
{
	if (b->pause_ms == 0)
		ret->circuit = MK_CIRCUIT_CLOSED;
	else
		ret->circuit = now < b->until_ms ? MK_CIRCUIT_OPEN : MK_CIRCUIT_HALF_OPEN;
	ret->pause_ms = ret->circuit == MK_CIRCUIT_OPEN ? b->until_ms - now : 0;
}

static void tell_login(const struct mk_instance *at, struct mk_msg_endpoint *ret)
{
	struct mk_session_state s;
	ret->login_until_ms = MK_TIME_NONE;
	if (!at->session)
		return;
	mk_session_state(at->session, &s);
	ret->login = s.now;
	ret->unwrap_failed = s.alarm;
	ret->login_every_ms = s.every_ms < FAR_MS ? s.every_ms : 0;
	if (s.left_ms >= 0 && s.left_ms < FAR_MS)
		ret->login_until_ms = mk_wall_ms() + s.left_ms;
}

void mk_endpoint_state(const struct mk_instance *at, struct mk_msg_endpoint *ret)
{
	const struct mk_endpoint *e = &at->endpoint;
	const int64_t now = mk_boot_ms();
	*ret = (struct mk_msg_endpoint){
		.err = e->err, .err_at_ms = e->err == MK_OK ? MK_TIME_NONE : e->err_at_ms,
		.ok_at_ms = e->ok_at_ms > 0 ? e->ok_at_ms : MK_TIME_NONE, .calls_hour = mk_endpoint_calls(e, now),
		.waiting = length(&at->waiting) + length(&at->parked),
	};
	snprintf(ret->fault, sizeof ret->fault, "%s", e->fault ? e->fault : "");
	tell_circuit(&at->breaker, now, ret);
	tell_login(at, ret);
}

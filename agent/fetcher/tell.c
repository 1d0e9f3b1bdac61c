/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells the broker how each backend's endpoint fares. A message that does not get through
 * is tried again a second later; a broker that is not there is told when it comes. Nothing
 * else waits for any of this.
 */
#include "agent/base/clock.h"
#include "agent/fetcher/fetcher.h"

#include <string.h>

#define LOOK_MS     1000  /* between two messages about one backend, at least; and how late a change of time's making is seen */
#define COUNTERS_MS 10000

static bool other_kind(const struct mk_msg_endpoint *a, const struct mk_msg_endpoint *b)
{
	return a->circuit != b->circuit || a->login != b->login || a->unwrap_failed != b->unwrap_failed || a->err != b->err ||
	       strcmp(a->fault, b->fault) != 0 || (a->ok_at_ms > a->err_at_ms) != (b->ok_at_ms > b->err_at_ms);
}

static bool other_figures(const struct mk_msg_endpoint *a, const struct mk_msg_endpoint *b)
{
	return a->calls_hour != b->calls_hour || a->waiting != b->waiting || a->ok_at_ms != b->ok_at_ms ||
	       a->err_at_ms != b->err_at_ms || a->login_every_ms != b->login_every_ms;
}

/* Its probe came and failed between two looks: the circuit is as it was told, its time is not. */
static bool opened_anew(const struct mk_msg_endpoint *m, const struct mk_msg_endpoint *old, int64_t since_ms)
{
	return m->circuit == MK_CIRCUIT_OPEN && m->pause_ms + since_ms > old->pause_ms + LOOK_MS;
}

static mk_must say(struct mk_fetcher *f, const struct mk_msg_endpoint *m)
{
	uint8_t buf[512];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_msg_endpoint_write(&w, m);
	MK_TRY(mk_wr_end(&w, &n));
	return mk_link_send(f->broker, MK_MSG_ENDPOINT_STATE, mk_span(buf, n), -1);
}

static void tell_one(struct mk_fetcher *f, size_t i, int64_t now)
{
	const int64_t since = now - f->told.backends[i].at_ms;
	const bool told = f->told.backends[i].told;
	struct mk_msg_endpoint m;
	if (told && since < LOOK_MS)
		return;
	mk_endpoint_state(f->now->instances[i], &m);
	m.backend = (uint8_t)i;
	const struct mk_msg_endpoint *old = &f->told.backends[i].m;
	if (told && !other_kind(&m, old) && !opened_anew(&m, old, since) && (since < COUNTERS_MS || !other_figures(&m, old)))
		return;
	if (say(f, &m) != MK_OK)
		return;
	f->told.backends[i].told = true;
	f->told.backends[i].at_ms = now;
	f->told.backends[i].m = m;
}

void mk_fetcher_tell(struct mk_fetcher *f)
{
	const int64_t now = mk_boot_ms();
	for (size_t i = 0; f->broker && f->now && !f->draining && i < f->now->n; i++)
		tell_one(f, i, now);
}

void mk_fetcher_tell_again(struct mk_fetcher *f)
{
	for (size_t i = 0; i < MK_BACKENDS_MAX; i++)
		f->told.backends[i].told = false;
	mk_fetcher_tell(f);
}

static void on_time(void *arg)
{
	struct mk_fetcher *f = arg;
	mk_timer_set(f->told.timer, LOOK_MS);
	mk_fetcher_tell(f);
}

mk_must mk_fetcher_tell_start(struct mk_fetcher *f)
{
	MK_TRY(mk_timer_new(f->loop, on_time, f, &f->told.timer));
	mk_timer_set(f->told.timer, LOOK_MS);
	return MK_OK;
}

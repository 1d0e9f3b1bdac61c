/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares of times, and the earlier of two.
 */
#include "agent/broker/schedule.h"

#include "agent/base/clock.h"

#define PROBE_FIRST_MS 250
#define PROBE_DOUBLED  4u

/* The jitter's share of ms. */
static int64_t share(int64_t ms, uint16_t jitter)
{
	return (int64_t)((double)ms * jitter / UINT16_MAX);
}

static int64_t percent_of(int64_t ms, uint8_t percent)
{
	return ms / 100 * percent + ms % 100 * percent / 100;
}

int64_t mk_schedule_ttl(int64_t ttl_ms, uint8_t percent, uint16_t jitter)
{
	return ttl_ms - share(percent_of(ttl_ms, percent), jitter);
}

/* 80 to 50 % of a time: what is fresh for less long is fetched again sooner. */
static int64_t ahead(int64_t ms, uint16_t jitter)
{
	return percent_of(ms, 80) - share(percent_of(ms, 30), jitter);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t mk_schedule_refresh(const struct mk_fetched_at *at, int64_t ttl_ms, uint8_t percent, int64_t boot_ms,
			    int64_t wall_ms)
{
	const int64_t fresh = mk_schedule_ttl(ttl_ms, percent, at->jitter);
	int64_t after = least(ahead(ttl_ms, at->jitter), percent_of(fresh, 80));
	if (at->expires_ms != MK_TIME_NONE) {
		/* the same text may come back until the issuer renews it: no more questions the nearer its end */
		const int64_t left = at->expires_ms - wall_ms + (boot_ms - at->boot_ms);
		const int64_t part = left > 0 ? ahead(left, at->jitter) : 0;
		after = least(after, part > MK_SCHEDULE_EXPIRY_MS ? part : MK_SCHEDULE_EXPIRY_MS);
	}
	return at->boot_ms + after;
}

int64_t mk_schedule_start(int64_t ttl_ms, uint16_t jitter)
{
	return share(least(ttl_ms / 5, MK_SCHEDULE_START_MS), jitter);
}

int64_t mk_schedule_probe(unsigned looks, uint16_t jitter)
{
	const int64_t ms = (int64_t)PROBE_FIRST_MS << (looks < PROBE_DOUBLED ? looks : PROBE_DOUBLED);
	return ms - share(ms / 4, jitter);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * When to ask a store of one's own accord. Pure: the same times and the same jitter (random
 * once for each entry or process, of 65,535) give the same moment, so that a whole fleet
 * can be simulated. Moments are of the boot clock in ms, but for an expiry (wall clock).
 */
#ifndef MK_SCHEDULE_H
#define MK_SCHEDULE_H

#include <stdint.h>

#define MK_SCHEDULE_EXPIRY_MS 5000  /* from a fetch to the next one for the sake of an expiry, at least */
#define MK_SCHEDULE_START_MS  60000 /* instances that start together begin within so long, at most */

struct mk_fetched_at {
	int64_t boot_ms;    /* when it was fetched */
	int64_t expires_ms; /* or MK_TIME_NONE */
	uint16_t jitter;    /* its entry's */
};

/* How long what was fetched counts as fresh: the ttl, or up to `percent` of it less. */
int64_t mk_schedule_ttl(int64_t ttl_ms, uint8_t percent, uint16_t jitter);

/* When to fetch it again ahead of time: at 50 to 80 % of the ttl, or of the life that it had left when it was fetched,
 * whichever is first; always before the end of its freshness. */
int64_t mk_schedule_refresh(const struct mk_fetched_at *at, int64_t ttl_ms, uint8_t percent, int64_t boot_ms,
			    int64_t wall_ms);

/* How long an instance waits after its start before it fetches what nobody asked for. */
int64_t mk_schedule_start(int64_t ttl_ms, uint16_t jitter);

/* How long to wait between looks at stores that fail: from 250 ms, doubled by each look before it, to 4 s; less by up to
 * a quarter. */
int64_t mk_schedule_probe(unsigned looks, uint16_t jitter);

#endif

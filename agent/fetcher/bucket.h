/* SPDX-License-Identifier: Apache-2.0
 *
 * A token bucket: so many calls an hour to one endpoint, with a burst of one minute's
 * worth (at least 20). A call takes its token ahead of its time and is told how long
 * to wait, so those who wait go in the order in which they asked. Pure.
 */
#ifndef MK_FETCHER_BUCKET_H
#define MK_FETCHER_BUCKET_H

#include <stdint.h>

#define MK_BUCKET_BURST_MIN 20u

struct mk_bucket {
	int64_t cost_us;     /* between two tokens; 0: no limit */
	int64_t burst_us;    /* the cost of a burst */
	int64_t full_at_us;  /* when the bucket will be full again */
	int64_t not_before_ms;
};

void mk_bucket_init(struct mk_bucket *b, uint32_t calls_per_hour); /* full; 0: no limit */

/* How long until the call may go (ms, 0: at once); -1 where that is more than max_wait_ms, and then nothing is taken. */
int64_t mk_bucket_take(struct mk_bucket *b, int64_t now_ms, int64_t max_wait_ms);

/* For one that has its token and waited for it: how much longer, because of a pause that was asked for meanwhile. */
int64_t mk_bucket_paused(const struct mk_bucket *b, int64_t now_ms);

/* The endpoint said when it wants to be asked again. */
void mk_bucket_pause(struct mk_bucket *b, int64_t until_ms);

#endif

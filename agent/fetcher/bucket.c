/* SPDX-License-Identifier: Apache-2.0
 *
 * The bucket as one moment (GCRA): when it will be full again. A call moves it on by the
 * cost of a token, and waits for what lies beyond now and a whole burst.
 */
#include "agent/fetcher/bucket.h"

#define HOUR_US 3600000000ll

void mk_bucket_init(struct mk_bucket *b, uint32_t calls_per_hour)
{
	const uint32_t minute = calls_per_hour / 60;
	*b = (struct mk_bucket){ 0 };
	if (calls_per_hour == 0)
		return;
	b->cost_us = HOUR_US / calls_per_hour;
	b->burst_us = b->cost_us * (minute > MK_BUCKET_BURST_MIN ? minute : MK_BUCKET_BURST_MIN);
}

static int64_t max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t mk_bucket_take(struct mk_bucket *b, int64_t now_ms, int64_t max_wait_ms)
{
	const int64_t now_us = now_ms * 1000, full_at = max(b->full_at_us, now_us) + b->cost_us;
	const int64_t ahead_us = full_at - now_us - b->burst_us;
	const int64_t token_ms = b->cost_us > 0 && ahead_us > 0 ? (ahead_us + 999) / 1000 : 0;
	const int64_t wait = max(token_ms, b->not_before_ms - now_ms);
	if (wait > max_wait_ms)
		return -1;
	b->full_at_us = full_at;
	return max(wait, 0);
}

int64_t mk_bucket_paused(const struct mk_bucket *b, int64_t now_ms)
{
	return max(b->not_before_ms - now_ms, 0);
}

void mk_bucket_pause(struct mk_bucket *b, int64_t until_ms)
{
	b->not_before_ms = max(b->not_before_ms, until_ms);
}

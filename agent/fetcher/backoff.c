/* SPDX-License-Identifier: Apache-2.0
 *
 * Waits with jitter, in whole milliseconds.
 */
#include "agent/fetcher/backoff.h"

#define RENEW_LEAST_MS 1000

/* Evenly from 0 to n: the random number taken as a fraction. */
static int64_t part(int64_t n, uint32_t random)
{
	return (int64_t)(((__int128)n * random) >> 32);
}

int64_t mk_backoff_ms(int64_t least_ms, int64_t longest_ms, unsigned tries, uint32_t random)
{
	int64_t top = least_ms;
	while (tries-- > 0 && top < longest_ms)
		top *= 2;
	return part((top < longest_ms ? top : longest_ms) + 1, random);
}

int64_t mk_renew_ms(int64_t ttl_ms, uint32_t random)
{
	const int64_t at = ttl_ms / 3 * 2 - part(ttl_ms / 10 + 1, random);
	return at > RENEW_LEAST_MS ? at : RENEW_LEAST_MS;
}

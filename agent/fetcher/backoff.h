/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before trying again. Pure: the random number comes in, so that a
 * schedule can be played through.
 */
#ifndef MK_FETCHER_BACKOFF_H
#define MK_FETCHER_BACKOFF_H

#include <stdint.h>

/* Full jitter: evenly from 0 to least_ms * 2^tries, at most longest_ms. tries: failures so far, less one. */
int64_t mk_backoff_ms(int64_t least_ms, int64_t longest_ms, unsigned tries, uint32_t random);

/* When to renew what lives for ttl_ms: at two thirds, less up to a tenth of the whole; never sooner than in one second. */
int64_t mk_renew_ms(int64_t ttl_ms, uint32_t random);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Two clocks, in nanoseconds: boot time, which the agent's times are in and which goes on through a suspend; and the
 * monotonic one, in which this side waits.
 */
#ifndef CLIENT_CLOCK_H
#define CLIENT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S  1000000000
#define NS_PER_MS 1000000

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec t = { 0, 0 };
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static inline int64_t boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

static inline int64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

#endif

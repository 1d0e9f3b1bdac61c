/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of a hostile caller share: its requests, time of the processor, and ends.
 */
#ifndef MK_TEST_HTTP_LIMITS_KIT_H
#define MK_TEST_HTTP_LIMITS_KIT_H

#include "http_client.h"

#include <sys/resource.h>

#define HEALTH GET("/v1/health")
#define TOKEN  GET("/v1/tokens/acme")

static inline double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Nothing happens for half a second: nothing may be done either. */
static inline void assert_no_spin(void)
{
	const double before = cpu_s();
	run_ms(500);
	assert_true(cpu_s() - before < 0.1);
}

static inline bool peer_closed(int fd)
{
	char c;
	const ssize_t got = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);
	return got == 0 || (got < 0 && errno != EAGAIN);
}

#endif

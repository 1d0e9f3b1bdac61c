/* SPDX-License-Identifier: Apache-2.0
 *
 * What libmicrohttpd, the loop and the link were seen to call while probes came, timed
 * out and were dropped, and at the end.
 */
#include "agent/reporter/sandbox.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_wait
#define SYS_epoll_wait -1
#endif

#define ANY(call) { SYS_##call, MK_CALL_ANY, 0, 0, 0 }
#define ARG(call, n, number) { SYS_##call, MK_CALL_EQ, (n), 0xffffffff, (number) }

static const struct mk_call_rule allow[] = {
	ANY(mmap), ANY(mremap), ANY(mprotect), ANY(futex),
	ANY(epoll_wait), ANY(epoll_pwait), ANY(epoll_ctl), ANY(clock_gettime), ANY(getrandom),
	ANY(accept4), ANY(recvfrom), ANY(sendto), ANY(recvmsg), ANY(sendmsg), ANY(writev), ANY(shutdown), ANY(close),
	ANY(read), ANY(write), ANY(getsockname), ARG(getsockopt, 2, SO_ERROR),
	ARG(setsockopt, 1, IPPROTO_TCP), /* TCP_NODELAY and TCP_CORK about each answer */
	ARG(fcntl, 1, F_GETFL), ARG(fcntl, 1, F_SETFL), ARG(fcntl, 1, F_GETFD), ARG(fcntl, 1, F_SETFD),
};

/* A library that looks for a file of settings does without. */
static const struct mk_call_refusal refuse[] = { { SYS_openat, EACCES }, { SYS_newfstatat, EACCES } };

static const struct mk_role_calls calls = {
	.allow = allow, .n_allow = MK_COUNT(allow), .refuse = refuse, .n_refuse = MK_COUNT(refuse),
};

const struct mk_role_calls *mk_reporter_calls(void)
{
	return &calls;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The table, from what the whole life was seen to call: serving, reload with a new
 * listener, log rotation and healing, a fetcher that is replaced, drain. What is left out
 * kills the process: there is no call here that makes a socket, a process, a mapping that
 * can run, or a descriptor out of another process.
 */
#include "agent/broker/sandbox.h"

#include "mk/own.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* calls that only older machines have */
#ifndef SYS_epoll_wait
#define SYS_epoll_wait (-1)
#endif
#ifndef SYS_renameat
#define SYS_renameat (-1)
#endif

#ifndef SYS_poll
#define SYS_poll (-1)
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* not in Debian 12's headers */
#endif

#define ANY(call)            { .nr = SYS_##call, .test = MK_CALL_ANY }
#define ARG(call, n, number) { .nr = SYS_##call, .test = MK_CALL_EQ, .arg = (n), .mask = 0xffffffff, .value = (number) }

static const struct mk_call_rule allow[] = {
	/* memory */
	ANY(mmap), ANY(mremap), ANY(mprotect), ANY(futex),
	/* the loop, and those of the HTTP library in it */
	ANY(epoll_wait), ANY(epoll_pwait), ANY(epoll_ctl), ANY(epoll_create1),
	ANY(clock_gettime), ANY(clock_nanosleep), ANY(getrandom),
	/* links and clients: accepted or handed over, never made */
	ANY(accept4), ANY(read), ANY(write), ANY(recvfrom), ANY(recvmsg), ANY(sendto), ANY(sendmsg), ANY(shutdown), ANY(close),
	/* who they are; and of a listener that a reload adds, what it is */
	ARG(getsockopt, 2, SO_PEERCRED), ARG(getsockopt, 2, SO_PEERGROUPS), ARG(getsockopt, 2, SO_PEERPIDFD), ANY(getpeername),
	ANY(poll), ANY(ppoll), /* is who connected still there? one or the other, by architecture */
	ARG(getsockopt, 2, SO_DOMAIN), ANY(getsockname), ARG(fcntl, 1, F_GETFL), ARG(fcntl, 1, F_SETFL),
	/* a page that is shared with clients: no more can be done to it once it is sealed; and has a client read what it was sent? */
	ARG(fcntl, 1, F_ADD_SEALS), ARG(fcntl, 1, F_GET_SEALS), ARG(getsockopt, 2, SO_MEMINFO),
	/* the state database, which is open */
	ANY(pwrite64),
	/* the audit log; Landlock says where */
	ANY(openat), ANY(newfstatat), ANY(fstat), ANY(fstatfs), ANY(pread64), ANY(ftruncate), ANY(fdatasync), ANY(fsync),
	ANY(flock), ANY(unlinkat), ANY(renameat), ANY(renameat2), ANY(geteuid),
};

static const struct mk_role_calls calls = { .allow = allow, .n_allow = MK_COUNT(allow) };

const struct mk_role_calls *mk_broker_calls(void)
{
	return &calls;
}

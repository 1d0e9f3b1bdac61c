/* SPDX-License-Identifier: Apache-2.0
 *
 * One list in three parts: what the supervisor does itself, what a program needs to come
 * up under it, and what its children are still to be allowed when they have locked
 * themselves down further. Not here, so for nobody: ptrace, reading other processes'
 * memory, taking their descriptors, io_uring, bpf, keyctl, userfaultfd, mount, chroot,
 * setuid and its kin.
 */
#include "agent/supervisor/sandbox.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Not on every architecture: passed over. */
#ifndef SYS_access
#define SYS_access -1
#define SYS_arch_prctl -1
#define SYS_dup2 -1
#define SYS_epoll_wait -1
#define SYS_poll -1
#define SYS_unlink -1
#endif
#ifndef SYS_renameat
#define SYS_renameat -1
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret -1
#endif

#define ANY(call) { SYS_##call, MK_CALL_ANY, 0, 0, 0 }
#define ARG(call, n, number) { SYS_##call, MK_CALL_EQ, (n), 0xffffffff, (number) }

static const struct mk_call_rule allow[] = {
	/* its own work: sockets, links, files of the instance, children */
	ARG(socket, 0, AF_UNIX), ARG(socket, 0, AF_INET), ARG(socket, 0, AF_INET6), ARG(socketpair, 0, AF_UNIX),
	ANY(bind), ANY(listen), ANY(setsockopt), ANY(sendto), ANY(sendmsg), ANY(recvmsg),
	ANY(inotify_init1), ANY(inotify_add_watch), ANY(signalfd4), ANY(dup2), ANY(dup3), /* dup3: dup2(3) elsewhere than on x86 */
	ANY(fchmodat), ANY(fchownat), ANY(unlink), ANY(unlinkat), ANY(renameat), ANY(renameat2),
	ANY(clone), ANY(setpgid), ANY(execve), ANY(wait4), ANY(kill), ANY(close_range),

	/* a program that starts: loader, libc, libraries' first look around */
	ANY(access), ANY(faccessat), ANY(arch_prctl), ANY(set_tid_address), ANY(set_robust_list), ANY(rseq),
	ANY(openat), ANY(openat2), ANY(newfstatat), ANY(fstat), ANY(fstatfs), ANY(readlinkat), ANY(getdents64),
	ANY(rt_sigaction), ANY(getuid), ANY(geteuid), ANY(getgid), ANY(getegid), ANY(sysinfo), ANY(sched_getaffinity),

	/* memory */
	ANY(mmap), ANY(mremap), ANY(mprotect), ANY(mlock), ANY(mlock2), ANY(munlock), ANY(memfd_secret), ANY(futex),

	/* the loop */
	ANY(epoll_create1), ANY(epoll_ctl), ANY(epoll_wait), ANY(epoll_pwait), ANY(eventfd2),
	ANY(clock_gettime), ANY(clock_nanosleep), ANY(getrandom),

	/* users and groups at a reload: glibc and the modules of name services ask daemons (nscd, sssd, systemd) at Unix
	 * sockets and wait for them so. A filter cannot see an address: socket() above says of which families */
	ANY(connect), ANY(poll), ANY(ppoll), ANY(timerfd_create), ANY(timerfd_settime),

	/* clients, logs, stores: of the children */
	ANY(accept4), ANY(shutdown), ANY(getsockopt), ANY(getsockname), ANY(getpeername), ANY(recvfrom),
	/* a fetcher that resolves names; of AF_NETLINK there is only an errno, for every role */
	ARG(socket, 0, AF_NETLINK), ANY(sendmmsg), ANY(uname),
	ANY(read), ANY(write), ANY(readv), ANY(writev), ANY(pread64), ANY(lseek), ANY(close),
	ARG(fcntl, 1, F_GETFD), ARG(fcntl, 1, F_SETFD), ARG(fcntl, 1, F_GETFL), ARG(fcntl, 1, F_SETFL), ARG(fcntl, 1, F_DUPFD_CLOEXEC),
	ANY(flock), ANY(ftruncate), ANY(fdatasync), ANY(fsync), ANY(fchmod), ANY(fchown),
	/* a page for the broker, which seals it */
	ANY(memfd_create), ARG(fcntl, 1, F_ADD_SEALS), ARG(fcntl, 1, F_GET_SEALS),
	/* a broker that opens its database */
	ARG(fcntl, 1, F_GETLK), ARG(fcntl, 1, F_SETLK), ANY(pwrite64),
};

/* Libraries that merely probe, or know another way, get an error instead of an end. */
static const struct mk_call_refusal refuse[] = { { SYS_ioctl, ENOTTY }, { SYS_epoll_pwait2, ENOSYS } };

static const struct mk_role_calls calls = {
	.allow = allow, .n_allow = MK_COUNT(allow), .refuse = refuse, .n_refuse = MK_COUNT(refuse),
	.may_signal = true, .may_exec_memory = true,
};

const struct mk_role_calls *mk_supervisor_calls(void)
{
	return &calls;
}

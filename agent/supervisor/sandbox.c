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
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Not on every architecture: passed over. */
#ifndef SYS_access
#define SYS_access -1
#define SYS_arch_prctl -1
#define SYS_dup2 -1
#define SYS_epoll_wait -1
#define SYS_lstat -1
#define SYS_mkdir -1
#define SYS_open -1
#define SYS_pipe -1
#define SYS_poll -1
#define SYS_readlink -1
#define SYS_rename -1
#define SYS_select -1
#define SYS_stat -1
#define SYS_unlink -1
#define SYS_vfork -1
#define SYS_chmod -1
#define SYS_fork -1
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret -1
#endif

#define ANY(call) { SYS_##call, MK_CALL_ANY, 0, 0, 0 }

#define PRCTL(option) { SYS_prctl, MK_CALL_EQ, 0, 0xffffffff, (option) }

static const struct mk_call_rule allow[] = {
	/* its own work: sockets, links, files of the instance, children */
	ANY(socket), ANY(bind), ANY(listen), ANY(socketpair), ANY(setsockopt), ANY(sendto), ANY(sendmsg), ANY(recvmsg),
	ANY(inotify_init1), ANY(inotify_add_watch), ANY(memfd_create), ANY(signalfd4), ANY(dup), ANY(dup2), ANY(dup3),
	ANY(chmod), ANY(fchmod), ANY(fchmodat), ANY(fchownat), ANY(mkdir), ANY(mkdirat), ANY(unlink), ANY(unlinkat),
	ANY(rename), ANY(renameat), ANY(renameat2), ANY(umask),
	ANY(clone), ANY(clone3), ANY(vfork), ANY(setpgid), ANY(execve), ANY(execveat), ANY(wait4), ANY(waitid),
	ANY(kill), ANY(close_range),

	/* a program that starts: loader, libc, libraries' first look around */
	ANY(access), ANY(faccessat), ANY(faccessat2), ANY(arch_prctl), ANY(set_tid_address), ANY(set_robust_list), ANY(rseq),
	ANY(open), ANY(openat), ANY(openat2), ANY(stat), ANY(lstat), ANY(newfstatat), ANY(statx), ANY(fstat), ANY(statfs),
	ANY(fstatfs), ANY(readlink), ANY(readlinkat), ANY(getcwd), ANY(uname), ANY(sysinfo), ANY(sched_getaffinity),
	ANY(rt_sigaction), ANY(rt_sigprocmask), ANY(sigaltstack), ANY(getuid), ANY(geteuid), ANY(getgid), ANY(getegid),
	ANY(getgroups), ANY(prlimit64), ANY(getrlimit), ANY(ioctl), ANY(getppid), ANY(sched_yield), ANY(getdents64),

	PRCTL(PR_CAPBSET_READ), PRCTL(PR_GET_NAME), PRCTL(PR_GET_KEEPCAPS), PRCTL(PR_GET_SECCOMP),

	/* memory */
	ANY(brk), ANY(mmap), ANY(munmap), ANY(mremap), ANY(mprotect), ANY(madvise), ANY(mlock), ANY(mlock2), ANY(munlock),
	ANY(memfd_secret), ANY(futex),

	/* the loop */
	ANY(epoll_create1), ANY(epoll_ctl), ANY(epoll_wait), ANY(epoll_pwait), ANY(eventfd2), ANY(poll), ANY(ppoll), ANY(select),
	ANY(pselect6), ANY(timerfd_create), ANY(timerfd_settime), ANY(pipe), ANY(pipe2),
	ANY(clock_gettime), ANY(clock_getres), ANY(clock_nanosleep), ANY(nanosleep), ANY(gettimeofday), ANY(getrandom),

	/* clients, logs, stores: of the children */
	ANY(accept4), ANY(accept), ANY(connect), ANY(shutdown), ANY(getsockopt), ANY(getsockname), ANY(getpeername),
	ANY(recvfrom), ANY(recvmmsg), ANY(sendmmsg), ANY(sendfile), ANY(read), ANY(write), ANY(readv), ANY(writev),
	ANY(pread64), ANY(pwrite64),
	ANY(lseek), ANY(close), ANY(fcntl), ANY(flock), ANY(ftruncate), ANY(fallocate), ANY(fdatasync), ANY(fsync), ANY(fadvise64),
};

#define NO(call) { SYS_##call, EPERM }

/* The configuration names users and groups, and a host's name services may be any modules (systemd, sssd, LDAP): what
 * such code tries beyond the list must not end the agent during a reload. Never here: what reads other processes. */
static const struct mk_call_refusal refuse[] = {
	NO(getrusage), NO(times), NO(personality), NO(getpriority), NO(setpriority), NO(getsid), NO(getpgid),
	NO(getresuid), NO(getresgid), NO(setsid), NO(sched_getparam), NO(sched_getscheduler), NO(sched_setaffinity),
	NO(sched_getattr), NO(membarrier), NO(getxattr), NO(lgetxattr), NO(fgetxattr), NO(listxattr), NO(flistxattr),
	NO(name_to_handle_at), NO(pidfd_open), NO(copy_file_range), NO(splice), NO(utimensat), NO(linkat), NO(symlinkat),
	NO(mknodat), NO(fchown), NO(msync), NO(mincore), NO(mlockall), NO(munlockall), NO(setitimer), NO(getitimer),
	NO(timer_create), NO(fchdir), NO(chdir), NO(inotify_rm_watch), NO(semget), NO(shmget), NO(syslog),
	NO(preadv), NO(pwritev),
};

static const struct mk_role_calls calls = {
	.allow = allow, .n_allow = MK_COUNT(allow), .refuse = refuse, .n_refuse = MK_COUNT(refuse),
	.may_signal = true, .may_exec_memory = true,
};

const struct mk_role_calls *mk_supervisor_calls(void)
{
	return &calls;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The attempts. Calls are made directly, so that the kernel's answer is seen and not
 * what a library makes of it, and no attempt needs a call that is not its own. What
 * would work for an unprivileged user without lock-down works here: the test runs them
 * all so, too.
 */
#include "tests/proc/attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct aims aims;

#define TRY(name, ...) \
	static int name(void) \
	{ \
		return syscall(__VA_ARGS__) < 0 ? errno : 0; \
	}

/* -- the network */

static const struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_addr = { 0x0100007f } };

TRY(socket_inet, SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
TRY(socket_inet6, SYS_socket, AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)
TRY(socket_unix, SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
TRY(socket_netlink, SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)
TRY(socket_pair, SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, (int[2]){ 0 })
TRY(socket_connect, SYS_connect, STDIN_FILENO, &loopback, sizeof(loopback)) /* not a socket: ENOTSOCK is an answer */
TRY(socket_bind, SYS_bind, STDIN_FILENO, &loopback, sizeof(loopback))
TRY(socket_listen, SYS_listen, STDIN_FILENO, 1)

/* -- other programs and processes */

TRY(exec_true, SYS_execve, "/bin/true", ((char *[]){ "true", NULL }), ((char *[]){ NULL }))
TRY(exec_fd, SYS_execveat, AT_FDCWD, "/bin/true", ((char *[]){ "true", NULL }), ((char *[]){ NULL }), 0)
TRY(trace, SYS_ptrace, PTRACE_SEIZE, aims.sibling, 0, 0)
TRY(take_descriptor, SYS_pidfd_getfd, -1, 0, 0)
TRY(open_pidfd, SYS_pidfd_open, aims.sibling, 0)
TRY(signal_sibling, SYS_kill, aims.sibling, 0)
TRY(signal_supervisor, SYS_kill, aims.parent, 0)
TRY(signal_thread, SYS_tgkill, aims.sibling, aims.sibling, 0)
TRY(signal_pidfd, SYS_pidfd_send_signal, -1, 0, NULL, 0)
TRY(signal_by_owner, SYS_fcntl, STDIN_FILENO, F_SETOWN, aims.sibling)
TRY(read_limits, SYS_prlimit64, aims.sibling, RLIMIT_NOFILE, NULL, &(struct rlimit){ 0, 0 })

static int forked(long pid)
{
	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int fork_once(void) { return forked(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
static int fork_namespace(void) { return forked(syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0)); }
static int fork_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	return forked(syscall(SYS_clone3, &args, sizeof(args)));
}

static int read_memory(void)
{
	char here[8];
	const struct iovec to = { here, sizeof(here) }, from = { &aims, sizeof(here) };

	/* The address need not be mapped there: EFAULT comes after the permission. */
	return syscall(SYS_process_vm_readv, aims.sibling, &to, 1, &from, 1, 0) < 0 && errno != EFAULT ? errno : 0;
}

/* -- files */

static int open_at(const char *dir, const char *name, int flags)
{
	char path[300];
	long fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	(void)close((int)fd);
	return 0;
}

static int open_proc(const char *name, int flags)
{
	char dir[32];

	(void)snprintf(dir, sizeof(dir), "/proc/%d", aims.sibling);
	return open_at(dir, name, flags);
}

static int open_memory(void) { return open_proc("mem", O_RDONLY); }
static int open_environ(void) { return open_proc("environ", O_RDONLY); }
static int open_own_memory(void) { return open_at("/proc/self", "mem", O_RDWR); }
static int open_passwd(void) { return open_at("/etc", "passwd", O_RDONLY); }
static int open_shadow(void) { return open_at("/etc", "shadow", O_RDONLY); }
static int open_root(void) { return open_at("/", ".", O_RDONLY | O_DIRECTORY); }
static int open_tmp(void) { return open_at("/tmp", "makini-probe", O_WRONLY | O_CREAT); }
static int open_outside(void) { return open_at(aims.outside, "file", O_RDONLY); }
static int write_outside(void) { return open_at(aims.outside, "file", O_WRONLY); }
static int create_outside(void) { return open_at(aims.outside, "new", O_WRONLY | O_CREAT); }
static int create_in_state(void) { return open_at(aims.state, "probe", O_WRONLY | O_CREAT); }

static int on_outside(const char *name, int (*fn)(const char *path))
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", aims.outside, name);
	return fn(path) < 0 ? errno : 0;
}

static int chmod_(const char *p) { return (int)syscall(SYS_fchmodat, AT_FDCWD, p, 0644); }
static int unlink_(const char *p) { return (int)syscall(SYS_unlinkat, AT_FDCWD, p, 0); }
static int symlink_(const char *p) { return (int)syscall(SYS_symlinkat, "/etc/passwd", AT_FDCWD, p); }
static int mkdir_(const char *p) { return (int)syscall(SYS_mkdirat, AT_FDCWD, p, 0700); }
static int link_(const char *p) { return (int)syscall(SYS_linkat, AT_FDCWD, p, AT_FDCWD, "/tmp/makini-probe-link", 0); }

static int chmod_outside(void) { return on_outside("file", chmod_); }
static int unlink_outside(void) { return on_outside("victim", unlink_); }
static int symlink_outside(void) { return on_outside("symlink", symlink_); }
static int mkdir_outside(void) { return on_outside("dir", mkdir_); }
static int link_outside(void) { return on_outside("file", link_); }

/* -- memory and privileges */

static long page(unsigned long prot)
{
	return syscall(SYS_mmap, 0ul, 4096ul, prot, (unsigned long)(MAP_PRIVATE | MAP_ANONYMOUS), -1l, 0ul);
}

static int map_exec(void) { return page(PROT_READ | PROT_EXEC) < 0 ? errno : 0; }
static int map_write_exec(void) { return page(PROT_READ | PROT_WRITE | PROT_EXEC) < 0 ? errno : 0; }
static int gain_exec(void)
{
	return syscall(SYS_mprotect, page(PROT_READ | PROT_WRITE), 4096ul, (unsigned long)(PROT_READ | PROT_EXEC)) < 0 ? errno : 0;
}

TRY(make_memfd, SYS_memfd_create, "probe", MFD_CLOEXEC)
TRY(make_ring, SYS_io_uring_setup, 1, (char[128]){ 0 })
TRY(use_keyring, SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3l, 0)
TRY(load_bpf, SYS_bpf, 0 /* BPF_MAP_CREATE */, (char[128]){ 0 }, 128)
TRY(watch_faults, SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */)
TRY(watch_perf, SYS_perf_event_open, (char[128]){ 0 }, 0, -1, -1, 0ul)
TRY(new_namespace, SYS_unshare, CLONE_NEWUSER)
TRY(enter_namespace, SYS_setns, -1, 0)
TRY(mount_tmpfs, SYS_mount, "none", "/tmp", "tmpfs", 0ul, NULL)
TRY(change_root, SYS_chroot, "/")
TRY(become_root, SYS_setresuid, 0, 0, 0)
TRY(gain_capability, SYS_capset, ((uint32_t[2]){ 0x20080522, 0 }), ((uint32_t[6]){ 1u << 21, 1u << 21, 0, 0, 0, 0 }))
TRY(raise_core, SYS_prlimit64, 0, RLIMIT_CORE, (&(struct rlimit){ 4096, 4096 }), NULL)
TRY(dump_again, SYS_prctl, PR_SET_DUMPABLE, 1ul, 0ul, 0ul, 0ul)
TRY(outlive_parent, SYS_prctl, PR_SET_PDEATHSIG, 0ul, 0ul, 0ul, 0ul)
TRY(type_at_terminal, SYS_ioctl, STDIN_FILENO, TIOCSTI, "x") /* not a terminal: ENOTTY is an answer */
TRY(read_implies_exec, SYS_personality, (unsigned long)READ_IMPLIES_EXEC)

#define ROW(name) { #name, name }
const struct attempt attempts[] = {
	ROW(socket_inet), ROW(socket_inet6), ROW(socket_unix), ROW(socket_netlink), ROW(socket_pair), ROW(socket_connect),
	ROW(socket_bind), ROW(socket_listen), ROW(exec_fd), ROW(trace), ROW(take_descriptor), ROW(open_pidfd),
	ROW(signal_sibling), ROW(signal_supervisor), ROW(signal_thread), ROW(signal_pidfd), ROW(signal_by_owner), ROW(read_limits),
	ROW(fork_once), ROW(fork_namespace), ROW(fork_clone3), ROW(read_memory), ROW(open_memory), ROW(open_environ), ROW(open_own_memory), ROW(open_passwd),
	ROW(open_shadow), ROW(open_root), ROW(open_tmp), ROW(open_outside), ROW(write_outside), ROW(create_outside),
	ROW(create_in_state), ROW(chmod_outside), ROW(unlink_outside), ROW(symlink_outside), ROW(mkdir_outside), ROW(link_outside),
	ROW(map_exec), ROW(map_write_exec), ROW(gain_exec), ROW(make_memfd), ROW(make_ring), ROW(use_keyring), ROW(load_bpf),
	ROW(watch_faults), ROW(watch_perf), ROW(new_namespace), ROW(enter_namespace), ROW(mount_tmpfs), ROW(change_root),
	ROW(become_root), ROW(gain_capability), ROW(raise_core), ROW(dump_again), ROW(outlive_parent), ROW(read_implies_exec), ROW(type_at_terminal),
	ROW(exec_true),
};
const size_t attempts_n = sizeof(attempts) / sizeof(attempts[0]);

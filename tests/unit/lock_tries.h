/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock-down, tried from inside. Each attempt runs in a forked child: free (the control:
 * there it must work) and after lock-down. An attempt returns 0 or an errno; a child
 * that is killed shows as SIGNALLED + the signal. Shared by the tests of lock-down;
 * cmocka comes first, as always.
 */
#ifndef MK_TEST_LOCK_TRIES_H
#define MK_TEST_LOCK_TRIES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/lock/lockdown.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNALLED 1000
#define USER 61001 /* where the tests run as root */

static char top[64], readable[96], writable[96], outside[96];
static pid_t sibling;

typedef int attempt_fn(void);

static inline int err_of(long result)
{
	return result < 0 ? errno : 0;
}

static inline int outcome(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void become_user(void)
{
	if (geteuid() == 0 && (setresgid(USER, USER, USER) != 0 || setresuid(USER, USER, USER) != 0))
		_exit(250);
}

/* -- the lock-down that most tests use */

static const struct mk_call_rule allowed[] = {
	{ .nr = SYS_openat }, { .nr = SYS_close }, { .nr = SYS_read }, { .nr = SYS_write }, { .nr = SYS_fcntl },
	{ .nr = SYS_mmap }, { .nr = SYS_munmap }, { .nr = SYS_mprotect }, { .nr = SYS_madvise }, { .nr = SYS_brk },
	{ .nr = SYS_unlinkat }, { .nr = SYS_mkdirat }, { .nr = SYS_renameat }, { .nr = SYS_renameat2 }, { .nr = SYS_symlinkat }, { .nr = SYS_mknodat },
	{ .nr = SYS_linkat }, { .nr = SYS_execve }, { .nr = SYS_prctl }, { .nr = SYS_kill }, { .nr = SYS_tgkill },
	{ .nr = SYS_sched_yield }, { .nr = SYS_sigaltstack }, { .nr = SYS_newfstatat }, { .nr = SYS_fstat }, { .nr = SYS_rt_sigaction },
	{ .nr = SYS_getpriority, .test = MK_CALL_EQ, .arg = 0, .mask = 0xffffffff, .value = PRIO_PROCESS },
	{ .nr = SYS_getpriority, .test = MK_CALL_EQ, .arg = 0, .mask = 0xffffffff, .value = PRIO_USER },
	{ .nr = SYS_lseek, .test = MK_CALL_EQ, .arg = 1, .mask = ~0ull, .value = 1ull << 32 },
	{ .nr = -1 },
};
static const struct mk_call_refusal refused[] = { { SYS_sync, EDOM } };

static inline struct mk_role_calls role_calls(void)
{
	return (struct mk_role_calls){ allowed, MK_COUNT(allowed), refused, MK_COUNT(refused), false, false, false };
}

static inline void lock_files(struct mk_lockdown_report *r, bool scope)
{
	const struct mk_path_rule rules[] = {
		{ readable, MK_PATH_READ, false },
		{ writable, MK_PATH_READ | MK_PATH_WRITE, false },
		{ "/nowhere/at/all", MK_PATH_READ, true },
	};
	struct mk_why why = { .line = 0 };

	if (mk_lockdown_early(false, r, &why) != MK_OK ||
	    mk_lockdown_files(rules, MK_COUNT(rules), scope, 0, r, &why) != MK_OK) {
		(void)!write(2, why.text, strlen(why.text));
		_exit(251);
	}
}

static inline void lock_calls(struct mk_lockdown_report *r, const struct mk_role_calls *calls)
{
	struct mk_why why = { .line = 0 };

	if (mk_lockdown_calls(calls, 0, r, &why) != MK_OK) {
		(void)!write(2, why.text, strlen(why.text));
		_exit(252);
	}
}

static inline void lock_all(void)
{
	struct mk_lockdown_report r;
	const struct mk_role_calls calls = role_calls();

	lock_files(&r, true);
	lock_calls(&r, &calls);
}

static inline int in_child(void (*lock)(void), attempt_fn *attempt)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (lock)
			lock();
		_exit(attempt());
	}
	return outcome(pid);
}

struct claim {
	attempt_fn *attempt;
	int free, locked;
};

static inline void check(const struct claim *claims, size_t n, void (*lock)(void))
{
	for (size_t i = 0; i < n; i++) {
		const int is_free = in_child(NULL, claims[i].attempt), is_locked = in_child(lock, claims[i].attempt);

		if (is_free != claims[i].free || is_locked != claims[i].locked)
			print_error("claim %zu: free %d (want %d), locked %d (want %d)\n", i, is_free, claims[i].free, is_locked,
				    claims[i].locked);
		assert_int_equal(is_free, claims[i].free);
		assert_int_equal(is_locked, claims[i].locked);
	}
}
#define CHECK(claims, lock) check((claims), MK_COUNT(claims), (lock))

/* -- frame */

static inline void make_tree(void)
{
	static const char *const files[] = { "readable/file", "writable/file", "outside/file", "outside/victim" };
	char path[160];

	(void)snprintf(top, sizeof(top), "/tmp/mk-lockdown-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)chmod(top, 0755);
	(void)snprintf(readable, sizeof(readable), "%s/readable", top);
	(void)snprintf(writable, sizeof(writable), "%s/writable", top);
	(void)snprintf(outside, sizeof(outside), "%s/outside", top);
	assert_int_equal(mkdir(readable, 0755) | mkdir(writable, 0755) | mkdir(outside, 0755), 0);
	for (size_t i = 0; i < MK_COUNT(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", top, files[i]);
		mk_close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	}
}

static inline int set_up(void **state)
{
	(void)state;
	make_tree();
	sibling = fork();
	if (sibling == 0) {
		(void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL);
		for (;;)
			pause();
	}
	return sibling < 0;
}

static inline int tear_down(void **state)
{
	static const char *const names[] = { "file", "new", "victim", "moved", "moved-to", "made-140000", "made-120000", "made-10000" };
	const char *const dirs[] = { readable, writable, outside };
	char path[160];

	(void)state;
	(void)kill(sibling, SIGKILL);
	(void)outcome(sibling);
	for (size_t d = 0; d < MK_COUNT(dirs); d++) {
		for (size_t n = 0; n < MK_COUNT(names); n++) {
			(void)snprintf(path, sizeof(path), "%s/%s", dirs[d], names[n]);
			(void)unlink(path);
		}
		(void)snprintf(path, sizeof(path), "%s/made-40000", dirs[d]);
		(void)rmdir(path);
		(void)rmdir(dirs[d]);
	}
	return rmdir(top);
}

/* A kernel without MDWE, as 6.1: prctl 65 and 66 are unknown to it. */
static inline void mask_mdwe(void)
{
	static struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 65, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 66, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { MK_COUNT(f), f };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		_exit(253);
}

/* A kernel without seccomp's filters or Landlock, or a sandbox that hides them. */
static inline void mask_call(int nr)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { MK_COUNT(f), f };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		_exit(253);
}

#endif

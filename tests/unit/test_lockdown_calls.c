/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock-down's third step: the calls, arguments, executable memory and signals that a
 * filtered process is refused, also where the kernel is as old as 6.1.
 */
#include "tests/unit/lock_tries.h"

/* -- calls */

static int make_inet_socket(void) { return err_of(socket(AF_INET, SOCK_STREAM, 0)); }
static int make_pair(void) { int p[2]; return err_of(socketpair(AF_UNIX, SOCK_STREAM, 0, p)); }
static int fork_once(void)
{
	const pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : outcome(pid);
}
static int trace_sibling(void) { return err_of(ptrace(PTRACE_SEIZE, sibling, 0, 0)); }
static int make_memfd(void) { return err_of(memfd_create("x", MFD_CLOEXEC)); }
static int call_sync(void) { return err_of(syscall(SYS_sync)); }

static void a_call_that_is_not_listed_kills(void **state)
{
	static const struct claim claims[] = {
		{ make_inet_socket, 0, SIGNALLED + SIGSYS }, { make_pair, 0, SIGNALLED + SIGSYS },
		{ fork_once, 0, SIGNALLED + SIGSYS }, { trace_sibling, 0, SIGNALLED + SIGSYS },
		{ make_memfd, 0, SIGNALLED + SIGSYS }, { call_sync, 0, EDOM },
	};
	(void)state;
	CHECK(claims, lock_all);
}

static int priority_of(int which)
{
	errno = 0;
	return syscall(SYS_getpriority, which, 0) < 0 ? errno : 0;
}
static int priority_process(void) { return priority_of(PRIO_PROCESS); }
static int priority_user(void) { return priority_of(PRIO_USER); }
static int priority_group(void) { return priority_of(PRIO_PGRP); }
static int seek_low(void) { return syscall(SYS_lseek, -1, 0l, SEEK_CUR) < 0 && errno == EBADF ? 0 : 1; }
static int seek_high(void) { return syscall(SYS_lseek, -1, 1l << 32, SEEK_CUR) < 0 && errno == EBADF ? 0 : 1; }

static void an_argument_row_allows_its_value_and_no_other(void **state)
{
	static const struct claim claims[] = {
		{ priority_process, 0, 0 }, { priority_user, 0, 0 }, { priority_group, 0, SIGNALLED + SIGSYS },
		{ seek_high, 0, 0 }, { seek_low, 0, SIGNALLED + SIGSYS },
	};
	(void)state;
	CHECK(claims, lock_all);
}

static void *page(int prot)
{
	return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static int map_exec(void) { return page(PROT_READ | PROT_EXEC) == MAP_FAILED ? errno : 0; }
static int map_write_exec(void) { return page(PROT_READ | PROT_WRITE | PROT_EXEC) == MAP_FAILED ? errno : 0; }
static int map_plain(void) { return page(PROT_READ | PROT_WRITE) == MAP_FAILED ? errno : 0; }
static int gain_exec(void) { return err_of(mprotect(page(PROT_READ | PROT_WRITE), 4096, PROT_READ | PROT_EXEC)); }
static int drop_write(void) { return err_of(mprotect(page(PROT_READ | PROT_WRITE), 4096, PROT_READ)); }

static void lock_masked(void)
{
	mask_mdwe();
	lock_all();
}

static void lock_as_supervisor(void)
{
	struct mk_role_calls calls = role_calls();
	struct mk_lockdown_report r;

	calls.may_exec_memory = calls.may_signal = true;
	lock_files(&r, true);
	lock_calls(&r, &calls);
}

static void lock_as_masked_supervisor(void)
{
	mask_mdwe();
	lock_as_supervisor();
}

static void memory_never_becomes_executable(void **state)
{
	static const struct claim role[] = {
		{ map_exec, 0, EACCES }, { map_write_exec, 0, EACCES }, { gain_exec, 0, EACCES }, { map_plain, 0, 0 }, { drop_write, 0, 0 },
	};
	static const struct claim supervisor[] = {
		{ map_exec, 0, 0 }, { map_write_exec, 0, EACCES }, { gain_exec, 0, EACCES }, { map_plain, 0, 0 }, { drop_write, 0, 0 },
	};
	(void)state;
	CHECK(role, lock_all);
	CHECK(role, lock_masked);
	CHECK(supervisor, lock_as_supervisor);
	CHECK(supervisor, lock_as_masked_supervisor);
}

static int dumpable_again(void) { return err_of(prctl(PR_SET_DUMPABLE, 1ul, 0ul, 0ul, 0ul)); }
static int ask_no_new_privs(void) { return err_of(prctl(PR_GET_NO_NEW_PRIVS, 0ul, 0ul, 0ul, 0ul)); }

static void a_process_cannot_make_itself_dumpable_again(void **state)
{
	static const struct claim claims[] = { { dumpable_again, 0, EPERM }, { ask_no_new_privs, 0, 0 } };

	(void)state;
	CHECK(claims, lock_all);
	CHECK(claims, lock_as_supervisor);
}

static int forked(long pid)
{
	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : outcome((pid_t)pid);
}
static int clone_plain(void) { return forked(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
static int clone_user(void) { return forked(syscall(SYS_clone, SIGCHLD | 0x10000000 /* CLONE_NEWUSER */, 0, 0, 0, 0)); }
static int clone_three(void)
{
	uint64_t args[8] = { [4] = SIGCHLD };

	return forked(syscall(SYS_clone3, args, sizeof(args)));
}

static void lock_with_clone(void)
{
	static const struct mk_call_rule rows[] = { { .nr = SYS_clone }, { .nr = SYS_clone3 }, { .nr = SYS_wait4 } };
	const struct mk_role_calls calls = { .allow = rows, .n_allow = MK_COUNT(rows) };
	struct mk_lockdown_report r;

	lock_files(&r, true);
	lock_calls(&r, &calls);
}

static void no_process_makes_a_namespace(void **state)
{
	static const struct claim claims[] = {
		{ clone_plain, 0, 0 }, { clone_user, 0, SIGNALLED + SIGSYS }, { clone_three, 0, ENOSYS },
	};
	(void)state;
	CHECK(claims, lock_with_clone);
}

static int make_unix_socket(void) { return err_of(socket(AF_UNIX, SOCK_STREAM, 0)); }
static int make_netlink_socket(void) { return err_of(socket(AF_NETLINK, SOCK_RAW, 0)); }

static void lock_with_sockets(bool inet_only)
{
	static const struct mk_call_rule rows[] = {
		{ SYS_socket, MK_CALL_EQ, 0, 0xffffffff, AF_INET }, { SYS_socket, MK_CALL_EQ, 0, 0xffffffff, AF_UNIX },
		{ SYS_socket, MK_CALL_EQ, 0, 0xffffffff, AF_NETLINK },
	};
	const struct mk_role_calls calls = { .allow = rows, .n_allow = MK_COUNT(rows), .inet_only = inet_only };
	struct mk_lockdown_report r;

	lock_files(&r, true);
	lock_calls(&r, &calls);
}
static void lock_with_all_sockets(void) { lock_with_sockets(false); }
static void lock_with_inet_sockets(void) { lock_with_sockets(true); }

static void who_only_goes_out_makes_no_other_sockets(void **state)
{
	static const struct claim all[] = { { make_inet_socket, 0, 0 }, { make_unix_socket, 0, 0 }, { make_netlink_socket, 0, EAFNOSUPPORT } };
	static const struct claim inet[] = {
		{ make_inet_socket, 0, 0 }, { make_unix_socket, 0, EAFNOSUPPORT }, { make_netlink_socket, 0, EAFNOSUPPORT },
	};
	(void)state;
	CHECK(all, lock_with_all_sockets);
	CHECK(inet, lock_with_inet_sockets);
	static const struct claim none[] = { { make_unix_socket, 0, SIGNALLED + SIGSYS }, { make_netlink_socket, 0, SIGNALLED + SIGSYS } };
	CHECK(none, lock_all); /* what is not listed still kills */
}

/* -- signals */

static int signal_sibling(void) { return err_of(kill(sibling, 0)); }
static int signal_sibling_thread(void) { return err_of(syscall(SYS_tgkill, sibling, sibling, 0)); }
static int signal_self(void) { return err_of(syscall(SYS_tgkill, getpid(), gettid(), 0)); }
static int own_for_sibling(void) { return err_of(fcntl(0, F_SETOWN, sibling)); }
static int end_by_abort(void) { (void)raise(SIGABRT); return 1; }

static void lock_scope(void)
{
	struct mk_lockdown_report r;

	lock_files(&r, true);
}

static void lock_scope_for_sure(void)
{
	struct mk_lockdown_report r;

	lock_files(&r, true);
	if (r.state[MK_GUARD_SIGNAL_SCOPE] != MK_GUARD_FULL)
		_exit(EPERM); /* an older kernel: nothing to see here, the filter does it */
}

static void no_process_signals_another(void **state)
{
	static const struct claim filtered[] = {
		{ signal_sibling, 0, SIGNALLED + SIGSYS }, { signal_sibling_thread, 0, SIGNALLED + SIGSYS },
		{ own_for_sibling, 0, SIGNALLED + SIGSYS }, { signal_self, 0, 0 },
		{ end_by_abort, SIGNALLED + SIGABRT, SIGNALLED + SIGABRT },
	};
	static const struct claim scoped[] = { { signal_sibling, 0, EPERM }, { signal_sibling_thread, 0, EPERM } };

	(void)state;
	CHECK(filtered, lock_all);
	CHECK(scoped, lock_scope_for_sure);
}

static int signal_own_child(void)
{
	const pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	if (kill(pid, SIGKILL) != 0)
		return errno;
	return outcome(pid) == SIGNALLED + SIGKILL ? 0 : 1;
}

static void a_scoped_parent_still_ends_its_children(void **state)
{
	(void)state;
	assert_int_equal(in_child(NULL, signal_own_child), 0);
	assert_int_equal(in_child(lock_scope, signal_own_child), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_is_not_listed_kills),
		cmocka_unit_test(an_argument_row_allows_its_value_and_no_other),
		cmocka_unit_test(memory_never_becomes_executable),
		cmocka_unit_test(a_process_cannot_make_itself_dumpable_again),
		cmocka_unit_test(no_process_makes_a_namespace),
		cmocka_unit_test(who_only_goes_out_makes_no_other_sockets),
		cmocka_unit_test(no_process_signals_another),
		cmocka_unit_test(a_scoped_parent_still_ends_its_children),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

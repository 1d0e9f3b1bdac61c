/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock-down's first two steps and its report: what a process gives up at its start,
 * which files are left to it, and that a guard that is missing is not passed over.
 */
#include "tests/unit/lock_tries.h"

/* -- early */

static int early_state(void)
{
	struct mk_lockdown_report r;
	struct rlimit core, files;

	if (mk_lockdown_early(false, &r, NULL) != MK_OK || getrlimit(RLIMIT_CORE, &core) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0)
		return 1;
	for (unsigned g = MK_GUARD_NO_NEW_PRIVS; g <= MK_GUARD_NO_CORE; g++)
		if (r.state[g] != MK_GUARD_FULL)
			return 2;
	if (core.rlim_cur || core.rlim_max || files.rlim_cur != files.rlim_max || files.rlim_max > 65536)
		return 3;
	return umask(0) == 077 && prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0ul, 0ul, 0ul, 0ul) == 1 ? 0 : 4;
}

static void early_takes_dumps_privileges_and_the_file_mask(void **state)
{
	(void)state;
	assert_int_equal(in_child(NULL, early_state), 0);
	assert_int_equal(in_child(become_user, early_state), 0);
}

static int core_again(void)
{
	const struct rlimit some = { 4096, 4096 };

	return err_of(setrlimit(RLIMIT_CORE, &some));
}

static void lock_early(void)
{
	struct mk_lockdown_report r;

	mk_ignore(mk_lockdown_early(false, &r, NULL), "its effect is what is tested");
}

static void the_core_limit_cannot_be_raised_again(void **state)
{
	(void)state;
	assert_int_equal(in_child(NULL, core_again), 0);
	assert_int_equal(in_child(lock_early, core_again), EPERM);
}

/* Reads a process of the same user, which stands still when the answer is there. */
static int look_at(bool locked)
{
	char path[64];
	int p[2];
	pid_t watched, reader;

	assert_int_equal(pipe(p), 0);
	watched = fork();
	if (watched == 0) {
		become_user();
		(void)prctl(PR_SET_DUMPABLE, 1ul, 0ul, 0ul, 0ul); /* as after exec */
		if (locked)
			lock_early();
		(void)!write(p[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(p[0], path, 1), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", watched);
	reader = fork();
	if (reader == 0) {
		become_user();
		_exit(err_of(open(path, O_RDONLY)));
	}
	const int seen = outcome(reader);
	(void)kill(watched, SIGKILL);
	(void)outcome(watched);
	(void)close(p[0]);
	(void)close(p[1]);
	return seen;
}

static void another_process_of_the_user_cannot_read_its_memory(void **state)
{
	(void)state;
	assert_int_equal(look_at(false), 0);
	assert_int_equal(look_at(true), EACCES);
}

/* The middle one is the parent: it ends once its child, which reports to us, is locked down. */
static void a_child_dies_with_its_parent(void **state)
{
	int p[2];
	char c;
	pid_t middle;

	(void)state;
	assert_int_equal(pipe(p), 0);
	middle = fork();
	if (middle == 0) {
		if (fork() == 0) {
			struct mk_lockdown_report r;

			if (mk_lockdown_early(true, &r, NULL) != MK_OK)
				_exit(1);
			(void)!write(p[1], "x", 1);
			for (;;)
				pause();
		}
		(void)close(p[1]);
		_exit(read(p[0], &c, 1) == 1 ? 0 : 1);
	}
	(void)close(p[1]);
	assert_int_equal(outcome(middle), 0);
	assert_int_equal(read(p[0], &c, 1), 0); /* its last writer is gone */
	(void)close(p[0]);
}

/* -- files */

static int try_open(const char *dir, const char *name, int flags)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	mk_close(fd);
	return fd < 0 ? errno : 0;
}

static int read_readable(void) { return try_open(readable, "file", O_RDONLY); }
static int read_writable(void) { return try_open(writable, "file", O_RDONLY); }
static int list_readable(void) { return try_open(readable, ".", O_RDONLY | O_DIRECTORY); }
static int read_outside(void) { return try_open(outside, "file", O_RDONLY); }
static int list_outside(void) { return try_open(outside, ".", O_RDONLY | O_DIRECTORY); }
static int read_passwd(void) { return try_open("/etc", "passwd", O_RDONLY); }
static int write_readable(void) { return try_open(readable, "file", O_WRONLY); }
static int create_readable(void) { return try_open(readable, "new", O_WRONLY | O_CREAT); }
static int truncate_writable(void) { return try_open(writable, "file", O_WRONLY | O_TRUNC); }
static int create_writable(void) { return try_open(writable, "new", O_WRONLY | O_CREAT); }
static int create_outside(void) { return try_open(outside, "new", O_WRONLY | O_CREAT); }

static int try_rename(const char *from_dir, const char *to_dir)
{
	char from[160], to[160];

	(void)snprintf(from, sizeof(from), "%s/moved", from_dir);
	(void)snprintf(to, sizeof(to), "%s/moved-to", to_dir);
	mk_close(open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	return err_of(renameat2(AT_FDCWD, from, AT_FDCWD, to, 0));
}

static int rename_writable(void) { return try_rename(writable, writable); }
static int rename_out(void) { return try_rename(writable, outside); }

static int try_make(const char *dir, mode_t type)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/made-%o", dir, type);
	if (S_ISLNK(type))
		return err_of(symlinkat("/etc/passwd", AT_FDCWD, path));
	if (S_ISDIR(type))
		return err_of(mkdirat(AT_FDCWD, path, 0700));
	return err_of(mknodat(AT_FDCWD, path, type | 0600, 0));
}

static int make_dir(void) { return try_make(writable, S_IFDIR); }
static int make_socket(void) { return try_make(writable, S_IFSOCK); }
static int make_link(void) { return try_make(writable, S_IFLNK); }
static int make_fifo(void) { return try_make(writable, S_IFIFO); }

static int unlink_outside(void)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/victim", outside);
	return err_of(unlinkat(AT_FDCWD, path, 0));
}

static int exec_true(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL }, *const envp[] = { NULL };

	return err_of(execve("/bin/true", argv, envp));
}

static void files_are_only_those_of_the_rules(void **state)
{
	static const struct claim claims[] = {
		{ read_readable, 0, 0 }, { list_readable, 0, 0 }, { read_writable, 0, 0 },
		{ read_outside, 0, EACCES }, { list_outside, 0, EACCES }, { read_passwd, 0, EACCES },
		{ write_readable, 0, EACCES }, { create_readable, 0, EACCES }, { create_outside, 0, EACCES },
		{ truncate_writable, 0, 0 }, { create_writable, 0, 0 }, { exec_true, 0, EACCES },
	};
	(void)state;
	CHECK(claims, lock_all);
}

static void names_are_changed_only_beneath_writable_rules(void **state)
{
	static const struct { attempt_fn *attempt; int locked; } claims[] = {
		{ rename_writable, 0 }, { rename_out, EACCES }, { make_dir, 0 }, { make_socket, 0 },
		{ make_link, EACCES }, { make_fifo, EACCES }, { unlink_outside, EACCES },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(claims); i++)
		assert_int_equal(in_child(lock_all, claims[i].attempt), claims[i].locked);
	assert_int_equal(in_child(NULL, rename_out), 0);
	assert_int_equal(in_child(NULL, make_link), 0);
	assert_int_equal(in_child(NULL, make_fifo), 0);
	assert_int_equal(in_child(NULL, unlink_outside), 0);
}

static void a_missing_path_is_an_error_that_names_it_unless_optional(void **state)
{
	const struct mk_path_rule rule = { "/nowhere/at/all", MK_PATH_READ, false };
	struct mk_lockdown_report r = { .landlock_abi = 0 };
	struct mk_why why = { .line = 0 };

	(void)state;
	assert_int_equal(mk_lockdown_files(&rule, 1, true, 0, &r, &why), MK_NOT_READY);
	assert_non_null(strstr(why.text, "/nowhere/at/all"));
	assert_int_equal(r.state[MK_GUARD_LANDLOCK], MK_GUARD_NONE);
}

/* -- the report */

static int report_after(bool mask, bool scope, enum mk_guard g)
{
	const pid_t pid = fork();

	if (pid == 0) {
		struct mk_lockdown_report r;
		const struct mk_role_calls calls = role_calls();

		if (mask)
			mask_mdwe();
		lock_files(&r, scope);
		lock_calls(&r, &calls);
		_exit(r.state[g]);
	}
	return outcome(pid);
}

static void the_report_tells_what_fell_back(void **state)
{
	(void)state;
	assert_int_equal(report_after(false, true, MK_GUARD_LANDLOCK), MK_GUARD_FULL);
	assert_int_equal(report_after(false, true, MK_GUARD_SECCOMP), MK_GUARD_FULL);
	assert_int_equal(report_after(true, true, MK_GUARD_MDWE), MK_GUARD_FALLBACK);
	assert_int_equal(report_after(false, false, MK_GUARD_SIGNAL_SCOPE), MK_GUARD_FALLBACK);
	assert_int_equal(report_after(false, true, MK_GUARD_MEMORY_LOCK), MK_GUARD_NONE);
	assert_string_equal(mk_guard_state_word(MK_GUARD_FALLBACK), "fallback");
	assert_string_equal(mk_guard_state_word(MK_GUARD_UNUSED), "unused");
}

static void a_missing_required_guard_is_an_error_that_names_it(void **state)
{
	(void)state;
	for (unsigned g = 0; g < MK_GUARD_COUNT; g++) {
		struct mk_lockdown_report r;
		struct mk_why why = { .line = 0 };

		memset(r.state, MK_GUARD_FULL, sizeof(r.state));
		assert_int_equal(mk_lockdown_check(&r, 0, &why), MK_OK);
		r.state[g] = MK_GUARD_NONE;
		if (!mk_guards[g].required) {
			assert_int_equal(mk_lockdown_check(&r, 0, &why), MK_OK);
			continue;
		}
		assert_int_equal(mk_lockdown_check(&r, ~(1u << g), &why), MK_NOT_READY);
		assert_non_null(strstr(why.text, mk_guards[g].word));
		assert_int_equal(mk_lockdown_check(&r, 1u << g, &why), MK_OK);
		assert_int_equal(r.state[g], MK_GUARD_EXCEPTED);
	}
}

static void an_unused_required_guard_is_not_missing(void **state)
{
	struct mk_lockdown_report r;

	(void)state;
	memset(r.state, MK_GUARD_FULL, sizeof(r.state));
	r.state[MK_GUARD_MEMORY_LOCK] = MK_GUARD_UNUSED;
	assert_int_equal(mk_lockdown_check(&r, 0, NULL), MK_OK);
}

static int without(int nr, enum mk_guard g, uint32_t exceptions)
{
	const pid_t pid = fork();

	if (pid == 0) {
		struct mk_lockdown_report r;
		struct mk_why why = { .line = 0 };
		const struct mk_role_calls calls = role_calls();

		mask_call(nr);
		enum mk_err e = mk_lockdown_early(false, &r, &why);
		if (e == MK_OK)
			e = mk_lockdown_files(NULL, 0, true, exceptions, &r, &why);
		if (e == MK_OK)
			e = mk_lockdown_calls(&calls, exceptions, &r, &why);
		if (e != MK_OK)
			_exit(strstr(why.text, mk_guards[g].word) ? 100 : 101);
		_exit(r.state[g]);
	}
	return outcome(pid);
}

static void only_the_named_exception_lets_a_process_go_on_without(void **state)
{
	(void)state;
	assert_int_equal(without(SYS_landlock_create_ruleset, MK_GUARD_LANDLOCK, 0), 100);
	assert_int_equal(without(SYS_landlock_create_ruleset, MK_GUARD_LANDLOCK, 1u << MK_GUARD_SECCOMP), 100);
	assert_int_equal(without(SYS_landlock_create_ruleset, MK_GUARD_LANDLOCK, 1u << MK_GUARD_LANDLOCK), MK_GUARD_EXCEPTED);
	assert_int_equal(without(SYS_seccomp, MK_GUARD_SECCOMP, 0), 100);
	assert_int_equal(without(SYS_seccomp, MK_GUARD_SECCOMP, 1u << MK_GUARD_LANDLOCK), 100);
	assert_int_equal(without(SYS_seccomp, MK_GUARD_SECCOMP, 1u << MK_GUARD_SECCOMP), MK_GUARD_EXCEPTED);
}

/* A child locks itself down under the filter and the domain of its parent. */
static int lock_below(void)
{
	const pid_t pid = fork();

	if (pid == 0) {
		struct mk_lockdown_report r;
		const struct mk_role_calls calls = role_calls();
		struct mk_why why = { .line = 0 };

		if (mk_lockdown_early(true, &r, &why) != MK_OK)
			_exit(1);
		lock_files(&r, true);
		lock_calls(&r, &calls);
		for (unsigned g = MK_GUARD_NO_NEW_PRIVS; g <= MK_GUARD_SECCOMP; g++)
			if (r.state[g] != MK_GUARD_FULL)
				_exit(2);
		_exit(read_readable());
	}
	return outcome(pid);
}

static void lock_as_forking_supervisor(void)
{
	struct mk_call_rule more[MK_COUNT(allowed) + 3];
	struct mk_role_calls calls = role_calls();
	struct mk_lockdown_report r;

	memcpy(more, allowed, sizeof(allowed));
	more[MK_COUNT(allowed)] = (struct mk_call_rule){ .nr = SYS_clone };
	more[MK_COUNT(allowed) + 1] = (struct mk_call_rule){ .nr = SYS_wait4 };
	more[MK_COUNT(allowed) + 2] = (struct mk_call_rule){ .nr = SYS_set_robust_list };
	calls.allow = more;
	calls.n_allow = MK_COUNT(allowed) + 3;
	calls.may_exec_memory = calls.may_signal = true;
	lock_files(&r, true);
	lock_calls(&r, &calls);
}

static void a_child_can_lock_itself_down_under_its_parents(void **state)
{
	(void)state;
	assert_int_equal(in_child(NULL, lock_below), 0);
	assert_int_equal(in_child(lock_as_forking_supervisor, lock_below), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(early_takes_dumps_privileges_and_the_file_mask),
		cmocka_unit_test(the_core_limit_cannot_be_raised_again),
		cmocka_unit_test(another_process_of_the_user_cannot_read_its_memory),
		cmocka_unit_test(a_child_dies_with_its_parent),
		cmocka_unit_test(files_are_only_those_of_the_rules),
		cmocka_unit_test(names_are_changed_only_beneath_writable_rules),
		cmocka_unit_test(a_missing_path_is_an_error_that_names_it_unless_optional),
		cmocka_unit_test(the_report_tells_what_fell_back),
		cmocka_unit_test(a_missing_required_guard_is_an_error_that_names_it),
		cmocka_unit_test(an_unused_required_guard_is_not_missing),
		cmocka_unit_test(only_the_named_exception_lets_a_process_go_on_without),
		cmocka_unit_test(a_child_can_lock_itself_down_under_its_parents),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fetcher's lock-down lets it write: the directory of a store that is writable, and
 * nothing else. Tried below the check that asks the configuration, and with one of the two
 * layers left out at a time, so that it is seen what the other holds by itself. Each
 * attempt is a process of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/file.h"
#include "agent/fetcher/fetcher.h"
#include "agent/fetcher/sandbox.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED (1000 + SIGSYS)

static bool no_files, no_calls;
static char top[64];

mk_must __real_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why);
mk_must __wrap_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why);
mk_must __real_mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
				 struct mk_why *why);
mk_must __wrap_mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
				 struct mk_why *why);

mk_must __wrap_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why)
{
	return no_files ? MK_OK : __real_mk_lockdown_files(rules, n, scope_signals, exceptions, report, why);
}

mk_must __wrap_mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
				 struct mk_why *why)
{
	return no_calls ? MK_OK : __real_mk_lockdown_calls(calls, exceptions, report, why);
}

static void path_of(const char *name, char out[160])
{
	snprintf(out, 160, "%s/%s", top, name);
}

static void put(const char *name, const char *text)
{
	char path[160];
	path_of(name, path);
	unlink(path);
	mk_fd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static bool holds(const char *name, const char *text)
{
	char path[160], got[16] = "";
	path_of(name, path);
	mk_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, got, sizeof got - 1) == (ssize_t)strlen(text) && strcmp(got, text) == 0;
}

/* The fetcher of one local store, locked down; then what a write of the store does, of any file. */
static int attempt(const char *file, bool writable)
{
	struct mk_instance at = { .conf = { .writable = writable } };
	struct mk_fetcher_conf conf = { .instances = { &at }, .n = 1, .begin = { .exceptions = UINT32_MAX } };
	struct mk_lockdown_report report = { .landlock_abi = 0 };
	struct mk_why why = { .line = 0 };
	struct mk_answer answer = { .heap = NULL };
	struct mk_file_mark mark = { .set = false };
	char path[160];
	path_of("store/tokens", at.conf.file);
	path_of(file, path);
	if (mk_lockdown_early(false, &report, &why) != MK_OK || mk_fetcher_lock(&conf, &report, &why) != MK_OK)
		return 250;
	const struct mk_req look = { .kind = MK_REQ_FILE, .path = path, .max = 64, .to_replace = true };
	mk_answer_file(&look, false, &answer, &mark);
	if (answer.res.err != MK_OK)
		return 251; /* not even to be read */
	const struct mk_req change = { .kind = MK_REQ_REPLACE, .path = path, .file_body = mk_span("new", 3) };
	return mk_answer_replace(&change, false, &mark) == MK_OK ? 0 : 1;
}

static int outcome_of(const char *file, bool writable)
{
	int status = 0;
	put("store/tokens", "old");
	put("other/tokens", "old");
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(attempt(file, writable));
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int begin(void **state)
{
	char path[160];
	(void)state;
	no_files = no_calls = false;
	snprintf(top, sizeof top, "/tmp/mk-writes-XXXXXX");
	assert_non_null(mkdtemp(top));
	path_of("store", path);
	assert_int_equal(mkdir(path, 0700), 0);
	path_of("other", path);
	return mkdir(path, 0700);
}

static int end(void **state)
{
	static const char *const names[] = { "store/tokens", "other/tokens" };
	char path[160];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(names); i++) {
		path_of(names[i], path);
		unlink(path);
	}
	path_of("store", path);
	assert_int_equal(rmdir(path), 0); /* nothing was left beside */
	path_of("other", path);
	assert_int_equal(rmdir(path), 0);
	return rmdir(top);
}

static void the_file_of_a_writable_store_is_replaced(void **state)
{
	(void)state;
	assert_int_equal(outcome_of("store/tokens", true), 0);
	assert_true(holds("store/tokens", "new"));
}

static void without_writable_whoever_tries_is_killed(void **state)
{
	(void)state;
	assert_int_equal(outcome_of("store/tokens", false), KILLED);
	assert_true(holds("store/tokens", "old"));
}

static void without_writable_landlock_alone_keeps_the_file(void **state)
{
	(void)state;
	no_calls = true;
	assert_int_equal(outcome_of("store/tokens", false), 1);
	assert_true(holds("store/tokens", "old"));
	assert_int_equal(outcome_of("store/tokens", true), 0); /* the control: by Landlock's rule alone it is written */
	assert_true(holds("store/tokens", "new"));
}

static void without_writable_seccomp_alone_keeps_the_file(void **state)
{
	(void)state;
	no_files = true;
	assert_int_equal(outcome_of("store/tokens", false), KILLED);
	assert_true(holds("store/tokens", "old"));
	assert_int_equal(outcome_of("other/tokens", true), 0); /* the control: seccomp's list by itself knows no directory */
	assert_true(holds("other/tokens", "new"));
}

static void with_writable_no_other_directory_is_within_reach(void **state)
{
	(void)state;
	assert_int_equal(outcome_of("other/tokens", true), 251);
	assert_true(holds("other/tokens", "old"));
}

static void with_neither_layer_it_would_be_written(void **state)
{
	(void)state;
	no_files = no_calls = true;
	assert_int_equal(outcome_of("store/tokens", false), 0);
	assert_true(holds("store/tokens", "new"));
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(the_file_of_a_writable_store_is_replaced),
		EACH(without_writable_whoever_tries_is_killed),
		EACH(without_writable_landlock_alone_keeps_the_file),
		EACH(without_writable_seccomp_alone_keeps_the_file),
		EACH(with_writable_no_other_directory_is_within_reach),
		EACH(with_neither_layer_it_would_be_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

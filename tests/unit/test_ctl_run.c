/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about makinictl run: what its program gets in its environment, how it is found, and what
 * comes of names and of files that cannot be run.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends/flatten.h"
#include "ctl/ctl.h"
#include "ctl/run.h"
#include "mk/leaf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count(char *const *all, const char *variable)
{
	size_t n = 0;
	for (; *all; all++)
		n += strcmp(*all, variable) == 0;
	return n;
}

static void variables_take_the_place_of_what_was_there(void **state)
{
	char a[] = "MK_TEST_A=new", b[] = "MK_TEST_B", c[] = "MK_TEST_C=";
	char *const ours[] = { a, b, c };
	(void)state;
	setenv("MK_TEST_A", "old", 1);
	setenv("MK_TEST_B", "old", 1);
	setenv("MK_TEST_AB", "stays", 1);
	char **all = mk_ctl_environ(ours, 3);
	assert_non_null(all);
	assert_int_equal(count(all, "MK_TEST_A=new"), 1);
	assert_int_equal(count(all, "MK_TEST_A=old") + count(all, "MK_TEST_B=old") + count(all, "MK_TEST_B"), 0);
	assert_int_equal(count(all, "MK_TEST_AB=stays"), 1);
	assert_int_equal(count(all, "MK_TEST_C="), 1);
	free(all);
}

static struct mk_run one(char **argv)
{
	struct mk_run r = { .feed = { .command = "run" }, .argv = argv };
	return r;
}

static void a_program_is_found_as_a_shell_finds_it(void **state)
{
	char *sh[] = { (char[]){ "sh" }, NULL }, *none[] = { (char[]){ "no-such-program" }, NULL }, *empty[] = { (char[]){ "" }, NULL };
	char *dir[] = { (char[]){ "/usr" }, NULL }, *no_program[] = { (char[]){ "/etc/passwd" }, NULL }, *path[] = { (char[]){ "/bin/sh" }, NULL };
	struct mk_run r = one(sh);
	(void)state;
	setenv("PATH", "/not-there:/usr/bin", 1);
	assert_int_equal(mk_run_find(&r), 0);
	assert_string_equal(r.program, "/usr/bin/sh");
	r = one(path);
	assert_int_equal(mk_run_find(&r), 0);
	assert_string_equal(r.program, "/bin/sh");
	r = one(none);
	assert_int_equal(mk_run_find(&r), 127);
	r = one(empty);
	assert_int_equal(mk_run_find(&r), 127);
	r = one(dir);
	assert_int_equal(mk_run_find(&r), 126);
	r = one(no_program);
	assert_int_equal(mk_run_find(&r), 126);
	setenv("PATH", "", 1);
	r = one(sh);
	assert_int_equal(mk_run_find(&r), 0); /* the default path */
}

static int end_of(struct mk_run *r)
{
	int status = 0;
	assert_int_equal(waitpid(r->child.pid, &status, 0), r->child.pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void hold(struct mk_fed *f, const char *json)
{
	f->code = MK_EXIT_DONE;
	assert_int_equal(mk_flatten(mk_span_of(json), &f->leaves), MK_OK);
}

static void tokens_come_in_the_environment_and_leave_nothing_in_ours(void **state)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
			 (char[]){ "test \"$MK_TEST_T\" = tok-x && test -z \"${MK_TEST_GONE+x}\" && exit 9" }, NULL };
	struct mk_run r = one(argv);
	const unsigned before = mk_secret_in_use();
	(void)state;
	setenv("MK_TEST_GONE", "old", 1);
	setenv("PATH", "/usr/bin:/bin", 1);
	assert_int_equal(mk_feed_add(&r.feed, "acme-sap", NULL), 0);
	assert_int_equal(mk_feed_add(&r.feed, "acme-crm", NULL), 0);
	hold(&r.feed.fed[0], "{\"access_token\":\"tok-x\"}");
	snprintf(r.variables[0], sizeof r.variables[0], "MK_TEST_T");
	snprintf(r.variables[1], sizeof r.variables[1], "MK_TEST_GONE");
	assert_int_equal(mk_run_find(&r), 0);
	getrlimit(RLIMIT_CORE, &r.child.core);
	sigemptyset(&r.child.mask);
	assert_int_equal(mk_child_start(&r), 0);
	assert_int_equal(end_of(&r), 9);
	assert_null(getenv("MK_TEST_T"));
	r.feed.fed[0].leaves = mk_secret_free(r.feed.fed[0].leaves);
	assert_int_equal(mk_secret_in_use(), before);
}

static void what_cannot_be_executed_is_an_error_and_no_child(void **state)
{
	char path[] = "/tmp/mk-run-XXXXXX";
	char *argv[] = { path, NULL };
	const int fd = mkstemp(path);
	struct mk_run r = one(argv);
	(void)state;
	assert_true(fd >= 0 && write(fd, "no program\n", 11) == 11 && fchmod(fd, 0700) == 0);
	close(fd);
	assert_int_equal(mk_run_find(&r), 0);
	sigemptyset(&r.child.mask);
	assert_int_equal(mk_child_start(&r), 126);
	unlink(path);
	assert_int_equal(mk_child_start(&r), 127); /* it went away meanwhile */
}

static void names_are_taken_once_and_not_too_many(void **state)
{
	static struct mk_feed f = { .command = "run" };
	struct mk_fed *a = NULL, *b = NULL;
	char name[32];
	(void)state;
	assert_int_equal(mk_feed_add(&f, "acme-sap", &a), 0);
	assert_int_equal(mk_feed_add(&f, "acme-sap", &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(f.n, 1);
	assert_int_equal(mk_feed_add(&f, "Acme", NULL), MK_EXIT_USAGE);
	for (unsigned i = 1; i < MK_STREAM_NAMES; i++) {
		snprintf(name, sizeof name, "c%u", i);
		assert_int_equal(mk_feed_add(&f, name, NULL), 0);
	}
	assert_int_equal(mk_feed_add(&f, "one-more", NULL), MK_EXIT_USAGE);
	assert_int_equal(mk_feed_add(&f, "acme-sap", &b), 0);
}

static int arena(void **state)
{
	bool locked;
	(void)state;
	return mk_secret_arena_init(8, 2, &locked) == MK_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_take_the_place_of_what_was_there),
		cmocka_unit_test(a_program_is_found_as_a_shell_finds_it),
		cmocka_unit_test(tokens_come_in_the_environment_and_leave_nothing_in_ours),
		cmocka_unit_test(what_cannot_be_executed_is_an_error_and_no_child),
		cmocka_unit_test(names_are_taken_once_and_not_too_many),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

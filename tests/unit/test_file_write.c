/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about files that are written or replaced, and about paths.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "file_kit.h"

#include "mk/own.h"

#include <sys/resource.h>

static unsigned entries(void)
{
	unsigned n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void a_replaced_file_has_the_new_content_and_mode(void **state)
{
	(void)state;
	struct stat st;
	char buf[16];
	size_t n = 0;
	mk_fd fd = -1;
	make("f", 0644);
	assert_int_equal(mk_file_replace(path, "new", 3, 0640, geteuid(), getegid(), &why), MK_OK);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(mk_file_read(fd, buf, sizeof buf, &n), MK_OK);
	assert_int_equal(n, 3);
	assert_memory_equal(buf, "new", 3);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(entries(), 1);
	if (geteuid() == 0) {
		assert_int_equal(mk_file_replace(path, "new", 3, 0600, 65534, 4711, &why), MK_OK);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, 65534);
		assert_int_equal(st.st_gid, 4711);
	}
}

static void a_symlink_is_replaced_and_not_followed(void **state)
{
	(void)state;
	struct stat st;
	char p[128];
	make("f", 0600);
	snprintf(p, sizeof p, "%s/link", dir);
	assert_int_equal(symlink("f", p), 0);
	assert_int_equal(mk_file_replace(p, "new", 3, 0600, geteuid(), getegid(), &why), MK_OK);
	assert_int_equal(lstat(p, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 7);
}

static void fail_to_write(void)
{
	const struct rlimit few = { 10, 10 };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	static const char text[100] = "more than ten bytes";
	sigaction(SIGXFSZ, &ignore, NULL);
	setrlimit(RLIMIT_FSIZE, &few);
	_exit((int)mk_file_replace(path, text, sizeof text, 0600, geteuid(), getegid(), &why));
}

static void a_write_that_fails_leaves_the_old_file_and_nothing_else(void **state)
{
	(void)state;
	struct stat st;
	make("f", 0644);
	assert_int_equal(child(fail_to_write), MK_SYSTEM);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(entries(), 1);
	snprintf(path, sizeof path, "%s/none/f", dir);
	assert_int_equal(mk_file_replace(path, "x", 1, 0600, geteuid(), getegid(), &why), MK_SYSTEM);
	assert_non_null(strstr(why.text, path));
	snprintf(path, sizeof path, "%s/", dir);
	assert_int_equal(mk_file_replace(path, "x", 1, 0600, geteuid(), getegid(), &why), MK_BAD_REQUEST);
}

static void paths_are_joined_and_cut(void **state)
{
	static const struct {
		const char *dir, *name, *want;
	} joins[] = {
		{ "/a", "b", "/a/b" }, { "/a/", "b", "/a/b" }, { "/", "b", "/b" }, { "/a", "/b", "/b" }, { "", "b", "b" },
	}, dirs[] = {
		{ "/a/b", NULL, "/a" }, { "/a", NULL, "/" }, { "a", NULL, "." }, { "a/b", NULL, "a" }, { "/a/b/", NULL, "/a/b" },
	};
	(void)state;
	char buf[8];
	for (size_t i = 0; i < MK_COUNT(joins); i++) {
		assert_int_equal(mk_path_join(joins[i].dir, joins[i].name, buf, sizeof buf), MK_OK);
		assert_string_equal(buf, joins[i].want);
	}
	for (size_t i = 0; i < MK_COUNT(dirs); i++) {
		assert_int_equal(mk_path_dir(dirs[i].dir, buf, sizeof buf), MK_OK);
		assert_string_equal(buf, dirs[i].want);
	}
	assert_int_equal(mk_path_join("/abc", "def", buf, 8), MK_TOO_LARGE);
	assert_int_equal(mk_path_join("/abc", "de", buf, 8), MK_OK);
	assert_int_equal(mk_path_dir("/abcdefg/x", buf, 8), MK_TOO_LARGE);
	assert_int_equal(mk_path_dir("x", buf, 1), MK_TOO_LARGE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_replaced_file_has_the_new_content_and_mode),
		T(a_symlink_is_replaced_and_not_followed),
		T(a_write_that_fails_leaves_the_old_file_and_nothing_else),
		cmocka_unit_test(paths_are_joined_and_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

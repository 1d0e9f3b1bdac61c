/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about changing a file that is only ever replaced whole.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/file.h"
#include "mk/own.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHANGES 40
#define WORKERS 3

static char dir[64], path[128];
static struct mk_why why;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/mk-hold-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/file", dir);
	return mk_file_replace(path, "", 0, 0600, geteuid(), getegid(), &why) == MK_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void who_does_not_wait_is_told(void **state)
{
	struct mk_held a, b;
	(void)state;
	assert_int_equal(mk_file_hold(path, 0, false, &a, &why), MK_OK);
	assert_int_equal(mk_file_hold(path, 0, false, &b, &why), MK_NOT_READY);
	assert_non_null(strstr(why.text, path));
	mk_close(a.fd);
	assert_int_equal(mk_file_hold(path, 0, false, &b, &why), MK_OK);
	mk_close(b.fd);
	unlink(path);
	assert_int_equal(mk_file_hold(path, 0, true, &b, &why), MK_NOT_FOUND);
	assert_int_equal(mk_file_replace(path, "", 0, 0600, geteuid(), getegid(), &why), MK_OK);
}

/* Adds one byte, from what is there. */
static bool add_one(void)
{
	struct mk_held held;
	char text[WORKERS * CHANGES + 1];
	size_t n = 0;
	if (mk_file_hold(path, 0, true, &held, NULL) != MK_OK)
		return false;
	bool ok = mk_file_read(held.fd, text, sizeof text - 1, &n) == MK_OK;
	text[n] = 'x';
	ok = ok && mk_held_replace(path, &held, text, n + 1, NULL) == MK_OK;
	mk_close(held.fd);
	return ok;
}

static void changes_at_once_all_count(void **state)
{
	struct mk_held held;
	pid_t workers[WORKERS];
	(void)state;
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		if (workers[i] == 0) {
			bool ok = true;
			for (int n = 0; n < CHANGES; n++)
				ok = add_one() && ok;
			_exit(ok ? 0 : 1);
		}
	}
	for (size_t i = 0; i < WORKERS; i++) {
		int status = -1;
		assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(mk_file_hold(path, 0, true, &held, &why), MK_OK);
	assert_int_equal(held.st.st_size, WORKERS * CHANGES);
	mk_close(held.fd);
}

/* The link's name never stands for the file that was opened through it: waiting for that would have no end. */
static void a_link_is_not_held_in_a_pod_either(void **state)
{
	struct mk_held held;
	char link[160];
	mk_fd fd = -1;
	(void)state;
	snprintf(link, sizeof link, "%s/link", dir);
	assert_int_equal(symlink("file", link), 0);
	assert_int_equal(mk_file_open(link, MK_FILE_POD, &fd, &why), MK_OK); /* the control: it is read there */
	alarm(60);
	assert_int_equal(mk_file_hold(link, MK_FILE_POD, false, &held, &why), MK_DENIED);
	alarm(0);
	assert_non_null(strstr(why.text, "symbolic link"));
	unlink(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_does_not_wait_is_told),
		cmocka_unit_test(changes_at_once_all_count),
		cmocka_unit_test(a_link_is_not_held_in_a_pod_either),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

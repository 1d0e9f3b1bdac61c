/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about files that are trusted only after a look.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "file_kit.h"

#include "mk/own.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/syscall.h>

static enum mk_err try_open(const char *p, unsigned flags)
{
	int fd = -1;
	memset(&why, 0, sizeof why);
	const enum mk_err e = mk_file_open(p, flags, &fd, &why);
	assert_int_equal(e == MK_OK, fd >= 0);
	assert_int_equal(e == MK_OK, why.text[0] == '\0');
	if (e != MK_OK)
		assert_non_null(strstr(why.text, dir)); /* names the thing */
	mk_closep(&fd);
	return e;
}

static void a_plain_file_is_opened_and_read(void **state)
{
	(void)state;
	char buf[16];
	size_t n = 0;
	mk_fd fd = -1;
	make("f", 0644);
	assert_int_equal(mk_file_open(path, 0, &fd, &why), MK_OK);
	assert_int_equal(mk_file_read(fd, buf, 6, &n), MK_TOO_LARGE);
	assert_int_equal(n, 0);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(mk_file_read(fd, buf, 7, &n), MK_OK);
	assert_int_equal(n, 7);
	assert_memory_equal(buf, "content", 7);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void what_is_not_there_is_not_found(void **state)
{
	(void)state;
	char p[128];
	snprintf(p, sizeof p, "%s/none", dir);
	assert_int_equal(try_open(p, 0), MK_NOT_FOUND);
	snprintf(p, sizeof p, "%s/none/f", dir);
	assert_int_equal(try_open(p, 0), MK_NOT_FOUND);
}

static void a_symlink_is_refused_wherever_it_stands(void **state)
{
	(void)state;
	char p[128];
	make("f", 0600);
	snprintf(p, sizeof p, "%s/link", dir);
	assert_int_equal(symlink("f", p), 0);
	assert_int_equal(try_open(p, 0), MK_DENIED);
	assert_non_null(strstr(why.text, "symbolic link"));
	snprintf(p, sizeof p, "%s/dirlink", dir);
	assert_int_equal(symlink(".", p), 0);
	snprintf(p, sizeof p, "%s/dirlink/f", dir);
	assert_int_equal(try_open(p, 0), MK_DENIED);
	snprintf(p, sizeof p, "%s/f", dir);
	assert_int_equal(try_open(p, 0), MK_OK);
}

static void what_is_not_a_regular_file_neither_blocks_nor_passes(void **state)
{
	(void)state;
	char p[128];
	snprintf(p, sizeof p, "%s/fifo", dir);
	assert_int_equal(mkfifo(p, 0600), 0);
	alarm(5);
	assert_int_equal(try_open(p, 0), MK_DENIED);
	alarm(0);
	snprintf(p, sizeof p, "%s/d", dir);
	assert_int_equal(mkdir(p, 0700), 0);
	assert_int_equal(try_open(p, 0), MK_DENIED);
	snprintf(p, sizeof p, "%s/", dir);
	assert_int_equal(try_open(p, 0), MK_DENIED);
	int fd = -1;
	assert_int_equal(mk_file_open("/dev/zero", 0, &fd, &why), MK_DENIED);
	assert_int_equal(fd, -1);
}

static void a_file_that_others_can_write_is_refused(void **state)
{
	(void)state;
	make("f", 0620);
	assert_int_equal(try_open(path, 0), MK_DENIED);
	assert_non_null(strstr(why.text, "chmod go-w"));
	make("g", 0602);
	assert_int_equal(try_open(path, 0), MK_DENIED);
}

static void a_directory_that_others_can_write_is_refused(void **state)
{
	static const mode_t modes[] = { 0720, 0702, 01777 };
	(void)state;
	make("f", 0600);
	for (size_t i = 0; i < MK_COUNT(modes); i++) {
		assert_int_equal(chmod(dir, modes[i]), 0);
		assert_int_equal(try_open(path, 0), MK_DENIED);
		assert_int_equal(try_open(path, MK_FILE_POD), MK_DENIED);
		assert_non_null(strstr(why.text, "chmod go-w"));
	}
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(try_open(path, 0), MK_OK);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	(void)state;
	make("k", 0640);
	assert_int_equal(try_open(path, 0), MK_OK);
	assert_int_equal(try_open(path, MK_FILE_PRIVATE), MK_DENIED);
	make("k", 0604);
	assert_int_equal(try_open(path, MK_FILE_PRIVATE), MK_DENIED);
	assert_int_equal(try_open(path, MK_FILE_PRIVATE | MK_FILE_POD), MK_DENIED);
	make("k", 0400);
	assert_int_equal(try_open(path, MK_FILE_PRIVATE), MK_OK);
}

static void a_key_with_a_second_name_is_refused(void **state)
{
	(void)state;
	char p[128];
	make("k", 0600);
	snprintf(p, sizeof p, "%s/k2", dir);
	assert_int_equal(link(path, p), 0);
	assert_int_equal(try_open(p, 0), MK_OK);
	assert_int_equal(try_open(p, MK_FILE_PRIVATE), MK_DENIED);
	assert_non_null(strstr(why.text, "hard link"));
}

static void a_file_of_another_user_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	make("f", 0600);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(try_open(path, 0), MK_DENIED);
	assert_non_null(strstr(why.text, "uid 65534"));
	/* root takes the directory's owner for the instance's user */
	assert_int_equal(chown(dir, 65534, 65534), 0);
	assert_int_equal(try_open(path, 0), MK_OK);
	assert_int_equal(chown(path, 4711, 4711), 0);
	assert_int_equal(try_open(path, 0), MK_DENIED);
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(try_open(path, 0), MK_OK);
}

static void as_another_user(void)
{
	int fd = -1;
	if (setgid(65534) < 0 || setuid(65534) < 0)
		_exit(98);
	_exit((int)mk_file_open(path, 0, &fd, &why));
}

static void a_directory_of_another_user_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	make("f", 0644);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(child(as_another_user), MK_OK); /* root's */
	assert_int_equal(chown(dir, 4711, 4711), 0);
	assert_int_equal(child(as_another_user), MK_DENIED);
	assert_int_equal(chown(dir, 65534, 65534), 0);
	assert_int_equal(child(as_another_user), MK_OK);
}

/* As a kubelet lays a volume out: NAME -> ..data/NAME, ..data -> a directory beside it. */
static void lay_out_volume(void)
{
	char p[128];
	snprintf(p, sizeof p, "%s/..2026", dir);
	assert_int_equal(mkdir(p, 0755), 0);
	make("..2026/f", 0644);
	snprintf(p, sizeof p, "%s/..data", dir);
	assert_int_equal(symlink("..2026", p), 0);
	snprintf(p, sizeof p, "%s/f", dir);
	assert_int_equal(symlink("..data/f", p), 0);
	snprintf(path, sizeof path, "%s/f", dir);
}

static void in_a_pod_symlinks_within_the_directory_are_followed(void **state)
{
	(void)state;
	lay_out_volume();
	assert_int_equal(try_open(path, MK_FILE_POD), MK_OK);
	assert_int_equal(try_open(path, 0), MK_DENIED);
}

static void in_a_pod_a_symlink_that_leaves_the_directory_is_refused(void **state)
{
	static const char *const targets[] = { "/etc/hostname", "../../etc/hostname", "/proc/self/exe", "/proc/self/fd/0" };
	(void)state;
	char p[128];
	snprintf(p, sizeof p, "%s/out", dir);
	for (size_t i = 0; i < MK_COUNT(targets); i++) {
		assert_int_equal(symlink(targets[i], p), 0);
		assert_int_equal(try_open(p, MK_FILE_POD), MK_DENIED);
		unlink(p);
	}
}

/* 97: no mount namespace to be had. Else: what is wrong, 0 for nothing. */
static void on_a_kubelet_volume(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", dir, "tmpfs", 0, "mode=1777") < 0)
		_exit(97);
	lay_out_volume();
	chmod(path, 0440);
	if (try_open(path, MK_FILE_POD) != MK_DENIED) /* writable: others could swap it */
		_exit(1);
	if (mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		_exit(97);
	if (try_open(path, 0) != MK_DENIED)
		_exit(2);
	if (try_open(path, MK_FILE_POD | MK_FILE_PRIVATE) != MK_OK)
		_exit(3);
	_exit(0);
}

static void a_kubelets_read_only_volume_of_mode_1777_is_taken(void **state)
{
	(void)state;
	const int rc = geteuid() == 0 ? child(on_a_kubelet_volume) : 97;
	if (rc == 97)
		skip();
	assert_int_equal(rc, 0);
}

static void a_relative_path_is_walked_from_here(void **state)
{
	(void)state;
	mk_fd fd = -1;
	assert_int_equal(setup(NULL), 0);
	make("f", 0644);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mk_file_open("f", 0, &fd, &why), MK_OK);
	mk_closep(&fd);
	assert_int_equal(mk_file_open("./f", 0, &fd, &why), MK_OK);
	assert_int_equal(mkdir("sub", 0755) + symlink("sub", "link"), 0);
	assert_int_equal(rename("f", "sub/f"), 0);
	mk_closep(&fd);
	assert_int_equal(mk_file_open(".//sub///f", 0, &fd, &why), MK_OK);
	mk_closep(&fd);
	assert_int_not_equal(mk_file_open("link/f", 0, &fd, &why), MK_OK);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(teardown(NULL), 0);
}

/* As systemd does with RestrictSUIDSGID=: it cannot look into that call's arguments. For good. */
static void take_openat2_away(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	if (!f || seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0) != 0 || seccomp_load(f) != 0)
		abort();
	seccomp_release(f);
	assert_int_equal(syscall(SYS_openat2, AT_FDCWD, "/", NULL, (size_t)0), -1);
	assert_int_equal(errno, ENOSYS);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_plain_file_is_opened_and_read),
		T(what_is_not_there_is_not_found),
		T(a_symlink_is_refused_wherever_it_stands),
		T(what_is_not_a_regular_file_neither_blocks_nor_passes),
		T(a_file_that_others_can_write_is_refused),
		T(a_directory_that_others_can_write_is_refused),
		T(a_key_that_others_can_read_is_refused),
		T(a_key_with_a_second_name_is_refused),
		T(a_file_of_another_user_is_refused),
		T(a_directory_of_another_user_is_refused),
		T(in_a_pod_symlinks_within_the_directory_are_followed),
		T(in_a_pod_a_symlink_that_leaves_the_directory_is_refused),
		T(a_kubelets_read_only_volume_of_mode_1777_is_taken),
	};
	const struct CMUnitTest by_hand[] = {
		T(a_plain_file_is_opened_and_read),
		T(what_is_not_there_is_not_found),
		T(a_symlink_is_refused_wherever_it_stands),
		T(what_is_not_a_regular_file_neither_blocks_nor_passes),
		T(a_file_that_others_can_write_is_refused),
		T(a_directory_that_others_can_write_is_refused),
		T(a_key_with_a_second_name_is_refused),
		T(a_file_of_another_user_is_refused),
		T(a_directory_of_another_user_is_refused),
		cmocka_unit_test(a_relative_path_is_walked_from_here),
	};
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	take_openat2_away();
	return failed + cmocka_run_group_tests_name("without openat2", by_hand, NULL, NULL);
}

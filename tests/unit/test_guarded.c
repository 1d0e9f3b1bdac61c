/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the key page, with memfd_secret and, by a filter that hides it, without.
 * Whether an address can be read is asked of the kernel: write(2) from it, EFAULT or not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/guarded.h"
#include "agent/base/vm.h"
#include "tests/unit/child.h"
#include "tests/unit/open_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMFD_SECRET 447

static bool readable(const void *p)
{
	int fd[2];
	if (pipe2(fd, O_CLOEXEC) < 0)
		_exit(98);
	const bool yes = write(fd[1], p, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return yes;
}

static bool seen_by_proc_mem(const void *p)
{
	uint8_t byte;
	const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	const bool yes = pread(fd, &byte, 1, (off_t)(uintptr_t)p) == 1;
	close(fd);
	return yes;
}

static void hide_secretmem(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MEMFD_SECRET, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { sizeof code / sizeof code[0], code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(98);
}

static void a_key_is_kept_between_openings(void **state)
{
	struct mk_guarded *g = NULL;
	(void)state;
	const unsigned before = open_fds();
	assert_int_equal(mk_guarded_new(32, &g), MK_OK);
	assert_int_equal(open_fds(), before); /* the descriptor is closed */
	uint8_t *p = mk_guarded_open(g);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(p[i], 0);
	memset(p, 0x5a, 32);
	mk_guarded_close(g);
	p = mk_guarded_open(g);
	assert_int_equal(p[31], 0x5a);
	assert_true(mk_vm_locked(p, 32));
	mk_guarded_close(g);
	assert_null(mk_guarded_free(g));
	assert_null(mk_guarded_free(NULL));
	assert_false(readable(p));
}

static void sizes_beyond_a_page_are_refused(void **state)
{
	struct mk_guarded *g = NULL;
	(void)state;
	assert_int_equal(mk_guarded_new(0, &g), MK_TOO_LARGE);
	assert_int_equal(mk_guarded_new(4097, &g), MK_TOO_LARGE);
	assert_null(g);
	assert_int_equal(mk_guarded_new(4096, &g), MK_OK);
	memset(mk_guarded_open(g), 1, 4096);
	mk_guarded_close(g);
	mk_guarded_free(g);
}

static void secret_memory_is_not_seen_through_proc(void **state)
{
	static const uint8_t ordinary = 1;
	struct mk_guarded *g = NULL;
	(void)state;
	assert_int_equal(mk_guarded_new(32, &g), MK_OK);
	if (mk_guarded_kind(g) != MK_GUARDED_SECRETMEM) {
		mk_guarded_free(g);
		skip();
	}
	const uint8_t *p = mk_guarded_open(g);
	assert_true(seen_by_proc_mem(&ordinary)); /* the control */
	assert_false(seen_by_proc_mem(p));
	mk_guarded_close(g);
	mk_guarded_free(g);
}

static struct mk_guarded *shared;

static void write_from_a_fork(void)
{
	_exit(readable(mk_guarded_open(shared)));
}

static void write_past_the_end(void)
{
	volatile uint8_t *p = mk_guarded_open(shared);
	p[32] = 1;
	_exit(0);
}

static void open_twice(void)
{
	mk_guarded_open(shared);
	mk_guarded_open(shared);
	_exit(0);
}

static void a_fork_has_no_key_page(void **state)
{
	(void)state;
	assert_int_equal(mk_guarded_new(32, &shared), MK_OK);
	if (mk_guarded_kind(shared) == MK_GUARDED_SECRETMEM) /* else opening it there is a failed mprotect: the child ends */
		assert_int_equal(child(write_from_a_fork), 0);
	else
		assert_int_not_equal(child(write_from_a_fork), 1);
	shared = mk_guarded_free(shared);
}

static void past_the_end(void)
{
	if (mk_guarded_new(32, &shared) != MK_OK)
		_exit(0);
	write_past_the_end();
}

static void opened_twice(void)
{
	if (mk_guarded_new(32, &shared) != MK_OK)
		_exit(0);
	open_twice();
}

static void a_byte_past_the_end_ends_the_process(void **state)
{
	(void)state;
	assert_int_not_equal(child(past_the_end), 0);
	assert_int_equal(child(opened_twice), 128 + 6);
}

/* In a child: 0, or the number of what does not hold. */
static void fallback(void)
{
	struct mk_guarded *g = NULL;
	hide_secretmem();
	if (mk_guarded_new(32, &g) != MK_OK)
		_exit(1);
	if (mk_guarded_kind(g) != MK_GUARDED_LOCKED)
		_exit(2);
	uint8_t *p = mk_guarded_open(g);
	memset(p, 0x5a, 32);
	if (!readable(p) || !mk_vm_locked(p, 32))
		_exit(3);
	mk_guarded_close(g);
	if (readable(p))
		_exit(4);
	shared = g;
	if (child(write_from_a_fork) == 1)
		_exit(5);
	if (mk_guarded_open(g)[31] != 0x5a)
		_exit(6);
	mk_guarded_close(g);
	mk_guarded_free(g);
	_exit(readable(p) ? 7 : 0);
}

static void without_secretmem_the_page_is_locked_and_closed_at_rest(void **state)
{
	(void)state;
	assert_int_equal(child(fallback), 0);
}

static void no_lock_at_all(void)
{
	const struct rlimit none = { 0, 0 };
	struct mk_guarded *g = NULL;
	setrlimit(RLIMIT_MEMLOCK, &none);
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		_exit(98);
	if (mk_guarded_new(32, &g) != MK_OK)
		_exit(97);
	_exit((int)mk_guarded_kind(g));
}

static void a_page_that_could_not_be_locked_is_told(void **state)
{
	(void)state;
	assert_int_equal(child(no_lock_at_all), MK_GUARDED_UNLOCKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_kept_between_openings),
		cmocka_unit_test(sizes_beyond_a_page_are_refused),
		cmocka_unit_test(secret_memory_is_not_seen_through_proc),
		cmocka_unit_test(a_fork_has_no_key_page),
		cmocka_unit_test(a_byte_past_the_end_ends_the_process),
		cmocka_unit_test(without_secretmem_the_page_is_locked_and_closed_at_rest),
		cmocka_unit_test(a_page_that_could_not_be_locked_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Each call by which the log changes fails, once or several times in a row, also amid a
 * rotation and its healing. Whatever fails: each grant that was answered for stands in the
 * log once, none that was refused stands there (but for one whose sync failed), the chain
 * is whole, and the log heals.
 */
#include "audit_kit.h"

#include <errno.h>
#include <sys/syscall.h>

static long countdown; /* calls until the first that fails; 0: none */
static long in_a_row;  /* how many fail then */
static int with;       /* errno; 0: a short write */

/* These stand before libc's. */
static bool fails_now(void)
{
	if (countdown > 0 && --countdown > 0)
		return false;
	if (in_a_row == 0)
		return false;
	in_a_row--;
	errno = with ? with : EIO;
	return true;
}

ssize_t write(int fd, const void *p, size_t n)
{
	const bool bad = fails_now();
	return bad && with ? -1 : syscall(SYS_write, fd, p, bad ? n / 2 : n);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails_now() ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
	return fails_now() ? -1 : (int)syscall(SYS_unlinkat, dir, name, flags);
}

int ftruncate(int fd, off_t n)
{
	return fails_now() ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

int fsync(int fd)
{
	return fails_now() ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails_now() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int openat(int dir, const char *name, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	const unsigned mode = flags & O_CREAT ? va_arg(ap, unsigned) : 0;
	va_end(ap);
	return fails_now() ? -1 : (int)syscall(SYS_openat, dir, name, flags, mode);
}

#define GRANTS 50 /* a rotation */

static void heal(struct kit *k)
{
	for (int i = 0; i < 40 && !kit_status(k).writable; i++) {
		kit_tick(k, 2000);
	}
	assert_true(kit_status(k).writable);
}

/* False: it made fewer calls. */
static bool failing_at(long call, long row, int error)
{
	struct kit k;
	uint64_t answered = 0;
	kit_init(&k);
	k.conf.max_size = 16384;
	k.conf.keep = 50;
	kit_open(&k);
	countdown = call;
	in_a_row = row;
	with = error;
	for (int i = 0; i < GRANTS; i++) {
		const enum mk_err e = kit_write(&k, "acme-1");
		assert_true(e == MK_OK || e == MK_AUDIT);
		answered += e == MK_OK;
		kit_pass(&k, 20);
		mk_audit_tick(k.a);
	}
	const bool failed = in_a_row < row;
	heal(&k);
	countdown = in_a_row = 0;
	assert_int_equal(kit_write(&k, "acme-1"), MK_OK);
	kit_close(&k);
	const struct kit_verdict v = kit_verify(&k);
	if (v.faults > 0 || v.r.grants != answered + 1)
		print_error("call %ld, %ld in a row, errno %d: %lu grants answered, %lu written\n", call, row, error,
			    (unsigned long)answered + 1, (unsigned long)v.r.grants);
	kit_assert_good(&v);
	assert_int_equal(v.r.grants, answered + 1);
	assert_int_equal(v.r.first_seq, 1);
	kit_done(&k);
	return failed;
}

static void fail_everywhere(int error)
{
	for (long row = 1; row <= 4; row++) {
		long call = 1;
		while (failing_at(call, row, error))
			call++;
		assert_true(call > GRANTS);
	}
}

static void an_error_of_any_call_loses_and_doubles_no_grant(void **state)
{
	(void)state;
	fail_everywhere(ENOSPC);
	fail_everywhere(EIO);
	fail_everywhere(EINTR);
}

static void a_short_write_or_a_failed_call_loses_and_doubles_no_grant(void **state)
{
	(void)state;
	fail_everywhere(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_of_any_call_loses_and_doubles_no_grant),
		cmocka_unit_test(a_short_write_or_a_failed_call_loses_and_doubles_no_grant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

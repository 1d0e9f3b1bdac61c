/* SPDX-License-Identifier: Apache-2.0
 *
 * Revocation where each call that writes, between its beginning and its end, fails: it is in
 * force while the process lives, and after a restart in force or not acknowledged.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "revoke_fix.h"

#include <errno.h>
#include <sys/syscall.h>

static long countdown; /* calls until the one that fails; 0: none */
static bool failed, lasting; /* lasting: and all after it */
static int with = EIO;

/* These stand before libc's, also for the database's library. */
static bool fails_now(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	countdown = lasting;
	errno = with;
	return true;
}

ssize_t write(int fd, const void *p, size_t n)
{
	return fails_now() ? -1 : syscall(SYS_write, fd, p, n);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return fails_now() ? -1 : syscall(SYS_pwrite64, fd, p, n, at);
}

int ftruncate(int fd, off_t n)
{
	return fails_now() ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

int ftruncate64(int fd, off64_t n)
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

static void a_database_older_than_the_log_is_refused_each_time_or_accepted_with_an_alarm(void **state)
{
	struct mk_why why = { 0 };
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	end();
	copy_db("state.db", "old.db");
	assert_int_equal(begin(), 0);
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	end();
	copy_db("old.db", "state.db");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(mk_broker_new(&fix.b), MK_OK);
		struct mk_pending *p = with_state(1);
		assert_int_equal(mk_start_parts(fix.b, p, &why), MK_CONFLICT);
		assert_non_null(strstr(why.text, "older than the audit log"));
		pending_drop(p);
		mk_audit_close(fix.b->audit);
		mk_broker_free(fix.b);
	}
	assert_int_equal(mk_broker_new(&fix.b), MK_OK);
	fix.stop = stop_timer(fix.b->loop);
	struct mk_pending *p = with_state(1);
	p->state.accept_rollback = true;
	swap_in(p);
	fetcher_comes();
	stands("state_rolled_back", true);
	again();
	stands("state_rolled_back", false);
}

static void each_write_that_fails_leaves_it_in_force_and_never_acknowledged_but_on_disk(void **state)
{
	unsigned refused = 0;
	(void)state;
	for (long n = 1; n < 60; n++) {
		assert_int_equal(asked("acme-erp", "t1"), MK_OK);
		failed = false;
		countdown = n;
		const enum mk_err e = revoked("acme-erp");
		countdown = 0;
		assert_true(e == MK_OK || e == MK_AUDIT || e == MK_SYSTEM);
		assert_true(e == MK_OK || failed);
		refused += e != MK_OK;
		const enum mk_err now = asked("acme-erp", "t1");
		assert_true(now == MK_REVOKED || (failed && now == MK_AUDIT)); /* no record, no answer */
		again();
		if (e != MK_SYSTEM) /* what could only not be recorded is kept */
			assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
		else if (asked("acme-erp", "t1") != MK_REVOKED)
			assert_int_equal(revoked("acme-erp"), MK_OK);
		assert_int_equal(restore("acme-erp", true), MK_OK);
		if (!failed) {
			assert_true(n > 5 && refused >= 4);
			return;
		}
	}
	fail_msg("there is no end of writes");
}

/* All writes from the n-th on fail, as on a full disk or one that went read-only, and then the process is killed. */
static void from_each_write_on(int error)
{
	with = error;
	for (long n = 1; n < 60; n++) {
		assert_int_equal(asked("acme-erp", "t1"), MK_OK);
		failed = false;
		lasting = true;
		countdown = n;
		const enum mk_err e = revoked("acme-erp");
		countdown = 0;
		lasting = false;
		assert_true(e == MK_OK || failed);
		killed();
		const enum mk_err now = asked("acme-erp", "t1");
		assert_true(now == MK_REVOKED || (e == MK_SYSTEM && now == MK_OK));
		if (now == MK_OK)
			assert_int_equal(revoked("acme-erp"), MK_OK);
		assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
		assert_int_equal(restore("acme-erp", true), MK_OK);
		again(); /* with it go the questions that the revocation asked */
		if (!failed)
			break;
		assert_true(n < 59);
	}
	with = EIO;
}

static void a_disk_that_fails_for_good_and_a_kill_leave_it_in_force_or_not_acknowledged(void **state)
{
	(void)state;
	from_each_write_on(ENOSPC);
	from_each_write_on(EROFS);
	from_each_write_on(EIO);
}

static void a_value_that_was_found_on_a_full_disk_is_written_when_there_is_room(void **state)
{
	(void)state;
	assert_int_equal(revoked("acme-erp"), MK_OK);
	pump();
	lasting = true;
	countdown = 1;
	answer_with(fix.get.ref, MK_OK, "v1", "t1", NULL);
	countdown = 0;
	lasting = false;
	assert_true(failed);
	advance(MK_FLIGHT_MS * 2);
	mk_audit_tick(fix.b->audit);
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED); /* in memory it is dead all the same */
	mk_fetch_tick(fix.b);
	fix.b->replicas[0].last = fix.b->replicas[1].last = MK_OK;
	mk_revoked_tick(fix.b);
	pump();
	answer_with(fix.get.ref, MK_OK, "v1", "t1", NULL);
	killed();
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
}

/* Whichever write fails: a restore that was refused is not found to be done by the next start. */
static void a_restore_that_was_refused_is_not_done_after_a_kill(void **state)
{
	unsigned refused = 0;
	(void)state;
	for (long n = 1; n < 60; n++) {
		assert_int_equal(asked("acme-erp", "t1"), MK_OK);
		assert_int_equal(revoked("acme-erp"), MK_OK);
		failed = false;
		countdown = n;
		const enum mk_err e = restore("acme-erp", true);
		countdown = 0;
		killed();
		refused += e != MK_OK;
		if (e != MK_OK) {
			assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
			assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
			assert_int_equal(restore("acme-erp", true), MK_OK);
		}
		if (!failed) {
			assert_true(refused >= 3);
			return;
		}
	}
	fail_msg("there is no end of writes");
}

static void what_could_not_be_kept_is_kept_when_it_is_revoked_again(void **state)
{
	enum mk_err e = MK_OK;
	(void)state;
	for (long n = 1; n < 20 && e != MK_SYSTEM; n++) {
		assert_int_equal(asked("acme-erp", "t1"), MK_OK);
		countdown = n;
		e = revoked("acme-erp");
		countdown = 0;
		if (e == MK_SYSTEM)
			break;
		again();
		mk_ignore(restore("acme-erp", true), "it may not have been kept");
	}
	assert_int_equal(e, MK_SYSTEM);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	again();
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED); /* its value, too, which was wiped from memory the first time */
}

static void a_restore_that_could_not_be_kept_restores_nothing(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	countdown = 1;
	assert_int_equal(restore("acme-erp", true), MK_SYSTEM);
	countdown = 0;
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	assert_int_equal(restore("acme-erp", true), MK_OK);
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
}

static void an_alarm_about_two_names_ends_when_one_of_them_is_revoked(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(asked("acme-twin", "t1"), MK_BACKEND);
	stands("one_value_two_names", true);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	stands("one_value_two_names", false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_database_older_than_the_log_is_refused_each_time_or_accepted_with_an_alarm),
		T(each_write_that_fails_leaves_it_in_force_and_never_acknowledged_but_on_disk),
		T(what_could_not_be_kept_is_kept_when_it_is_revoked_again),
		T(a_restore_that_could_not_be_kept_restores_nothing),
		T(a_disk_that_fails_for_good_and_a_kill_leave_it_in_force_or_not_acknowledged),
		T(a_restore_that_was_refused_is_not_done_after_a_kill),
		T(a_value_that_was_found_on_a_full_disk_is_written_when_there_is_room),
		T(an_alarm_about_two_names_ends_when_one_of_them_is_revoked),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

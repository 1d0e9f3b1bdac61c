/* SPDX-License-Identifier: Apache-2.0
 *
 * Freeze, thaw and the second person where the audit log or the state database says no: what
 * is in force, and what is neither kept nor done.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "acts_kit.h"

static void audit_fails(void)
{
	assert_int_equal(rename(log_dir, moved_dir), 0);
	advance(1000);
	mk_audit_tick(fix.b->audit); /* notices */
}

/* ---- what fails ---- */

static void a_freeze_that_the_disk_does_not_take_is_in_force_until_the_end(void **state)
{
	(void)state;
	database_fails();
	assert_int_equal(freeze(FIRST, "full disk"), MK_SYSTEM);
	assert_int_equal(served(), MK_FROZEN);
	assert_true(logged("full disk"));
	files_end_at(0);
	advance(1);
	assert_int_equal(freeze(FIRST, "again"), MK_OK); /* as the log's remedy says */
	restart();
	assert_string_equal(mk_act_frozen(fix.b)->reason, "again");
}

static void a_freeze_without_a_record_is_in_force_and_kept(void **state)
{
	(void)state;
	audit_fails();
	assert_int_equal(freeze(FIRST, "no log"), MK_AUDIT);
	assert_int_equal(served(), MK_AUDIT); /* a denial that cannot be recorded */
	assert_int_equal(rename(moved_dir, log_dir), 0);
	advance(5000);
	mk_audit_tick(fix.b->audit);
	assert_int_equal(served(), MK_FROZEN);
	restart();
	assert_true(mk_act_frozen(fix.b)->on);
}

static void what_cannot_be_kept_is_neither_proposed_nor_thawed(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = false;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal before = proposed(FIRST);
	database_fails();
	assert_int_equal(propose_as(FIRST, MK_ACTION_THAW, &p, &waits), MK_SYSTEM);
	assert_int_equal(approve(SECOND, &before), MK_SYSTEM);
	assert_int_equal(mk_act_thaw(fix.b), MK_SYSTEM);
	assert_true(mk_act_frozen(fix.b)->on);
	assert_int_equal(served(), MK_FROZEN);
	files_end_at(0);
	assert_int_equal(waiting(all), 1); /* it was not used up */
	assert_int_equal(approve(SECOND, &before), MK_OK);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	assert_int_equal(served(), MK_OK);
}

static void what_cannot_be_recorded_is_neither_proposed_nor_approved(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = false;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal before = proposed(FIRST);
	audit_fails();
	assert_int_equal(propose_as(SECOND, MK_ACTION_THAW, &p, &waits), MK_AUDIT);
	assert_int_equal(approve(SECOND, &before), MK_AUDIT);
	assert_int_equal(rename(moved_dir, log_dir), 0);
	assert_int_equal(waiting(all), 1);
	assert_string_equal(all[0].id, before.id);
}

/* ---- an older database ---- */

static void copy(const char *from, const char *to)
{
	char a[120], b[120];
	static uint8_t bytes[1 << 20];
	snprintf(a, sizeof a, "%s/%s", state_dir, from);
	snprintf(b, sizeof b, "%s/%s", state_dir, to);
	const int in = open(a, O_RDONLY), out = open(b, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(in >= 0 && out >= 0);
	const ssize_t n = read(in, bytes, sizeof bytes);
	assert_true(n >= 0 && write(out, bytes, (size_t)n) == n);
	close(in);
	close(out);
}

static bool stands(enum mk_alarm_code code)
{
	for (size_t i = 0; i < fix.b->alarms.n; i++)
		if (fix.b->alarms.items[i].code == code)
			return true;
	return false;
}

static void an_older_database_that_is_accepted_is_an_alarm_and_on_record(void **state)
{
	struct mk_pending *accepting = administered(1, all_of_first);
	accepting->state.accept_rollback = true;
	(void)state;
	restart();
	assert_false(stands(MK_ALARM_STATE_ROLLED_BACK));
	copy("state.db", "db-then");
	copy("state.db-wal", "wal-then");
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	restart();
	assert_true(mk_act_frozen(fix.b)->on);
	assert_false(stands(MK_ALARM_STATE_ROLLED_BACK));
	fix.b->audit = mk_audit_close(fix.b->audit);
	fix.b->db = mk_statedb_free(fix.b->db);
	copy("db-then", "state.db");
	copy("wal-then", "state.db-wal");
	restart_on(accepting);
	assert_false(mk_act_frozen(fix.b)->on); /* it cannot know what was lost, but that something was */
	assert_true(stands(MK_ALARM_STATE_ROLLED_BACK));
	assert_true(logged("state_rolled_back"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_freeze_that_the_disk_does_not_take_is_in_force_until_the_end),
		TEST(a_freeze_without_a_record_is_in_force_and_kept),
		TEST(what_cannot_be_kept_is_neither_proposed_nor_thawed),
		TEST(what_cannot_be_recorded_is_neither_proposed_nor_approved),
		TEST(an_older_database_that_is_accepted_is_an_alarm_and_on_record),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

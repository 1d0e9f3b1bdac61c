/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about tokens while the wall clock is set, jumps, stands still: what was over stays
 * over, what lives is asked for before it is refused, and each refusal of that kind is said.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/gate_fix.h"

#include "agent/broker/now.h"
#include "agent/broker/statedb.h"

#define YEAR   (INT64_C(365) * 86400000)
#define HOUR   INT64_C(3600000)
#define TENTH  "2027-01-01T00:10:00Z" /* ten minutes from the start */
#define LATER  "2027-06-01T00:00:00Z"

static bool stands(enum mk_alarm_code code)
{
	for (size_t i = 0; i < fix.b->alarms.n; i++)
		if (fix.b->alarms.items[i].code == code)
			return true;
	return false;
}

/* The state after one question, which goes to the store if it must; the store has the same as ever. */
static enum mk_err asks(const char *version, const char *token, const char *expires, bool *ret_asked)
{
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	*ret_asked = k.w.waiting;
	if (k.w.waiting) {
		pump();
		answer_with(fix.get.ref, MK_OK, version, token, expires);
	}
	mk_answer_done(&k.a);
	return k.err;
}

static enum mk_err same(const char *expires, bool *ret_asked)
{
	return asks("v1", "token-one", expires, ret_asked);
}

/* The clocks go on by so much, tick by tick of a second. */
static void passes(int64_t ms)
{
	for (; ms > 0; ms -= 1000) {
		advance(1000);
		mk_now_tick(fix.b);
	}
}

static void a_clock_set_back_brings_no_expired_token_back(void **state)
{
	bool asked;
	(void)state;
	warm("v1", "token-one", TENTH);
	passes(600000);
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED);
	fix.wall -= YEAR;
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED);
	passes(TTL);
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED); /* nor when the store gives it out once more */
	assert_true(asked);
	assert_true(stands(MK_ALARM_CLOCK_BEHIND));
	assert_true(records("\"reason\":\"clock_behind\"") == 1);
	assert_int_equal(asks("v2", "token-two", LATER, &asked), MK_EXPIRED); /* known to be so, within the pause */
	passes(MK_PAUSE_MS + 1000);
	assert_int_equal(asks("v2", "token-two", LATER, &asked), MK_OK); /* the control: a live one is served by that clock */
}

static void a_clock_set_back_before_the_end_prolongs_nothing(void **state)
{
	bool asked;
	(void)state;
	warm("v1", "token-one", TENTH);
	fix.wall -= YEAR;
	passes(599000);
	assert_int_equal(same(TENTH, &asked), MK_OK);
	passes(1000);
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED);
	assert_true(records("\"detail\":\"clock_behind\"") == 1); /* the refusal says that the clock is in doubt */
}

static void a_frozen_clock_prolongs_nothing(void **state)
{
	bool asked;
	(void)state;
	warm("v1", "token-one", TENTH);
	fix.boot += 599999;
	mk_now_tick(fix.b);
	assert_int_equal(same(TENTH, &asked), MK_OK);
	assert_true(stands(MK_ALARM_CLOCK_BEHIND));
	fix.boot += 1;
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED);
}

static void after_a_jump_the_store_is_asked_before_anything_is_refused(void **state)
{
	bool asked;
	(void)state;
	warm("v1", "token-one", TENTH);
	fix.wall += YEAR;
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED); /* without a tick in between */
	assert_true(asked);
	assert_true(stands(MK_ALARM_CLOCK_JUMPED));
	assert_true(records("\"detail\":\"clock_jumped\"") == 1);
	passes(MK_PAUSE_MS + 1000);
	assert_int_equal(asks("v2", "token-two", "2028-06-01T00:00:00Z", &asked), MK_OK); /* a renewed one is found */
}

static void a_jump_kills_nothing_that_has_no_end(void **state)
{
	bool asked;
	(void)state;
	warm("v1", "token-one", NULL);
	assert_int_equal(same(NULL, &asked), MK_OK);
	assert_false(asked);
	fix.wall += YEAR;
	assert_int_equal(same(NULL, &asked), MK_OK);
	assert_true(asked); /* what is held may be older than the boot clock says: a machine that was paused */
	assert_int_equal(same(NULL, &asked), MK_OK);
	assert_false(asked); /* once */
}

static void a_jump_that_was_wrong_kills_nothing_for_good(void **state)
{
	bool asked;
	(void)state;
	warm("v1", "token-one", TENTH);
	fix.wall += YEAR;
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED);
	passes(60000);
	fix.wall -= YEAR;
	assert_int_equal(same(TENTH, &asked), MK_OK);
	assert_true(asked);
	assert_false(stands(MK_ALARM_CLOCK_JUMPED) || stands(MK_ALARM_CLOCK_BEHIND));
	passes(540000);
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED); /* in its own time */
}

static void suspend_ends_what_ended_meanwhile_and_says_nothing(void **state)
{
	bool asked;
	(void)state;
	warm("v1", "token-one", TENTH);
	advance(24 * HOUR);
	mk_now_tick(fix.b);
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED);
	assert_true(asked);
	assert_int_equal(fix.b->alarms.n, 0);
}

static void a_life_in_seconds_counts_by_the_clock_that_counts(void **state)
{
	bool asked;
	(void)state;
	fix.wall -= YEAR; /* before it is fetched */
	mk_now_tick(fix.b);
	warm("v1", "token-one", "600");
	passes(599000);
	assert_int_equal(same("600", &asked), MK_OK);
	passes(1000);
	assert_int_equal(same("600", &asked), MK_EXPIRED);
}

static void a_list_goes_by_the_same_clock(void **state)
{
	static const char *const names[] = { "acme-erp" };
	struct mk_caller c = { .evidence = { .known = true, .socket = { "api" }, .uid = BILLING_UID, .gid = BILLING_UID, .pid = 77 } };
	struct mk_waiter w = { .woken = NULL };
	struct mk_list_item items[4];
	bool more, asked;
	size_t n = 0;
	unsigned retry;
	(void)state;
	warm("v1", "token-one", TENTH);
	fix.wall -= YEAR;
	passes(600000);
	assert_int_equal(same(TENTH, &asked), MK_EXPIRED);
	mk_fetch_start(fix.b, &(struct mk_flight_key){ .kind = MK_FLIGHT_LIST }, 0);
	pump();
	answer_names(false, names, 1);
	assert_int_equal(mk_gate_list(fix.b, &c, &(struct mk_name){ "" }, 4, &w, items, &n, &more, &retry), MK_OK);
	assert_int_equal(n, 1);
	assert_int_equal(items[0].state, MK_STATE_EXPIRED);
}

static void a_start_behind_the_log_is_said_and_goes_by_the_log(void **state)
{
	(void)state;
	passes(5000);
	mk_now_start(fix.b); /* the control */
	assert_false(stands(MK_ALARM_CLOCK_BEHIND));
	const int64_t was = mk_now_ms(fix.b);
	struct mk_pending *p = configuration(1, false);
	struct mk_why why = { 0 };
	const struct mk_audit_rec rec = { .event = "admin", .rule_line = -1 };
	assert_int_equal(mk_audit_write(fix.b->audit, &rec), MK_OK);
	mk_audit_close(fix.b->audit);
	fix.wall -= YEAR;
	memset(&fix.b->wall, 0, sizeof fix.b->wall);
	fix.b->wall_kept.log_asked = false;
	assert_int_equal(mk_audit_open(&p->audit.audit, &fix.b->environment, -1, &fix.b->audit, &why), MK_OK);
	mk_now_start(fix.b);
	assert_true(stands(MK_ALARM_CLOCK_BEHIND));
	assert_true(mk_now_ms(fix.b) >= was - 1);
	mk_alarm_clear(fix.b, MK_ALARM_CLOCK_BEHIND, "");
	fix.b->wall_kept.accept = true;
	fix.b->wall_kept.log_asked = false;
	mk_now_start(fix.b);
	assert_false(stands(MK_ALARM_CLOCK_BEHIND));
	assert_int_equal(mk_now_ms(fix.b), fix.wall);
	pending_drop(p);
}

static void drop_db(void)
{
	fix.b->db = mk_statedb_free(fix.b->db);
	for (size_t i = 0; i < 2; i++) {
		char path[96];
		snprintf(path, sizeof path, "%s/state.db%s", fix.dir, i == 0 ? "" : "-wal");
		unlink(path);
	}
}

/* A start, of which the database knows a newest time an hour from now that was kept at boot clock 0. */
static int64_t start_knowing(const char *boot_id)
{
	struct mk_wall_saved saved = { .newest = { fix.wall + HOUR, 0 } };
	snprintf(saved.boot_id, sizeof saved.boot_id, "%s", boot_id);
	assert_int_equal(mk_statedb_set_newest(fix.b->db, &saved), MK_OK);
	mk_now_start(fix.b);
	return mk_now_ms(fix.b) - saved.newest.wall_ms;
}

static void the_time_that_passed_since_counts_in_the_same_boot_only(void **state)
{
	struct mk_wall_saved saved;
	struct mk_why why = { 0 };
	(void)state;
	assert_int_equal(mk_statedb_open(fix.dir, &fix.b->environment, &fix.b->db, &why), MK_OK);
	mk_now_start(fix.b);
	assert_int_equal(mk_statedb_newest(fix.b->db, &saved), MK_OK);
	assert_int_equal(strlen(saved.boot_id), MK_BOOT_ID);
	assert_true(fix.boot > 0);
	assert_int_equal(start_knowing(saved.boot_id), fix.boot);
	assert_int_equal(start_knowing("another"), 0);
	assert_int_equal(start_knowing(""), 0);
	assert_true(stands(MK_ALARM_CLOCK_BEHIND));
	fix.b->wall_kept.accept = true;
	assert_int_equal(start_knowing(saved.boot_id), -HOUR);
	assert_int_equal(records("\"detail\":\"accepted\""), 1);
	assert_int_equal(mk_statedb_newest(fix.b->db, &saved), MK_OK);
	assert_int_equal(saved.newest.wall_ms, fix.wall); /* the next start needs no leave */
	drop_db();
}

static void in_the_same_boot_a_record_of_a_wrong_time_ends_nothing(void **state)
{
	struct mk_pending *p = configuration(1, false);
	struct mk_why why = { 0 };
	(void)state;
	assert_int_equal(mk_statedb_open(fix.dir, &fix.b->environment, &fix.b->db, &why), MK_OK);
	for (int with_db = 1; with_db >= 0; with_db--) {
		mk_now_start(fix.b);
		fix.wall += YEAR; /* for its last record; then it was killed */
		mk_audit_close(fix.b->audit);
		fix.wall -= YEAR;
		assert_int_equal(mk_audit_open(&p->audit.audit, &fix.b->environment, -1, &fix.b->audit, &why), MK_OK);
		if (!with_db)
			drop_db();
		fix.b->wall_kept.log_asked = false;
		mk_now_start(fix.b);
		assert_int_equal(stands(MK_ALARM_CLOCK_BEHIND), !with_db); /* without it, the record is all that is known */
	}
	pending_drop(p);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		TEST(a_clock_set_back_brings_no_expired_token_back),
		TEST(a_clock_set_back_before_the_end_prolongs_nothing),
		TEST(a_frozen_clock_prolongs_nothing),
		TEST(after_a_jump_the_store_is_asked_before_anything_is_refused),
		TEST(a_jump_kills_nothing_that_has_no_end),
		TEST(a_jump_that_was_wrong_kills_nothing_for_good),
		TEST(suspend_ends_what_ended_meanwhile_and_says_nothing),
		TEST(a_life_in_seconds_counts_by_the_clock_that_counts),
		TEST(a_list_goes_by_the_same_clock),
		TEST(a_start_behind_the_log_is_said_and_goes_by_the_log),
		TEST(the_time_that_passed_since_counts_in_the_same_boot_only),
		TEST(in_the_same_boot_a_record_of_a_wrong_time_ends_nothing),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

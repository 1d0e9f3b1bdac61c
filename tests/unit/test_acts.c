/* SPDX-License-Identifier: Apache-2.0
 *
 * Freeze, thaw and the second person, below HTTP: who may do what, and what a proposal is
 * worth later.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "acts_kit.h"

#include "agent/broker/now.h"
#include "agent/broker/tell_part.h"

static enum mk_approval why_not(uid_t uid, const struct mk_proposal *p)
{
	enum mk_approval why;
	assert_int_equal(approve_on("admin", uid, p, &why), MK_CONFLICT);
	return why;
}

/* ---- policy ---- */

static void who_may_not_freeze_freezes_nothing(void **state)
{
	(void)state;
	assert_int_equal(freeze(READER, "x"), MK_DENIED);
	assert_int_equal(freeze(4999, "x"), MK_DENIED);
	assert_false(mk_act_frozen(fix.b)->on);
	assert_int_equal(served(), MK_OK);
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(served(), MK_FROZEN);
}

static void who_may_not_thaw_proposes_nothing(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = false;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(propose_as(READER, MK_ACTION_THAW, &p, &waits), MK_DENIED);
	assert_int_equal(waiting(all), 0);
	p = proposed(FIRST);
	assert_int_equal(approve(READER, &p), MK_DENIED);
	assert_int_equal(waiting(all), 1);
	assert_true(mk_act_frozen(fix.b)->on);
}

static void before_the_first_configuration_nothing_is_done(void **state)
{
	struct mk_broker *b = NULL;
	struct mk_caller c = admin(FIRST);
	(void)state;
	assert_int_equal(mk_broker_new(&b), MK_OK);
	assert_int_equal(mk_act_freeze(b, &c, "x"), MK_NOT_READY);
	assert_false(mk_act_frozen(b)->on);
	mk_broker_free(b);
}

/* ---- the second person ---- */

static void one_uid_is_one_person_through_whichever_service(void **state)
{
	enum mk_approval why;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	assert_int_equal(why_not(FIRST, &p), MK_APPROVAL_SAME_PERSON);
	assert_int_equal(approve_on("ops", FIRST, &p, &why), MK_CONFLICT); /* another service, let through by policy */
	assert_int_equal(why, MK_APPROVAL_SAME_PERSON);
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void unheard(struct mk_watcher *w)
{
	(void)w;
}

/* So many were told until now. */
static uint64_t events(void)
{
	struct mk_watcher w = { .woken = unheard };
	struct mk_caller c = admin(FIRST);
	assert_int_equal(mk_watcher_enter(fix.b, &c, mk_span_of(""), &w), MK_OK);
	const uint64_t n = mk_watcher_read_up_to(&w);
	mk_watcher_leave(fix.b, &w);
	return n;
}

static void services_hear_of_a_freeze_and_a_thaw_and_not_of_proposals(void **state)
{
	(void)state;
	const uint64_t before = events();
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(events(), before + 1);
	const struct mk_proposal p = proposed(FIRST);
	assert_int_equal(approve(SECOND, &p), MK_OK);
	assert_int_equal(events(), before + 1);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	assert_int_equal(events(), before + 2);
}

static void a_proposal_is_approved_once_also_over_a_restart(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST), other = proposed(FIRST);
	restart();
	assert_true(mk_act_frozen(fix.b)->on);
	assert_int_equal(approve(SECOND, &p), MK_OK);
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	restart(); /* approved, and ended before it was done */
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	assert_true(mk_act_frozen(fix.b)->on);
	assert_int_equal(approve(SECOND, &other), MK_OK);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	restart();
	assert_false(mk_act_frozen(fix.b)->on);
}

static void a_digest_of_another_proposal_approves_nothing(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	struct mk_proposal p = proposed(FIRST);
	const struct mk_proposal other = proposed(FIRST);
	assert_string_not_equal(p.digest, other.digest);
	memcpy(p.digest, other.digest, sizeof p.digest);
	assert_int_equal(why_not(SECOND, &p), MK_APPROVAL_DIGEST);
	assert_int_equal(approve(SECOND, &other), MK_OK);
}

static void fifteen_minutes_and_no_longer(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	struct mk_proposal p = proposed(FIRST);
	advance(MK_PROPOSAL_MS);
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	p = proposed(FIRST);
	advance(MK_PROPOSAL_MS - 1);
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void a_clock_that_is_set_back_or_stands_still_neither_ends_nor_prolongs_what_waits(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	struct mk_proposal p = proposed(FIRST);
	fix.wall -= 3600000;
	fix.boot += MK_PROPOSAL_MS;
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	p = proposed(FIRST);
	fix.boot += MK_PROPOSAL_MS - 1; /* the wall clock stands */
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void what_waits_does_not_outlive_a_start_with_a_clock_that_is_behind(void **state)
{
	struct mk_proposal all[MK_PROPOSALS_MAX];
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	proposed(FIRST);
	mk_now_start(fix.b); /* the control */
	assert_int_equal(waiting(all), 1);
	fix.wall -= 3600000;
	mk_now_start(fix.b);
	assert_int_equal(waiting(all), 0);
}

static void a_right_that_was_taken_away_is_not_used_by_an_approval(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	swap_in(administered(2, BIT(FREEZE)));
	assert_int_equal(why_not(SECOND, &p), MK_APPROVAL_WITHDRAWN);
	swap_in(administered(3, all_of_first));
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void an_approval_ends_no_later_freeze(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "the drill"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	advance(1000);
	assert_int_equal(freeze(SECOND, "a real one"), MK_OK);
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	assert_true(mk_act_frozen(fix.b)->on);
	const struct mk_proposal of_this = proposed(FIRST);
	assert_non_null(strstr(of_this.detail, "second")); /* whoever approves reads which freeze */
	assert_int_equal(approve(SECOND, &of_this), MK_OK);
}

static void nor_one_that_the_disk_did_not_take(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "the drill"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	database_fails();
	advance(1000);
	assert_int_equal(freeze(SECOND, "a real one"), MK_SYSTEM);
	files_end_at(0);
	assert_int_equal(why_not(SECOND, &p), MK_APPROVAL_OVERTAKEN);
	assert_true(mk_act_frozen(fix.b)->on);
}

static void a_freeze_that_is_over_leaves_nothing_to_approve(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST), late = proposed(FIRST);
	assert_int_equal(approve(SECOND, &p), MK_OK);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	assert_int_equal(approve(SECOND, &late), MK_NOT_FOUND);
	advance(1000);
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(approve(SECOND, &late), MK_NOT_FOUND);
	assert_int_equal(served(), MK_FROZEN);
}

static void nobody_keeps_a_thaw_of_nothing_at_hand(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = true;
	(void)state;
	assert_int_equal(propose_as(FIRST, MK_ACTION_THAW, &p, &waits), MK_OK);
	assert_false(waits);
	assert_int_equal(waiting(all), 0);
	assert_int_equal(propose_as(FIRST, MK_ACTION_RELOAD, &p, &waits), MK_OK); /* other acts wait as ever */
	assert_true(waits);
}

static void too_many_are_refused_before_they_are_on_record_and_room_comes_by_itself(void **state)
{
	struct mk_proposal p;
	bool waits = false;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	for (unsigned i = 0; i < MK_PROPOSALS_PER_UID; i++)
		p = proposed(FIRST);
	const off_t before = size_of(fix.log);
	assert_int_equal(propose_as(FIRST, MK_ACTION_THAW, &p, &waits), MK_CONFLICT);
	assert_true(size_of(fix.log) > before && logged("\"event\":\"deny\""));
	assert_int_equal(propose_as(SECOND, MK_ACTION_THAW, &p, &waits), MK_OK);
	advance(MK_PROPOSAL_MS); /* nobody looked meanwhile */
	p = proposed(FIRST);
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void an_approval_of_nothing_is_on_record(void **state)
{
	const struct mk_proposal p = { .id = "0123456789abcdef", .digest = "0" };
	(void)state;
	assert_false(logged("not_found"));
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	assert_true(logged("\"reason\":\"not_found\""));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_may_not_freeze_freezes_nothing),
		TEST(who_may_not_thaw_proposes_nothing),
		TEST(before_the_first_configuration_nothing_is_done),
		TEST(one_uid_is_one_person_through_whichever_service),
		TEST(services_hear_of_a_freeze_and_a_thaw_and_not_of_proposals),
		TEST(a_proposal_is_approved_once_also_over_a_restart),
		TEST(a_digest_of_another_proposal_approves_nothing),
		TEST(fifteen_minutes_and_no_longer),
		TEST(a_clock_that_is_set_back_or_stands_still_neither_ends_nor_prolongs_what_waits),
		TEST(what_waits_does_not_outlive_a_start_with_a_clock_that_is_behind),
		TEST(a_right_that_was_taken_away_is_not_used_by_an_approval),
		TEST(an_approval_ends_no_later_freeze),
		TEST(nor_one_that_the_disk_did_not_take),
		TEST(a_freeze_that_is_over_leaves_nothing_to_approve),
		TEST(nobody_keeps_a_thaw_of_nothing_at_hand),
		TEST(too_many_are_refused_before_they_are_on_record_and_room_comes_by_itself),
		TEST(an_approval_of_nothing_is_on_record),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

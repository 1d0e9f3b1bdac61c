/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the policy in the shadow, at the gate.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate_tags.h"

/* ---- the shadow ---- */

/* p is in force, and other's rules are in its shadow. Takes both. */
static void swap_in_beside(struct mk_pending *p, struct mk_pending *other)
{
	p->has_shadow = true;
	p->shadow = other->rules;
	other->rules = (struct mk_rules){ 0 };
	swap_in(p);
	pending_drop(other);
}

/* Beside it a policy that takes acme-* from billing but for acme-1, and gives erp-* to sync. */
static void with_shadow(uint32_t generation)
{
	struct mk_pending *p = configuration(generation, false), *other = configuration(generation, true);
	add_rule(&other->rules, false, "billing", "acme-1", 30);
	add_rule(&other->rules, false, "sync", "erp-*", 31);
	swap_in_beside(p, other);
}

static void a_policy_in_the_shadow_changes_no_answer_and_is_counted(void **state)
{
	(void)state;
	struct mk_broker_status s;
	with_shadow(2);
	warm("v1", "token-one", NULL);                            /* acme-erp: would be denied */
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_OK);
	assert_int_equal(once(SYNC_UID, "erp-1"), MK_DENIED);     /* would be allowed */
	assert_int_equal(once(SYNC_UID, "other"), MK_DENIED);     /* the same */
	assert_int_equal(once(BILLING_UID, "acme-payroll"), MK_DENIED);
	mk_broker_status(fix.b, &s);
	assert_true(s.shadow.on);
	assert_int_equal(s.shadow.decisions, 5);
	assert_int_equal(s.shadow.would_deny, 2);
	assert_int_equal(s.shadow.would_allow, 1);
	assert_int_equal(s.shadow.would_change, 0);
	assert_int_equal(fix.b->shadow.n_kinds, 2);
	assert_int_equal(fix.b->shadow.kinds[0].count, 2);
	assert_int_equal(records("shadow"), 0); /* nothing of it in the audit log */
	swap_in(configuration(3, false));
	mk_broker_status(fix.b, &s);
	assert_false(s.shadow.on);
	assert_int_equal(s.shadow.decisions, 0);
}

static void the_shadow_is_asked_with_the_tags_that_a_fetch_brought(void **state)
{
	(void)state;
	struct mk_pending *p = by_tags(2, true), *other = configuration(2, false);
	struct mk_broker_status s;
	struct call k;
	add_rule(&other->rules, false, "sync", "*", 31);
	add_tagged(&other->rules, true, "*", "zone", "us", NULL, 0);
	swap_in_beside(p, other);
	call_get(&k, SYNC_UID, "erp-1"); /* while they are not known both deny */
	pump();
	names_are("erp-1", "erp-2");
	answer_tagged("v1", "token-one", SAP, "eu");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	call_get(&k, SYNC_UID, "erp-2");
	pump();
	answer_tagged("v1", "token-two", "other", "eu"); /* denied; would be allowed */
	assert_int_equal(k.err, MK_DENIED);
	mk_broker_status(fix.b, &s);
	assert_int_equal(s.shadow.decisions, 2);
	assert_int_equal(s.shadow.would_deny, 0);
	assert_int_equal(s.shadow.would_allow, 1);
}

static void the_shadow_is_asked_once_for_each_name_of_a_stream(void **state)
{
	(void)state;
	struct mk_pending *p = by_tags(2, true), *other = by_tags(2, true);
	struct mk_name names[] = { { "erp-2" }, { "erp-1" } };
	struct stream s = { .wait.woken = stream_opens, .w = { .names = names, .n = MK_COUNT(names) } };
	struct mk_broker_status status;
	struct call k;
	swap_in_beside(p, other);
	call_get(&k, SYNC_UID, "erp-2");
	pump();
	names_are("erp-1", "erp-2");
	answer_tagged("v1", "token-two", SAP, "eu");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	s.c = k.c;
	stream_opens(&s.wait);
	assert_true(s.wait.waiting); /* for the tags of the second, when the first was looked at */
	pump();
	answer_tagged("v1", "token-one", SAP, "eu");
	assert_int_equal(s.err, MK_OK);
	assert_true(s.w.open);
	mk_watcher_leave(fix.b, &s.w);
	mk_broker_status(fix.b, &status);
	assert_int_equal(status.shadow.decisions, 1 + 2);
	assert_int_equal(status.shadow.would_deny + status.shadow.would_allow, 0);
}

static void a_shadow_that_is_no_policy_is_refused_like_one(void **state)
{
	(void)state;
	struct mk_pending *p = configuration(2, false);
	struct mk_why why = { 0 };
	p->has_shadow = true;
	add_rule(&p->shadow, false, "nobody-here", "*", 12);
	assert_int_equal(mk_config_judge(fix.b, p, &why), MK_BAD_REQUEST);
	assert_int_equal(why.line, 12);
	pending_drop(p);
}

static void differences_of_more_kinds_than_are_kept_apart_are_still_counted(void **state)
{
	(void)state;
	struct mk_pending *p = configuration(2, false);
	struct mk_broker_status s;
	char name[32];
	for (unsigned i = 0; i < MK_SHADOWS_MAX + 10; i++) {
		snprintf(name, sizeof name, "n%u", i);
		add_rule(&p->shadow, false, "sync", name, i);
	}
	add_service(&p->shadow, "sync", SYNC_UID);
	p->has_shadow = true;
	swap_in(p);
	for (unsigned i = 0; i < MK_SHADOWS_MAX + 10; i++) {
		snprintf(name, sizeof name, "n%u", i);
		assert_int_equal(once(SYNC_UID, name), MK_DENIED);
	}
	mk_broker_status(fix.b, &s);
	assert_int_equal(s.shadow.would_allow, MK_SHADOWS_MAX + 10);
	assert_int_equal(fix.b->shadow.n_kinds, MK_SHADOWS_MAX);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, fix_make, fix_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_policy_in_the_shadow_changes_no_answer_and_is_counted),
		WITH(the_shadow_is_asked_with_the_tags_that_a_fetch_brought),
		WITH(the_shadow_is_asked_once_for_each_name_of_a_stream),
		WITH(a_shadow_that_is_no_policy_is_refused_like_one),
		WITH(differences_of_more_kinds_than_are_kept_apart_are_still_counted),
	};
	return cmocka_run_group_tests_name("gate shadow", tests, fix_group, NULL);
}

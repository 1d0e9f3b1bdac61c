/* SPDX-License-Identifier: Apache-2.0
 *
 * Which values die with a connection: those in memory, and what the store has of it at that
 * time, however long it takes until the store can be asked. And who is told.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "revoke_fix.h"

#include "agent/broker/tell.h"

/* The store's answer to the last question. */
static void store_says(enum mk_err e, const char *version, const char *token)
{
	answer_with(fix.get.ref, e, version, token, NULL);
	if (e == MK_BACKEND)
		answer_with(fix.get.ref, e, version, token, NULL); /* the second replica */
}

static void tick(int64_t ms)
{
	advance(ms);
	mk_fetch_tick(fix.b);
	mk_revoked_tick(fix.b);
	pump();
}

/* Of both slots, as they are asked: the previous one first. */
static void ask_both(struct mk_ref ret[2])
{
	const unsigned before = fix.gets;
	memset(fix.refs, 0, sizeof fix.refs);
	fix.gets = 0;
	pump();
	tick(60000);
	assert_int_equal(fix.gets, 2);
	ret[0] = fix.refs[0];
	ret[1] = fix.refs[1];
	fix.gets += before;
}

static void a_store_that_cannot_be_asked_is_asked_again_until_it_has_said_what_it_has(void **state)
{
	struct mk_ref refs[2];
	(void)state;
	assert_int_equal(revoked("acme-erp"), MK_OK);
	pump();
	tick(MK_FLIGHT_MS); /* no answer: both flights are over */
	tick(MK_FLIGHT_MS);
	assert_int_equal(fix.b->revoked.n_values, 0);
	fix.b->replicas[0].last = fix.b->replicas[1].last = MK_OK; /* it recovered: somebody else's fetch */
	ask_both(refs);
	answer_with(refs[0], MK_NOT_FOUND, "", "", NULL);
	answer_with(refs[1], MK_OK, "v1", "t1", NULL);
	assert_int_equal(fix.b->revoked.n_values, 1);
	assert_int_equal(mk_revoked_name(&fix.b->revoked, &(struct mk_name){ "acme-erp" })->unseen, 0);
	const unsigned asked_so_far = fix.gets;
	tick(600000);
	assert_int_equal(fix.gets, asked_so_far); /* and then no more */
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
	killed();
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
}

static void a_kill_before_the_store_has_answered_does_not_forget_to_ask(void **state)
{
	struct mk_ref refs[2];
	(void)state;
	assert_int_equal(revoked("acme-erp"), MK_OK);
	killed();
	ask_both(refs);
	answer_with(refs[1], MK_OK, "v1", "t1", NULL);
	answer_with(refs[0], MK_OK, "v0", "t0", NULL);
	killed();
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
	assert_int_equal(asked("acme-third", "t0"), MK_REVOKED); /* the version before, too */
	assert_int_equal(asked("acme-fourth", "t2"), MK_OK);
}

static void what_the_store_has_is_dead_also_where_memory_had_an_older_value(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	pump();
	store_says(MK_OK, "v2", "t2"); /* it was rotated there a moment ago */
	assert_int_equal(asked("acme-other", "t2"), MK_REVOKED);
	assert_int_equal(asked("acme-third", "t1"), MK_REVOKED);
}

static void a_value_that_was_never_seen_dies_at_the_second_revocation(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	pump();
	store_says(MK_OK, "v1", "t1");
	assert_int_equal(restore("acme-erp", false), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK); /* nothing in memory; t1 is known, t2 is what the store has */
	pump();
	store_says(MK_OK, "v2", "t2");
	assert_int_equal(asked("acme-other", "t2"), MK_REVOKED);
}

static void what_comes_after_the_store_was_seen_may_be_served_after_a_restore(void **state)
{
	(void)state;
	assert_int_equal(revoked("acme-erp"), MK_OK);
	pump();
	store_says(MK_OK, "v1", "t1");
	killed();
	assert_int_equal(restore("acme-erp", false), MK_OK);
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	advance(TTL);
	assert_int_equal(asked("acme-erp", "t2"), MK_OK);
}

/* As where the credential may not read what a previous version takes. */
static void a_store_that_gives_no_previous_versions_is_not_asked_for_ever_and_counts_as_well(void **state)
{
	struct mk_ref refs[2];
	(void)state;
	assert_int_equal(asked("acme-warm", "t0"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	pump();
	tick(MK_FLIGHT_MS);
	ask_both(refs);
	fix.b->replicas[0].last = fix.b->replicas[1].last = MK_OK;
	answer_with(refs[0], MK_BACKEND, "", "", NULL);
	answer_with(fix.previous.ref, MK_BACKEND, "", "", NULL); /* the second replica */
	assert_int_equal(fix.b->replicas[0].last, MK_OK);
	assert_int_equal(fix.b->replicas[1].last, MK_OK);
	answer_with(refs[1], MK_OK, "v1", "t1", NULL);
	fix.gets = 0;
	tick(600000);
	assert_int_equal(fix.gets, 0);
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
}

static void a_name_that_no_store_has_is_asked_for_once(void **state)
{
	struct mk_ref refs[2];
	(void)state;
	assert_int_equal(revoked("acme-erpp"), MK_OK);
	killed();
	ask_both(refs);
	answer_with(refs[0], MK_NOT_FOUND, "", "", NULL);
	answer_with(refs[1], MK_NOT_FOUND, "", "", NULL);
	tick(250);
	killed();
	fix.gets = 0;
	tick(600000);
	assert_int_equal(fix.gets, 0);
}

static void whoever_follows_another_name_with_that_value_is_told(void **state)
{
	struct mk_current before;
	(void)state;
	assert_int_equal(asked("acme-twin", "t1"), MK_OK);
	struct call k;
	call_get(&k, BILLING_UID, "acme-twin");
	assert_int_equal(k.err, MK_OK);
	char etag[MK_ETAG_MAX + 2];
	snprintf(etag, sizeof etag, "\"%s\"", k.a.etag);
	mk_answer_done(&k.a);
	struct call waits = { .w.woken = call_woken, .c = k.c, .ask = k.ask };
	waits.ask.wait_ms = 50000;
	waits.ask.if_none_match = mk_span_of(etag);
	waits.err = mk_gate_get(fix.b, &waits.c, &waits.ask, &waits.w, &waits.a, &waits.retry);
	assert_true(waits.w.waiting);
	assert_int_equal(revoked("acme-erp"), MK_OK); /* of which nothing is in memory */
	pump();
	assert_true(waits.w.waiting);
	store_says(MK_OK, "v1", "t1");
	assert_int_equal(waits.woken, 1);
	assert_int_equal(waits.err, MK_REVOKED);
	mk_tell_before(fix.b, &(struct mk_name){ "acme-twin" }, &before);
	assert_true(before.known && !before.version[0]);
	stands("retired_value_back", true);
}

/* Not as what two customers have by mistake, which a new value of one puts right: so it says that it will not get better. */
static void a_dead_value_under_two_other_names_is_revoked_for_both(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-sap", "t1"), MK_OK);
	assert_int_equal(revoked("acme-sap"), MK_OK);
	assert_int_equal(asked("acme-crm", "t1"), MK_REVOKED);
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
	assert_int_equal(asked("acme-crm", "t1"), MK_REVOKED);
	assert_int_equal(restore("acme-sap", true), MK_OK);
	assert_int_equal(asked("acme-crm", "t1"), MK_OK);
	assert_int_equal(asked("acme-other", "t1"), MK_BACKEND); /* the control: there are two */
	assert_int_equal(asked("acme-crm", "t1"), MK_BACKEND);
}

static void a_dead_version_behind_a_new_one_is_no_alarm(void **state)
{
	struct call k = { .w.woken = call_woken };
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_int_equal(restore("acme-erp", false), MK_OK);
	assert_int_equal(asked("acme-erp", "t2"), MK_OK);
	k.c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = BILLING_UID, .gid = BILLING_UID, .pid = 77 };
	k.ask = (struct mk_ask){ .name = { "acme-erp" }, .previous = true };
	k.err = mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry);
	pump();
	assert_true(k.w.waiting);
	answer_with(fix.previous.ref, MK_OK, "t1", "t1", NULL);
	assert_false(k.w.waiting);
	assert_int_equal(k.err, MK_REVOKED);
	stands("retired_value_back", false);
	advance(TTL);
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED); /* as the current one it is */
	stands("retired_value_back", true);
}

static void a_proposal_to_restore_ends_with_the_revocation_it_was_of(void **state)
{
	struct mk_proposal p = { .id = "0123456789abcdef", .action = MK_ACTION_RESTORE, .detail = "restore acme-erp value", .digest = "x",
				 .by = { "secteam" }, .uid = ADMIN_UID, .at_ms = fix.wall, .expires_ms = fix.wall + 900000 }, got;
	struct mk_proposal other = p;
	(void)state;
	snprintf(other.id, sizeof other.id, "fedcba9876543210");
	snprintf(other.detail, sizeof other.detail, "restore acme-erp-two");
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_int_equal(mk_statedb_propose(fix.b->db, &p), MK_OK);
	assert_int_equal(mk_statedb_propose(fix.b->db, &other), MK_OK);
	assert_int_equal(mk_statedb_proposal(fix.b->db, p.id, &got), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_int_equal(mk_statedb_proposal(fix.b->db, p.id, &got), MK_NOT_FOUND);
	assert_int_equal(mk_statedb_proposal(fix.b->db, other.id, &got), MK_OK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_store_that_cannot_be_asked_is_asked_again_until_it_has_said_what_it_has),
		T(a_kill_before_the_store_has_answered_does_not_forget_to_ask),
		T(what_the_store_has_is_dead_also_where_memory_had_an_older_value),
		T(a_value_that_was_never_seen_dies_at_the_second_revocation),
		T(what_comes_after_the_store_was_seen_may_be_served_after_a_restore),
		T(a_store_that_gives_no_previous_versions_is_not_asked_for_ever_and_counts_as_well),
		T(a_name_that_no_store_has_is_asked_for_once),
		T(whoever_follows_another_name_with_that_value_is_told),
		T(a_dead_value_under_two_other_names_is_revoked_for_both),
		T(a_dead_version_behind_a_new_one_is_no_alarm),
		T(a_proposal_to_restore_ends_with_the_revocation_it_was_of),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

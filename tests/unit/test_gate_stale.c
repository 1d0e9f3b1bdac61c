/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about a store that fails or says no: what is served then and until when, expiry,
 * previous and disabled versions, replicas, health.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/gate_fix.h"

/* ---- the store fails ---- */

static void while_the_store_fails_the_last_good_value_is_served_marked_stale(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	advance(TTL);
	fails(&k, MK_BACKEND);
	assert_int_equal(k.err, MK_OK);
	assert_int_equal(k.a.cache, MK_CACHE_STALE);
	assert_true(mk_span_is(k.a.token, "token-one"));
	mk_answer_done(&k.a);
	const unsigned asked = fix.gets;
	serves("token-one", MK_CACHE_STALE); /* at once: nobody waits for a store that just failed */
	assert_int_equal(fix.gets, asked);
	advance(MK_PAUSE_MS);
	serves("token-one", MK_CACHE_STALE); /* and in the background it is asked again */
	assert_int_equal(fix.gets, asked + 1);
	answer_token("v2", "token-two");
	serves("token-two", MK_CACHE_HIT);
}

static void another_replicas_changes_do_not_make_callers_wait_for_one_that_fails(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	mk_fetch_changed(fix.b, 1);
	advance(TTL);
	fails(&k, MK_BACKEND);
	mk_answer_done(&k.a);
	const unsigned asked = fix.gets;
	serves("token-one", MK_CACHE_STALE);
	assert_int_equal(fix.gets, asked);
	mk_fetch_changed(fix.b, 1); /* but the one that failed last did change: it is asked again */
	call_get(&k, BILLING_UID, "acme-erp");
	assert_true(k.w.waiting);
	mk_waiter_cancel(fix.b, &k.w);
}

static void stale_service_ends(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	advance(TTL + STALE - 1);
	fails(&k, MK_BACKEND);
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	advance(1);
	fails(&k, MK_BACKEND);
	assert_int_equal(k.err, MK_BACKEND);
}

static void a_stale_value_is_never_served_past_its_expiry(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", "2027-01-01T00:06:00Z"); /* six minutes on */
	advance(TTL);
	fails(&k, MK_TIMEOUT);
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	advance(60000);
	fails(&k, MK_TIMEOUT);
	assert_int_equal(k.err, MK_TIMEOUT);
}

static void an_expired_token_is_asked_for_again_then_refused(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", "2027-01-01T00:00:30Z");
	advance(29999);
	serves("token-one", MK_CACHE_HIT);
	advance(1);
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	assert_true(k.w.waiting);
	answer_with(fix.get.ref, MK_OK, "v1", "token-one", "2027-01-01T00:00:30Z");
	assert_int_equal(k.err, MK_EXPIRED);
	const unsigned asked = fix.gets;
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_EXPIRED);
	assert_int_equal(fix.gets, asked);
	advance(MK_PAUSE_MS);
	serves("token-two", MK_CACHE_MISS);
}

static void a_token_that_the_store_lost_is_not_served(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	advance(TTL);
	fails(&k, MK_NOT_FOUND);
	assert_int_equal(k.err, MK_NOT_FOUND);
	assert_int_equal(mk_store_count(fix.b->store), 0);
}

static void a_disabled_token_is_refused_also_from_memory(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	advance(TTL);
	fails(&k, MK_DISABLED);
	assert_int_equal(k.err, MK_DISABLED);
	const unsigned asked = fix.gets;
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_DISABLED);
	assert_int_equal(fix.gets, asked);
	advance(TTL);
	fails(&k, MK_BACKEND);
	assert_int_not_equal(k.err, MK_OK); /* never served, whatever fails */
}

static void the_previous_version_is_served_where_there_is_one(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	call_get(&k, BILLING_UID, "acme-erp");
	mk_answer_done(&k.a);
	k.ask.previous = true;
	assert_int_equal(mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry), MK_OK);
	pump();
	assert_true(fix.get.previous);
	answer_error(MK_NOT_FOUND);
	assert_int_equal(k.err, MK_NOT_FOUND);
	serves("token-one", MK_CACHE_HIT); /* the current one stays */
	advance(TTL);
	serves("token-two", MK_CACHE_MISS);
	k.w.fetched = false;
	mk_fetch_changed(fix.b, 0);
	assert_int_equal(mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry), MK_OK);
	assert_true(k.w.waiting);
	pump();
	answer_with(fix.get.ref, MK_OK, "v1", "token-one", NULL);
	assert_int_equal(k.err, MK_OK);
	assert_int_equal(k.a.state, MK_STATE_PREVIOUS);
	assert_true(mk_span_is(k.a.token, "token-one"));
	mk_answer_done(&k.a);
}

/* ---- replicas and health ---- */

static void a_backend_that_fails_hands_the_question_to_the_next(void **state)
{
	(void)state;
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	assert_int_equal(fix.get.backend, 0);
	answer_error(MK_TIMEOUT);
	assert_int_equal(fix.get.backend, 1);
	assert_int_equal(k.woken, 0);
	answer_with(fix.refs[0], MK_OK, "v0", "token-too-late", NULL);
	assert_int_equal(k.woken, 0);
	answer_token("v1", "token-one");
	assert_true(mk_span_is(k.a.token, "token-one"));
	mk_answer_done(&k.a);
	assert_int_equal(mk_broker_reasons(fix.b), 0);
}

static void when_all_backends_fail_the_instance_says_so_and_heals_by_itself(void **state)
{
	(void)state;
	struct call k;
	fails(&k, MK_BACKEND);
	assert_int_equal(k.err, MK_BACKEND);
	assert_int_equal(mk_broker_reasons(fix.b), 1u << MK_REASON_BACKEND);
	advance(6000);
	mk_fetch_tick(fix.b);
	pump();
	assert_int_equal(fix.lists, 1);
	answer_names(false, NULL, 0);
	assert_int_equal(mk_broker_reasons(fix.b), 0);
}

static void a_fetcher_may_not_say_what_only_the_policy_can(void **state)
{
	(void)state;
	struct call k;
	fails(&k, MK_DENIED);
	assert_int_equal(k.err, MK_BACKEND);
}

int main(void)
{
#define T(claim) cmocka_unit_test_setup_teardown(claim, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		T(while_the_store_fails_the_last_good_value_is_served_marked_stale),
		T(another_replicas_changes_do_not_make_callers_wait_for_one_that_fails),
		T(stale_service_ends),
		T(a_stale_value_is_never_served_past_its_expiry),
		T(an_expired_token_is_asked_for_again_then_refused),
		T(a_token_that_the_store_lost_is_not_served),
		T(a_disabled_token_is_refused_also_from_memory),
		T(the_previous_version_is_served_where_there_is_one),
		T(a_backend_that_fails_hands_the_question_to_the_next),
		T(when_all_backends_fail_the_instance_says_so_and_heals_by_itself),
		T(a_fetcher_may_not_say_what_only_the_policy_can),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

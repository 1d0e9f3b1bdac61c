/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about those who wait at the gate: one fetch for all, nothing remembered across an
 * await, and no one keeps the others from asking.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate_crowd.h"

#include <errno.h>

#define CROWD 1000

/* ---- single flight ---- */

static struct call crowd[CROWD];

static void a_crowd_at_one_cold_token_makes_one_fetch(void **state)
{
	(void)state;
	for (int i = 0; i < CROWD; i++)
		call_get(&crowd[i], BILLING_UID, "acme-erp");
	assert_int_equal(mk_flights_waiting(fix.b->flights), CROWD);
	pump();
	assert_int_equal(fix.gets, 1);
	answer_token("v1", "token-one");
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(crowd[i].woken, 1);
		assert_int_equal(crowd[i].err, MK_OK);
		assert_int_equal(crowd[i].a.cache, MK_CACHE_MISS);
		mk_answer_done(&crowd[i].a);
	}
	assert_int_equal(fix.gets, 1);
	assert_int_equal(grants(), CROWD);
	assert_int_equal(records("\"event\":\"grant\""), CROWD);
	assert_int_equal(mk_flights_waiting(fix.b->flights), 0);
}

/* A frame that is left, a connection that is freed: who walks the list would go round for ever. */
static void a_waiter_that_is_overwritten_while_it_waits_ends_the_process_at_once(void **state)
{
	int status = 0;
	(void)state;
	call_get(&crowd[0], BILLING_UID, "acme-erp");
	assert_true(crowd[0].w.waiting);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		crowd[0].w = (struct mk_waiter){ 0 };
		mk_flights_free(fix.b->flights);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	mk_waiter_cancel(fix.b, &crowd[0].w);
}

static void one_uid_cannot_have_more_waiters_than_its_limit(void **state)
{
	(void)state;
	fix.b->limits.waiters_per_uid = 3;
	for (int i = 0; i < 3; i++) {
		call_get(&crowd[i], BILLING_UID, "acme-erp");
		assert_true(crowd[i].w.waiting);
	}
	call_get(&crowd[3], BILLING_UID, "acme-crm");
	assert_int_equal(crowd[3].err, MK_RATE_LIMITED);
	mk_waiter_cancel(fix.b, &crowd[1].w);
	call_get(&crowd[3], BILLING_UID, "acme-erp");
	assert_true(crowd[3].w.waiting);
	for (int i = 0; i < 4; i++)
		mk_waiter_cancel(fix.b, &crowd[i].w);
	assert_int_equal(mk_flights_waiting(fix.b->flights), 0);
}

/* Questions go on when who asked has left: they are counted, too. */
static void one_uid_cannot_keep_the_others_from_asking(void **state)
{
	(void)state;
	struct call k;
	char name[32];
	unsigned open = 0;
	warm("v1", "token-one", NULL);
	for (unsigned i = 0; i < 2 * MK_FLIGHTS_MAX; i++) {
		fix.boot += 100; /* within its rate, and long before any answer is late */
		snprintf(name, sizeof name, "acme-%u", i);
		call_get(&k, BILLING_UID, name);
		open += k.w.waiting;
		if (k.w.waiting)
			mk_waiter_cancel(fix.b, &k.w);
		else
			assert_int_equal(k.err, MK_RATE_LIMITED);
	}
	assert_int_equal(open, MK_FLIGHTS_PER_UID);
	struct mk_flight *f = NULL;
	const struct mk_flight_key key = { .kind = MK_FLIGHT_GET, .name = { "acme-0" }, .previous = true };
	assert_int_equal(mk_flight_begin(fix.b->flights, &key, SYNC_UID, &f), MK_OK);
	advance(TTL);
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_OK); /* nothing can be asked: the last good value */
}

static void an_answer_that_nobody_waits_for_changes_nothing(void **state)
{
	(void)state;
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	const struct mk_ref old = fix.get.ref;
	answer_token("v1", "token-one");
	mk_answer_done(&k.a);
	answer_with(old, MK_OK, "v9", "token-of-an-old-question", NULL);
	answer_with((struct mk_ref){ 7, old.gen }, MK_OK, "v9", "token-of-no-question", NULL);
	call_get(&k, BILLING_UID, "acme-erp");
	assert_string_equal(k.a.version, "v1");
	assert_non_null(fix.fetcher); /* late is not wrong: the link stands */
	mk_answer_done(&k.a);
}

static void who_left_is_not_woken(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		call_get(&crowd[i], BILLING_UID, "acme-erp");
	pump();
	mk_waiter_cancel(fix.b, &crowd[1].w);
	answer_token("v1", "token-one");
	assert_int_equal(crowd[0].woken + crowd[2].woken, 2);
	assert_int_equal(crowd[1].woken, 0);
	mk_answer_done(&crowd[0].a);
	mk_answer_done(&crowd[2].a);
}

static void cancels_all(struct mk_waiter *w)
{
	struct call *k = (struct call *)w;
	k->woken++;
	for (int i = 0; i < 3; i++)
		mk_waiter_cancel(fix.b, &crowd[i].w);
}

static void a_woken_one_may_cancel_the_others(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		call_get(&crowd[i], BILLING_UID, "acme-erp");
		crowd[i].w.woken = cancels_all;
	}
	pump();
	answer_token("v1", "token-one");
	assert_int_equal(crowd[0].woken + crowd[1].woken + crowd[2].woken, 1);
	assert_int_equal(mk_flights_waiting(fix.b->flights), 0);
}

static void a_policy_taken_away_while_waiting_denies_after_the_await(void **state)
{
	(void)state;
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	assert_true(k.w.waiting);
	pump();
	swap_in(configuration(2, true));
	answer_token("v1", "token-one");
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_DENIED);
	assert_int_equal(grants(), 0);
}

static void a_fetch_without_an_answer_ends_in_time(void **state)
{
	(void)state;
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	advance(MK_FLIGHT_MS - 1);
	mk_fetch_tick(fix.b);
	assert_int_equal(k.woken, 0);
	advance(1);
	mk_fetch_tick(fix.b);
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_TIMEOUT);
}

static void a_fetcher_that_dies_hands_its_questions_to_the_next(void **state)
{
	(void)state;
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	fetcher_dies();
	assert_true(mk_broker_reasons(fix.b) & 1u << MK_REASON_FETCHER);
	fetcher_comes();
	assert_int_equal(fix.gets, 2);
	answer_token("v1", "token-one");
	assert_int_equal(k.err, MK_OK);
	assert_int_equal(k.woken, 1);
	mk_answer_done(&k.a);
	fetcher_dies();
	call_get(&k, BILLING_UID, "acme-crm");
	assert_true(k.w.waiting);
	advance(MK_FLIGHT_MS);
	mk_fetch_tick(fix.b);
	assert_int_equal(k.err, MK_NOT_READY);
}

int main(void)
{
#define T(claim) cmocka_unit_test_setup_teardown(claim, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		T(a_crowd_at_one_cold_token_makes_one_fetch),
		T(a_waiter_that_is_overwritten_while_it_waits_ends_the_process_at_once),
		T(one_uid_cannot_have_more_waiters_than_its_limit),
		T(one_uid_cannot_keep_the_others_from_asking),
		T(an_answer_that_nobody_waits_for_changes_nothing),
		T(who_left_is_not_woken),
		T(a_woken_one_may_cancel_the_others),
		T(a_policy_taken_away_while_waiting_denies_after_the_await),
		T(a_fetch_without_an_answer_ends_in_time),
		T(a_fetcher_that_dies_hands_its_questions_to_the_next),
	};
	return cmocka_run_group_tests(tests, group_make, NULL);
}

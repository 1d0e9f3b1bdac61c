/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about freshness: what a caller may ask for, what is fetched ahead of time and
 * after a start, and what is remembered to be missing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/gate_fix.h"

#include "agent/broker/ahead.h"

static void ask_for(struct call *k, int64_t max_age_ms, const char *not_version)
{
	*k = (struct call){ .w.woken = call_woken };
	k->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = BILLING_UID, .gid = 1, .pid = 77 };
	k->ask = (struct mk_ask){ .name = { "acme-erp" }, .max_age_ms = max_age_ms, .not_version = not_version };
	k->err = mk_gate_get(fix.b, &k->c, &k->ask, &k->w, &k->a, &k->retry);
	pump();
}

/* Is it answered from memory? Else version and token are what the store answers. */
static bool from_memory(int64_t max_age_ms, const char *not_version, const char *version, const char *token)
{
	struct call k;
	ask_for(&k, max_age_ms, not_version);
	const bool waits = k.w.waiting;
	if (waits)
		answer_token(version, token);
	assert_int_equal(k.err, MK_OK);
	assert_int_equal(k.a.cache, waits ? MK_CACHE_MISS : MK_CACHE_HIT);
	assert_true(!waits || mk_span_is(k.a.token, token));
	mk_answer_done(&k.a);
	return !waits;
}

/* ---- what a caller asks for ---- */

static void what_is_older_than_max_age_is_fetched_again(void **state)
{
	(void)state;
	warm("v1", "token-one", NULL);
	advance(9999);
	assert_true(from_memory(10000, NULL, "", ""));
	advance(1);
	assert_false(from_memory(10000, NULL, "v2", "token-two"));
	assert_true(from_memory(10000, NULL, "", ""));
	advance(TTL);
	assert_false(from_memory(TTL * 10, NULL, "v3", "token-three")); /* it never makes a value good for longer */
}

static void max_age_does_not_reach_the_store_more_than_once_a_second(void **state)
{
	(void)state;
	warm("v1", "token-one", NULL);
	for (unsigned i = 0; i < 50; i++)
		assert_true(from_memory(1, NULL, "", ""));
	assert_int_equal(fix.gets, 1);
	advance(1000);
	assert_false(from_memory(1, NULL, "v1", "token-one"));
}

static void a_store_that_fails_answers_max_age_with_what_there_is_marked_stale(void **state)
{
	struct call k;
	(void)state;
	warm("v1", "token-one", NULL);
	advance(60000);
	ask_for(&k, 10000, NULL);
	answer_error(MK_TIMEOUT);
	answer_error(MK_TIMEOUT);
	assert_int_equal(k.err, MK_OK);
	assert_true(k.a.stale && k.a.age_s == 60);
	mk_answer_done(&k.a);
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_OK); /* who did not ask for it gets it as before */
}

static void a_version_that_was_refused_to_the_caller_is_fetched_past_the_cache(void **state)
{
	(void)state;
	warm("v1", "token-one", NULL);
	advance(1000);
	assert_true(from_memory(0, "v0", "", "")); /* what is held is another one already */
	assert_false(from_memory(0, "v1", "v2", "token-two"));
	assert_true(from_memory(0, "v1", "", ""));
	assert_true(from_memory(0, NULL, "", ""));
}

static void not_does_not_reach_the_store_more_than_once_a_second(void **state)
{
	struct call k[3];
	(void)state;
	warm("v1", "token-one", NULL);
	for (unsigned i = 0; i < 50; i++)
		assert_true(from_memory(0, "v1", "", ""));
	advance(1000);
	for (unsigned i = 0; i < 3; i++)
		ask_for(&k[i], 0, "v1");
	assert_int_equal(fix.gets, 2); /* all in one flight */
	answer_token("v1", "token-one");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(k[i].err, MK_OK); /* the store has no other: the caller sees that by the version */
		mk_answer_done(&k[i].a);
	}
	assert_true(from_memory(0, "v1", "", ""));
}

/* ---- what is missing ---- */

static void missing(enum mk_err want)
{
	struct call k;
	ask_for(&k, 0, NULL);
	if (k.w.waiting)
		answer_error(MK_NOT_FOUND);
	assert_int_equal(k.err, want);
}

static void what_a_store_does_not_have_is_remembered_for_five_seconds(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		missing(MK_NOT_FOUND);
	assert_int_equal(fix.gets, 1);
	assert_int_equal(once(SYNC_UID, "acme-erp"), MK_DENIED); /* only to those who may know */
	advance(MK_MISSING_MS);
	missing(MK_NOT_FOUND);
	assert_int_equal(fix.gets, 2);
	advance(1000);
	assert_false(from_memory(1000, NULL, "v1", "token-one")); /* max_age holds for it, too */
	assert_true(from_memory(0, NULL, "", ""));
}

static void a_change_of_the_store_forgets_what_was_missing(void **state)
{
	(void)state;
	missing(MK_NOT_FOUND);
	mk_fetch_changed(fix.b, 1);
	assert_false(from_memory(0, NULL, "v1", "token-one"));
}

static void an_answer_from_before_a_change_is_not_remembered(void **state)
{
	struct call k;
	(void)state;
	ask_for(&k, 0, NULL);
	mk_fetch_changed(fix.b, 0);
	answer_error(MK_NOT_FOUND);
	assert_int_equal(k.err, MK_NOT_FOUND);
	assert_false(from_memory(0, NULL, "v1", "token-one"));
}

static void names_that_are_made_up_take_no_room(void **state)
{
	struct mk_missing *m = NULL;
	struct mk_name name = { "first" };
	unsigned known = 0;
	(void)state;
	assert_int_equal(mk_missing_new(&m), MK_OK);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name.s, sizeof name.s, "acme-%u", i);
		mk_missing_add(m, &name, false, i);
		assert_true(mk_missing_known(m, &name, false, i, 1));
		assert_false(mk_missing_known(m, &name, true, i, 1));
	}
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name.s, sizeof name.s, "acme-%u", i);
		known += mk_missing_known(m, &name, false, 100000, 100001);
	}
	assert_in_range(known, 512, 1024);
	mk_missing_clear(m);
	assert_false(mk_missing_known(m, &name, false, 100000, 100001));
	mk_missing_free(m);
}

/* ---- ahead of time ---- */

static void ticks(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		mk_fetch_tick(fix.b);
		mk_ahead_tick(fix.b);
		pump();
	}
}

static void what_was_handed_out_is_fetched_again_before_it_ends(void **state)
{
	(void)state;
	warm("v1", "token-one", NULL);
	advance(TTL / 2 - 1);
	ticks(16);
	assert_int_equal(fix.gets, 1);
	advance(TTL / 10 * 3 + 1);
	ticks(16);
	assert_int_equal(fix.gets, 2);
	assert_true(from_memory(0, NULL, "", "")); /* callers do not notice */
	answer_token("v2", "token-two");
	assert_true(from_memory(0, "v1", "", ""));
	const unsigned asked = fix.gets;
	advance(TTL / 10 * 9);
	assert_true(from_memory(0, NULL, "", ""));
	ticks(16);
	assert_int_equal(fix.gets, asked + 1);
	answer_token("v3", "token-three");
	advance(TTL / 10 * 9); /* nobody asked since: it is let go */
	ticks(16);
	assert_int_equal(fix.gets, asked + 1);
}

static void a_refresh_that_fails_is_not_repeated_at_once(void **state)
{
	(void)state;
	warm("v1", "token-one", NULL);
	advance(TTL / 10 * 9);
	ticks(16);
	answer_error(MK_BACKEND);
	answer_token("v1", "token-one"); /* the second replica works */
	assert_int_equal(fix.gets, 3);
	assert_true(from_memory(0, NULL, "", ""));
	advance(TTL / 10 * 9);
	ticks(16);
	answer_error(MK_BACKEND);
	answer_error(MK_BACKEND);
	const unsigned asked = fix.gets;
	ticks(32); /* all stores fail: only the probe asks */
	assert_int_equal(fix.gets, asked);
	assert_int_equal(fix.lists, 1);
}

static void prefetching(bool on)
{
	struct mk_pending *p = configuration(fix.b->generation + 1, false);
	p->limits.refresh.prefetch = on;
	swap_in(p);
}

static void what_policy_can_hand_out_is_fetched_after_a_start(void **state)
{
	static const char *const names[] = { "acme-crm", "acme-erp", "acme-payroll", "globex-erp" };
	(void)state;
	prefetching(true);
	ticks(1);
	assert_int_equal(fix.lists, 1);
	answer_names(false, names, 4);
	ticks(1);
	assert_int_equal(fix.gets, 2); /* what is denied, or that no rule names, stays where it is */
	answer_with(fix.refs[0], MK_OK, "v1", "token-crm", NULL);
	answer_with(fix.refs[1], MK_OK, "v1", "token-erp", NULL);
	ticks(4);
	assert_int_equal(fix.gets, 2);
	assert_true(from_memory(0, NULL, "", ""));
	assert_int_equal(grants(), 1); /* a hand-out is recorded, a prefetch is none */
}

static void a_prefetch_goes_on_few_at_a_time_and_callers_do_not_wait_for_it(void **state)
{
	static char text[32][16];
	const char *names[32];
	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		snprintf(text[i], sizeof text[i], "acme-x%02u", i);
		names[i] = text[i];
	}
	prefetching(true);
	ticks(1);
	answer_names(false, names, 32);
	ticks(8);
	assert_int_equal(fix.gets, 4); /* none is answered: no more are asked */
	struct call k;
	ask_for(&k, 0, NULL);
	assert_int_equal(fix.gets, 5);
	answer_token("v1", "token-one");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	answer_with(fix.refs[0], MK_OK, "v1", "token-x", NULL);
	ticks(2);
	assert_int_equal(fix.gets, 6);
}

static void without_prefetch_nothing_is_asked_after_a_start(void **state)
{
	(void)state;
	prefetching(false);
	ticks(8);
	assert_int_equal(fix.lists + fix.gets, 0);
}

static void a_store_that_gives_no_names_is_not_thought_to_fail(void **state)
{
	(void)state;
	prefetching(true);
	ticks(1);
	for (unsigned i = 0; i < 2; i++) {
		static uint8_t body[64];
		size_t n = 0;
		const struct mk_msg_listed m = { .ref = fix.list.ref, .err = MK_BACKEND };
		struct mk_wr w = mk_wr_of(body, sizeof body);
		mk_msg_listed_write(&w, &m);
		assert_int_equal(mk_wr_end(&w, &n), MK_OK);
		assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_LIST_DONE, mk_span(body, n), -1), MK_OK);
		pump();
	}
	assert_int_equal(fix.lists, 2);
	assert_int_equal(mk_broker_reasons(fix.b), 0);
	ticks(4);
	assert_int_equal(fix.lists, 2); /* nor asked again and again */
}

static void stores_that_come_back_are_noticed_soon(void **state)
{
	struct call k;
	(void)state;
	fails(&k, MK_TIMEOUT);
	assert_int_equal(mk_broker_reasons(fix.b), 1u << MK_REASON_BACKEND);
	ticks(1);
	assert_int_equal(fix.lists, 1);
	answer_names(false, NULL, 0);
	assert_int_equal(mk_broker_reasons(fix.b), 0);
}

int main(void)
{
#define T(claim) cmocka_unit_test_setup_teardown(claim, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		T(what_is_older_than_max_age_is_fetched_again),
		T(max_age_does_not_reach_the_store_more_than_once_a_second),
		T(a_store_that_fails_answers_max_age_with_what_there_is_marked_stale),
		T(a_version_that_was_refused_to_the_caller_is_fetched_past_the_cache),
		T(not_does_not_reach_the_store_more_than_once_a_second),
		T(what_a_store_does_not_have_is_remembered_for_five_seconds),
		T(a_change_of_the_store_forgets_what_was_missing),
		T(an_answer_from_before_a_change_is_not_remembered),
		T(names_that_are_made_up_take_no_room),
		T(what_was_handed_out_is_fetched_again_before_it_ends),
		T(a_refresh_that_fails_is_not_repeated_at_once),
		T(what_policy_can_hand_out_is_fetched_after_a_start),
		T(a_prefetch_goes_on_few_at_a_time_and_callers_do_not_wait_for_it),
		T(without_prefetch_nothing_is_asked_after_a_start),
		T(a_store_that_gives_no_names_is_not_thought_to_fail),
		T(stores_that_come_back_are_noticed_soon),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about telling: who waits is woken by a change of what he waits for, and decided anew;
 * a stream is told what its caller may know, in order, or that it missed something.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tell_kit.h"

static void poll_for(struct call *k, int64_t wait_ms)
{
	*k = (struct call){ .w.woken = call_woken };
	k->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = BILLING_UID, .gid = BILLING_UID, .pid = 77 };
	k->ask = (struct mk_ask){ .name = erp, .wait_ms = wait_ms, .if_none_match = mk_span_of(tag) };
	k->err = mk_gate_get(fix.b, &k->c, &k->ask, &k->w, &k->a, &k->retry);
}

static void poll_of_known(struct call *k, int64_t wait_ms)
{
	known(NULL);
	poll_for(k, wait_ms);
}

static void a_poll_waits_for_its_time_and_then_has_nothing_new(void **state)
{
	struct call k;
	(void)state;
	poll_of_known(&k, 5000);
	assert_true(k.w.waiting);
	assert_int_equal(mk_tell_waiting(fix.b), 1);
	passes(4900);
	assert_int_equal(k.woken, 0);
	passes(200);
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_OK);
	assert_true(k.a.not_modified);
	assert_int_equal(mk_tell_waiting(fix.b), 0);
	assert_int_equal(records("\"event\":\"grant\""), 2); /* those of known() */
}

static void a_poll_is_woken_by_the_next_version(void **state)
{
	struct call k;
	(void)state;
	poll_of_known(&k, 60000);
	mk_fetch_changed(fix.b, 0);
	const unsigned gets = fix.gets;
	pump();
	assert_int_equal(fix.gets, gets + 1); /* what is followed is fetched at once */
	answer_token("v2", "token-two");
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_OK);
	assert_true(mk_span_is(k.a.token, "token-two"));
	mk_answer_done(&k.a);
}

static void the_same_version_again_wakes_nobody(void **state)
{
	struct call k;
	(void)state;
	poll_of_known(&k, 60000);
	store_changed();
	answer_token("v1", "token-one");
	assert_int_equal(k.woken, 0);
	mk_waiter_cancel(fix.b, &k.w);
	assert_int_equal(mk_tell_waiting(fix.b), 0);
}

static void a_failing_store_is_no_change_and_a_missing_token_is(void **state)
{
	struct call k;
	(void)state;
	poll_of_known(&k, 60000);
	store_changed();
	answer_error(MK_BACKEND); /* of the first; the second is asked */
	answer_error(MK_BACKEND);
	assert_int_equal(k.woken, 0);
	passes(2000);
	mk_fetch_tick(fix.b); /* a look whether the stores are there again */
	pump();
	answer_names(false, NULL, 0);
	passes(1000);
	pump();
	answer_error(MK_NOT_FOUND);
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_NOT_FOUND);
}

static void a_poll_ends_with_its_right(void **state)
{
	struct call k;
	(void)state;
	poll_of_known(&k, 60000);
	swap_in(configuration(2, true));
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_DENIED);
}

static void after_a_reload_that_changes_nothing_for_it_a_poll_goes_on(void **state)
{
	struct call k;
	(void)state;
	poll_of_known(&k, 60000);
	swap_in(configuration(2, false));
	fetcher_comes();
	if (!k.w.waiting || k.woken == 1)
		answer_token("v1", "token-one"); /* stores may be others after a reload: it is asked again */
	assert_int_equal(k.err, MK_OK);
	assert_true(k.w.waiting);
	passes(61000);
	assert_true(k.a.not_modified);
	assert_false(k.w.waiting);
}

static void a_poll_ends_when_its_token_does(void **state)
{
	char expires[MK_RFC3339_MAX];
	struct call k;
	(void)state;
	mk_rfc3339(fix.wall + 20000, false, expires);
	known(expires);
	poll_for(&k, 60000);
	passes(19000);
	assert_int_equal(k.woken, 0);
	passes(3000);
	pump();
	if (k.w.waiting)
		answer_with(fix.get.ref, MK_OK, "v1", "token-one", expires);
	assert_int_equal(k.err, MK_EXPIRED);
}

static void polls_of_one_uid_have_a_limit_and_a_cancelled_one_counts_no_more(void **state)
{
	static struct call k[4];
	(void)state;
	known(NULL);
	fix.b->limits.waiters_per_uid = 3;
	for (size_t i = 0; i < 3; i++) {
		poll_for(&k[i], 60000);
		assert_true(k[i].w.waiting);
	}
	poll_for(&k[3], 60000);
	assert_int_equal(k[3].err, MK_RATE_LIMITED);
	mk_waiter_cancel(fix.b, &k[1].w);
	poll_for(&k[3], 60000);
	assert_true(k[3].w.waiting);
	mk_tell_drain(fix.b); /* they decide anew, and may wait again */
	assert_int_equal(k[0].woken, 1);
	assert_true(k[0].w.waiting);
	fix.b->draining = true;
	mk_tell_drain(fix.b);
	assert_int_equal(k[0].woken, 2);
	assert_false(k[0].w.waiting);
	assert_true(k[0].a.not_modified);
}

static void a_stream_hears_of_its_names_in_order_and_is_woken_once(void **state)
{
	struct listener l;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	assert_int_equal(records("\"event\":\"watch\""), 1);
	hears_nothing(&l);
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &erp, "v2");
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &crm, "v9");
	pump();
	assert_int_equal(l.woken, 1);
	mk_tell_event(fix.b, MK_TOLD_REVOKED, &erp, NULL);
	pump();
	assert_int_equal(l.woken, 1); /* it has not said that it is done */
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v2");
	hears(&l, MK_TOLD_REVOKED, "acme-erp", "");
	hears_nothing(&l);
	mk_tell_event(fix.b, MK_TOLD_RESTORED, &erp, "v2");
	pump();
	assert_int_equal(l.woken, 2);
	hears(&l, MK_TOLD_RESTORED, "acme-erp", "v2");
	mk_watcher_leave(fix.b, &l.w);
	assert_int_equal(mk_tell_watchers(fix.b), 0);
	assert_int_equal(records("\"event\":\"watch\""), 1);
}

static void a_stream_of_all_hears_only_what_its_caller_may_know(void **state)
{
	struct listener l, other;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 0), MK_OK);
	assert_int_equal(listen_to(&other, SYNC_UID, "", 0), MK_DENIED);
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &payroll, "v2"); /* denied to it */
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &(struct mk_name){ "globex-erp" }, "v3");
	hears_nothing(&l);
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &erp, "v4"); /* the control */
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v4");
	swap_in(configuration(2, true));
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &erp, "v5");
	hears_nothing(&l);
	mk_watcher_leave(fix.b, &l.w);
}

static void a_stream_that_names_what_it_may_not_watch_is_denied_and_one_that_loses_it_may_not_stay(void **state)
{
	struct listener l, all;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 2, "acme-erp", "acme-payroll"), MK_DENIED);
	assert_int_equal(mk_tell_watchers(fix.b), 0);
	assert_int_equal(listen_to(&l, BILLING_UID, "", 2, "acme-erp", "acme-crm"), MK_OK);
	assert_true(mk_watcher_may_stay(fix.b, &l.c, &l.w));
	assert_int_equal(listen_to(&all, BILLING_UID, "", 0), MK_OK);
	assert_true(mk_watcher_may_stay(fix.b, &all.c, &all.w));
	swap_in(configuration(2, true));
	l.c.generation = all.c.generation = 0;
	assert_false(mk_watcher_may_stay(fix.b, &l.c, &l.w));
	assert_false(mk_watcher_may_stay(fix.b, &all.c, &all.w)); /* nor one of all, where that is nothing any more */
	mk_watcher_leave(fix.b, &l.w);
	mk_watcher_leave(fix.b, &all.w);
}

static void one_that_does_not_read_gets_one_resync_and_then_what_is_new(void **state)
{
	struct listener l;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	for (unsigned i = 0; i < MK_EVENTS_KEPT + 10; i++)
		mk_tell_event(fix.b, MK_TOLD_ROTATED, &erp, "v2");
	hears(&l, MK_TOLD_RESYNC, "", "");
	hears_nothing(&l);
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &erp, "v3");
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v3");
	mk_watcher_leave(fix.b, &l.w);
}

static void one_that_comes_back_goes_on_or_hears_that_it_missed_something(void **state)
{
	struct listener l;
	char id[MK_EVENT_ID_MAX];
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	mk_watcher_id(fix.b, mk_watcher_read_up_to(&l.w), id);
	mk_watcher_leave(fix.b, &l.w);
	mk_tell_event(fix.b, MK_TOLD_ROTATED, &erp, "v2");
	assert_int_equal(listen_to(&l, BILLING_UID, id, 1, "acme-erp"), MK_OK);
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v2");
	hears_nothing(&l);
	mk_watcher_leave(fix.b, &l.w);
	assert_int_equal(listen_to(&l, BILLING_UID, "0123456789abcdef-1", 1, "acme-erp"), MK_OK);
	hears(&l, MK_TOLD_RESYNC, "", "");
	hears_nothing(&l);
	mk_watcher_leave(fix.b, &l.w);
}

static void streams_have_the_limit_that_polls_have(void **state)
{
	static struct listener l[3];
	(void)state;
	fix.b->limits.waiters_per_uid = 2;
	assert_int_equal(listen_to(&l[0], BILLING_UID, "", 0), MK_OK);
	assert_int_equal(listen_to(&l[1], BILLING_UID, "", 1, "acme-erp"), MK_OK);
	assert_int_equal(listen_to(&l[2], BILLING_UID, "", 1, "acme-crm"), MK_RATE_LIMITED);
	mk_watcher_leave(fix.b, &l[0].w);
	assert_int_equal(listen_to(&l[2], BILLING_UID, "", 1, "acme-crm"), MK_OK);
	mk_watcher_leave(fix.b, &l[1].w);
	mk_watcher_leave(fix.b, &l[2].w);
}

static void no_record_no_stream(void **state)
{
	struct listener l;
	(void)state;
	log_is_full(true);
	assert_int_equal(listen_to(&l, BILLING_UID, "", 0), MK_AUDIT);
	log_is_full(false);
	assert_int_equal(mk_tell_watchers(fix.b), 0);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, fix_make, fix_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_poll_waits_for_its_time_and_then_has_nothing_new),
		CLAIM(a_poll_is_woken_by_the_next_version),
		CLAIM(the_same_version_again_wakes_nobody),
		CLAIM(a_failing_store_is_no_change_and_a_missing_token_is),
		CLAIM(a_poll_ends_with_its_right),
		CLAIM(after_a_reload_that_changes_nothing_for_it_a_poll_goes_on),
		CLAIM(a_poll_ends_when_its_token_does),
		CLAIM(polls_of_one_uid_have_a_limit_and_a_cancelled_one_counts_no_more),
		CLAIM(a_stream_hears_of_its_names_in_order_and_is_woken_once),
		CLAIM(a_stream_of_all_hears_only_what_its_caller_may_know),
		CLAIM(a_stream_that_names_what_it_may_not_watch_is_denied_and_one_that_loses_it_may_not_stay),
		CLAIM(one_that_does_not_read_gets_one_resync_and_then_what_is_new),
		CLAIM(one_that_comes_back_goes_on_or_hears_that_it_missed_something),
		CLAIM(streams_have_the_limit_that_polls_have),
		CLAIM(no_record_no_stream),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

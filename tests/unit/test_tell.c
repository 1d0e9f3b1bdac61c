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

#include "gate_fix.h"

#include "agent/broker/tell_part.h"

static const struct mk_name erp = { "acme-erp" }, crm = { "acme-crm" }, payroll = { "acme-payroll" };
static char tag[MK_ETAG_MAX + 2];

/* acme-erp at v1, and its tag. */
static void known(const char *expires)
{
	struct call k;
	warm("v1", "token-one", expires);
	call_get(&k, BILLING_UID, "acme-erp");
	assert_int_equal(k.err, MK_OK);
	snprintf(tag, sizeof tag, "\"%s\"", k.a.etag);
	mk_answer_done(&k.a);
}

static void poll_for(struct call *k, int64_t wait_ms)
{
	*k = (struct call){ .w.woken = call_woken };
	k->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = BILLING_UID, .gid = BILLING_UID, .pid = 77 };
	k->ask = (struct mk_ask){ .name = erp, .wait_ms = wait_ms, .if_none_match = mk_span_of(tag) };
	k->err = mk_gate_get(fix.b, &k->c, &k->ask, &k->w, &k->a, &k->retry);
}

static void passes(int64_t ms)
{
	for (; ms > 0; ms -= 1000) {
		advance(ms < 1000 ? ms : 1000);
		mk_tell_tick(fix.b);
	}
}

static void a_poll_waits_for_its_time_and_then_has_nothing_new(void **state)
{
	struct call k;
	(void)state;
	known(NULL);
	poll_for(&k, 5000);
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
	known(NULL);
	poll_for(&k, 60000);
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
	known(NULL);
	poll_for(&k, 60000);
	mk_fetch_changed(fix.b, 0);
	pump();
	answer_token("v1", "token-one");
	assert_int_equal(k.woken, 0);
	mk_waiter_cancel(fix.b, &k.w);
	assert_int_equal(mk_tell_waiting(fix.b), 0);
}

static void a_failing_store_is_no_change_and_a_missing_token_is(void **state)
{
	struct call k;
	(void)state;
	known(NULL);
	poll_for(&k, 60000);
	mk_fetch_changed(fix.b, 0);
	pump();
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
	known(NULL);
	poll_for(&k, 60000);
	swap_in(configuration(2, true));
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_DENIED);
}

static void after_a_reload_that_changes_nothing_for_it_a_poll_goes_on(void **state)
{
	struct call k;
	(void)state;
	known(NULL);
	poll_for(&k, 60000);
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

/* ---- streams ---- */

struct listener {
	struct mk_watcher w;
	struct mk_caller c;
	struct mk_waiter wait;
	struct mk_name names[4];
	unsigned woken;
};

static void listener_woken(struct mk_watcher *w)
{
	((struct listener *)w)->woken++;
}

static void wait_woken(struct mk_waiter *w)
{
	(void)w;
}

static enum mk_err listen_to(struct listener *l, uid_t uid, const char *last_id, size_t n, ...)
{
	va_list names;
	*l = (struct listener){ .w.woken = listener_woken, .wait.woken = wait_woken };
	l->w.names = l->names;
	l->w.n = n;
	va_start(names, n);
	for (size_t i = 0; i < n; i++)
		snprintf(l->names[i].s, sizeof l->names[i].s, "%s", va_arg(names, const char *));
	va_end(names);
	l->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = uid, .gid = uid, .pid = 77 };
	const struct mk_watch_ask ask = { .last_id = mk_span_of(last_id) };
	unsigned retry = 0;
	return mk_gate_watch(fix.b, &l->c, &ask, &l->wait, &l->w, &retry);
}

static void hears(struct listener *l, enum mk_told kind, const char *name, const char *version)
{
	struct mk_event e;
	pump();
	assert_true(mk_watcher_next(fix.b, &l->c, &l->w, &e));
	assert_int_equal(e.kind, kind);
	assert_string_equal(e.name.s, name);
	assert_string_equal(e.version, version);
}

static void hears_nothing(struct listener *l)
{
	struct mk_event e;
	pump();
	assert_false(mk_watcher_next(fix.b, &l->c, &l->w, &e));
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

static void what_is_named_is_fetched_kept_fresh_and_told(void **state)
{
	struct listener l;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	pump();
	assert_int_equal(fix.gets, 1);
	assert_string_equal(fix.get.name.s, "acme-erp");
	answer_error(MK_NOT_FOUND);
	hears_nothing(&l);
	passes(4000);
	pump();
	assert_int_equal(fix.gets, 1); /* it is not asked for all the time */
	mk_fetch_changed(fix.b, 0);
	pump();
	assert_int_equal(fix.gets, 2);
	answer_token("v1", "token-one");
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v1");
	mk_fetch_changed(fix.b, 0);
	pump();
	answer_error(MK_DISABLED);
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "");
	mk_fetch_changed(fix.b, 0);
	pump();
	answer_token("v1", "token-one");
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v1");
	assert_true(mk_tell_follows(fix.b, &erp));
	mk_watcher_leave(fix.b, &l.w);
	assert_false(mk_tell_follows(fix.b, &erp));
	const unsigned gets = fix.gets;
	mk_fetch_changed(fix.b, 0);
	pump();
	assert_int_equal(fix.gets, gets);
}

static void what_is_seen_for_the_first_time_is_no_news(void **state)
{
	struct listener l;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 0), MK_OK);
	warm("v1", "token-one", NULL);
	hears_nothing(&l);
	mk_fetch_changed(fix.b, 0);
	pump(); /* it is held, and somebody listens to all: it is fetched */
	answer_token("v2", "token-two");
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v2");
	mk_fetch_changed(fix.b, 0);
	pump();
	answer_error(MK_NOT_FOUND);
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "");
	mk_fetch_changed(fix.b, 0);
	pump();
	answer_token("v2", "token-two"); /* the same once more, after there was none */
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v2");
	mk_watcher_leave(fix.b, &l.w);
}

/* A stream read all and went away; what comes next is for when it is back. */
static void leaves(struct listener *l, char id[MK_EVENT_ID_MAX])
{
	hears_nothing(l);
	mk_watcher_id(fix.b, mk_watcher_read_up_to(&l->w), id);
	mk_watcher_leave(fix.b, &l->w);
}

static void what_went_and_came_while_nobody_listened_is_told_to_who_comes_back(void **state)
{
	static const size_t named[] = { 1, 0 };
	struct listener l;
	char id[MK_EVENT_ID_MAX];
	(void)state;
	warm("v1", "token-one", NULL);
	for (size_t i = 0; i < MK_COUNT(named); i++) {
		assert_int_equal(listen_to(&l, BILLING_UID, "", named[i], "acme-erp"), MK_OK);
		mk_fetch_changed(fix.b, 0);
		pump();
		answer_error(MK_NOT_FOUND);
		hears(&l, MK_TOLD_ROTATED, "acme-erp", "");
		leaves(&l, id);
		mk_fetch_changed(fix.b, 0);
		warm("v2", "token-two", NULL);
		assert_int_equal(listen_to(&l, BILLING_UID, id, named[i], "acme-erp"), MK_OK);
		hears(&l, MK_TOLD_ROTATED, "acme-erp", "v2");
		hears_nothing(&l);
		mk_watcher_leave(fix.b, &l.w);
	}
}

static void what_was_forgotten_meanwhile_is_a_resync_for_who_comes_back(void **state)
{
	struct listener l;
	char id[MK_EVENT_ID_MAX];
	(void)state;
	warm("v1", "token-one", NULL);
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	leaves(&l, id);
	assert_int_equal(listen_to(&l, BILLING_UID, id, 1, "acme-erp"), MK_OK);
	leaves(&l, id);                                       /* the control: nothing was missed */
	mk_store_remove(fix.b->store, &erp, MK_SLOT_CURRENT); /* as what is too old to be served */
	mk_tell_let_go(fix.b);
	warm("v2", "token-two", NULL);
	assert_int_equal(listen_to(&l, BILLING_UID, id, 1, "acme-erp"), MK_OK);
	hears(&l, MK_TOLD_RESYNC, "", "");
	mk_watcher_leave(fix.b, &l.w);
}

static void all_flights_bring(enum mk_err e)
{
	for (;;) {
		size_t at = 0;
		const struct mk_flight *f = mk_flight_each(fix.b->flights, &at);
		if (!f)
			return;
		answer_with((struct mk_ref){ (uint32_t)at - 1, f->question }, e, "", "", NULL);
	}
}

/* Anybody may watch names that never come, and a store is not to be paid for each: so many a look, and each in its turn. */
static void names_that_never_come_are_asked_for_so_many_at_a_time(void **state)
{
	enum { STREAMS = 200, LOOKS = 30, A_LOOK = 64 };
	static struct listener l[STREAMS];
	char names[4][16];
	(void)state;
	for (unsigned i = 0; i < STREAMS; i++) {
		for (unsigned k = 0; k < 4; k++)
			snprintf(names[k], sizeof names[k], "acme-%ux%u", i, k);
		assert_int_equal(listen_to(&l[i], BILLING_UID, "", 4, names[0], names[1], names[2], names[3]), MK_OK);
	}
	pump();
	all_flights_bring(MK_NOT_FOUND);
	assert_int_equal(fix.gets, 4 * STREAMS); /* at first each of them */
	const unsigned gets = fix.gets;
	const int64_t from = fix.boot + 1;
	for (unsigned i = 0; i < LOOKS; i++) {
		passes(5000);
		pump();
		all_flights_bring(MK_NOT_FOUND);
	}
	assert_in_range(fix.gets - gets, 4 * STREAMS, LOOKS * A_LOOK); /* each every 30 s would be more */
	for (unsigned i = 0; i < STREAMS; i++) {
		for (unsigned k = 0; k < 4; k++)
			assert_true(mk_followed_find(fix.b->tell, &l[i].names[k])->asked_ms > from);
		mk_watcher_leave(fix.b, &l[i].w);
	}
}

static void a_full_index_makes_room_and_says_so_to_who_comes_back(void **state)
{
	struct listener l;
	struct mk_name name;
	char id[MK_EVENT_ID_MAX];
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-crm"), MK_OK);
	leaves(&l, id);
	for (unsigned i = 0; i <= MK_TELL_NAMES_MAX; i++) {
		snprintf(name.s, sizeof name.s, "acme-%u", i);
		mk_tell_event(fix.b, MK_TOLD_REVOKED, &name, NULL);
	}
	assert_in_range(fix.b->tell->n_followed, 1, MK_TELL_NAMES_MAX);
	assert_int_equal(listen_to(&l, BILLING_UID, id, 1, "acme-crm"), MK_OK);
	hears(&l, MK_TOLD_RESYNC, "", "");
	mk_watcher_leave(fix.b, &l.w);
}

static void after_a_revocation_the_next_good_version_is_told(void **state)
{
	struct listener l;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 0), MK_OK);
	warm("v1", "token-one", NULL);
	mk_tell_event(fix.b, MK_TOLD_REVOKED, &erp, "v1");
	mk_store_remove(fix.b->store, &erp, MK_SLOT_CURRENT); /* as who revokes does */
	hears(&l, MK_TOLD_REVOKED, "acme-erp", "v1");
	warm("v2", "token-two", NULL);
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v2");
	mk_watcher_leave(fix.b, &l.w);
}

static void a_tenth_of_its_life_before_its_end_a_token_is_told_to_expire(void **state)
{
	char expires[MK_RFC3339_MAX];
	struct listener l;
	(void)state;
	mk_rfc3339(fix.wall + 100000, false, expires);
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	pump();
	answer_with(fix.get.ref, MK_OK, "v1", "token-one", expires);
	passes(89000);
	hears_nothing(&l);
	passes(2000);
	hears(&l, MK_TOLD_EXPIRING, "acme-erp", "v1");
	passes(20000);
	hears_nothing(&l);
	mk_watcher_leave(fix.b, &l.w);
}

static void a_clock_that_is_set_back_or_stands_neither_delays_nor_repeats_that(void **state)
{
	char expires[MK_RFC3339_MAX];
	struct listener l;
	(void)state;
	mk_rfc3339(fix.wall + 100000, false, expires);
	assert_int_equal(listen_to(&l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	pump();
	answer_with(fix.get.ref, MK_OK, "v1", "token-one", expires);
	passes(50000);
	fix.wall -= INT64_C(365) * 86400000;
	passes(35000);
	hears_nothing(&l);
	passes(10000);
	hears(&l, MK_TOLD_EXPIRING, "acme-erp", "v1");
	fix.wall += INT64_C(365) * 86400000 - 40000;
	passes(100000);
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
		CLAIM(what_is_named_is_fetched_kept_fresh_and_told),
		CLAIM(what_is_seen_for_the_first_time_is_no_news),
		CLAIM(what_went_and_came_while_nobody_listened_is_told_to_who_comes_back),
		CLAIM(what_was_forgotten_meanwhile_is_a_resync_for_who_comes_back),
		CLAIM(names_that_never_come_are_asked_for_so_many_at_a_time),
		CLAIM(a_full_index_makes_room_and_says_so_to_who_comes_back),
		CLAIM(after_a_revocation_the_next_good_version_is_told),
		CLAIM(a_tenth_of_its_life_before_its_end_a_token_is_told_to_expire),
		CLAIM(a_clock_that_is_set_back_or_stands_neither_delays_nor_repeats_that),
		CLAIM(streams_have_the_limit_that_polls_have),
		CLAIM(no_record_no_stream),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

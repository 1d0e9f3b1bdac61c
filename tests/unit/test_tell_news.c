/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about what is news: versions that come, go and come again, what was forgotten meanwhile,
 * and ends that draw near.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tell_kit.h"

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
	store_changed();
	assert_int_equal(fix.gets, 2);
	answer_token("v1", "token-one");
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v1");
	store_changed();
	answer_error(MK_DISABLED);
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "");
	store_changed();
	answer_token("v1", "token-one");
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v1");
	assert_true(mk_tell_follows(fix.b, &erp));
	mk_watcher_leave(fix.b, &l.w);
	assert_false(mk_tell_follows(fix.b, &erp));
	const unsigned gets = fix.gets;
	store_changed();
	assert_int_equal(fix.gets, gets);
}

static void what_is_seen_for_the_first_time_is_no_news(void **state)
{
	struct listener l;
	(void)state;
	assert_int_equal(listen_to(&l, BILLING_UID, "", 0), MK_OK);
	warm("v1", "token-one", NULL);
	hears_nothing(&l);
	store_changed(); /* it is held, and somebody listens to all: it is fetched */
	answer_token("v2", "token-two");
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "v2");
	store_changed();
	answer_error(MK_NOT_FOUND);
	hears(&l, MK_TOLD_ROTATED, "acme-erp", "");
	store_changed();
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
		store_changed();
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

/* A stream of acme-erp, whose token ends in so long. */
static void hears_of_an_end(struct listener *l, int64_t in_ms)
{
	char expires[MK_RFC3339_MAX];
	mk_rfc3339(fix.wall + in_ms, false, expires);
	assert_int_equal(listen_to(l, BILLING_UID, "", 1, "acme-erp"), MK_OK);
	pump();
	answer_with(fix.get.ref, MK_OK, "v1", "token-one", expires);
}

static void a_tenth_of_its_life_before_its_end_a_token_is_told_to_expire(void **state)
{
	struct listener l;
	(void)state;
	hears_of_an_end(&l, 100000);
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
	struct listener l;
	(void)state;
	hears_of_an_end(&l, 100000);
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

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, fix_make, fix_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(what_is_named_is_fetched_kept_fresh_and_told),
		CLAIM(what_is_seen_for_the_first_time_is_no_news),
		CLAIM(what_went_and_came_while_nobody_listened_is_told_to_who_comes_back),
		CLAIM(what_was_forgotten_meanwhile_is_a_resync_for_who_comes_back),
		CLAIM(names_that_never_come_are_asked_for_so_many_at_a_time),
		CLAIM(a_full_index_makes_room_and_says_so_to_who_comes_back),
		CLAIM(after_a_revocation_the_next_good_version_is_told),
		CLAIM(a_tenth_of_its_life_before_its_end_a_token_is_told_to_expire),
		CLAIM(a_clock_that_is_set_back_or_stands_neither_delays_nor_repeats_that),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

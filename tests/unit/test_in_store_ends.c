/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls into stores end exactly once, whatever a fetcher does: later acts overtake them, answers stay
 * away, fetchers and callers go.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "in_store_kit.h"

/* Whichever verb came last is what the store is left with. */
static void a_later_act_overtakes_what_was_not_asked_yet(enum mk_verb first, enum mk_verb then)
{
	static const char *const names[] = { "acme-1", "acme-2", "acme-3", "acme-4", "acme-5", "acme-6", "acme-7", "acme-8", "acme-9" };
	struct mk_in_store *older;
	writable(true, false);
	begin_of(first, names, MK_COUNT(names));
	assert_int_equal(fix.writes, MK_IN_STORE_AT_ONCE); /* all but acme-9 */
	older = job;
	const struct mk_ref open = fix.write[0].ref;
	begin(then, "acme-1");
	assert_int_equal(fix.writes, 0); /* not while the store may take the two in any order */
	fix.write[0].ref = open;
	fix.writes = 1;
	well(0, "1");
	assert_true(fix.writes == 3 && fix.write[1].verb == then && fix.write[2].verb == first);
	assert_string_equal(fix.write[1].name.s, "acme-1");
	assert_string_equal(fix.write[2].name.s, "acme-9");
	well(1, "1");
	assert_int_equal(told, 1);
	job = mk_in_store_free(job);
	fetcher_dies(); /* those that are open would be asked again */
	for (size_t i = 1; i < MK_COUNT(names); i++) {
		struct mk_name name;
		assert_int_equal(mk_name_of(mk_span_of(names[i]), &name), MK_OK);
		revoked(&name, then == MK_VERB_DISABLE);
	}
	fix.writes = 0;
	fetcher_comes();
	assert_int_equal(fix.writes, 0);
	assert_int_equal(told, 2);
	job = older;
	assert_outcome(1, 0, MK_STORED_UNKNOWN);
	assert_int_equal(mk_in_store_of(job, 1, 0)->err, MK_CONFLICT);
	job = mk_in_store_free(job);
}

static void a_restore_overtakes_a_revocation_in_the_stores_and_the_other_way_round(void **state)
{
	(void)state;
	a_later_act_overtakes_what_was_not_asked_yet(MK_VERB_DISABLE, MK_VERB_ENABLE);
	a_later_act_overtakes_what_was_not_asked_yet(MK_VERB_ENABLE, MK_VERB_DISABLE);
}

static void a_store_that_never_answers_is_unknown_and_a_late_answer_is_nobodys(void **state)
{
	(void)state;
	writable(true, false);
	begin(MK_VERB_DISABLE, "acme-crm");
	advance(MK_IN_STORE_ONE_MS - 1);
	mk_fetch_tick(fix.b);
	assert_int_equal(told, 0);
	advance(1);
	mk_fetch_tick(fix.b);
	assert_int_equal(told, 1);
	assert_outcome(0, 0, MK_STORED_UNKNOWN);
	assert_int_equal(mk_in_store_of(job, 0, 0)->ms, MK_IN_STORE_ONE_MS);
	well(0, "1");
	assert_true(told == 1 && fix.fetcher);
	assert_outcome(0, 0, MK_STORED_UNKNOWN);
	assert_int_equal(in_log("\"state\":\"unknown\""), 1);
}

static void a_fetcher_that_went_is_asked_again_once(void **state)
{
	(void)state;
	writable(true, false);
	begin(MK_VERB_DISABLE, "acme-crm");
	fetcher_dies();
	fetcher_comes();
	assert_int_equal(fix.writes, 2);
	well(1, "1");
	assert_true(told == 1);
	assert_outcome(0, 0, MK_STORED_DONE);
	job = mk_in_store_free(job);
	begin(MK_VERB_DISABLE, "acme-crm");
	for (int i = 0; i < 3; i++) {
		fetcher_dies();
		fetcher_comes();
	}
	assert_true(fix.writes == 2 && told == 1); /* a question that ends every fetcher is not asked for ever */
	assert_outcome(0, 0, MK_STORED_UNKNOWN);
}

static void what_was_never_asked_failed(void **state)
{
	(void)state;
	writable(true, false);
	fetcher_dies();
	begin(MK_VERB_DISABLE, "acme-crm");
	advance(MK_IN_STORE_MS);
	mk_fetch_tick(fix.b);
	assert_true(told == 1 && fix.writes == 0);
	assert_outcome(0, 0, MK_STORED_FAILED);
	assert_int_equal(mk_in_store_of(job, 0, 0)->ms, 0);
}

static void one_that_ends_soon_gives_it_little_time(void **state)
{
	(void)state;
	writable(true, false);
	begin(MK_VERB_DISABLE, "acme-crm");
	mk_in_store_hurry(fix.b);
	advance(MK_IN_STORE_DRAIN_MS);
	mk_fetch_tick(fix.b);
	assert_int_equal(told, 1);
	assert_outcome(0, 0, MK_STORED_UNKNOWN);
	job = mk_in_store_free(job);
	begin(MK_VERB_DISABLE, "acme-crm");
	mk_in_store_stop(fix.b);
	assert_outcome(0, 0, MK_STORED_UNKNOWN);
	assert_int_equal(in_log("\"state\":\"unknown\""), 2);
}

static void who_goes_away_does_not_stop_it(void **state)
{
	(void)state;
	writable(true, false);
	begin(MK_VERB_DISABLE, "acme-crm");
	job = mk_in_store_free(job);
	well(0, "7");
	assert_int_equal(told, 0);
	assert_int_equal(in_log("\"version\":\"7\""), 1);
	assert_null(fix.b->in_stores);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fix_make, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_restore_overtakes_a_revocation_in_the_stores_and_the_other_way_round),
		EACH(a_store_that_never_answers_is_unknown_and_a_late_answer_is_nobodys),
		EACH(a_fetcher_that_went_is_asked_again_once),
		EACH(what_was_never_asked_failed),
		EACH(one_that_ends_soon_gives_it_little_time),
		EACH(who_goes_away_does_not_stop_it),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

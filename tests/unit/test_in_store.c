/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in stores: what is asked, in which order and how much at once, and what each answer
 * means.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "in_store_kit.h"

#include "agent/broker/acts_revoke.h"

static void each_answer_has_its_outcome(void **state)
{
	static const struct {
		enum mk_err err;
		bool already, unsure;
		enum mk_stored_outcome is;
		const char *word;
	} rows[] = {
		{ MK_OK, false, false, MK_STORED_DONE, "disabled" },        { MK_OK, true, false, MK_STORED_ALREADY, "already" },
		{ MK_NOT_FOUND, false, false, MK_STORED_NOT_FOUND, "not_found" }, { MK_METHOD, false, false, MK_STORED_CANNOT, "cannot" },
		{ MK_DENIED, false, false, MK_STORED_FAILED, "failed" },    { MK_BACKEND, false, false, MK_STORED_FAILED, "failed" },
		{ MK_TIMEOUT, false, false, MK_STORED_FAILED, "failed" },   { MK_NOT_READY, false, false, MK_STORED_FAILED, "failed" },
		{ MK_BACKEND, false, true, MK_STORED_UNKNOWN, "unknown" },  { MK_TIMEOUT, false, true, MK_STORED_UNKNOWN, "unknown" },
		{ MK_NOT_FOUND, false, true, MK_STORED_UNKNOWN, "unknown" },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		assert_int_equal(mk_stored_of(rows[i].err, rows[i].already, rows[i].unsure), rows[i].is);
		assert_string_equal(mk_stored_word(MK_VERB_DISABLE, rows[i].is), rows[i].word);
		writable(true, false);
		begin(MK_VERB_DISABLE, "acme-crm");
		assert_int_equal(fix.writes, 1);
		struct mk_msg_written m = { .err = rows[i].err, .already = rows[i].already, .unsure = rows[i].unsure };
		snprintf(m.fault, sizeof m.fault, "%s", m.err != MK_OK ? "the store's reason" : "");
		answer_write(0, m);
		assert_int_equal(mk_in_store_of(job, 0, 0)->fault[0] != '\0', rows[i].is >= MK_STORED_CANNOT);
		assert_int_equal(told, 1);
		assert_outcome(0, 0, rows[i].is);
		assert_int_equal(mk_in_store_of(job, 0, 0)->err, rows[i].is >= MK_STORED_FAILED ? rows[i].err : MK_OK);
		assert_outcome(0, 1, MK_STORED_NOT_WRITABLE);
		assert_false(mk_in_store_all_done(job, 0));
		job = mk_in_store_free(job);
	}
	assert_string_equal(mk_stored_word(MK_VERB_ENABLE, MK_STORED_DONE), "enabled");
}

static void a_store_that_is_not_writable_is_not_asked(void **state)
{
	(void)state;
	begin(MK_VERB_DISABLE, "acme-crm");
	assert_true(begun_over && told == 0 && fix.writes == 0);
	assert_outcome(0, 0, MK_STORED_NOT_WRITABLE);
	assert_outcome(0, 1, MK_STORED_NOT_WRITABLE);
	assert_int_equal(in_log("\"state\":\"not_writable\""), 2);
}

static void it_is_done_where_every_store_did_it_or_has_none_and_one_has_it(void **state)
{
	(void)state;
	writable(true, true);
	begin(MK_VERB_DISABLE, "acme-crm");
	assert_int_equal(fix.writes, 2);
	assert_int_equal(in_log("\"state\":\"asked\""), 1); /* before the first answer */
	well(1, "s-7");
	assert_int_equal(told, 0);
	answer_write(0, (struct mk_msg_written){ .err = MK_NOT_FOUND });
	assert_int_equal(told, 1);
	assert_true(mk_in_store_all_done(job, 0));
	assert_string_equal(mk_in_store_of(job, 0, 1)->version, "s-7");
	assert_int_equal(in_log("\"version\":\"s-7\""), 1);
	job = mk_in_store_free(job);
	begin(MK_VERB_DISABLE, "acme-typo");
	answer_write(0, (struct mk_msg_written){ .err = MK_NOT_FOUND });
	answer_write(1, (struct mk_msg_written){ .err = MK_NOT_FOUND });
	assert_false(mk_in_store_all_done(job, 0)); /* nobody has it: a slip of the pen */
}

static void the_version_that_was_held_is_disabled_too_where_it_came_from(void **state)
{
	(void)state;
	writable(true, true);
	warm("v1", "tok-1", NULL);
	begin(MK_VERB_DISABLE, "acme-erp");
	assert_int_equal(fix.writes, 2);
	assert_string_equal(fix.write[0].version, "");
	assert_string_equal(fix.write[1].version, "");
	well(0, "v2");
	assert_int_equal(fix.writes, 3);
	assert_true(fix.write[2].backend == 0 && strcmp(fix.write[2].version, "v1") == 0);
	well(1, "other-9");
	assert_int_equal(fix.writes, 3); /* the second store's versions are its own */
	answer_write(2, (struct mk_msg_written){ .err = MK_NOT_FOUND });
	assert_int_equal(told, 1);
	assert_outcome(0, 0, MK_STORED_DONE); /* an older one that is gone is gone */
	assert_string_equal(mk_in_store_of(job, 0, 0)->version, "v2");
	job = mk_in_store_free(job);
	begin(MK_VERB_DISABLE, "acme-erp");
	well(0, "v1");
	well(1, "x");
	assert_true(fix.writes == 2 && told == 1); /* it is the current one */
	job = mk_in_store_free(job);
	begin(MK_VERB_ENABLE, "acme-erp");
	well(0, "v2");
	well(1, "x");
	assert_true(fix.writes == 2 && told == 1); /* a restore has the current one only */
}

static void an_older_version_that_stays_is_no_success(void **state)
{
	(void)state;
	writable(true, false);
	warm("v1", "tok-1", NULL);
	begin(MK_VERB_DISABLE, "acme-erp");
	well(0, "v2");
	answer_write(1, (struct mk_msg_written){ .err = MK_BACKEND });
	assert_outcome(0, 0, MK_STORED_FAILED);
}

static void what_is_open_is_bounded(void **state)
{
	char text[24][16];
	const char *names[24];
	(void)state;
	for (size_t i = 0; i < 24; i++) {
		snprintf(text[i], sizeof text[i], "acme-%zu", i);
		names[i] = text[i];
	}
	writable(true, true);
	begin_of(MK_VERB_DISABLE, names, 24);
	assert_int_equal(fix.writes, 2 * MK_IN_STORE_AT_ONCE);
	well(3, "1");
	well(9, "1");
	assert_int_equal(fix.writes, 2 * MK_IN_STORE_AT_ONCE + 2);
	for (unsigned i = 0; i < fix.writes; i++)
		if (i != 3 && i != 9)
			well(i, "1");
	assert_true(fix.writes == 48 && told == 1);
	struct mk_caller c = { .service = MK_NO_SERVICE };
	struct mk_name many[65] = { { "a" } };
	struct mk_in_store *none = NULL;
	assert_int_equal(mk_in_store_new(fix.b, &c, MK_VERB_DISABLE, many, 65, &none), MK_TOO_LARGE);
	job = mk_in_store_free(job);
	writable(true, false);
	begin_of(MK_VERB_DISABLE, names, 24);
	assert_int_equal(fix.writes, MK_IN_STORE_AT_ONCE); /* of one store, however few they are */
}

static void a_value_that_is_still_wanted_is_fetched_before_it_is_switched_off(void **state)
{
	struct mk_name name;
	const struct mk_flight_key key = { MK_FLIGHT_GET, { "acme-crm" }, false };
	(void)state;
	writable(true, false);
	assert_int_equal(mk_name_of(mk_span_of("acme-crm"), &name), MK_OK);
	assert_int_equal(mk_revoked_room(&fix.b->revoked, 1, 0), MK_OK);
	mk_revoked_add(&fix.b->revoked, &name);
	mk_revoked_name(&fix.b->revoked, &name)->unseen = 1u << MK_SLOT_CURRENT;
	mk_fetch_start(fix.b, &key, 0);
	begin(MK_VERB_DISABLE, "acme-crm");
	mk_fetch_tick(fix.b);
	pump();
	assert_true(fix.gets == 1 && fix.writes == 0);
	answer_token("v1", "tok");
	assert_int_equal(fix.writes, 1);
	well(0, "v1");
	job = mk_in_store_free(job);
	mk_revoked_name(&fix.b->revoked, &name)->unseen = 1u << MK_SLOT_CURRENT;
	mk_fetch_start(fix.b, &key, 0); /* and one that does not come holds it up for so long only */
	begin(MK_VERB_DISABLE, "acme-crm");
	assert_int_equal(fix.writes, 0);
	advance(MK_FLIGHT_MS + 1);
	mk_fetch_tick(fix.b);
	pump();
	assert_int_equal(fix.writes, 1);
	well(0, "v1");
	assert_int_equal(told, 1);
}

static void a_store_that_another_configuration_took_away_is_not_asked_by_its_number(void **state)
{
	(void)state;
	writable(true, true);
	fetcher_dies();
	begin(MK_VERB_DISABLE, "acme-crm");
	snprintf(fix.b->replicas[0].name.s, sizeof fix.b->replicas[0].name.s, "another");
	fix.b->replicas[1].writable = false;
	fetcher_comes();
	assert_true(fix.writes == 0 && told == 1);
	assert_outcome(0, 0, MK_STORED_FAILED);
	assert_outcome(0, 1, MK_STORED_FAILED);
}

static void a_proposal_to_restore_says_whether_the_stores_are_meant(void **state)
{
	static const char *const wrong[] = { "restore acme in-store value", "restore acme in-store in-store", "restore acme  in-store", "restore acme in-storex" };
	struct mk_restore r;
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const struct mk_restore is = { { "acme" }, i & 1, i & 2 };
		char text[MK_RESTORE_TEXT];
		mk_restore_text(&is, text);
		assert_int_equal(mk_restore_of_text(text, &r), MK_OK);
		assert_true(mk_name_eq(&r.name, &is.name) && r.values_too == is.values_too && r.in_store == is.in_store);
	}
	for (size_t i = 0; i < MK_COUNT(wrong); i++)
		assert_int_equal(mk_restore_of_text(wrong[i], &r), MK_BAD_REQUEST);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fix_make, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(each_answer_has_its_outcome),
		EACH(a_store_that_is_not_writable_is_not_asked),
		EACH(it_is_done_where_every_store_did_it_or_has_none_and_one_has_it),
		EACH(the_version_that_was_held_is_disabled_too_where_it_came_from),
		EACH(an_older_version_that_stays_is_no_success),
		EACH(what_is_open_is_bounded),
		EACH(a_value_that_is_still_wanted_is_fetched_before_it_is_switched_off),
		EACH(a_proposal_to_restore_says_whether_the_stores_are_meant),
		EACH(a_store_that_another_configuration_took_away_is_not_asked_by_its_number),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

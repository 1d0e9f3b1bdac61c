/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in stores: what is asked, in which order and how much at once, what each answer
 * and each silence means, and that a call ends exactly once whatever a fetcher does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate_fix.h"

#include "agent/broker/acts_revoke.h"
#include "agent/broker/in_store.h"

#define ADMIN 4009u

static struct mk_in_store *job;
static unsigned told;
static bool begun_over;

static void on_done(void *arg)
{
	assert_ptr_equal(arg, &told);
	told++;
}

static void writable(bool first, bool second)
{
	fix.b->replicas[0].writable = first;
	fix.b->replicas[1].writable = second;
}

static void revoked(const struct mk_name *name, bool is)
{
	assert_int_equal(mk_revoked_room(&fix.b->revoked, 1, 0), MK_OK);
	if (is)
		mk_revoked_add(&fix.b->revoked, name);
	else
		mk_revoked_drop(&fix.b->revoked, name, false);
}

static void begin_of(enum mk_verb verb, const char *const *names, size_t n)
{
	struct mk_caller c = { .service = MK_NO_SERVICE, .evidence = { .known = true, .socket = { "admin" }, .uid = ADMIN, .pid = 9 } };
	struct mk_name list[64];
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(mk_name_of(mk_span_of(names[i]), &list[i]), MK_OK);
		revoked(&list[i], verb == MK_VERB_DISABLE);
	}
	told = 0;
	fix.writes = 0;
	assert_int_equal(mk_in_store_new(fix.b, &c, verb, list, n, &job), MK_OK);
	begun_over = mk_in_store_begin(job, on_done, &told);
	pump();
}

static void begin(enum mk_verb verb, const char *name)
{
	begin_of(verb, &name, 1);
}

static void answer_write(unsigned i, struct mk_msg_written m)
{
	uint8_t body[512];
	size_t n = 0;
	m.ref = fix.write[i].ref;
	struct mk_wr w = mk_wr_of(body, sizeof body);
	mk_msg_written_write(&w, &m);
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_WRITE_DONE, mk_span(body, n), -1), MK_OK);
	pump();
}

static void well(unsigned i, const char *version)
{
	struct mk_msg_written m = { .err = MK_OK };
	snprintf(m.version, sizeof m.version, "%s", version);
	answer_write(i, m);
}

static void assert_outcome(size_t name, size_t store, enum mk_stored_outcome o)
{
	assert_string_equal(mk_stored_word(MK_VERB_DISABLE, mk_in_store_of(job, name, store)->outcome), mk_stored_word(MK_VERB_DISABLE, o));
}

static unsigned in_log(const char *text)
{
	char line[4096];
	unsigned n = 0;
	FILE *f = fopen(fix.log, "re");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		n += strstr(line, "\"event\":\"in_store\"") && strstr(line, text);
	fclose(f);
	return n;
}

static int end(void **state)
{
	job = mk_in_store_free(job);
	return fix_drop(state);
}

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
		EACH(a_restore_overtakes_a_revocation_in_the_stores_and_the_other_way_round),
		EACH(a_store_that_never_answers_is_unknown_and_a_late_answer_is_nobodys),
		EACH(a_fetcher_that_went_is_asked_again_once),
		EACH(what_was_never_asked_failed),
		EACH(one_that_ends_soon_gives_it_little_time),
		EACH(who_goes_away_does_not_stop_it),
		EACH(a_value_that_is_still_wanted_is_fetched_before_it_is_switched_off),
		EACH(a_proposal_to_restore_says_whether_the_stores_are_meant),
		EACH(a_store_that_another_configuration_took_away_is_not_asked_by_its_number),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about tags and fields at the gate.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate_tags.h"

/* sync asks for a name that only tags could allow; the names are told. */
static void ask_cold(struct call *k, const char *name, const char *known)
{
	call_get(k, SYNC_UID, name);
	assert_true(k->w.waiting);
	pump();
	assert_int_equal(fix.gets, 0); /* the names come first */
	names_are(known, NULL);
}

/* sync asks for erp-1, which the store lists, and whose tags are not known. */
static void ask_by_tags(struct call *k)
{
	swap_in(by_tags(2, true));
	ask_cold(k, "erp-1", "erp-1");
}

static void a_cold_name_is_fetched_for_its_tags_and_then_decided(void **state)
{
	(void)state;
	struct call k;
	ask_by_tags(&k);
	assert_true(k.w.waiting);
	assert_string_equal(fix.get.name.s, "erp-1");
	answer_tagged("v1", "token-one", SAP, "eu");
	assert_int_equal(k.err, MK_OK);
	assert_true(mk_span_is(k.a.token, "token-one"));
	mk_answer_done(&k.a);
	assert_int_equal(once(SYNC_UID, "erp-1"), MK_OK); /* from now on without a fetch */
	assert_int_equal(fix.gets, 1);
}

static void a_name_that_the_store_does_not_list_is_denied_without_a_fetch(void **state)
{
	(void)state;
	struct call k;
	swap_in(by_tags(2, true));
	ask_cold(&k, "erp-2", "erp-1");
	assert_false(k.w.waiting);
	assert_int_equal(k.err, MK_DENIED);
	assert_int_equal(fix.gets, 0);
	assert_int_equal(once(SYNC_UID, "erp-3"), MK_DENIED); /* the names are known now */
	assert_int_equal(fix.lists, 1);
	assert_int_equal(records("\"event\":\"grant\""), 0);
}

static void tags_that_do_not_fit_deny_and_the_answer_is_the_same(void **state)
{
	(void)state;
	struct call k;
	ask_by_tags(&k);
	answer_tagged("v1", "token-one", "other", "eu");
	assert_int_equal(k.err, MK_DENIED);
	assert_null(k.a.leaves);
	assert_int_equal(once(SYNC_UID, "erp-1"), MK_DENIED);
	assert_int_equal(fix.gets, 1);
}

static void a_deny_holds_while_its_tag_is_not_known(void **state)
{
	(void)state;
	struct call k;
	ask_by_tags(&k);
	answer_tagged("v1", "token-one", SAP, NULL); /* no zone: it may be us */
	assert_int_equal(k.err, MK_DENIED);
	call_get(&k, SYNC_UID, "erp-1");
	assert_int_equal(k.err, MK_DENIED);
	assert_false(k.w.waiting);
}

static void tags_of_a_store_that_is_not_trusted_allow_nothing_and_are_not_fetched(void **state)
{
	(void)state;
	swap_in(by_tags(2, false));
	assert_int_equal(once(SYNC_UID, "erp-1"), MK_DENIED);
	assert_int_equal(fix.lists, 0);
	swap_in(by_tags(3, true)); /* the same store, trusted now */
	struct call k;
	ask_cold(&k, "erp-1", "erp-1");
	answer_tagged("v1", "token-one", SAP, "eu");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	swap_in(by_tags(4, false));
	assert_int_equal(once(SYNC_UID, "erp-1"), MK_DENIED);
}

static void a_store_that_fails_on_the_way_to_the_tags_is_a_denial_like_any_other(void **state)
{
	(void)state;
	struct call k;
	ask_by_tags(&k);
	answer_error(MK_BACKEND); /* the first replica */
	answer_error(MK_BACKEND);
	assert_int_equal(k.err, MK_DENIED);
	assert_int_equal(k.woken, 2); /* after the names, and after the fetch */
	assert_false(k.w.waiting);
}

static void tags_that_were_changed_in_the_store_are_seen_when_they_are_old(void **state)
{
	(void)state;
	struct call k;
	ask_by_tags(&k);
	answer_tagged("v1", "token-one", "other", "eu");
	assert_int_equal(k.err, MK_DENIED);
	advance(TTL + 1);
	call_get(&k, SYNC_UID, "erp-1");
	pump();
	assert_true(k.w.waiting);
	names_are("erp-1", NULL); /* old as well */
	answer_tagged("v1", "token-one", SAP, "eu");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	advance(TTL + 1);
	call_get(&k, SYNC_UID, "erp-1"); /* allowed by what is held; what comes is decided anew */
	pump();
	assert_true(k.w.waiting);
	answer_tagged("v1", "token-one", SAP, "us");
	assert_int_equal(k.err, MK_DENIED);
	assert_null(k.a.leaves);
}

static void who_waits_is_decided_again_by_the_policy_in_force(void **state)
{
	(void)state;
	struct call k, other;
	ask_by_tags(&k);
	call_get(&other, BILLING_UID, "acme-erp");
	assert_true(k.w.waiting && other.w.waiting);
	swap_in(configuration(3, true)); /* takes both rights away */
	pump();
	for (unsigned i = 0; i < 4 && (k.w.waiting || other.w.waiting); i++)
		answer_tagged("v1", "token-one", SAP, "eu");
	for (unsigned i = 0; i < MK_COUNT(fix.refs) && (k.w.waiting || other.w.waiting); i++)
		answer_with(fix.refs[i], MK_OK, "v1", "token-one", NULL);
	assert_false(k.w.waiting || other.w.waiting);
	assert_int_equal(k.err, MK_DENIED);
	assert_int_equal(other.err, MK_DENIED);
	assert_int_equal(grants(), 0);
}

static void the_previous_version_goes_by_the_tags_of_now(void **state)
{
	(void)state;
	struct call k;
	ask_by_tags(&k);
	answer_tagged("v1", "token-one", SAP, "eu");
	mk_answer_done(&k.a);
	advance(TTL + 1);
	call_get(&k, SYNC_UID, "erp-1");
	pump();
	answer_tagged("v2", "token-two", SAP, "us"); /* retagged with the new version */
	assert_int_equal(k.err, MK_DENIED);
	k = (struct call){ .w.woken = call_woken, .c.evidence = k.c.evidence, .ask = { .name = k.ask.name, .previous = true } };
	k.err = mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry);
	assert_int_equal(k.err, MK_DENIED);
	assert_false(k.w.waiting);
}

static void the_tags_that_came_last_count_whichever_version_they_came_with(void **state)
{
	(void)state;
	struct call k;
	ask_by_tags(&k);
	answer_tagged("v2", "token-two", SAP, "eu");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	k = (struct call){ .w.woken = call_woken, .c.evidence = k.c.evidence, .ask = { .name = k.ask.name, .previous = true } };
	advance(10);
	k.err = mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry);
	pump();
	assert_true(k.w.waiting); /* the current one's tags allow it */
	answer_tagged("v1", "token-one", SAP, "us");
	assert_int_equal(k.err, MK_DENIED);
	assert_null(k.a.leaves);
	assert_int_equal(once(SYNC_UID, "erp-1"), MK_DENIED);
	assert_int_equal(grants(), 1);
}

static void a_list_shows_a_name_once_its_tags_allow_it(void **state)
{
	(void)state;
	struct call k;
	struct mk_list_item items[4];
	struct mk_waiter w = { 0 };
	struct mk_name from = { "" };
	size_t n = 0;
	bool more = false;
	unsigned retry = 0;
	ask_by_tags(&k);
	assert_int_equal(mk_gate_list(fix.b, &k.c, &from, 4, &w, items, &n, &more, &retry), MK_OK);
	assert_int_equal(n, 0);
	answer_tagged("v1", "token-one", SAP, "eu");
	mk_answer_done(&k.a);
	w = (struct mk_waiter){ 0 };
	assert_int_equal(mk_gate_list(fix.b, &k.c, &from, 4, &w, items, &n, &more, &retry), MK_OK);
	assert_int_equal(n, 1);
	assert_string_equal(items[0].name.s, "erp-1");
}

/* ---- fields ---- */

static void with_fields(uint32_t generation, const char *const *fields, size_t n)
{
	struct mk_pending *p = configuration(generation, false);
	add_tagged(&p->rules, false, "erp-*", NULL, NULL, fields, n);
	swap_in(p);
}

static void get_erp(struct call *k, bool bare, const char *none_match)
{
	*k = (struct call){ .w.woken = call_woken };
	k->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = SYNC_UID, .gid = SYNC_UID, .pid = 77 };
	k->ask = (struct mk_ask){ .name = { "erp-1" }, .bare = bare, .if_none_match = mk_span_of(none_match) };
	k->err = mk_gate_get(fix.b, &k->c, &k->ask, &k->w, &k->a, &k->retry);
	pump();
	if (k->w.waiting)
		answer_tagged("v1", "token-one", NULL, NULL);
}

static void without_access_token_nothing_is_unsealed_and_the_bare_token_is_denied(void **state)
{
	(void)state;
	static const char *const some[] = { "base_url" };
	struct call k;
	with_fields(2, some, 1);
	get_erp(&k, false, "");
	assert_int_equal(k.err, MK_OK);
	assert_false(k.a.has_token);
	assert_null(k.a.leaves);
	assert_non_null(k.a.room);
	assert_int_equal(k.a.token.n, 0);
	assert_string_equal(k.a.version, "v1");
	mk_answer_done(&k.a);
	assert_int_equal(records("\"detail\":\"without access_token\""), 1);
	get_erp(&k, true, "");
	assert_int_equal(k.err, MK_DENIED);
	with_fields(3, some, 0); /* an empty list gives none */
	get_erp(&k, true, "");
	assert_int_equal(k.err, MK_DENIED);
	get_erp(&k, false, "");
	assert_int_equal(k.err, MK_OK);
	assert_false(k.a.has_token);
	mk_answer_done(&k.a);
}

static void an_entity_tag_is_of_the_fields_that_are_given(void **state)
{
	(void)state;
	static const char *const both[] = { "access_token", "base_url" };
	char tags[4][MK_ETAG_MAX + 2];
	struct call k;
	for (unsigned i = 0; i < 4; i++) {
		if (i == 3)
			with_fields(2 + i, NULL, 0);
		else
			with_fields(2 + i, both, i);
		get_erp(&k, i > 0, "");
		assert_int_equal(k.err, MK_OK);
		assert_int_equal(k.a.has_token, i > 0);
		if (i > 0)
			assert_true(mk_span_is(k.a.token, "token-one"));
		snprintf(tags[i], sizeof tags[i], "\"%s\"", k.a.etag);
		mk_answer_done(&k.a);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(tags[i], tags[j]);
		get_erp(&k, false, tags[i]);
		assert_true(k.a.not_modified);
		mk_answer_done(&k.a);
	}
	get_erp(&k, false, tags[0]); /* what was known without the token is not what is given now */
	assert_false(k.a.not_modified);
	mk_answer_done(&k.a);
}

static void the_cold_names_of_a_stream_are_fetched_for_their_tags_at_once_and_each_but_once(void **state)
{
	(void)state;
	static const char *const listed[] = { "erp-1", "erp-2", "erp-3" };
	struct mk_name names[] = { { "erp-1" }, { "erp-2" }, { "erp-3" } };
	struct stream s = { .wait.woken = stream_opens, .w = { .names = names, .n = MK_COUNT(names) } };
	swap_in(by_tags(2, true));
	s.c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = SYNC_UID, .gid = SYNC_UID, .pid = 77 };
	stream_opens(&s.wait);
	pump();
	answer_names(false, listed, 3);
	assert_int_equal(fix.gets, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(s.wait.waiting);
		fix.get.ref = fix.refs[i];
		answer_tagged("v1", listed[i], SAP, "eu");
	}
	assert_int_equal(s.err, MK_OK);
	assert_true(s.w.open);
	mk_watcher_leave(fix.b, &s.w);
	s.wait = (struct mk_waiter){ .woken = stream_opens };

	mk_store_clear(fix.b->store); /* once more, as the names are known now */
	stream_opens(&s.wait);
	pump();
	assert_int_equal(fix.gets, 6);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(s.wait.waiting);
		fix.get.ref = fix.refs[3 + i];
		answer_tagged("v1", listed[i], SAP, "eu");
	}
	assert_int_equal(s.err, MK_OK);
	mk_watcher_leave(fix.b, &s.w);

	struct mk_name others[] = { { "erp-1" }, { "erp-4" } };
	struct stream o = { .wait.woken = stream_opens, .c = s.c, .w = { .names = others, .n = MK_COUNT(others) } };
	stream_opens(&o.wait); /* one that the store does not list */
	assert_int_equal(o.err, MK_DENIED);
	assert_false(o.wait.waiting);

	mk_store_clear(fix.b->store);
	s.wait = (struct mk_waiter){ .woken = stream_opens };
	stream_opens(&s.wait);
	pump();
	assert_int_equal(fix.gets, 9);
	size_t at = 0; /* the flight that is waited for fails, at both stores */
	for (unsigned i = 0; i < 2 && s.wait.waiting; i++, at = 0) {
		const struct mk_flight *f = mk_flight_each(fix.b->flights, &at);
		answer_with((struct mk_ref){ (uint32_t)at - 1, f->question }, MK_BACKEND, "", "", NULL);
	}
	assert_false(s.wait.waiting);
	assert_int_equal(s.err, MK_DENIED);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, fix_make, fix_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_cold_name_is_fetched_for_its_tags_and_then_decided),
		WITH(a_name_that_the_store_does_not_list_is_denied_without_a_fetch),
		WITH(tags_that_do_not_fit_deny_and_the_answer_is_the_same),
		WITH(a_deny_holds_while_its_tag_is_not_known),
		WITH(tags_of_a_store_that_is_not_trusted_allow_nothing_and_are_not_fetched),
		WITH(a_store_that_fails_on_the_way_to_the_tags_is_a_denial_like_any_other),
		WITH(tags_that_were_changed_in_the_store_are_seen_when_they_are_old),
		WITH(who_waits_is_decided_again_by_the_policy_in_force),
		WITH(the_previous_version_goes_by_the_tags_of_now),
		WITH(the_tags_that_came_last_count_whichever_version_they_came_with),
		WITH(a_list_shows_a_name_once_its_tags_allow_it),
		WITH(without_access_token_nothing_is_unsealed_and_the_bare_token_is_denied),
		WITH(an_entity_tag_is_of_the_fields_that_are_given),
		WITH(the_cold_names_of_a_stream_are_fetched_for_their_tags_at_once_and_each_but_once),
	};
	return cmocka_run_group_tests_name("gate policy", tests, fix_group, NULL);
}

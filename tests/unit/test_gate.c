/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the gate: policy, then audit, then unseal; as many grants as answers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate_crowd.h"

/* ---- policy, audit, unseal ---- */

static void who_may_gets_the_token_and_a_grant_is_recorded(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	call_get(&k, BILLING_UID, "acme-erp");
	assert_int_equal(k.err, MK_OK);
	assert_true(mk_span_is(k.a.token, "token-one"));
	assert_string_equal(k.a.version, "v1");
	assert_string_equal(k.a.token_type, "bearer");
	assert_int_equal(k.a.state, MK_STATE_CURRENT);
	assert_int_equal(k.a.cache, MK_CACHE_HIT);
	assert_int_equal(grants(), 2);
	assert_int_equal(records("\"event\":\"grant\""), 2);
	assert_int_equal(records("token-one"), 0);
	assert_int_equal(fix.gets, 1);
	mk_answer_done(&k.a);
}

static void who_may_not_is_denied_without_a_fetch(void **state)
{
	(void)state;
	warm("v1", "token-one", NULL);
	assert_int_equal(once(SYNC_UID, "acme-erp"), MK_DENIED);
	assert_int_equal(once(9999, "acme-erp"), MK_DENIED);
	assert_int_equal(once(BILLING_UID, "acme-payroll"), MK_DENIED);
	assert_int_equal(once(BILLING_UID, "globex-erp"), MK_DENIED);
	pump();
	assert_int_equal(fix.gets, 1);
	assert_int_equal(grants(), 1);
	assert_true(records("\"event\":\"deny\"") >= 2);
}

static void a_caller_whose_evidence_failed_is_nobody(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	call_get(&k, BILLING_UID, "acme-erp");
	mk_answer_done(&k.a);
	k.c.generation = 0;
	k.c.evidence.known = false;
	assert_int_equal(mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry), MK_DENIED);
}

static void what_is_missing_is_said_to_be_missing_only_where_a_rule_covers_it(void **state)
{
	(void)state;
	struct call k;
	call_get(&k, BILLING_UID, "acme-none");
	pump();
	answer_error(MK_NOT_FOUND);
	assert_int_equal(fix.gets, 1); /* not found is final: the second backend is not asked */
	assert_int_equal(k.err, MK_NOT_FOUND);
	assert_int_equal(once(SYNC_UID, "acme-none"), MK_DENIED);
	assert_int_equal(grants(), 0);
}

static void without_a_record_no_token_and_nothing_is_unsealed(void **state)
{
	(void)state;
	warm("v1", "token-one", NULL);
	struct mk_sealed *sealed = mk_store_find(fix.b->store, &(struct mk_name){ "acme-erp" })->at[MK_SLOT_CURRENT].sealed;
	uint8_t *last = (uint8_t *)sealed + mk_sealed_size(sealed) - 1;
	log_is_full(true);
	*last ^= 1; /* were it unsealed first, this would be found first */
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_AUDIT);
	*last ^= 1;
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_AUDIT);
	assert_true(mk_broker_reasons(fix.b) & 1u << MK_REASON_AUDIT);
	assert_int_equal(grants(), 1);
	log_is_full(false);
	for (int i = 0; i < 40; i++) {
		advance(250);
		mk_audit_tick(fix.b->audit);
	}
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_OK);
	assert_int_equal(mk_broker_reasons(fix.b), 0);
	assert_int_equal(grants(), 2);
}

static void a_sealed_value_that_was_changed_is_never_served(void **state)
{
	(void)state;
	const struct mk_name acme = { "acme-erp" };
	warm("v1", "token-one", NULL);
	struct mk_sealed *sealed = mk_store_find(fix.b->store, &acme)->at[MK_SLOT_CURRENT].sealed;
	((uint8_t *)sealed)[mk_sealed_size(sealed) - 1] ^= 1;
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_BUG);
	assert_null(mk_store_find(fix.b->store, &acme));
	assert_int_equal(fix.b->alarms.n, 1);
	assert_int_equal(fix.b->alarms.items[0].code, MK_ALARM_UNSEAL_FAILED);
}

static void with_no_room_for_the_answer_no_grant_is_recorded(void **state)
{
	(void)state;
	static struct mk_secret *taken[4096];
	unsigned n = 0;
	warm("v1", "token-one", NULL);
	while (n < MK_COUNT(taken) && mk_secret_new(1, &taken[n]) == MK_OK)
		n++;
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_NO_MEMORY);
	while (n > 0)
		mk_secret_free(taken[--n]);
	assert_int_equal(grants(), 1);
	assert_int_equal(once(BILLING_UID, "acme-erp"), MK_OK);
	assert_int_equal(grants(), 2);
}

static void not_modified_costs_no_grant_and_no_token(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	call_get(&k, BILLING_UID, "acme-erp");
	char header[MK_ETAG_MAX + 32];
	snprintf(header, sizeof header, "\"other\" , W/\"%s\"", k.a.etag);
	mk_answer_done(&k.a);
	k.ask.if_none_match = mk_span_of(header);
	assert_int_equal(mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry), MK_OK);
	assert_true(k.a.not_modified);
	assert_null(k.a.leaves);
	assert_int_equal(grants(), 2);
	k.ask.if_none_match = mk_span_of("\"other\"");
	assert_int_equal(mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry), MK_OK);
	assert_false(k.a.not_modified);
	assert_int_equal(grants(), 3);
	mk_answer_done(&k.a);
}

static void to_know_the_tag_is_no_right(void **state)
{
	static const uid_t uids[] = { SYNC_UID, 9999 };
	char tag[MK_ETAG_MAX + 2];
	struct call k;
	(void)state;
	warm("v1", "token-one", NULL);
	call_get(&k, BILLING_UID, "acme-erp");
	snprintf(tag, sizeof tag, "\"%s\"", k.a.etag);
	mk_answer_done(&k.a);
	const char *const headers[] = { tag, "\"x\"", "*" };
	for (size_t i = 0; i < MK_COUNT(uids) * MK_COUNT(headers); i++) {
		call_get(&k, uids[i / MK_COUNT(headers)], "acme-erp");
		k.ask.if_none_match = mk_span_of(headers[i % MK_COUNT(headers)]);
		assert_int_equal(mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry), MK_DENIED);
		assert_false(k.a.not_modified);
		assert_string_equal(k.a.etag, "");
		assert_null(k.a.leaves);
	}
	call_get(&k, BILLING_UID, "acme-erp"); /* the control: who may is told by two of the three */
	mk_answer_done(&k.a);
	for (size_t i = 0; i < MK_COUNT(headers); i++) {
		k.ask.if_none_match = mk_span_of(headers[i]);
		assert_int_equal(mk_gate_get(fix.b, &k.c, &k.ask, &k.w, &k.a, &k.retry), MK_OK);
		assert_int_equal(k.a.not_modified, i != 1);
		mk_answer_done(&k.a);
	}
}

static void a_rate_is_refused_with_the_time_to_wait(void **state)
{
	(void)state;
	unsigned served = 0;
	struct call k = { 0 };
	warm("v1", "token-one", NULL);
	for (int i = 0; i < 1100; i++) {
		call_get(&k, BILLING_UID, "acme-erp");
		served += k.err == MK_OK;
		mk_answer_done(&k.a);
	}
	assert_int_equal(k.err, MK_RATE_LIMITED);
	assert_int_equal(k.retry, 1);
	assert_int_equal(served, 999); /* the call that fetched took one of 1,000 */
	assert_int_equal(grants(), served + 1);
}

static void a_malformed_answer_costs_the_fetcher_its_link_only(void **state)
{
	(void)state;
	struct call k;
	static const uint8_t nonsense[] = "nonsense";
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_FETCH_DONE, mk_span(nonsense, sizeof nonsense), -1), MK_OK);
	pump();
	assert_null(fix.b->fetcher);
	assert_int_equal(k.woken, 0);
	fetcher_comes();
	answer_token("v1", "token-one");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
}

static void a_secret_without_a_token_is_an_error_of_the_backend(void **state)
{
	(void)state;
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	answer_token("v1", "two\nlines");
	assert_int_equal(k.err, MK_BACKEND);
	assert_int_equal(mk_broker_reasons(fix.b), 0); /* the store itself is well */
}

int main(void)
{
#define T(claim) cmocka_unit_test_setup_teardown(claim, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		T(who_may_gets_the_token_and_a_grant_is_recorded),
		T(who_may_not_is_denied_without_a_fetch),
		T(a_caller_whose_evidence_failed_is_nobody),
		T(what_is_missing_is_said_to_be_missing_only_where_a_rule_covers_it),
		T(without_a_record_no_token_and_nothing_is_unsealed),
		T(a_sealed_value_that_was_changed_is_never_served),
		T(with_no_room_for_the_answer_no_grant_is_recorded),
		T(not_modified_costs_no_grant_and_no_token),
		T(to_know_the_tag_is_no_right),
		T(a_rate_is_refused_with_the_time_to_wait),
		T(a_malformed_answer_costs_the_fetcher_its_link_only),
		T(a_secret_without_a_token_is_an_error_of_the_backend),
	};
	return cmocka_run_group_tests(tests, group_make, NULL);
}

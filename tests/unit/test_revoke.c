/* SPDX-License-Identifier: Apache-2.0
 *
 * Revocation in the gate: what is dead and stays so, over restarts, whatever clocks say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/tell.h"
#include "revoke_fix.h"

/* The value that is kept of its current version. */
static const struct mk_sealed *sealed(const char *name)
{
	struct mk_name n = { "" };
	snprintf(n.s, sizeof n.s, "%s", name);
	const struct mk_entry *e = mk_store_find(fix.b->store, &n);
	return e ? e->at[MK_SLOT_CURRENT].sealed : NULL;
}

static void a_revoked_name_is_refused_also_after_a_restart(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_non_null(sealed("acme-erp"));
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_null(sealed("acme-erp"));
	assert_int_equal(asked("acme-erp", "t2"), MK_REVOKED);
	again();
	assert_int_equal(asked("acme-erp", "t2"), MK_REVOKED);
	assert_int_equal(records("\"event\":\"revoke\""), 1);
}

static void a_retired_value_is_refused_under_any_name_and_raises_an_alarm(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
	stands("retired_value_back", true);
	again();
	stands("retired_value_back", false);
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
	assert_int_equal(asked("acme-third", " t1  "), MK_REVOKED);
	assert_int_equal(asked("acme-fourth", "t2"), MK_OK);
}

static void a_value_held_under_two_names_dies_under_both_at_once(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(asked("acme-other", "t2"), MK_OK);
	assert_int_equal(asked("acme-twin", "t1"), MK_BACKEND); /* one value, two names */
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_int_equal(asked("acme-twin", "t1"), MK_REVOKED);
	assert_int_equal(asked("acme-other", "t2"), MK_OK);
}

/* ---- who is told ---- */

struct listener {
	struct mk_watcher w;
	struct mk_caller c;
	struct mk_name name;
};

static void listener_woken(struct mk_watcher *w)
{
	(void)w;
}

static void listen_to(struct listener *l, uid_t uid, const char *name)
{
	struct mk_waiter wait = { 0 };
	const struct mk_watch_ask ask = { .last_id = mk_span_of("") };
	unsigned retry = 0;
	*l = (struct listener){ .w = { .woken = listener_woken, .names = &l->name, .n = 1 } };
	snprintf(l->name.s, sizeof l->name.s, "%s", name);
	l->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = uid, .gid = uid, .pid = 77 };
	assert_int_equal(mk_gate_watch(fix.b, &l->c, &ask, &wait, &l->w, &retry), MK_OK);
	assert_false(wait.waiting);
	pump();
}

static void hears(struct listener *l, enum mk_told kind)
{
	struct mk_event e;
	pump();
	assert_true(mk_watcher_next(fix.b, &l->c, &l->w, &e));
	assert_int_equal(e.kind, kind);
	assert_string_equal(e.name.s, l->name.s);
}

static void hears_nothing(struct listener *l)
{
	struct mk_event e;
	pump();
	assert_false(mk_watcher_next(fix.b, &l->c, &l->w, &e));
}

static void who_has_the_value_under_another_name_is_told_and_its_copy_is_wiped(void **state)
{
	struct listener twin, other;
	(void)state;
	assert_int_equal(asked("acme-twin", "t1"), MK_OK); /* handed out, before the same comes under a second name */
	assert_int_equal(asked("acme-other", "t2"), MK_OK);
	assert_int_equal(asked("acme-erp", "t1"), MK_BACKEND);
	listen_to(&twin, BILLING_UID, "acme-twin");
	listen_to(&other, BILLING_UID, "acme-other");
	assert_non_null(sealed("acme-twin"));
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_null(sealed("acme-twin"));
	assert_non_null(sealed("acme-other"));
	hears(&twin, MK_TOLD_REVOKED);
	hears_nothing(&twin);
	hears_nothing(&other);
	assert_int_equal(asked("acme-twin", "t1"), MK_REVOKED);
	const unsigned gets_before = fix.gets;
	assert_int_equal(restore("acme-erp", true), MK_OK);
	hears(&twin, MK_TOLD_RESTORED);
	assert_int_equal(fix.gets, gets_before + 1);
	assert_string_equal(fix.get.name.s, "acme-twin"); /* and it is fetched at once */
	answer_token("t1", "t1");
	hears(&twin, MK_TOLD_ROTATED);
	hears_nothing(&other);
	mk_watcher_leave(fix.b, &twin.w);
	mk_watcher_leave(fix.b, &other.w);
}

static void a_name_whose_new_value_lives_keeps_it_when_its_old_one_dies_under_another(void **state)
{
	struct listener l;
	(void)state;
	assert_int_equal(asked("acme-twin", "t1"), MK_OK);
	mk_fetch_changed_all(fix.b);
	assert_int_equal(asked("acme-twin", "t2"), MK_OK); /* t1 is its previous one now */
	assert_int_equal(asked("acme-erp", "t1"), MK_BACKEND);
	listen_to(&l, BILLING_UID, "acme-twin");
	assert_int_equal(revoked("acme-erp"), MK_OK);
	hears_nothing(&l);
	assert_int_equal(asked("acme-twin", "t2"), MK_OK);
	assert_null(mk_store_find(fix.b->store, &l.name)->at[MK_SLOT_PREVIOUS].sealed);
	mk_watcher_leave(fix.b, &l.w);
}

static void a_value_that_is_found_out_later_is_told_under_its_other_names_too(void **state)
{
	struct listener twin;
	(void)state;
	assert_int_equal(asked("acme-twin", "t1"), MK_OK);
	listen_to(&twin, BILLING_UID, "acme-twin");
	assert_int_equal(revoked("acme-erp"), MK_OK); /* of which nothing is known */
	hears_nothing(&twin);
	pump();
	assert_string_equal(fix.get.name.s, "acme-erp");
	answer_token("v1", "t1");
	hears(&twin, MK_TOLD_REVOKED);
	assert_int_equal(asked("acme-twin", "t1"), MK_REVOKED);
	mk_watcher_leave(fix.b, &twin.w);
}

static void answer_tagged(const char *token)
{
	static uint8_t leaves[4096], body[8192];
	size_t n = 0, len = 0;
	const struct mk_leaf t = { mk_span_of("/access_token"), MK_LEAF_STRING, mk_span_of(token) };
	struct mk_msg_fetched m = { .ref = fix.get.ref, .meta = { .created_ms = MK_TIME_NONE, .version = "v1", .n_tags = 1 } };
	m.meta.tags[0] = (struct mk_tag){ "system", "sap" };
	assert_int_equal(mk_leaves_add(leaves, sizeof leaves, &n, &t), MK_OK);
	m.leaves = mk_span(leaves, n);
	struct mk_wr w = mk_wr_of(body, sizeof body);
	mk_msg_fetched_write(&w, &m);
	assert_int_equal(mk_wr_end(&w, &len), MK_OK);
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_FETCH_DONE, mk_span(body, len), -1), MK_OK);
	pump();
}

static void who_may_watch_by_a_tag_alone_hears_of_the_revocation(void **state)
{
	struct listener l;
	struct call k;
	(void)state;
	struct mk_pending *p = with_state(2);
	add_rule(&p->rules, false, "sync", "erp-*", 30);
	struct mk_rule *rule = &p->rules.rules[p->rules.n_rules - 1];
	rule->tags = calloc(1, sizeof *rule->tags);
	assert_non_null(rule->tags);
	snprintf(rule->tags[0].key, sizeof rule->tags[0].key, "system");
	snprintf(rule->tags[0].value, sizeof rule->tags[0].value, "sap");
	rule->n_tags = 1;
	p->stores[0].trust_tags = p->stores[1].trust_tags = true;
	swap_in(p);
	call_get(&k, SYNC_UID, "erp-1");
	pump();
	answer_names(false, (const char *const[]){ "erp-1" }, 1);
	answer_tagged("t1");
	assert_int_equal(k.err, MK_OK);
	mk_answer_done(&k.a);
	listen_to(&l, SYNC_UID, "erp-1");
	assert_int_equal(revoked("erp-1"), MK_OK);
	hears(&l, MK_TOLD_REVOKED);
	mk_watcher_leave(fix.b, &l.w);
}

static void no_clock_brings_it_back(void **state)
{
	const int64_t year = INT64_C(365) * 86400000;
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	fix.wall -= year;
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	again();
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
	fix.wall += 50 * year;
	fix.boot += year;
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	again();
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
}

static void a_restore_lifts_the_name_and_the_values_only_where_it_says_so(void **state)
{
	(void)state;
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_int_equal(restore("acme-erp", false), MK_OK);
	assert_int_equal(restore("acme-erp", false), MK_NOT_FOUND);
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	advance(TTL);
	assert_int_equal(asked("acme-erp", "t2"), MK_OK);
	again();
	assert_int_equal(asked("acme-erp", "t1"), MK_REVOKED);
	assert_int_equal(restore("acme-erp", true), MK_OK);
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
	again();
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
}

static void who_waits_is_told_and_what_comes_late_is_nobodys(void **state)
{
	struct call k;
	(void)state;
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	assert_true(k.w.waiting);
	const struct mk_ref late = fix.get.ref;
	assert_int_equal(revoked("acme-erp"), MK_OK);
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_REVOKED);
	pump();
	answer_with(late, MK_OK, "v1", "t1", NULL);
	assert_int_equal(mk_store_count(fix.b->store), 0);
	assert_int_equal(fix.b->revoked.n_values, 0);
	answer_with(fix.get.ref, MK_OK, "v1", "t1", NULL); /* its own question: nothing was known of its value */
	assert_int_equal(fix.b->revoked.n_values, 1);
	again();
	assert_int_equal(asked("acme-other", "t1"), MK_REVOKED);
}

static void a_denied_name_revokes_nothing(void **state)
{
	struct mk_name names[2] = { { "acme-erp" }, { "acme-other" } };
	struct mk_revoke r = { .names = names, .n = 2, .reason = "" };
	struct mk_caller c = { .evidence = { .known = true, .socket = { "api" }, .uid = SYNC_UID, .gid = 1, .pid = 5 } };
	(void)state;
	assert_int_equal(mk_act_revoke(fix.b, &c, &r), MK_DENIED);
	assert_int_equal(fix.b->revoked.n_names, 0);
	assert_int_equal(asked("acme-erp", "t1"), MK_OK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_revoked_name_is_refused_also_after_a_restart),
		T(a_retired_value_is_refused_under_any_name_and_raises_an_alarm),
		T(a_value_held_under_two_names_dies_under_both_at_once),
		T(who_has_the_value_under_another_name_is_told_and_its_copy_is_wiped),
		T(a_name_whose_new_value_lives_keeps_it_when_its_old_one_dies_under_another),
		T(a_value_that_is_found_out_later_is_told_under_its_other_names_too),
		T(who_may_watch_by_a_tag_alone_hears_of_the_revocation),
		T(no_clock_brings_it_back),
		T(a_restore_lifts_the_name_and_the_values_only_where_it_says_so),
		T(who_waits_is_told_and_what_comes_late_is_nobodys),
		T(a_denied_name_revokes_nothing),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about lists and actions on the instance.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/gate_fix.h"

/* ---- lists ---- */

struct listing {
	struct mk_waiter w;
	struct mk_caller c;
	struct mk_name after;
	struct mk_list_item items[8];
	size_t n, limit;
	bool more;
	enum mk_err err;
};

static void list_again(struct mk_waiter *w)
{
	struct listing *l = (struct listing *)w;
	unsigned retry;
	l->err = mk_gate_list(fix.b, &l->c, &l->after, l->limit, &l->w, l->items, &l->n, &l->more, &retry);
}

static void list_as(struct listing *l, uid_t uid, size_t limit)
{
	*l = (struct listing){ .w.woken = list_again, .limit = limit };
	l->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = uid, .gid = uid, .pid = 77 };
	list_again(&l->w);
	pump();
}

static void a_list_shows_what_the_caller_may_read_in_pages(void **state)
{
	(void)state;
	static const char *const one[] = { "acme-a", "acme-b" };
	static const char *const two[] = { "acme-c", "acme-payroll", "globex-a" };
	struct listing l;
	list_as(&l, BILLING_UID, 2);
	assert_true(l.w.waiting);
	answer_names(true, one, 2);
	assert_string_equal(fix.list.after.s, "acme-b");
	assert_true(l.w.waiting);
	answer_names(false, two, 3);
	assert_int_equal(l.err, MK_OK);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.items[1].name.s, "acme-b");
	assert_true(l.more);
	l.after = l.items[1].name;
	list_again(&l.w);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.items[0].name.s, "acme-c");
	assert_false(l.more);
	assert_int_equal(records("\"event\":\"list\""), 2);
	list_as(&l, SYNC_UID, 8);
	assert_int_equal(l.err, MK_OK);
	assert_int_equal(l.n, 0);
	list_as(&l, 9999, 8);
	assert_int_equal(l.err, MK_DENIED);
	assert_int_equal(fix.lists, 2);
}

static void looking_through_many_names_costs_as_much_as_many_calls(void **state)
{
	static char text[MK_LIST_PAGE_MAX][8];
	static const char *names[MK_LIST_PAGE_MAX];
	(void)state;
	struct listing l;
	unsigned served = 0;
	for (unsigned i = 0; i < MK_LIST_PAGE_MAX; i++) {
		snprintf(text[i], sizeof text[i], "b%03u", i);
		names[i] = text[i];
	}
	list_as(&l, SYNC_UID, 8); /* who may read none of them is asked about each */
	answer_names(false, names, MK_LIST_PAGE_MAX);
	for (list_again(&l.w); l.err == MK_OK; list_again(&l.w)) {
		l.w.fetched = false;
		served++;
	}
	assert_int_equal(l.err, MK_RATE_LIMITED);
	assert_in_range(served, 1000 / (1 + MK_LIST_PAGE_MAX / 100) - 1, 1000 / (1 + MK_LIST_PAGE_MAX / 100) + 2);
	advance(1000);
	list_again(&l.w);
	assert_int_equal(l.err, MK_OK);
}

static void pages_that_do_not_go_on_cost_the_fetcher_its_link(void **state)
{
	(void)state;
	static const char *const page[] = { "acme-b" }, *const back[] = { "acme-a" };
	struct listing l;
	list_as(&l, BILLING_UID, 8);
	answer_names(true, page, 1);
	answer_names(true, back, 1);
	assert_null(fix.b->fetcher);
	assert_true(l.w.waiting);
	mk_waiter_cancel(fix.b, &l.w);
}

static void an_action_on_the_instance_is_recorded_before_it_is_allowed(void **state)
{
	(void)state;
	struct mk_caller c = { .evidence = { .known = true, .socket = { "api" }, .uid = 4003, .pid = 77 } };
	assert_int_equal(mk_gate_admin(fix.b, &c, MK_ACTION_STATUS), MK_OK);
	assert_int_equal(records("\"event\":\"admin\""), 1);
	assert_int_equal(mk_gate_admin(fix.b, &c, MK_ACTION_RELOAD), MK_DENIED);
	c = (struct mk_caller){ .evidence = { .known = true, .socket = { "api" }, .uid = BILLING_UID, .pid = 77 } };
	assert_int_equal(mk_gate_admin(fix.b, &c, MK_ACTION_STATUS), MK_DENIED);
	assert_int_equal(records("\"event\":\"admin\""), 1);
}

int main(void)
{
#define T(claim) cmocka_unit_test_setup_teardown(claim, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		T(a_list_shows_what_the_caller_may_read_in_pages),
		T(looking_through_many_names_costs_as_much_as_many_calls),
		T(pages_that_do_not_go_on_cost_the_fetcher_its_link),
		T(an_action_on_the_instance_is_recorded_before_it_is_allowed),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

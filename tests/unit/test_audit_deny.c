/* SPDX-License-Identifier: Apache-2.0
 *
 * Denials are counted per caller: whoever is refused a million times writes a line a
 * second, and none of the refusals is lost.
 */
#include "audit_kit.h"

static int setup(void **state)
{
	kit_setup(state);
	kit_open(*state);
	return 0;
}

static void deny(struct kit *k, uid_t uid, const char *listener, const char *connection)
{
	const struct mk_audit_rec rec = { .event = "deny", .peer = true, .uid = uid, .gid = uid, .listener = listener,
					  .action = "get", .connection = connection, .reason = "denied" };
	assert_int_equal(mk_audit_deny(k->a, &rec), MK_OK);
}

static unsigned lines(struct kit *k)
{
	return kit_count(k->file, "\"event\":\"deny\"");
}

static void the_first_is_written_at_once_the_rest_counted(void **state)
{
	struct kit *k = *state;
	deny(k, 7, "api", "acme-1");
	assert_int_equal(lines(k), 1);
	for (int i = 0; i < 999; i++)
		deny(k, 7, "api", i == 998 ? "acme-last" : "acme-1");
	assert_int_equal(lines(k), 1);
	mk_audit_tick(k->a);
	assert_int_equal(lines(k), 1);
	kit_tick(k, 1000);
	assert_int_equal(lines(k), 2);
	assert_int_equal(kit_count(k->file, "\"connection\":\"acme-last\",\"reason\":\"denied\",\"count\":999"), 1);
	assert_int_equal(kit_status(k).denials, 1000);
	kit_tick(k, 1000);
	assert_int_equal(lines(k), 2); /* nothing new, nothing written */
	deny(k, 7, "api", "acme-1");
	assert_int_equal(lines(k), 3); /* and after a quiet second at once again */
}

static void a_denial_says_whose_account_it_was_and_why(void **state)
{
	struct kit *k = *state;
	const struct mk_account account = { .ns = "erp", .name = "sync" };
	struct mk_audit_rec rec = { .event = "deny", .peer = true, .uid = 7, .listener = "sync", .account = &account, .reason = "denied" };
	assert_int_equal(mk_audit_deny(k->a, &rec), MK_OK);
	rec.account = NULL;
	rec.reason = "unauthenticated";
	rec.detail = "wrong_audience";
	assert_int_equal(mk_audit_deny(k->a, &rec), MK_OK);
	kit_tick(k, 1000);
	assert_int_equal(kit_count(k->file, "\"account\":\"erp/sync\",\"reason\":\"denied\""), 1);
	assert_int_equal(kit_count(k->file, "\"reason\":\"unauthenticated\",\"detail\":\"wrong_audience\""), 1);
	assert_int_equal(kit_count(k->file, "\"account\""), 1);
}

static void a_flood_is_one_line_a_second(void **state)
{
	struct kit *k = *state;
	for (int i = 0; i < 10 * 1000; i++) {
		deny(k, 7, "api", "acme-1");
		kit_pass(k, 1);
		if (i % 250 == 0)
			mk_audit_tick(k->a);
	}
	assert_in_range(lines(k), 9, 12);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.denials, 10000); /* closing wrote what was still counted */
}

static void callers_are_told_apart_by_uid_and_listener(void **state)
{
	struct kit *k = *state;
	deny(k, 7, "api", "acme-1");
	deny(k, 8, "api", "acme-1");
	deny(k, 7, "sync", "acme-1");
	assert_int_equal(lines(k), 3);
	deny(k, 7, "api", "acme-1");
	assert_int_equal(lines(k), 3);
}

static void callers_beyond_the_table_share_a_row(void **state)
{
	struct kit *k = *state;
	for (uid_t uid = 1; uid <= 1000; uid++)
		deny(k, uid, "api", "acme-1");
	assert_int_equal(lines(k), 257);
	kit_tick(k, 1000);
	assert_int_equal(lines(k), 258);
	assert_int_equal(kit_count(k->file, "\"count\":743,\"detail\":\"callers beyond those told apart\""), 1);
	kit_tick(k, 1000); /* the rows of quiet callers are free again */
	deny(k, 5000, "api", "acme-1");
	assert_int_equal(kit_count(k->file, "\"uid\":5000"), 1);
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		CLAIM(the_first_is_written_at_once_the_rest_counted),
		CLAIM(a_denial_says_whose_account_it_was_and_why),
		CLAIM(a_flood_is_one_line_a_second),
		CLAIM(callers_are_told_apart_by_uid_and_listener),
		CLAIM(callers_beyond_the_table_share_a_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

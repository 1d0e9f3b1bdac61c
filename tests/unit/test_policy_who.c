/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about identity by systemd unit and by Kubernetes account.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy_people.h"

#include "mk/own.h"

static struct mk_evidence caller(const char *socket, uid_t uid, const char *unit)
{
	struct mk_evidence e = { .known = true, .socket = word(socket), .uid = uid, .gid = uid, .pid = 77 };
	snprintf(e.unit, sizeof e.unit, "%s", unit);
	return e;
}

static struct mk_evidence with_account(struct mk_evidence e, const char *ns, const char *name)
{
	snprintf(e.account.ns, sizeof e.account.ns, "%s", ns);
	snprintf(e.account.name, sizeof e.account.name, "%s", name);
	return e;
}

/* ---- units ---- */

static void a_unit_must_be_known_and_the_very_one(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "billing", "api", 2001, "billing.service", NULL);
	service(&r, "worker", "api", ANY, "worker@eu.service", NULL);
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller("api", 2001, "billing.service");
	assert_int_equal(who(p, &e), 0);
	e = caller("api", 2002, "billing.service"); /* all that is named must hold */
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	e = caller("api", 2001, "billing.servic");
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	e = caller("api", 2001, "");
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	e = caller("api", 4000, "worker@eu.service");
	assert_int_equal(who(p, &e), 1);
	e = caller("api", 0, "worker@eu.service"); /* root is named nowhere */
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	mk_policy_free(p);
}

/* What systemd says counts on its socket only, and there nothing else does. */
static void on_the_credential_socket_the_unit_alone_makes_the_service(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "billing", "api", 2001, "billing.service", NULL);
	service(&r, "twice-a", "api", 3001, "twice.service", NULL);
	service(&r, "twice-b", "sync", 3001, "twice.service", NULL);
	service(&r, "own-a", "api", 3002, "own.service", NULL);
	service(&r, "own-b", "credential", ANY, "own.service", NULL);
	service(&r, "no-unit", "api", 4001, NULL, NULL);
	service(&r, "account", "sync", ANY, "token.service", "erp/sync");
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller("credential", 0, "billing.service");
	e.vouched = true;
	assert_int_equal(who(p, &e), 0);
	e.vouched = false; /* somebody else on that socket */
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	e = caller("api", 2001, "billing.service");
	e.vouched = true; /* nobody vouches elsewhere */
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	static const struct {
		const char *unit;
		uint32_t who;
	} cases[] = { { "twice.service", MK_NO_SERVICE }, { "own.service", 4 }, { "", MK_NO_SERVICE }, { "other.service", MK_NO_SERVICE },
		      { "token.service", MK_NO_SERVICE } };
	for (size_t i = 0; i < MK_COUNT(cases); i++) {
		e = caller("credential", 0, cases[i].unit);
		e.vouched = true;
		assert_int_equal(who(p, &e), cases[i].who);
	}
	e = caller("credential", 999, "billing.service"); /* the agent itself is not systemd */
	e.vouched = true;
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void units_tell_services_apart_or_not(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 5, "one.service", NULL);
	service(&r, "two", "api", 5, "two.service", NULL);
	mk_policy_free(compiled(&r));
	service(&r, "one", "api", 5, "one.service", NULL);
	service(&r, "two", "api", 5, "one.service", NULL);
	refused(&r, 2, "have the same identity");
	service(&r, "wide", "api", 5, NULL, NULL);
	service(&r, "narrow", "api", 5, "one.service", NULL);
	refused(&r, 2, "every caller that is \"narrow\" is also \"wide\"");
	service(&r, "one", "credential", ANY, "one.service", NULL);
	service(&r, "two", "credential", 0, "one.service", NULL); /* there the uid does not count */
	refused(&r, 2, "cannot be told apart");
	service(&r, "one", "credential", ANY, "one.service", NULL);
	service(&r, "two", "credential", ANY, "two.service", NULL);
	mk_policy_free(compiled(&r));
}

/* ---- accounts ---- */

static void an_account_must_be_the_tokens_and_whole(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "sync", "sync", 2001, NULL, "erp/sync");
	service(&r, "plain", "api", 2002, NULL, NULL);
	struct mk_policy *p = compiled(&r);
	const struct mk_evidence bare = caller("sync", 2001, "");
	struct mk_evidence e = with_account(bare, "erp", "sync");
	assert_int_equal(mk_policy_who(p, &e, &pod), 0);
	assert_int_equal(mk_policy_who(p, &bare, &pod), MK_NO_SERVICE);
	static const char *const wrong[][2] = { { "erp", "other" }, { "other", "sync" }, { "erp", "" }, { "", "sync" } };
	for (size_t i = 0; i < MK_COUNT(wrong); i++) {
		e = with_account(bare, wrong[i][0], wrong[i][1]);
		assert_int_equal(mk_policy_who(p, &e, &pod), MK_NO_SERVICE);
	}
	e = with_account(caller("sync", 2002, ""), "erp", "sync");
	assert_int_equal(mk_policy_who(p, &e, &pod), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void a_token_is_wanted_only_where_it_alone_is_missing(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "sync", "sync", 2001, NULL, "erp/sync");
	service(&r, "plain", "sync", 2002, NULL, NULL);
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller("sync", 2001, "");
	assert_true(mk_policy_wants_account(p, &e, &pod));
	e = with_account(e, "erp", "other"); /* a token that holds, of another: no other token is asked for */
	assert_false(mk_policy_wants_account(p, &e, &pod));
	e = caller("sync", 2002, ""); /* somebody without one */
	assert_false(mk_policy_wants_account(p, &e, &pod));
	e = caller("sync", 2003, "");
	assert_false(mk_policy_wants_account(p, &e, &pod));
	e = caller("api", 2001, "");
	assert_false(mk_policy_wants_account(p, &e, &pod));
	e = caller("sync", 2001, "");
	e.known = false;
	assert_false(mk_policy_wants_account(p, &e, &pod));
	e = caller("sync", 2001, "");
	e.pid = 0;
	assert_true(mk_policy_wants_account(p, &e, &pod));
	assert_false(mk_policy_wants_account(p, &e, &host));
	mk_policy_free(p);
}

static void accounts_tell_services_apart_or_not(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "sync", 5, NULL, "erp/one");
	service(&r, "two", "sync", 5, NULL, "erp/two");
	mk_policy_free(compiled(&r));
	service(&r, "one", "sync", 5, NULL, "erp/one");
	service(&r, "two", "sync", 5, NULL, "erp/one");
	refused(&r, 2, "have the same identity");
}

static void many_services_are_found_among_many(void **state)
{
	struct mk_rules r = { 0 };
	char name[32];
	(void)state;
	for (uid_t i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "s%u", i);
		service(&r, name, i % 2 ? "api" : "sync", 10000 + i, NULL, NULL);
	}
	service(&r, "rest", "sync", ANY, "rest.service", NULL);
	struct mk_policy *p = compiled(&r);
	for (uid_t i = 0; i < 1000; i++) {
		struct mk_evidence e = caller(i % 2 ? "api" : "sync", 10000 + i, "");
		assert_int_equal(who(p, &e), i);
		e = caller(i % 2 ? "sync" : "api", 10000 + i, "");
		assert_int_equal(who(p, &e), MK_NO_SERVICE);
	}
	struct mk_evidence e = caller("sync", 10000, "rest.service"); /* fits two */
	assert_int_equal(who(p, &e), MK_NO_SERVICE);
	e = caller("sync", 9, "rest.service");
	assert_int_equal(who(p, &e), 1000);
	mk_policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_unit_must_be_known_and_the_very_one),
		cmocka_unit_test(on_the_credential_socket_the_unit_alone_makes_the_service),
		cmocka_unit_test(units_tell_services_apart_or_not),
		cmocka_unit_test(an_account_must_be_the_tokens_and_whole),
		cmocka_unit_test(a_token_is_wanted_only_where_it_alone_is_missing),
		cmocka_unit_test(accounts_tell_services_apart_or_not),
		cmocka_unit_test(many_services_are_found_among_many),
	};
	return cmocka_run_group_tests_name("policy: who", tests, NULL, NULL);
}

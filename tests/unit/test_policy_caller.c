/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about identity: who a caller is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy_host.h"

#include "mk/own.h"

static struct mk_evidence caller(const char *socket, uid_t uid, gid_t gid)
{
	return (struct mk_evidence){ .known = true, .socket = word(socket), .uid = uid, .gid = gid, .pid = 77 };
}

static struct mk_policy *three_services(void)
{
	struct mk_rules r = { 0 };
	service(&r, "billing", "api", 2001, ANY);
	service(&r, "reports", "api", 2002, 50);
	service(&r, "sync", "sync", ANY, ANY);
	return compiled(&r);
}

static void a_caller_is_the_one_service_that_all_its_evidence_fits(void **state)
{
	struct mk_policy *p = three_services();
	struct mk_evidence e = caller("api", 2001, 2001);
	(void)state;
	assert_int_equal(mk_policy_who(p, &e, &host), 0);
	e = caller("sync", 5555, 5555);
	assert_int_equal(mk_policy_who(p, &e, &host), 2);
	e = caller("sync", 2001, 2001); /* the listener counts: not billing here */
	assert_int_equal(mk_policy_who(p, &e, &host), 2);
	e = caller("api", 5555, 5555);
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	e = caller("other", 2001, 2001);
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void all_keys_of_an_identity_must_hold(void **state)
{
	struct mk_policy *p = three_services();
	struct mk_evidence e = caller("api", 2002, 50);
	(void)state;
	assert_int_equal(mk_policy_who(p, &e, &host), 1); /* the effective group */
	e = caller("api", 2002, 2002);
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	e.groups[e.n_groups++] = 49;
	e.groups[e.n_groups++] = 50;
	assert_int_equal(mk_policy_who(p, &e, &host), 1); /* a supplementary one */
	e.uid = 2003;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	e = caller("api", 2002, 2002);
	e.groups[0] = 50; /* not counted */
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void evidence_that_is_not_whole_is_nobody(void **state)
{
	struct mk_policy *p = three_services();
	struct mk_evidence e = caller("api", 2001, 2001);
	const struct mk_evidence zero = { 0 };
	(void)state;
	assert_int_equal(mk_policy_who(p, &e, &host), 0);
	assert_int_equal(mk_policy_who(p, &zero, &host), MK_NO_SERVICE);
	e.known = false;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	e = caller("api", 2001, 2001);
	e.n_groups = MK_GROUPS_MAX + 1;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	e = caller("sync", 2001, 2001);
	e.socket = (struct mk_word){ "" };
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	mk_policy_free(p);
}

/* On the listener "sync" everybody is sync: what is refused here is refused for what it is. */
static void the_agents_own_uid_and_the_overflow_uid_are_nobody(void **state)
{
	static const uid_t nobodies[] = { OWN, 65534, (uid_t)-1, 0 };
	struct mk_policy *p = three_services();
	struct mk_evidence e = caller("sync", 1, 1);
	(void)state;
	assert_int_equal(mk_policy_who(p, &e, &host), 2);
	for (size_t i = 0; i < MK_COUNT(nobodies); i++) {
		e = caller("sync", nobodies[i], 1);
		assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	}
	mk_policy_free(p);
}

static void pid_0_is_nobody_on_a_host_and_not_in_a_pod(void **state)
{
	struct mk_policy *p = three_services();
	struct mk_evidence e = caller("sync", 2001, 2001);
	(void)state;
	e.pid = 0;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	assert_int_equal(mk_policy_who(p, &e, &pod), 2);
	e.pid = -1;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void uid_0_is_nobody_unless_a_service_names_it(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "operators", "admin", ANY, 0);
	service(&r, "root", "admin", 0, ANY);
	service(&r, "sync", "sync", ANY, ANY);
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller("admin", 0, 0);
	(void)state;
	assert_int_equal(mk_policy_who(p, &e, &host), 1); /* in the operators' group, and yet root alone */
	e = caller("sync", 0, 0);
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	e = caller("admin", 5, 0);
	assert_int_equal(mk_policy_who(p, &e, &host), 0);
	mk_policy_free(p);
}

static void a_caller_that_fits_two_services_is_nobody(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "by-uid", "api", 2001, ANY);
	service(&r, "by-group", "api", ANY, 50);
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller("api", 2001, 49);
	(void)state;
	assert_int_equal(mk_policy_who(p, &e, &host), 0);
	e = caller("api", 2002, 50);
	assert_int_equal(mk_policy_who(p, &e, &host), 1);
	e = caller("api", 2001, 50);
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void services_that_no_evidence_tells_apart_are_refused(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 5, ANY);
	service(&r, "two", "api", 5, ANY);
	refused(&r, 2, "\"one\" (line 1) and \"two\" have the same identity");
	service(&r, "wide", "api", 5, ANY);
	service(&r, "narrow", "api", 5, 50);
	refused(&r, 2, "every caller that is \"narrow\" is also \"wide\"");
	service(&r, "narrow", "sync", ANY, 50);
	service(&r, "wide", "sync", ANY, ANY);
	refused(&r, 2, "every caller that is \"narrow\" is also \"wide\"");
	service(&r, "one", "api", 5, ANY);
	service(&r, "one", "api", 6, ANY);
	refused(&r, 2, "service \"one\" is already defined on line 1");
	service(&r, "one", "api", 5, ANY); /* the same on another listener is another */
	service(&r, "two", "sync", 5, ANY);
	mk_policy_free(compiled(&r));
	service(&r, "one", "api", 5, 50);
	service(&r, "two", "api", 5, 51);
	mk_policy_free(compiled(&r));
	service(&r, "root", "admin", 0, ANY); /* whom a service without a uid never takes */
	service(&r, "all", "admin", ANY, ANY);
	mk_policy_free(compiled(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_caller_is_the_one_service_that_all_its_evidence_fits),
		cmocka_unit_test(all_keys_of_an_identity_must_hold),
		cmocka_unit_test(evidence_that_is_not_whole_is_nobody),
		cmocka_unit_test(the_agents_own_uid_and_the_overflow_uid_are_nobody),
		cmocka_unit_test(pid_0_is_nobody_on_a_host_and_not_in_a_pod),
		cmocka_unit_test(uid_0_is_nobody_unless_a_service_names_it),
		cmocka_unit_test(a_caller_that_fits_two_services_is_nobody),
		cmocka_unit_test(services_that_no_evidence_tells_apart_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about identity and decisions: who a caller is, and what it may do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mk/own.h"
#include "policy/policy.h"

#include <stdlib.h>

#define OWN 999u
#define BIT(a) (1u << MK_ACTION_##a)
#define ANY ((uid_t)-1) /* no uid, no gid asked for */
#define ALL 0xffffu

static const struct mk_nobody host = { .own_uid = OWN, .overflow_uid = 65534, .pid_required = true };
static const struct mk_nobody pod = { .own_uid = OWN, .overflow_uid = 65534, .pid_required = false };

static struct mk_word word(const char *s)
{
	struct mk_word w = { "" };
	assert_int_equal(mk_word_of(mk_span_of(s), &w), MK_OK);
	return w;
}

static void service(struct mk_rules *r, const char *name, const char *socket, uid_t uid, gid_t gid)
{
	struct mk_service s = { .name = word(name), .line = (unsigned)r->n_services + 1 };
	s.identity.socket = word(socket);
	s.identity.uid = uid == ANY ? 0 : uid;
	s.identity.gid = gid == ANY ? 0 : gid;
	s.identity.set = (uid == ANY ? 0u : MK_EVIDENCE_UID) | (gid == ANY ? 0u : MK_EVIDENCE_GROUP);
	assert_int_equal(mk_rules_add_service(r, &s), MK_OK);
}

/* patterns: NULL for none */
static void rule(struct mk_rules *r, bool deny, const char *name, uint32_t actions, const char *pattern)
{
	struct mk_rule x = { .deny = deny, .service = word(name), .actions = actions, .line = 100 + (unsigned)r->n_rules };
	x.patterns = calloc(1, sizeof *x.patterns);
	assert_non_null(x.patterns);
	if (pattern) {
		assert_int_equal(mk_pattern_of(mk_span_of(pattern), x.patterns), MK_OK);
		x.n_patterns = 1;
	}
	assert_int_equal(mk_rules_add_rule(r, &x), MK_OK);
}

static struct mk_policy *compiled(struct mk_rules *r)
{
	struct mk_policy *p = NULL;
	struct mk_why why = { 0 };
	if (mk_policy_new(r, &p, &why) != MK_OK)
		fail_msg("line %u: %s", why.line, why.text);
	mk_rules_done(r); /* the policy borrows nothing */
	return p;
}

static void refused(struct mk_rules *r, unsigned line, const char *part)
{
	struct mk_policy *p = NULL;
	struct mk_why why = { 0 };
	assert_int_equal(mk_policy_new(r, &p, &why), MK_BAD_REQUEST);
	assert_null(p);
	assert_int_equal(why.line, line);
	if (!strstr(why.text, part))
		fail_msg("\"%s\" does not say \"%s\"", why.text, part);
	mk_rules_done(r);
}

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

static void rules_that_cannot_mean_anything_are_refused(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 5, ANY);
	rule(&r, false, "two", BIT(GET), "*");
	refused(&r, 100, "this rule is for \"two\", which is no service");
	service(&r, "one", "api", 5, ANY);
	rule(&r, true, "one", ALL, NULL);
	refused(&r, 100, "denies nothing");
	service(&r, "one", "api", 5, ANY);
	rule(&r, false, "one", 1u << MK_ACTION_COUNT, "*");
	refused(&r, 100, "unknown actions");
	service(&r, "one", "api", 5, ANY);
	rule(&r, false, "one", BIT(GET), "*");
	r.rules[0].patterns[0].s[0] = '/';
	refused(&r, 100, "a pattern that is none");
}

static struct mk_verdict ask(const struct mk_policy *p, uint32_t who, enum mk_action a, const char *text)
{
	struct mk_name name = { "" };
	if (text)
		assert_int_equal(mk_name_of(mk_span_of(text), &name), MK_OK);
	return mk_policy_check(p, who, a, &(struct mk_subject){ .name = text ? &name : NULL });
}

static bool may(const struct mk_policy *p, uint32_t who, enum mk_action a, const char *text)
{
	return ask(p, who, a, text).decision == MK_ALLOW;
}

static void what_no_rule_allows_is_denied(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "billing", "api", 1, ANY);
	service(&r, "reports", "api", 2, ANY);
	rule(&r, false, "billing", BIT(GET), "acme-*");
	struct mk_policy *p = compiled(&r);
	(void)state;
	assert_true(may(p, 0, MK_ACTION_GET, "acme-1"));
	assert_false(may(p, 0, MK_ACTION_GET, "globex"));
	assert_false(may(p, 0, MK_ACTION_WATCH, "acme-1"));
	assert_false(may(p, 1, MK_ACTION_GET, "acme-1")); /* another service's rule */
	assert_false(may(p, MK_NO_SERVICE, MK_ACTION_GET, "acme-1"));
	assert_false(may(p, 2, MK_ACTION_GET, "acme-1"));
	assert_false(may(p, 0, MK_ACTION_COUNT, "acme-1"));
	const struct mk_verdict v = ask(p, 0, MK_ACTION_GET, "globex");
	assert_int_equal(v.rule, MK_NO_RULE);
	assert_int_equal(v.rate_per_hour, 0);
	mk_policy_free(p);
}

static void a_deny_beats_an_allow_wherever_it_stands(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "billing", "api", 1, ANY);
	rule(&r, true, "billing", ALL, "acme-payroll");
	rule(&r, false, "billing", BIT(GET) | BIT(WATCH), "*");
	rule(&r, true, "billing", BIT(WATCH), "globex");
	struct mk_policy *p = compiled(&r);
	(void)state;
	const struct mk_verdict first = ask(p, 0, MK_ACTION_GET, "acme-payroll");
	assert_int_equal(first.decision, MK_DENY);
	assert_int_equal(first.rule, 0);
	assert_true(may(p, 0, MK_ACTION_GET, "globex"));
	const struct mk_verdict last = ask(p, 0, MK_ACTION_WATCH, "globex");
	assert_int_equal(last.decision, MK_DENY);
	assert_int_equal(last.rule, 2);
	assert_int_equal(mk_policy_rule(p, last.rule)->line, 102);
	mk_policy_free(p);
}

static void an_empty_list_allows_nothing(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "api", 1, ANY);
	rule(&r, false, "one", BIT(GET), NULL);
	rule(&r, false, "one", 0, "*");
	struct mk_policy *p = compiled(&r);
	(void)state;
	for (unsigned a = 0; a < MK_ACTION_COUNT; a++) {
		assert_false(may(p, 0, (enum mk_action)a, "acme-1"));
		assert_false(may(p, 0, (enum mk_action)a, NULL));
	}
	mk_policy_free(p);
	p = compiled(&r); /* nor does an empty policy */
	assert_false(may(p, 0, MK_ACTION_GET, "acme-1"));
	assert_int_equal(mk_policy_services(p), 0);
	assert_int_equal(mk_policy_rules(p), 0);
	assert_null(mk_policy_service(p, 0));
	assert_null(mk_policy_rule(p, 0));
	mk_policy_free(p);
}

static void get_includes_list_and_not_the_other_way_round(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "api", 1, ANY);
	service(&r, "two", "api", 2, ANY);
	rule(&r, false, "one", BIT(GET), "*");
	rule(&r, false, "two", BIT(LIST), "*");
	rule(&r, true, "one", BIT(GET), "hidden");
	rule(&r, true, "one", BIT(LIST), "unlisted");
	struct mk_policy *p = compiled(&r);
	(void)state;
	assert_true(may(p, 0, MK_ACTION_LIST, "acme"));
	assert_true(may(p, 1, MK_ACTION_LIST, "acme"));
	assert_false(may(p, 1, MK_ACTION_GET, "acme"));
	assert_false(may(p, 0, MK_ACTION_LIST, "hidden"));
	assert_false(may(p, 0, MK_ACTION_LIST, "unlisted"));
	assert_true(may(p, 0, MK_ACTION_GET, "unlisted"));
	mk_policy_free(p);
}

static void an_action_on_the_instance_needs_a_star(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "admin", 1, ANY);
	service(&r, "two", "admin", 2, ANY);
	rule(&r, false, "one", BIT(STATUS) | BIT(RELOAD), "*");
	rule(&r, true, "one", BIT(RELOAD), "*");
	rule(&r, true, "one", BIT(STATUS), "acme-*");
	rule(&r, false, "two", BIT(STATUS), "a*");
	service(&r, "three", "admin", 3, ANY);
	rule(&r, false, "three", BIT(STATUS) | BIT(GET), "*-payroll");
	struct mk_policy *p = compiled(&r);
	const struct mk_name nothing = { "" };
	(void)state;
	assert_true(may(p, 2, MK_ACTION_GET, "acme-payroll")); /* a pattern that begins with a star is not the star */
	assert_false(may(p, 2, MK_ACTION_GET, "acme"));
	assert_false(may(p, 2, MK_ACTION_STATUS, NULL));
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_STATUS, &(struct mk_subject){ .name = &nothing }).decision, MK_DENY); /* nor is no name the instance */
	assert_true(may(p, 0, MK_ACTION_STATUS, NULL)); /* a deny of some names is not one of the instance */
	assert_false(may(p, 0, MK_ACTION_RELOAD, NULL));
	assert_false(may(p, 1, MK_ACTION_STATUS, NULL));
	assert_true(may(p, 1, MK_ACTION_STATUS, "acme"));
	mk_policy_free(p);
}

static void the_first_allow_that_fits_gives_the_rate(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "api", 1, ANY);
	rule(&r, false, "one", BIT(WATCH), "*");
	rule(&r, false, "one", BIT(GET), "acme-*");
	rule(&r, false, "one", BIT(GET), "*");
	r.rules[0].rate_per_hour = 1;
	r.rules[1].rate_per_hour = 360000;
	struct mk_policy *p = compiled(&r);
	(void)state;
	struct mk_verdict v = ask(p, 0, MK_ACTION_GET, "acme-1");
	assert_int_equal(v.rate_per_hour, 360000);
	assert_int_equal(v.rule, 1);
	v = ask(p, 0, MK_ACTION_GET, "globex");
	assert_int_equal(v.rate_per_hour, MK_RATE_DEFAULT_PER_HOUR);
	assert_int_equal(v.rule, 2);
	mk_policy_free(p);
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
		cmocka_unit_test(rules_that_cannot_mean_anything_are_refused),
		cmocka_unit_test(what_no_rule_allows_is_denied),
		cmocka_unit_test(a_deny_beats_an_allow_wherever_it_stands),
		cmocka_unit_test(an_empty_list_allows_nothing),
		cmocka_unit_test(get_includes_list_and_not_the_other_way_round),
		cmocka_unit_test(an_action_on_the_instance_needs_a_star),
		cmocka_unit_test(the_first_allow_that_fits_gives_the_rate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

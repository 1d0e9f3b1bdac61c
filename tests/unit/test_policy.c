/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about decisions: what a service may do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy_host.h"

#include <stdlib.h>

#define BIT(a) (1u << MK_ACTION_##a)

#define ALL 0xffffu

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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about groups of services, tags and fields, and about rules that can never decide.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy_people.h"

#include "policy/explain.h"

#include <stdlib.h>

#define BIT(a) (1u << MK_ACTION_##a)

static void group(struct mk_rules *r, const char *name, const char *one, const char *two)
{
	struct mk_group g = { .name = word(name), .line = 50 + (unsigned)r->n_groups, .services = calloc(2, sizeof *g.services) };
	assert_non_null(g.services);
	if (one)
		g.services[g.n_services++] = word(one);
	if (two)
		g.services[g.n_services++] = word(two);
	assert_int_equal(mk_rules_add_group(r, &g), MK_OK);
}

static struct mk_rule *rule(struct mk_rules *r, bool deny, const char *who, uint32_t actions, const char *pattern)
{
	struct mk_rule x = { .deny = deny, .service = word(who), .actions = actions, .line = 100 + (unsigned)r->n_rules };
	x.patterns = calloc(2, sizeof *x.patterns);
	x.tags = calloc(3, sizeof *x.tags);
	x.fields = calloc(2, sizeof *x.fields);
	assert_true(x.patterns && x.tags && x.fields);
	assert_int_equal(mk_pattern_of(mk_span_of(pattern), x.patterns), MK_OK);
	x.n_patterns = 1;
	assert_int_equal(mk_rules_add_rule(r, &x), MK_OK);
	return &r->rules[r->n_rules - 1];
}

static void tag(struct mk_rule *r, const char *key, const char *value)
{
	snprintf(r->tags[r->n_tags].key, sizeof r->tags[0].key, "%s", key);
	snprintf(r->tags[r->n_tags++].value, sizeof r->tags[0].value, "%s", value);
}

/* ---- groups ---- */

static struct mk_verdict ask(const struct mk_policy *p, uint32_t service_, enum mk_action a, const char *name)
{
	struct mk_name n = { "" };
	snprintf(n.s, sizeof n.s, "%s", name);
	return mk_policy_check(p, service_, a, &(struct mk_subject){ .name = &n });
}

static void a_groups_rules_are_those_of_each_service_in_it(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	service(&r, "two", "api", 2, NULL, NULL);
	service(&r, "three", "api", 3, NULL, NULL);
	group(&r, "pair", "one", "two");
	group(&r, "also", "two", NULL);
	rule(&r, false, "pair", BIT(GET), "acme-*")->rate_per_hour = 7;
	rule(&r, false, "two", BIT(GET), "*");
	rule(&r, true, "also", BIT(GET), "acme-payroll");
	struct mk_policy *p = compiled(&r);
	assert_int_equal(ask(p, 0, MK_ACTION_GET, "acme-1").decision, MK_ALLOW);
	assert_int_equal(ask(p, 0, MK_ACTION_GET, "acme-1").rate_per_hour, 7);
	assert_int_equal(ask(p, 0, MK_ACTION_GET, "acme-payroll").decision, MK_ALLOW); /* not in the group of the deny */
	assert_int_equal(ask(p, 0, MK_ACTION_GET, "globex").decision, MK_DENY);
	assert_int_equal(ask(p, 1, MK_ACTION_GET, "acme-1").rule, 0); /* the first in the file, the group's */
	assert_int_equal(ask(p, 1, MK_ACTION_GET, "globex").rule, 1);
	assert_int_equal(ask(p, 1, MK_ACTION_GET, "acme-payroll").rule, 2);
	assert_int_equal(ask(p, 2, MK_ACTION_GET, "acme-1").decision, MK_DENY);
	assert_true(mk_policy_concerns(p, 0, 0) && mk_policy_concerns(p, 0, 1) && !mk_policy_concerns(p, 0, 2));
	assert_true(mk_policy_concerns(p, 1, 1) && !mk_policy_concerns(p, 1, 0) && !mk_policy_concerns(p, 3, 0));
	assert_false(mk_policy_concerns(p, 0, 3));
	struct mk_word name = word("three");
	assert_int_equal(mk_policy_service_of(p, &name), 2);
	name = word("pair");
	assert_int_equal(mk_policy_service_of(p, &name), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void groups_that_cannot_mean_anything_are_refused(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "empty", NULL, NULL);
	refused(&r, 50, "group \"empty\" has no services");
	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "g", "two", NULL);
	refused(&r, 50, "\"two\", which is no service:");
	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "g", "one", NULL);
	group(&r, "h", "g", NULL);
	refused(&r, 51, "no group holds a group");
	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "g", "one", "one");
	refused(&r, 50, "holds \"one\" twice");
	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "one", "one", NULL);
	refused(&r, 50, "group \"one\" is already defined on line 1");
	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "g", "one", NULL);
	group(&r, "g", "one", NULL);
	refused(&r, 51, "group \"g\" is already defined on line 50");
}

/* ---- rules that can never decide ---- */

static void an_allow_all_of_which_is_denied_is_refused(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "all", "one", NULL);
	rule(&r, false, "one", BIT(GET), "acme-1*");
	rule(&r, true, "all", BIT(GET), "acme-*"); /* its group's, and behind it */
	refused(&r, 100, "this allow can never match: the deny on line 101");

	service(&r, "one", "api", 1, NULL, NULL);
	group(&r, "all", "one", NULL);
	rule(&r, false, "all", BIT(GET), "acme-1*");
	rule(&r, true, "one", BIT(GET), "acme-*"); /* others of the group are allowed */
	rule(&r, false, "one", BIT(GET) | BIT(WATCH), "acme-2");
	rule(&r, false, "one", BIT(GET), "acm*"); /* not all of it */
	tag(rule(&r, true, "one", BIT(GET), "*"), "zone", "eu"); /* nor what only some tags deny */
	mk_policy_free(compiled(&r));

	service(&r, "one", "api", 1, NULL, NULL);
	tag(rule(&r, false, "one", BIT(GET), "a*b"), "zone", "eu"); /* whatever its tags */
	rule(&r, true, "one", BIT(LIST), "a*");
	rule(&r, true, "one", BIT(GET), "*b");
	refused(&r, 100, "can never match");
}

static void a_dead_allow_is_told_with_the_deny_that_takes_it_away(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	rule(&r, false, "one", BIT(GET), "acme-*");
	rule(&r, true, "one", BIT(GET), "*");
	rule(&r, true, "one", BIT(ROTATE), "*"); /* nothing of it */
	refused(&r, 100, "the deny on line 101 takes away all of it: remove this allow, or narrow that deny (to stop all hand-outs at "
			 "once, whatever the policy says: makinictl freeze)");
	service(&r, "one", "api", 1, NULL, NULL);
	rule(&r, false, "one", BIT(GET), "acme-*");
	rule(&r, true, "one", BIT(LIST), "acme-*"); /* some of it */
	rule(&r, true, "one", BIT(GET), "*");
	refused(&r, 100, "the deny on line 101, with others, takes away all of it");
}

static void an_allow_behind_one_that_allows_all_of_it_is_refused(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	rule(&r, false, "one", BIT(GET), "acme-*");
	rule(&r, false, "one", BIT(LIST), "acme-1");
	refused(&r, 101, "this allow can never decide: the one on line 100");
	service(&r, "one", "api", 1, NULL, NULL);
	rule(&r, false, "one", BIT(GET), "acme-1");
	rule(&r, false, "one", BIT(GET), "acme-*"); /* the wider one behind: fine */
	rule(&r, false, "one", BIT(GET) | BIT(WATCH), "acme-1"); /* more actions */
	mk_policy_free(compiled(&r));
	service(&r, "one", "api", 1, NULL, NULL);
	tag(rule(&r, false, "one", BIT(GET), "*"), "zone", "eu"); /* not for all tags */
	rule(&r, false, "one", BIT(GET), "acme-1");
	mk_policy_free(compiled(&r));
}

static void a_rule_that_says_a_thing_twice_is_refused(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	struct mk_rule *x = rule(&r, false, "one", BIT(GET), "acme-1");
	x->patterns[x->n_patterns++] = x->patterns[0];
	refused(&r, 100, "names \"acme-1\" twice");
	service(&r, "one", "api", 1, NULL, NULL);
	x = rule(&r, false, "one", BIT(GET), "acme-1");
	tag(x, "zone", "eu");
	tag(x, "zone", "us");
	refused(&r, 100, "the tag \"zone\" twice");
	service(&r, "one", "api", 1, NULL, NULL);
	x = rule(&r, true, "one", BIT(GET), "acme-1");
	x->fields_set = true;
	refused(&r, 100, "this deny has fields");
	service(&r, "one", "api", 1, NULL, NULL);
	x = rule(&r, false, "one", BIT(GET), "acme-1");
	x->n_tags = MK_RULE_TAGS_MAX + 1;
	refused(&r, 100, "more than 8 tags");
}

/* ---- tags and fields ---- */

static void all_tags_of_a_rule_must_hold_in_any_order(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	struct mk_rule *x = rule(&r, false, "one", BIT(GET), "*");
	tag(x, "zone", "eu");
	tag(x, "system", "sap");
	struct mk_policy *p = compiled(&r);
	const struct mk_name name = { "acme" };
	struct mk_tag tags[3] = { { "system", "sap" }, { "other", "x" }, { "zone", "eu" } };
	struct mk_subject s = { &name, tags, 3, true, true };
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &s).decision, MK_ALLOW);
	s.n_tags = 2;
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &s).decision, MK_DENY);
	s.n_tags = 3;
	s.tags_trusted = false;
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &s).decision, MK_DENY);
	s.tags_trusted = true;
	memcpy(tags[2].value, "us", 3);
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &s).decision, MK_DENY);
	mk_policy_free(p);
}

static void an_allow_grants_all_fields_or_those_it_names(void **state)
{
	struct mk_field some[] = { { "access_token" }, { "base_url" } };
	const struct mk_rule all = { .deny = false }, deny = { .deny = true };
	const struct mk_rule two = { .fields_set = true, .fields = some, .n_fields = 2 };
	const struct mk_rule none = { .fields_set = true };
	(void)state;
	assert_true(mk_rule_grants(&all, "access_token") && mk_rule_grants(&two, "access_token") && mk_rule_grants(&two, "base_url"));
	assert_false(mk_rule_grants(&two, "other") || mk_rule_grants(&two, "access_toke") || mk_rule_grants(&none, "access_token"));
	assert_false(mk_rule_grants(&deny, "access_token") || mk_rule_grants(NULL, "access_token"));
}

/* ---- explain ---- */

static void explains(const struct mk_policy *p, const struct mk_subject *s, const char *part, const char *not_part)
{
	struct mk_explained e;
	char text[MK_EXPLAIN_TEXT_MAX], json[8192];
	struct mk_jw w = mk_jw_of(json, sizeof json);
	size_t n = 0;
	mk_policy_explain(p, 0, MK_ACTION_GET, s, &e);
	mk_explain_remedy(p, &e, "policy.conf", text);
	if (!strstr(text, part) || (not_part && strstr(text, not_part)))
		fail_msg("\"%s\" does not say \"%s\", or says \"%s\"", text, part, not_part ? not_part : "");
	mk_explain_json(p, &e, "policy.conf", &w);
	assert_int_equal(mk_jw_end(&w, &n), MK_OK);
	json[n] = '\0';
	assert_non_null(strstr(json, e.verdict.decision == MK_ALLOW ? "\"decision\":\"allow\"" : "\"decision\":\"deny\""));
}

static void what_would_have_to_change_is_told(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	service(&r, "one", "api", 1, NULL, NULL);
	rule(&r, false, "one", BIT(GET), "acme-*");
	rule(&r, true, "one", BIT(GET), "*-payroll");
	tag(rule(&r, false, "one", BIT(GET), "erp-*"), "system", "sap");
	struct mk_policy *p = compiled(&r);
	const struct mk_name ok = { "acme-1" }, payroll = { "acme-payroll" }, other = { "other" }, erp = { "erp-1" }, both = { "x-payroll" };
	struct mk_subject s = { .name = &ok, .tags_trusted = true };
	explains(p, &s, "", "a");
	s.name = &payroll;
	explains(p, &s, "narrow or remove the deny for \"one\" at policy.conf:101", "add a rule");
	s.name = &other;
	explains(p, &s, "add a rule such as { allow = \"one\"; actions = [ \"get\" ]; connections = [ \"other\" ]; }", "narrow");
	s.name = &both;
	explains(p, &s, "policy.conf:101; and add a rule", NULL);
	s.name = &erp;
	explains(p, &s, "tag it system=sap, for the allow at policy.conf:102", "trust_tags");
	s.tags_trusted = false;
	explains(p, &s, "let the backend say trust_tags = true", NULL);
	mk_policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_groups_rules_are_those_of_each_service_in_it),
		cmocka_unit_test(groups_that_cannot_mean_anything_are_refused),
		cmocka_unit_test(an_allow_all_of_which_is_denied_is_refused),
		cmocka_unit_test(an_allow_behind_one_that_allows_all_of_it_is_refused),
		cmocka_unit_test(a_dead_allow_is_told_with_the_deny_that_takes_it_away),
		cmocka_unit_test(a_rule_that_says_a_thing_twice_is_refused),
		cmocka_unit_test(all_tags_of_a_rule_must_hold_in_any_order),
		cmocka_unit_test(an_allow_grants_all_fields_or_those_it_names),
		cmocka_unit_test(what_would_have_to_change_is_told),
	};
	return cmocka_run_group_tests_name("policy: what", tests, NULL, NULL);
}

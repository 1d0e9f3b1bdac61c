/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the policy's limits: the shortest, the longest and the most of what it
 * holds, and who is none of its services.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mk/own.h"
#include "policy/policy_.h"
#include "policy_kit.h"

#include <stdio.h>
#include <stdlib.h>

#define GET (1u << MK_ACTION_GET)

static struct mk_identity *service(struct mk_rules *r, const char *name)
{
	const struct mk_service s = { .name = word(name), .line = 1, .identity = { .socket = { "api" } } };
	assert_int_equal(mk_rules_add_service(r, &s), MK_OK);
	return &r->services[r->n_services - 1].identity;
}

/* Of a uid of its own. */
static void plain_service(struct mk_rules *r, const char *name)
{
	struct mk_identity *id = service(r, name);
	id->set = MK_EVIDENCE_UID;
	id->uid = 5000 + (uid_t)r->n_services;
}

static void group(struct mk_rules *r, const char *name, const char *one)
{
	struct mk_group g = { .name = word(name), .line = 7 };
	if (one) {
		g.services = calloc(1, sizeof *g.services);
		assert_non_null(g.services);
		g.services[g.n_services++] = word(one);
	}
	assert_int_equal(mk_rules_add_group(r, &g), MK_OK);
}

/* With room for so many patterns, of which "*" is the first, tags and fields. */
static struct mk_rule *rule(struct mk_rules *r, bool deny, const char *who, size_t patterns)
{
	struct mk_rule x = { .deny = deny, .service = word(who), .actions = GET, .line = 9, .n_patterns = 1 };
	x.patterns = calloc(patterns, sizeof *x.patterns);
	x.tags = calloc(MK_RULE_TAGS_MAX + 1, sizeof *x.tags);
	x.fields = calloc(2, sizeof *x.fields);
	assert_true(x.patterns && x.tags && x.fields);
	x.patterns[0].s[0] = '*';
	assert_int_equal(mk_rules_add_rule(r, &x), MK_OK);
	return &r->rules[r->n_rules - 1];
}

static void tags(struct mk_rule *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		snprintf(x->tags[i].key, sizeof x->tags[i].key, "k%zu", i);
		snprintf(x->tags[i].value, sizeof x->tags[i].value, "v");
	}
	x->n_tags = n;
}

static void refused_as(struct mk_rules *r, enum mk_err e, const char *part)
{
	struct mk_policy *p = NULL;
	struct mk_why why = { 0 };
	assert_int_equal(mk_policy_new(r, &p, &why), e);
	assert_null(p);
	if (!strstr(why.text, part))
		fail_msg("\"%s\" does not say \"%s\"", why.text, part);
	mk_rules_done(r);
}

static struct mk_evidence caller(void)
{
	return (struct mk_evidence){ .known = true, .socket = word("api"), .uid = 2001, .gid = 2001 };
}

static void every_service_is_found_by_its_name_and_no_other_is(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	plain_service(&r, "one");
	plain_service(&r, "two");
	struct mk_policy *p = compiled(&r);
	const struct mk_word one = word("one"), two = word("two"), three = word("three");
	assert_int_equal(mk_policy_services(p), 2);
	assert_int_equal(mk_policy_service_of(p, &one), 0);
	assert_int_equal(mk_policy_service_of(p, &two), 1);
	assert_int_equal(mk_policy_service_of(p, &three), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void a_groups_rule_concerns_those_in_it_and_not_those_before_them(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	plain_service(&r, "one");
	plain_service(&r, "two");
	group(&r, "g", "two");
	rule(&r, false, "g", 1);
	struct mk_policy *p = compiled(&r);
	assert_false(mk_policy_concerns(p, 0, 0));
	assert_true(mk_policy_concerns(p, 0, 1));
	assert_false(mk_policy_concerns(p, 0, 2));
	assert_false(mk_policy_concerns(p, 1, 1));
	mk_policy_free(p);
}

static void names_that_differ_in_their_last_letter_are_two(void **state)
{
	struct mk_rules r = { 0 };
	char name[MK_WORD_MAX + 1] = "";
	(void)state;
	memset(name, 'a', MK_WORD_MAX);
	plain_service(&r, name);
	name[MK_WORD_MAX - 1] = 'b';
	plain_service(&r, name);
	rule(&r, false, name, 1);
	struct mk_policy *p = compiled(&r);
	assert_false(mk_policy_concerns(p, 0, 0));
	assert_true(mk_policy_concerns(p, 0, 1));
	mk_policy_free(p);
}

static void names_of_one_letter_are_names(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	struct mk_identity *id = service(&r, "unit");
	id->set = MK_EVIDENCE_UNIT | MK_EVIDENCE_UID;
	id->uid = 1;
	id->unit[0] = 'u';
	id = service(&r, "account");
	id->set = MK_EVIDENCE_ACCOUNT;
	id->account = (struct mk_account){ "a", "b" };
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller();
	e.account = (struct mk_account){ "a", "b" };
	assert_int_equal(mk_policy_who(p, &e, &pod), 1);
	e.account.name[0] = 'x'; /* another's, and it holds: no other is asked for */
	assert_int_equal(mk_policy_who(p, &e, &pod), MK_NO_SERVICE);
	assert_false(mk_policy_wants_account(p, &e, &pod));
	e = caller();
	assert_true(mk_policy_wants_account(p, &e, &pod));
	e.uid = 1;
	e.unit[0] = 'u';
	assert_int_equal(mk_policy_who(p, &e, &pod), 0);
	mk_policy_free(p);
}

static void a_unit_that_is_not_asked_for_does_not_count(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	for (unsigned asked = 0; asked < 2; asked++) {
		struct mk_identity *id = service(&r, "one");
		snprintf(id->unit, sizeof id->unit, "one.service");
		id->set = asked ? MK_EVIDENCE_UNIT : 0;
		struct mk_policy *p = compiled(&r);
		struct mk_evidence e = caller();
		e.socket = word("credential");
		e.vouched = true;
		snprintf(e.unit, sizeof e.unit, "one.service");
		assert_int_equal(mk_policy_who(p, &e, &pod), asked ? 0 : MK_NO_SERVICE);
		mk_policy_free(p);
	}
}

static void no_token_is_asked_of_who_is_nobody_for_being_two(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	for (gid_t i = 0; i < 2; i++) {
		struct mk_identity *id = service(&r, i ? "one" : "two");
		id->set = MK_EVIDENCE_GROUP;
		id->gid = 50 + i;
	}
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller();
	e.gid = 50;
	e.groups[e.n_groups++] = 51;
	assert_int_equal(mk_policy_who(p, &e, &pod), MK_NO_SERVICE);
	assert_false(mk_policy_wants_account(p, &e, &pod));
	mk_policy_free(p);
}

/* As many as there may be: some of them begin each of the chains by which they are found. */
static void as_many_services_as_there_may_be_are_found(void **state)
{
	struct mk_rules r = { 0 };
	char name[16];
	(void)state;
	for (unsigned i = 0; i < MK_SERVICES_MAX; i++) {
		snprintf(name, sizeof name, "s%u", i);
		plain_service(&r, name);
	}
	struct mk_policy *p = compiled(&r);
	for (uid_t i = 0; i < 3 * MK_SERVICES_MAX; i++) {
		struct mk_evidence e = caller();
		e.uid = 5001 + i;
		assert_int_equal(mk_policy_who(p, &e, &pod), i < MK_SERVICES_MAX ? i : MK_NO_SERVICE);
	}
	mk_policy_free(p);
}

static void an_empty_group_is_refused_also_where_it_has_no_list(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	plain_service(&r, "one");
	group(&r, "g", NULL);
	refused_as(&r, MK_BAD_REQUEST, "has no services");
}

static void a_rule_has_as_many_tags_as_it_may_and_no_more(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	plain_service(&r, "one");
	tags(rule(&r, false, "one", 1), MK_RULE_TAGS_MAX);
	struct mk_policy *p = compiled(&r);
	struct mk_tag has[MK_RULE_TAGS_MAX];
	const struct mk_name name = { "a" };
	for (size_t i = 0; i < MK_RULE_TAGS_MAX; i++) {
		snprintf(has[i].key, sizeof has[i].key, "k%zu", i);
		snprintf(has[i].value, sizeof has[i].value, "v");
	}
	struct mk_subject s = { &name, has, MK_RULE_TAGS_MAX, true, true };
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &s).decision, MK_ALLOW);
	s.n_tags--;
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &s).decision, MK_DENY);
	mk_policy_free(p);
	plain_service(&r, "one");
	tags(rule(&r, false, "one", 1), MK_RULE_TAGS_MAX + 1);
	refused_as(&r, MK_BAD_REQUEST, "more than 8 tags");
	plain_service(&r, "one");
	rule(&r, false, "one", 1)->n_tags = 1; /* of no key */
	refused_as(&r, MK_BAD_REQUEST, "asks for the tag \"\"");
}

/* So many that some of them share a place in the index: there, too, each is its own. */
static void of_many_values_of_a_tag_each_has_its_own_rule(void **state)
{
	static const struct {
		size_t n, varies;
	} cases[] = { { 1, 0 }, { 2, 0 }, { 2, 1 } };
	const struct mk_name name = { "a" };
	const unsigned n = 200;
	(void)state;
	for (size_t c = 0; c < MK_COUNT(cases); c++) {
		struct mk_rules r = { 0 };
		plain_service(&r, "one");
		for (unsigned i = 0; i < n; i++) {
			struct mk_rule *x = rule(&r, false, "one", 1);
			tags(x, cases[c].n);
			snprintf(x->tags[cases[c].varies].value, sizeof x->tags[0].value, "%u", 2 * n - i);
		}
		struct mk_policy *p = compiled(&r);
		for (unsigned i = 0; i < n; i++) {
			struct mk_tag has[2] = { { "k0", "v" }, { "k1", "v" } };
			snprintf(has[cases[c].varies].value, sizeof has[0].value, "%u", 2 * n - i);
			const struct mk_subject s = { &name, has, 2, true, true };
			assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &s).rule, i);
		}
		mk_policy_free(p);
	}
}

/* Each is kept for a value that is not known, too: there all of them are. */
static void patterns_with_a_star_inside_are_counted_whatever_their_tags(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	plain_service(&r, "one");
	for (unsigned i = 0; i < MK_MIXED_MAX + 1; i++) {
		struct mk_rule *x = rule(&r, true, "one", 1);
		snprintf(x->patterns[0].s, sizeof x->patterns[0].s, "a*%02u*", i);
		tags(x, 1);
		x->tags[0].value[0] = i % 2 ? 'v' : 'w';
	}
	refused_as(&r, MK_BAD_REQUEST, "have a star inside");
}

static void the_longest_pattern_is_looked_at_to_its_end_and_no_further(void **state)
{
	struct mk_pattern *p = malloc(sizeof *p);
	(void)state;
	assert_non_null(p);
	memset(p->s, 'a', MK_PATTERN_MAX);
	p->s[0] = '*';
	p->s[MK_PATTERN_MAX] = '\0';
	assert_int_equal(mk_literal_of(p).kind, MK_SHAPE_TAIL);
	assert_int_equal(mk_literal_of(p).n, MK_PATTERN_MAX - 1);
	p->s[MK_PATTERN_MAX - 1] = '*';
	assert_int_equal(mk_literal_of(p).kind, MK_SHAPE_MIXED);
	free(p);
}

static void an_allow_keeps_its_fields(void **state)
{
	struct mk_rules r = { 0 };
	(void)state;
	plain_service(&r, "one");
	struct mk_rule *x = rule(&r, false, "one", 1);
	x->fields_set = true;
	x->n_fields = 1;
	snprintf(x->fields[0].s, sizeof x->fields[0].s, "username");
	struct mk_policy *p = compiled(&r);
	assert_true(mk_rule_grants(mk_policy_rule(p, 0), "username"));
	assert_false(mk_rule_grants(mk_policy_rule(p, 0), "access_token"));
	mk_policy_free(p);
}

/* A deny with 8 tags is kept once for each set of them that may be known: 256 times. */
static void a_policy_that_would_be_too_large_is_refused(void **state)
{
	const unsigned n = MK_ENTRIES_MAX / 256;
	struct mk_rules r = { 0 };
	(void)state;
	plain_service(&r, "one");
	struct mk_rule *x = rule(&r, true, "one", n);
	tags(x, MK_RULE_TAGS_MAX);
	for (unsigned i = 0; i < n; i++)
		snprintf(x->patterns[i].s, sizeof x->patterns[i].s, "c%u", i);
	x->n_patterns = n;
	rule(&r, true, "one", 1); /* and one more */
	refused_as(&r, MK_TOO_LARGE, "use wildcards, groups or fewer tags");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_service_is_found_by_its_name_and_no_other_is),
		cmocka_unit_test(a_groups_rule_concerns_those_in_it_and_not_those_before_them),
		cmocka_unit_test(names_that_differ_in_their_last_letter_are_two),
		cmocka_unit_test(names_of_one_letter_are_names),
		cmocka_unit_test(a_unit_that_is_not_asked_for_does_not_count),
		cmocka_unit_test(no_token_is_asked_of_who_is_nobody_for_being_two),
		cmocka_unit_test(as_many_services_as_there_may_be_are_found),
		cmocka_unit_test(an_empty_group_is_refused_also_where_it_has_no_list),
		cmocka_unit_test(a_rule_has_as_many_tags_as_it_may_and_no_more),
		cmocka_unit_test(of_many_values_of_a_tag_each_has_its_own_rule),
		cmocka_unit_test(patterns_with_a_star_inside_are_counted_whatever_their_tags),
		cmocka_unit_test(the_longest_pattern_is_looked_at_to_its_end_and_no_further),
		cmocka_unit_test(an_allow_keeps_its_fields),
		cmocka_unit_test(a_policy_that_would_be_too_large_is_refused),
	};
	return cmocka_run_group_tests_name("policy limits", tests, NULL, NULL);
}

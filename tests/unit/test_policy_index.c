/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the compiled policy: it decides as a plain walk over all rules would, and
 * what a decision costs does not depend on how many rules there are.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mk/own.h"
#include "policy/policy_.h"
#include "policy_plain.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- random policies: few letters, few names, so that much matches ---- */

static uint64_t dice = 88172645463325252u;
static unsigned below(unsigned n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (unsigned)(dice % n);
}

static void random_text(char *to, size_t max, const char *letters)
{
	const size_t n = 1 + below((unsigned)max);
	for (size_t i = 0; i < n; i++)
		to[i] = letters[below((unsigned)strlen(letters))];
	to[n] = '\0';
}

static struct mk_word word(const char *prefix, unsigned n)
{
	struct mk_word w = { "" };
	snprintf(w.s, sizeof w.s, "%s%u", prefix, n);
	return w;
}

#define SERVICES 4u
#define GROUPS 3u

static void random_who(struct mk_rules *d)
{
	for (unsigned i = 0; i < SERVICES; i++) {
		struct mk_service s = { .name = word("s", i), .identity = { .socket = { "api" }, .set = MK_EVIDENCE_UID, .uid = i + 1 } };
		assert_int_equal(mk_rules_add_service(d, &s), MK_OK);
	}
	for (unsigned g = 0; g < GROUPS; g++) {
		struct mk_group group = { .name = word("g", g), .services = calloc(SERVICES, sizeof(struct mk_word)) };
		assert_non_null(group.services);
		for (unsigned i = 0; i < SERVICES; i++)
			if (below(2) || (i == SERVICES - 1 && group.n_services == 0))
				group.services[group.n_services++] = word("s", i);
		assert_int_equal(mk_rules_add_group(d, &group), MK_OK);
	}
}

static void random_tags(struct mk_rule *r)
{
	static const char *const keys[] = { "zone", "system", "a" };
	const unsigned chosen = below(3) == 0 ? below(8) : 0;
	r->tags = calloc(3, sizeof *r->tags);
	assert_non_null(r->tags);
	for (unsigned i = 0; i < 3; i++)
		if (chosen & 1u << i) {
			snprintf(r->tags[r->n_tags].key, sizeof r->tags[0].key, "%s", keys[i]);
			snprintf(r->tags[r->n_tags++].value, sizeof r->tags[0].value, "%u", below(2));
		}
}

static void random_patterns(struct mk_rule *r)
{
	const unsigned n = 1 + below(3);
	r->patterns = calloc(n, sizeof *r->patterns);
	assert_non_null(r->patterns);
	while (r->n_patterns < n) {
		char text[8];
		bool twice = false;
		random_text(text, 5, "aab*-");
		if (mk_pattern_of(mk_span_of(text), &r->patterns[r->n_patterns]) != MK_OK)
			continue;
		for (size_t i = 0; i < r->n_patterns; i++)
			twice = twice || strcmp(r->patterns[i].s, text) == 0;
		r->n_patterns += !twice;
	}
}

static void random_rule(struct mk_rules *d)
{
	struct mk_rule r = { .deny = below(4) == 0, .line = (unsigned)d->n_rules + 1, .rate_per_hour = below(2) * (1 + below(99)) };
	const unsigned who = below(SERVICES + GROUPS);
	r.service = who < SERVICES ? word("s", who) : word("g", who - SERVICES);
	r.actions = 1u << below(4) | 1u << below(4);
	random_patterns(&r);
	random_tags(&r);
	assert_int_equal(mk_rules_add_rule(d, &r), MK_OK);
}

/* A rule that can never decide is refused: it is thrown out, until the rest is taken. Returns how many were. */
static unsigned without_dead_rules(struct mk_rules *d, struct mk_policy **p)
{
	struct mk_why why = { 0 };
	unsigned dead = 0;
	enum mk_err e;
	while ((e = mk_policy_new(d, p, &why)) != MK_OK) {
		size_t at = 0;
		assert_int_equal(e, MK_BAD_REQUEST);
		assert_non_null(strstr(why.text, "can never"));
		while (d->rules[at].line != why.line)
			at++;
		mk_rule_done(&d->rules[at]);
		memmove(&d->rules[at], &d->rules[at + 1], (d->n_rules - at - 1) * sizeof *d->rules);
		d->n_rules--;
		dead++;
	}
	return dead;
}

struct tally {
	unsigned allowed, denied, by_rule, matter, dead;
};

static void compare(const struct mk_rules *d, const struct mk_policy *p, const struct mk_subject *s, struct tally *t)
{
	for (uint32_t service = 0; service < SERVICES; service++)
		for (unsigned a = 0; a < 4; a++) {
			const struct mk_verdict want = plain(d, service, (enum mk_action)a, s);
			const struct mk_verdict got = mk_policy_check(p, service, (enum mk_action)a, s);
			if (want.decision != got.decision || want.rule != got.rule || want.tags_matter != got.tags_matter ||
			    want.rate_per_hour != got.rate_per_hour)
				fail_msg("service %u, action %u, name %s: rule %u, not %u", service, a, s->name ? s->name->s : "(none)",
					 got.rule, want.rule);
			assert_true(got.decision != MK_ALLOW || got.allow == mk_policy_rule(p, got.rule));
			t->allowed += got.decision == MK_ALLOW;
			t->denied += got.decision == MK_DENY;
			t->by_rule += got.decision == MK_DENY && got.rule != MK_NO_RULE;
			t->matter += got.tags_matter;
		}
}

static void ask_random(const struct mk_rules *d, const struct mk_policy *p, struct tally *t)
{
	static const char *const keys[] = { "zone", "system", "other" };
	struct mk_tag tags[3] = { { "", "" } };
	struct mk_name name = { "" };
	char text[8];
	struct mk_subject s = { .tags = tags, .tags_known = below(2), .tags_trusted = below(3) > 0 };
	for (unsigned i = 0; i < 3; i++)
		if (below(2)) {
			snprintf(tags[s.n_tags].key, sizeof tags[0].key, "%s", keys[i]);
			snprintf(tags[s.n_tags++].value, sizeof tags[0].value, "%u", below(2));
		}
	random_text(text, 6, "aab-");
	if (mk_name_of(mk_span_of(text), &name) == MK_OK)
		s.name = &name;
	compare(d, p, &s, t);
}

static void the_compiled_policy_decides_as_a_walk_over_all_rules(void **state)
{
	struct tally t = { 0 };
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct mk_rules d = { 0 };
		struct mk_policy *p = NULL;
		random_who(&d);
		for (unsigned n = below(12); n > 0; n--)
			random_rule(&d);
		t.dead += without_dead_rules(&d, &p);
		for (unsigned i = 0; i < 12; i++)
			ask_random(&d, p, &t);
		mk_policy_free(p);
		mk_rules_done(&d);
	}
	assert_true(t.allowed > 10000 && t.denied > 10000 && t.by_rule > 10000 && t.matter > 1000 && t.dead > 100);
}

/* ---- what is thrown out could not have decided anything ---- */

static void a_rule_that_is_refused_as_dead_would_have_decided_nothing(void **state)
{
	unsigned dead = 0;
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct mk_rules d = { 0 };
		struct mk_policy *p = NULL;
		struct mk_why why = { 0 };
		random_who(&d);
		for (unsigned n = 2 + below(4); n > 0; n--)
			random_rule(&d);
		if (mk_policy_new(&d, &p, &why) != MK_OK) {
			dead++;
			for (unsigned i = 0; i < 200; i++) {
				char text[8];
				struct mk_name name = { "" };
				random_text(text, 6, "aabc-");
				if (mk_name_of(mk_span_of(text), &name) != MK_OK)
					continue;
				struct mk_tag tags[3] = { { "zone", "1" }, { "system", "0" }, { "a", "1" } };
				const struct mk_subject s = { &name, tags, 3, true, true };
				for (size_t service = 0; service < SERVICES; service++)
					for (unsigned a = 0; a < 4; a++) {
						const struct mk_verdict v = plain(&d, service, (enum mk_action)a, &s);
						assert_true(v.decision != MK_ALLOW || d.rules[v.rule].line != why.line);
					}
			}
		}
		mk_policy_free(p);
		mk_rules_done(&d);
	}
	assert_true(dead > 100);
}

/* ---- cost ---- */

static void add(struct mk_rules *d, bool deny, const char *who, const char *pattern, const char *tag)
{
	struct mk_rule r = { .deny = deny, .actions = BIT(GET), .n_patterns = 1, .line = (unsigned)d->n_rules + 1 };
	r.patterns = calloc(1, sizeof *r.patterns);
	r.tags = calloc(1, sizeof *r.tags);
	assert_true(r.patterns && r.tags);
	assert_int_equal(mk_word_of(mk_span_of(who), &r.service), MK_OK);
	assert_int_equal(mk_pattern_of(mk_span_of(pattern), r.patterns), MK_OK);
	if (tag) {
		snprintf(r.tags[0].key, sizeof r.tags[0].key, "customer");
		snprintf(r.tags[0].value, sizeof r.tags[0].value, "%s", tag);
		r.n_tags = 1;
	}
	assert_int_equal(mk_rules_add_rule(d, &r), MK_OK);
}

/* As many rules as asked for, of each kind of pattern in turn; each is for another customer. */
static struct mk_policy *of_size(unsigned rules)
{
	struct mk_rules d = { 0 };
	struct mk_policy *p = NULL;
	struct mk_why why = { 0 };
	random_who(&d);
	for (unsigned i = 0; i < rules; i++) {
		char pattern[32], tag[16];
		const char *const forms[] = { "c%05u", "c%05u-*", "*-c%05u", "c%05u-*-db", "*" };
		snprintf(tag, sizeof tag, "%u", i);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(pattern, sizeof pattern, forms[i % MK_COUNT(forms)], i);
#pragma GCC diagnostic pop
		add(&d, i % 7 == 6, i % 2 ? "s0" : "g0", pattern, i % MK_COUNT(forms) == 4 ? tag : NULL);
	}
	if (mk_policy_new(&d, &p, &why) != MK_OK)
		fail_msg("line %u: %s", why.line, why.text);
	mk_rules_done(&d);
	return p;
}

static unsigned most_work(const struct mk_policy *p)
{
	unsigned most = 0;
	for (unsigned i = 0; i < 2000; i++) {
		struct mk_name name = { "" };
		struct mk_tag tag = { "customer", "4" };
		unsigned work = 0;
		snprintf(name.s, sizeof name.s, i % 2 ? "c%05u-x-db" : "z-c%05u", i * 5 % 10000);
		const struct mk_subject s = { &name, &tag, 1, i % 4 > 1, true };
		for (uint32_t service = 0; service < SERVICES; service++) {
			const struct mk_verdict v = mk_policy_decide_(p, service, MK_ACTION_GET, &s, &work);
			assert_true(v.decision == MK_ALLOW || v.decision == MK_DENY);
			most = work > most ? work : most;
		}
	}
	return most;
}

static void a_decision_costs_the_same_with_ten_rules_and_with_ten_thousand(void **state)
{
	struct mk_policy *few = of_size(10), *many = of_size(10000);
	const unsigned of_few = most_work(few), of_many = most_work(many);
	(void)state;
	assert_int_equal(mk_policy_rules(many), 10000);
	assert_true(of_few >= 5);        /* it counts at all */
	assert_true(of_many <= of_few + 32); /* and chance may put some entries into one slot */
	mk_policy_free(few);
	mk_policy_free(many);
}

static void taken_unless(bool refused, struct mk_rules *d, const char *why_not)
{
	struct mk_policy *p = NULL;
	struct mk_why why = { 0 };
	assert_int_equal(mk_policy_new(d, &p, &why), refused ? MK_BAD_REQUEST : MK_OK);
	if (refused)
		assert_non_null(strstr(why.text, why_not));
	mk_policy_free(p);
	mk_rules_done(d);
}

static void as_many_patterns_with_a_star_inside_as_are_tried_for_one_name_are_taken_and_no_more(void **state)
{
	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		struct mk_rules d = { 0 };
		random_who(&d);
		for (unsigned i = 0; i < MK_MIXED_MAX + extra; i++) {
			char pattern[16];
			snprintf(pattern, sizeof pattern, "a*%02u*", i);
			add(&d, false, "s0", pattern, NULL);
			snprintf(pattern, sizeof pattern, "b*%02u*", i); /* another beginning is another list */
			if (i < MK_MIXED_MAX)
				add(&d, false, "s0", pattern, NULL);
		}
		taken_unless(extra > 0, &d, "have a star inside and begin with \"a\"");
	}
}

static void tags_in_more_combinations_of_keys_than_are_looked_up_are_refused(void **state)
{
	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		struct mk_rules d = { 0 };
		random_who(&d);
		for (unsigned i = 0; i < MK_KEYSETS_MAX + extra; i++) {
			add(&d, false, "s0", "*", "x");
			snprintf(d.rules[i].tags[0].key, sizeof d.rules[i].tags[0].key, "k%u", i);
		}
		taken_unless(extra > 0, &d, "combinations of keys");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_compiled_policy_decides_as_a_walk_over_all_rules),
		cmocka_unit_test(a_rule_that_is_refused_as_dead_would_have_decided_nothing),
		cmocka_unit_test(a_decision_costs_the_same_with_ten_rules_and_with_ten_thousand),
		cmocka_unit_test(as_many_patterns_with_a_star_inside_as_are_tried_for_one_name_are_taken_and_no_more),
		cmocka_unit_test(tags_in_more_combinations_of_keys_than_are_looked_up_are_refused),
	};
	return cmocka_run_group_tests_name("policy index", tests, NULL, NULL);
}

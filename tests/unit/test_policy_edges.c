/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the edges of policy and identity: the first and the last of everything,
 * and memory that ends. Each is here because a small change of the code passed all other
 * tests (tests/mutate).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mk/own.h"
#include "policy_kit.h"

#include <stdlib.h>

#define GET (1u << MK_ACTION_GET)
#define STATUS (1u << MK_ACTION_STATUS)

static size_t allocations; /* until one fails; 0: none does */

/* The linker puts these before libc's, for this test only. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static bool fails_now(void)
{
	return allocations > 0 && --allocations == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails_now() ? NULL : __real_reallocarray(p, n, size);
}

static void service(struct mk_rules *r, const char *name, const char *socket, unsigned set, uid_t uid, gid_t gid)
{
	struct mk_service s = { .name = word(name), .line = 1 };
	s.identity.socket = word(socket);
	s.identity.set = set;
	s.identity.uid = uid;
	s.identity.gid = gid;
	assert_int_equal(mk_rules_add_service(r, &s), MK_OK);
}

static void allow(struct mk_rules *r, const char *name, uint32_t actions, const char *pattern, uint32_t rate)
{
	struct mk_rule x = { .service = word(name), .actions = actions, .line = 2, .n_patterns = 1, .rate_per_hour = rate };
	x.patterns = calloc(1, sizeof *x.patterns);
	assert_non_null(x.patterns);
	assert_int_equal(mk_pattern_of(mk_span_of(pattern), x.patterns), MK_OK);
	assert_int_equal(mk_rules_add_rule(r, &x), MK_OK);
}

static struct mk_evidence caller(const char *socket)
{
	return (struct mk_evidence){ .known = true, .socket = word(socket), .uid = 2001, .gid = 1, .pid = 77 };
}

static struct mk_verdict check(const struct mk_policy *p, enum mk_action action, const struct mk_name *name)
{
	return mk_policy_check(p, 0, action, &(struct mk_subject){ .name = name });
}

static void a_group_counts_wherever_it_stands_and_another_does_not(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "s", MK_EVIDENCE_GROUP, 0, 50);
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller("s");
	(void)state;
	e.groups[e.n_groups++] = 49;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	e.groups[0] = 50;
	assert_int_equal(mk_policy_who(p, &e, &host), 0);
	e.groups[0] = 49;
	e.groups[MK_GROUPS_MAX - 1] = 50;
	e.n_groups = MK_GROUPS_MAX;
	assert_int_equal(mk_policy_who(p, &e, &host), 0);
	e.n_groups = MK_GROUPS_MAX - 1;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void pid_1_calls_as_anybody(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "s", 0, 0, 0);
	struct mk_policy *p = compiled(&r);
	struct mk_evidence e = caller("s");
	(void)state;
	e.pid = 1;
	assert_int_equal(mk_policy_who(p, &e, &host), 0);
	e.pid = 0;
	assert_int_equal(mk_policy_who(p, &e, &host), MK_NO_SERVICE);
	mk_policy_free(p);
}

static void the_shortest_name_has_its_rights_and_the_shortest_pattern_is_not_the_star(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "s", 0, 0, 0);
	allow(&r, "one", GET, "*", 0);
	allow(&r, "one", STATUS, "*a", 0);
	struct mk_policy *p = compiled(&r);
	const struct mk_name a = name_of("a");
	(void)state;
	assert_int_equal(check(p, MK_ACTION_GET, &a).decision, MK_ALLOW);
	assert_int_equal(check(p, MK_ACTION_STATUS, &a).decision, MK_ALLOW);
	assert_int_equal(check(p, MK_ACTION_STATUS, NULL).decision, MK_DENY);
	assert_non_null(mk_policy_service(p, 0));
	assert_null(mk_policy_service(p, 1));
	assert_non_null(mk_policy_rule(p, 1));
	assert_null(mk_policy_rule(p, 2));
	mk_policy_free(p);
}

static void of_two_allows_the_first_in_the_file_decides(void **state)
{
	struct mk_rules r = { 0 };
	service(&r, "one", "s", 0, 0, 0);
	allow(&r, "one", GET, "a*", 10);
	allow(&r, "one", GET, "*", 20);
	struct mk_policy *p = compiled(&r);
	const struct mk_name a = name_of("a");
	(void)state;
	const struct mk_verdict v = check(p, MK_ACTION_GET, &a);
	assert_int_equal(v.rule, 0);
	assert_int_equal(v.rate_per_hour, 10);
	mk_policy_free(p);
}

static bool matches(const char *pattern, const char *name)
{
	struct mk_pattern p = { "" };
	const struct mk_name n = name_of(name);
	assert_int_equal(mk_pattern_of(mk_span_of(pattern), &p), MK_OK);
	return mk_pattern_match(&p, &n);
}

static void each_character_of_the_alphabet_is_itself_and_no_other(void **state)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	(void)state;
	for (size_t i = 0; letters[i]; i++)
		for (size_t j = 0; letters[j]; j++) {
			const char pattern[] = { 'x', letters[i], 'x', '\0' }, name[] = { 'x', letters[j], 'x', '\0' };
			assert_int_equal(matches(pattern, name), i == j);
		}
}

static void what_is_no_pattern_or_no_name_matches_nothing(void **state)
{
	static const char *const wrong[] = { "a/", "A", "a_", "a\xff", "a{" };
	const struct mk_pattern star = { "*" };
	const struct mk_name a = name_of("a");
	(void)state;
	assert_true(mk_pattern_match(&star, &a));
	for (size_t i = 0; i < MK_COUNT(wrong); i++) {
		struct mk_pattern p = { "" };
		struct mk_name n = { "" };
		memcpy(p.s, wrong[i], strlen(wrong[i]) + 1);
		memcpy(n.s, wrong[i], strlen(wrong[i]) + 1);
		assert_false(mk_pattern_match(&p, &a));
		assert_false(mk_pattern_match(&star, &n));
		assert_int_not_equal(mk_pattern_of(mk_span_of(wrong[i]), &p), MK_OK);
	}
}

static void a_policy_for_which_there_is_no_memory_is_none(void **state)
{
	struct mk_rules r = { 0 };
	struct mk_why why = { 0 };
	size_t failed = 0;
	(void)state;
	service(&r, "one", "s", 0, 0, 0);
	struct mk_group group = { .name = word("g"), .n_services = 1, .services = calloc(1, sizeof *group.services) };
	assert_non_null(group.services);
	group.services[0] = word("one");
	assert_int_equal(mk_rules_add_group(&r, &group), MK_OK);
	allow(&r, "g", GET, "*", 0);
	for (struct mk_policy *p = NULL; !p; failed++) {
		allocations = failed + 1;
		const enum mk_err e = mk_policy_new(&r, &p, &why);
		assert_true(p ? e == MK_OK && allocations > 0 : e == MK_NO_MEMORY && allocations == 0);
		allocations = 0;
		mk_policy_free(p);
		if (p)
			break;
	}
	assert_true(failed >= 20); /* the control: there was memory to fail */
	mk_rules_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_counts_wherever_it_stands_and_another_does_not),
		cmocka_unit_test(pid_1_calls_as_anybody),
		cmocka_unit_test(the_shortest_name_has_its_rights_and_the_shortest_pattern_is_not_the_star),
		cmocka_unit_test(of_two_allows_the_first_in_the_file_decides),
		cmocka_unit_test(each_character_of_the_alphabet_is_itself_and_no_other),
		cmocka_unit_test(what_is_no_pattern_or_no_name_matches_nothing),
		cmocka_unit_test(a_policy_for_which_there_is_no_memory_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about names, words, errors, explanations and a policy document's memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mk/name.h"
#include "mk/own.h"
#include "mk/rules.h"
#include "mk/why.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum mk_err name_of(const char *s)
{
	struct mk_name name;
	return mk_name_of(mk_span_of(s), &name);
}

static void names_of_the_alphabet_are_taken(void **state)
{
	static const char *const good[] = { "a", "0", "acme-erp", "a-b-c", "9to5", "a-" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(good); i++)
		assert_int_equal(name_of(good[i]), MK_OK);
}

static void everything_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "-", "-a", "a--b", "a---b", "A", "aB", "a.b", ".", "..", "../x", "a/b", "a_b", "a b", " a", "a ", "a\n",
		"a%00", "*", "\xd0\xb0" "cme" /* Cyrillic */, "a\xe2\x80\x8b" "b" /* zero width */, "caf\xc3\xa9", "\xff",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		assert_int_equal(name_of(bad[i]), MK_BAD_REQUEST);
	struct mk_name name;
	assert_int_equal(mk_name_of(mk_span("a\0b", 3), &name), MK_BAD_REQUEST);
	assert_int_equal(mk_name_of(mk_span(NULL, 0), &name), MK_BAD_REQUEST);
}

static void each_byte_is_in_the_alphabet_or_refused(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		const uint8_t first[] = { (uint8_t)c }, later[] = { 'a', (uint8_t)c };
		const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		struct mk_name name;
		assert_int_equal(mk_name_of(mk_span(first, 1), &name) == MK_OK, alnum);
		assert_int_equal(mk_name_of(mk_span(later, 2), &name) == MK_OK, alnum || c == '-');
	}
}

static void the_longest_name_fits_and_one_more_does_not(void **state)
{
	(void)state;
	char text[MK_NAME_MAX + 1];
	struct mk_name name;
	struct mk_word word;
	memset(text, 'a', sizeof text);
	assert_int_equal(mk_name_of(mk_span(text, MK_NAME_MAX), &name), MK_OK);
	assert_int_equal(strlen(name.s), MK_NAME_MAX);
	assert_int_equal(mk_name_of(mk_span(text, MK_NAME_MAX + 1), &name), MK_BAD_REQUEST);
	assert_int_equal(mk_word_of(mk_span(text, MK_WORD_MAX), &word), MK_OK);
	assert_int_equal(strlen(word.s), MK_WORD_MAX);
	assert_int_equal(mk_word_of(mk_span(text, MK_WORD_MAX + 1), &word), MK_BAD_REQUEST);
}

static void equal_names_are_equal_bytes(void **state)
{
	(void)state;
	struct mk_name a, b;
	memset(&a, 0xff, sizeof a);
	memset(&b, 0x11, sizeof b);
	assert_int_equal(mk_name_of(mk_span_of("acme"), &a), MK_OK);
	assert_int_equal(mk_name_of(mk_span_of("acme"), &b), MK_OK);
	assert_true(mk_name_eq(&a, &b));
	assert_int_equal(mk_name_of(mk_span_of("acm"), &b), MK_OK);
	assert_false(mk_name_eq(&a, &b));
}

static void a_refused_name_leaves_the_result_alone(void **state)
{
	(void)state;
	struct mk_name name = { "old" };
	assert_int_equal(mk_name_of(mk_span_of("NEW"), &name), MK_BAD_REQUEST);
	assert_string_equal(name.s, "old");
}

static void an_unknown_error_reads_as_internal_and_is_not_retried(void **state)
{
	(void)state;
	assert_string_equal(mk_err_word(MK_DENIED), "denied");
	assert_int_equal(mk_err_http(MK_DENIED), 403);
	assert_true(mk_err_retry(MK_TIMEOUT));
	assert_true(mk_err_known(MK_TIMEOUT));
	assert_false(mk_err_known(MK_ERR_COUNT_));
	assert_false(mk_err_known(UINT32_MAX));
	assert_string_equal(mk_err_word((enum mk_err)MK_ERR_COUNT_), "internal");
	assert_int_equal(mk_err_http((enum mk_err)999), 500);
	assert_false(mk_err_retry((enum mk_err)999));
}

static void the_last_explanation_is_the_one_that_is_told(void **state)
{
	(void)state;
	struct mk_why why;
	assert_int_equal(mk_why_at(&why, MK_DENIED, "a.conf", 7, "no %s", "key"), MK_DENIED);
	assert_string_equal(why.file, "a.conf");
	assert_int_equal(why.line, 7);
	assert_string_equal(why.text, "no key");
	assert_int_equal(mk_why_set(&why, MK_SYSTEM, "%0*d", 2000, 1), MK_SYSTEM);
	assert_string_equal(why.file, "");
	assert_int_equal(why.line, 0);
	assert_int_equal(strlen(why.text), MK_WHY_TEXT_MAX - 1);
	assert_int_equal(mk_why_set(NULL, MK_SYSTEM, "x"), MK_SYSTEM);
	assert_int_equal(mk_why_at(NULL, MK_SYSTEM, "x", 1, "x"), MK_SYSTEM);
}

static void actions_have_one_word_each(void **state)
{
	(void)state;
	enum mk_action a;
	for (unsigned i = 0; i < MK_ACTION_COUNT; i++) {
		assert_int_equal(mk_action_of(mk_span_of(mk_action_word((enum mk_action)i)), &a), MK_OK);
		assert_int_equal(a, i);
	}
	assert_int_equal(mk_action_of(mk_span_of("gets"), &a), MK_BAD_REQUEST);
	assert_int_equal(mk_action_of(mk_span_of(""), &a), MK_BAD_REQUEST);
}

static void a_policy_document_grows_to_its_limit_and_no_further(void **state)
{
	(void)state;
	struct mk_rules r = { 0 };
	struct mk_service s = { .line = 1 };
	for (unsigned i = 0; i < MK_SERVICES_MAX; i++, s.line++)
		assert_int_equal(mk_rules_add_service(&r, &s), MK_OK);
	assert_int_equal(mk_rules_add_service(&r, &s), MK_TOO_LARGE);
	for (unsigned i = 0; i < MK_SERVICES_MAX; i++)
		assert_int_equal(r.services[i].line, i + 1);
	for (unsigned i = 0; i < MK_RULES_MAX; i++) {
		struct mk_rule rule = { .patterns = calloc(1, sizeof(struct mk_pattern)), .n_patterns = 1, .line = i };
		assert_int_equal(mk_rules_add_rule(&r, &rule), MK_OK);
		assert_null(rule.patterns);
	}
	struct mk_rule late = { .patterns = calloc(1, sizeof(struct mk_pattern)), .n_patterns = 1 };
	assert_int_equal(mk_rules_add_rule(&r, &late), MK_TOO_LARGE);
	assert_non_null(late.patterns); /* still the caller's */
	mk_freep(&late.patterns);
	assert_null(late.patterns);
	assert_int_equal(r.rules[MK_RULES_MAX - 1].line, MK_RULES_MAX - 1);
	mk_rules_done(&r);
	assert_null(r.rules);
	assert_int_equal(r.n_services, 0);
	mk_rules_done(&r);
}

static void closing_keeps_errno(void **state)
{
	(void)state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	const int number = fd;
	errno = ENOSPC;
	mk_closep(&fd);
	assert_int_equal(fd, -1);
	mk_closep(&fd);
	mk_close(number); /* EBADF */
	assert_int_equal(errno, ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_alphabet_are_taken),
		cmocka_unit_test(everything_else_is_refused),
		cmocka_unit_test(each_byte_is_in_the_alphabet_or_refused),
		cmocka_unit_test(the_longest_name_fits_and_one_more_does_not),
		cmocka_unit_test(equal_names_are_equal_bytes),
		cmocka_unit_test(a_refused_name_leaves_the_result_alone),
		cmocka_unit_test(an_unknown_error_reads_as_internal_and_is_not_retried),
		cmocka_unit_test(the_last_explanation_is_the_one_that_is_told),
		cmocka_unit_test(actions_have_one_word_each),
		cmocka_unit_test(a_policy_document_grows_to_its_limit_and_no_further),
		cmocka_unit_test(closing_keeps_errno),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * mk/backends.def, from which types, keys and table are made: each line has its code, and
 * its words are keys. And what Vault would not give back as it was.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/conf/conf.h"
#include "backends/vault.h"

#include <stdio.h>

static const struct {
	const char *name, *keys;
} lines[] = {
#define MK_BACKEND(name, keys) { #name, keys },
#include "mk/backends.def"
#undef MK_BACKEND
};
#define N_LINES (sizeof lines / sizeof lines[0])

static void each_line_has_its_backend_and_each_backend_its_line(void **state)
{
	const unsigned all_can = MK_VERB_GET | MK_VERB_LIST | MK_VERB_HEALTH;
	(void)state;
	for (size_t i = 0; i < N_LINES; i++) {
		assert_ptr_equal(mk_backend_of(lines[i].name), mk_backends[i]);
		assert_string_equal(mk_backends[i]->name, lines[i].name);
		assert_int_equal(mk_backends[i]->verbs & all_can, all_can);
	}
	assert_null(mk_backends[N_LINES]);
	assert_null(mk_backend_of("Local"));
}

/* What the parser says of a backend of that type with a key that there is not. */
static void parse(const char *type, struct mk_why *why)
{
	char text[512];
	struct mk_conf c = { 0 };
	snprintf(text, sizeof text, "environment = \"x\";\nbackends = ( { name = \"a\"; type = \"%s\"; zzz = 1; } );\n", type);
	assert_int_equal(mk_conf_parse(mk_span_of(text), "/etc/agent.conf", &c, why), MK_BAD_REQUEST);
}

static void a_type_takes_the_keys_of_its_line_and_those_that_all_have(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_LINES; i++) {
		struct mk_why why = { .text = "" };
		char want[256] = "keys here: name, type, timeout, trust_tags, require_tag, writable";
		size_t n = strlen(want);
		parse(lines[i].name, &why);
		for (const char *p = lines[i].keys; *p; p += strspn(p, "? ")) {
			const size_t word = strcspn(p, "? ");
			n += (size_t)snprintf(want + n, sizeof want - n, ", %.*s", (int)word, p);
			p += word;
		}
		assert_non_null(strstr(why.text, want));
	}
}

static enum mk_err number_fits(const char *number, bool kv2)
{
	uint8_t list[64];
	size_t n = 0;
	const struct mk_leaf leaf = { mk_span_of("/n"), MK_LEAF_NUMBER, mk_span_of(number) };
	assert_int_equal(mk_leaves_add(list, sizeof list, &n, &leaf), MK_OK);
	return mk_vault_fits(mk_span(list, n), mk_span_of("{}"), kv2);
}

static void an_integer_that_kv2_would_round_is_refused(void **state)
{
	(void)state;
	assert_int_equal(number_fits("9007199254740992", true), MK_OK);
	assert_int_equal(number_fits("-9007199254740992", true), MK_OK);
	assert_int_equal(number_fits("9007199254740993", true), MK_BAD_REQUEST);
	assert_int_equal(number_fits("-9223372036854775808", true), MK_BAD_REQUEST);
	assert_int_equal(number_fits("9007199254740993", false), MK_OK);
	assert_int_equal(number_fits("1e+300", true), MK_OK);
	assert_int_equal(number_fits("0.1", true), MK_OK);
}

static enum mk_err text_fits(const char *part, size_t times)
{
	static char json[MK_VAULT_ANSWER_MAX];
	const size_t n = strlen(part);
	assert_true(n * times < sizeof json);
	for (size_t i = 0; i < times; i++)
		memcpy(json + i * n, part, n);
	return mk_vault_fits(mk_span(NULL, 0), mk_span(json, n * times), true);
}

static void what_would_be_too_large_as_an_answer_is_refused(void **state)
{
	(void)state;
	assert_int_equal(text_fits("x", 70000), MK_OK);
	assert_int_equal(text_fits("<", 10000), MK_OK);
	assert_int_equal(text_fits("<", 20000), MK_TOO_LARGE);
	assert_int_equal(text_fits("\u2027", 20000), MK_OK);
	assert_int_equal(text_fits("\u2028", 13500), MK_TOO_LARGE);
	assert_int_equal(text_fits("\xe2\x80", 1), MK_OK); /* cut: not read beyond */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_has_its_backend_and_each_backend_its_line),
		cmocka_unit_test(an_integer_that_kv2_would_round_is_refused),
		cmocka_unit_test(what_would_be_too_large_as_an_answer_is_refused),
		cmocka_unit_test(a_type_takes_the_keys_of_its_line_and_those_that_all_have),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

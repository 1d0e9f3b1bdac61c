/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about templates: what is text stays as it is, fields are filled in and quoted, what is
 * wrong is named by line and column, and nothing that is filled in is read as a template.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl/template.h"

#include <stdio.h>
#include <stdlib.h>

static const char *value_of_token = "tok";

static bool leaf(void *arg, const struct mk_piece *p, struct mk_leaf *ret)
{
	(void)arg;
	*ret = (struct mk_leaf){ .type = MK_LEAF_STRING, .value = mk_span_of(value_of_token) };
	if (strcmp(p->field, "expires_at") == 0)
		*ret = (struct mk_leaf){ .type = MK_LEAF_NULL };
	if (strcmp(p->field, "state") == 0)
		*ret = (struct mk_leaf){ .type = MK_LEAF_NUMBER, .value = mk_span_of("7") };
	if (strcmp(p->field, "connection") == 0)
		ret->value = mk_span_of(p->of.s[0] ? p->of.s : "the-default");
	return strcmp(p->field, "token_type") != 0;
}

static int filled(const char *text, size_t cap, char *out, size_t out_cap)
{
	mk_auto(mk_secret_freep) struct mk_secret *s = NULL;
	struct mk_template t = { 0 };
	struct mk_why why = { 0 };
	enum mk_err e = mk_template_of(mk_span_of(text), "x.tpl", &t, &why);
	assert_int_equal(mk_secret_new(cap, &s), MK_OK);
	if (e == MK_OK)
		e = mk_template_fill(&t, leaf, NULL, s, &why);
	if (e == MK_OK)
		snprintf(out, out_cap, "%.*s", (int)mk_secret_span(s).n, (const char *)mk_secret_span(s).p);
	else
		snprintf(out, out_cap, "%u: %s", why.line, why.text);
	mk_template_done(&t);
	return (int)e;
}

static void becomes(const char *text, const char *expected)
{
	char out[640];
	const int e = filled(text, 4096, out, sizeof out);
	assert_string_equal(out, expected);
	assert_int_equal(e, MK_OK);
}

static void is_refused(const char *text, const char *expected)
{
	char out[640];
	assert_int_not_equal(filled(text, 4096, out, sizeof out), MK_OK);
	if (!strstr(out, expected))
		fail_msg("%s: %s", text, out);
}

static void text_stays_as_it_is(void **state)
{
	(void)state;
	value_of_token = "tok";
	becomes("", "");
	becomes("a\nb }} { x } \\{ $", "a\nb }} { x } \\{ $");
	becomes("{{access_token}}", "tok");
	becomes("<{{ access_token }}{{\taccess_token\t}}>", "<toktok>");
	becomes("{{\"{{\"}}{{ \"}}\" }}{{\"\"}}", "{{}}");
	becomes("{ {{access_token}} }", "{ tok }");
}

static void fields_belong_to_the_connection_that_is_named(void **state)
{
	(void)state;
	becomes("{{connection}} {{acme-crm:connection}} {{a:connection | json}}", "the-default acme-crm \"a\"");
	becomes("[{{expires_at}}] {{expires_at|json}} {{expires_at|shell}} {{state|json}}", "[] null '' 7");
}

static void what_is_filled_in_is_quoted_as_wanted_and_never_read_again(void **state)
{
	(void)state;
	value_of_token = "a'b\"c\\d\n{{connection}}$x";
	becomes("{{access_token|shell}}", "'a'\\''b\"c\\d\n{{connection}}$x'");
	becomes("{{access_token|json}}", "\"a'b\\\"c\\\\d\\u000a{{connection}}$x\"");
	becomes("{{access_token}}", value_of_token);
	value_of_token = "tok";
}

static void what_is_wrong_is_named_by_line_and_column(void **state)
{
	(void)state;
	is_refused("a\nbc {{acess_token}}", "2: column 6: unknown field acess_token; did you mean access_token?");
	is_refused("{{secret}}", "1: column 3: unknown field secret");
	is_refused("{{x:versio}}", "1: column 5: unknown field versio; did you mean version?");
	is_refused("{{a_b:version}}", "1: column 3: not a connection's name");
	is_refused("{{:version}}", "1: column 3: not a connection's name");
	is_refused("{{}}", "1: column 3: the field is missing");
	is_refused("{{", "the field is missing");
	is_refused("{{version", "}} is missing");
	is_refused("{{version\n}}", "}} is missing");
	is_refused("{{version}", "}} is missing");
	is_refused("{{version|}}", "the filter is missing");
	is_refused("{{version|plain}}", "unknown filter plain");
	is_refused("{{\"x}}", "the closing \" is missing");
	is_refused("{{\"x\n\"}}", "the closing \" is missing");
	is_refused("{{\"x\" y}}", "}} is missing");
	is_refused("a {{token_type}}", "there is no token_type");
}

static void what_does_not_fit_is_an_error(void **state)
{
	char out[640];
	(void)state;
	assert_int_equal(filled("{{access_token}}{{access_token}}", 6, out, sizeof out), MK_OK);
	assert_int_equal(filled("{{access_token}}{{access_token}}", 5, out, sizeof out), MK_TOO_LARGE);
	assert_int_equal(filled("{{access_token|json}}", 4, out, sizeof out), MK_TOO_LARGE);
	assert_int_equal(filled("{{access_token|shell}}", 4, out, sizeof out), MK_TOO_LARGE);
	assert_int_equal(filled("123456", 5, out, sizeof out), MK_TOO_LARGE);
}

static int arena(void **state)
{
	bool locked;
	(void)state;
	return mk_secret_arena_init(4, 2, &locked) == MK_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays_as_it_is),
		cmocka_unit_test(fields_belong_to_the_connection_that_is_named),
		cmocka_unit_test(what_is_filled_in_is_quoted_as_wanted_and_never_read_again),
		cmocka_unit_test(what_is_wrong_is_named_by_line_and_column),
		cmocka_unit_test(what_does_not_fit_is_an_error),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

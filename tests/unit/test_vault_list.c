/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of the `vault` backend: OpenBao, which pages, and HashiCorp's Vault, which gives
 * all keys each time, must come to the same names.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vault_world.h"

#define FOLDER "LIST https://vault.example:8200/v1/secret/metadata/makini?limit=200"
#define MISSING "{\"errors\":[]}"
#define T .token = "s.token"
#define PAGE 200
#define sprintf_(p, ...) (size_t)snprintf(p, 512, __VA_ARGS__) /* the buffers are far larger than what goes in */

static struct world w;

#define LIST(after, ...)                                                                                        \
	run_op(&w, MK_VERB_LIST, after, false, (const struct turn[]){ __VA_ARGS__ },                            \
	       sizeof((const struct turn[]){ __VA_ARGS__ }) / sizeof(struct turn))

static int begin(void **state)
{
	(void)state;
	vault_begin(&w);
	return 0;
}

static int end(void **state)
{
	(void)state;
	return vault_end(&w);
}

/* {"data":{"keys":[…]}} of n keys, each the prefix and a number of so many digits. */
static const char *keys(char *body, const char *prefix, int digits, int first, int n)
{
	char *p = body + sprintf_(body, "%s", "{\"data\":{\"keys\":[");
	for (int i = 0; i < n; i++) {
		*p++ = '"';
		p += sprintf_(p, "%s%0*d", prefix, digits, first + i);
		*p++ = '"';
		*p++ = ',';
	}
	if (n > 0)
		p--;
	sprintf_(p, "%s", "]}}");
	return body;
}

static void assert_names(const char *prefix, int digits, int first, size_t n, bool more)
{
	char name[64];
	assert_int_equal(w.op.n_listed, n);
	assert_int_equal(w.op.more, more);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s%0*d", prefix, digits, first + (int)i);
		assert_string_equal(w.listed[i].name.s, name);
		assert_string_equal(w.listed[i].version, "");
	}
}

static void a_folder_that_is_not_there_is_an_empty_list(void **state)
{
	(void)state;
	assert_int_equal(LIST("", { FOLDER, 404, MISSING, T }), MK_STEP_DONE);
	assert_names("", 1, 0, 0, false);
	assert_int_equal(LIST("", { FOLDER, 404, "{\"errors\":[\"no handler\"]}", T }), MK_STEP_FAIL);
	assert_int_equal(w.op.err, MK_BACKEND);
}

static void what_is_no_connection_is_left_out(void **state)
{
	(void)state;
	assert_int_equal(LIST("", { FOLDER, 200, "{\"data\":{\"keys\":[\"c-1\",\"c-1--pending\",\"folder/\",\"Upper\",\"a b\",\"c-2\",\"\"]}}", T }),
			 MK_STEP_DONE);
	assert_names("c-", 1, 1, 2, false);
}

static void keys_out_of_order_and_doubles_come_in_order_once(void **state)
{
	(void)state;
	assert_int_equal(LIST("", { FOLDER, 200, "{\"data\":{\"keys\":[\"c-3\",\"c-1\",\"c-3\",\"c-2\"]}}", T }), MK_STEP_DONE);
	assert_names("c-", 1, 1, 3, false);
}

static void openbao_is_asked_page_by_page(void **state)
{
	static char one[16384], two[16384];
	(void)state;
	assert_int_equal(LIST("", { FOLDER, 200, keys(one, "conn-", 3, 0, PAGE), T }), MK_STEP_DONE);
	assert_names("conn-", 3, 0, PAGE, true);
	assert_int_equal(LIST("conn-199", { FOLDER "&after=conn-199", 200, keys(one, "conn-", 3, 200, 5), T }), MK_STEP_DONE);
	assert_names("conn-", 3, 200, 5, false);
	assert_int_equal(LIST("conn-204", { FOLDER "&after=conn-204", 404, MISSING, T }), MK_STEP_DONE);
	assert_names("", 1, 0, 0, false);
	/* a page in which every other key is no name is filled up from the next one */
	keys(one, "c-", 3, 0, PAGE);
	for (char *p = one; (p = strstr(p, "c-")); p += 5)
		if ((p[4] - '0') % 2)
			p[0] = '_';
	assert_int_equal(LIST("", { FOLDER, 200, one, T }, { FOLDER "&after=c-198", 200, keys(two, "c-", 3, 200, 7), T }), MK_STEP_DONE);
	assert_int_equal(w.op.n_listed, PAGE / 2 + 7);
	assert_false(w.op.more);
}

static void vault_gives_all_and_is_paged_here(void **state)
{
	static char all[65536];
	char after[128];
	(void)state;
	keys(all, "conn-", 4, 0, 450);
	assert_int_equal(LIST("", { FOLDER, 200, all, T }), MK_STEP_DONE);
	assert_names("conn-", 4, 0, PAGE, true);
	snprintf(after, sizeof after, FOLDER "&after=conn-%04d", 199);
	assert_int_equal(LIST("conn-0199", { after, 200, all, T }), MK_STEP_DONE);
	assert_names("conn-", 4, 200, PAGE, true);
	snprintf(after, sizeof after, FOLDER "&after=conn-%04d", 399);
	assert_int_equal(LIST("conn-0399", { after, 200, all, T }), MK_STEP_DONE);
	assert_names("conn-", 4, 400, 50, false);
	/* as many as a page, each time the same: no circle */
	keys(all, "conn-", 4, 0, PAGE);
	assert_int_equal(LIST("", { FOLDER, 200, all, T }), MK_STEP_DONE);
	assert_names("conn-", 4, 0, PAGE, true);
	snprintf(after, sizeof after, FOLDER "&after=conn-%04d", 199);
	assert_int_equal(LIST("conn-0199", { after, 200, all, T }, { after, 200, all, T }), MK_STEP_DONE);
	assert_names("", 1, 0, 0, false);
}

static void a_prefix_in_the_last_part_is_taken_off(void **state)
{
#define ROOT "LIST https://vault.example:8200/v1/kv/metadata?limit=200"
	(void)state;
	snprintf(w.conf.mount, sizeof w.conf.mount, "kv");
	snprintf(w.conf.path, sizeof w.conf.path, "makini-{connection}");
	assert_int_equal(LIST("", { ROOT "&after=makini-", 200, "{\"data\":{\"keys\":[\"makini-1\",\"makini-2\",\"other-3\"]}}", T }),
			 MK_STEP_DONE);
	assert_names("", 1, 1, 2, false);
	assert_int_equal(LIST("1", { ROOT "&after=makini-1", 200, "{\"data\":{\"keys\":[\"makini-2\"]}}", T }), MK_STEP_DONE);
	assert_names("", 1, 2, 1, false);
	snprintf(w.conf.path, sizeof w.conf.path, "{connection}");
	assert_int_equal(LIST("", { ROOT, 200, "{\"data\":{\"keys\":[\"1\"]}}", T }), MK_STEP_DONE);
	assert_names("", 1, 1, 1, false);
}

static void a_folder_of_other_things_ends_with_an_error(void **state)
{
	static char body[6][16384];
	static char want[6][256];
	struct turn turns[6];
	(void)state;
	for (int i = 0; i < 6; i++) {
		snprintf(want[i], sizeof want[i], FOLDER "&after=_%04d", i * PAGE - 1);
		turns[i] = (struct turn){ i ? want[i] : FOLDER, 200, keys(body[i], "_", 4, i * PAGE, PAGE), T };
	}
	assert_int_equal(run_op(&w, MK_VERB_LIST, "", false, turns, 6), MK_STEP_FAIL);
	assert_int_equal(w.op.err, MK_BACKEND);
	assert_non_null(strstr(w.op.fault, "folder of their own"));
}

static void a_key_too_long_to_be_remembered_is_no_endless_circle(void **state)
{
	static char body[131072], want[1024];
	struct turn turns[6];
	(void)state;
	char *p = body + sprintf_(body, "%s", "{\"data\":{\"keys\":[");
	for (int i = 0; i < PAGE; i++)
		p += sprintf_(p, "%s\"_%0300d\"", i ? "," : "", i);
	sprintf_(p, "%s", "]}}");
	snprintf(want, sizeof want, FOLDER "&after=_%0254d", 0);
	for (int i = 0; i < 6; i++)
		turns[i] = (struct turn){ i ? want : FOLDER, 200, body, T };
	assert_int_equal(run_op(&w, MK_VERB_LIST, "", false, turns, 2), MK_STEP_DONE);
	assert_names("", 1, 0, 0, false);
}

static void a_malformed_list_is_refused(void **state)
{
	static const char *const bodies[] = { "", "[]", "{}", "{\"data\":null}", "{\"data\":{}}", "{\"data\":{\"keys\":null}}",
					      "{\"data\":{\"keys\":{}}}", "{\"data\":{\"keys\":[1]}}", "{\"data\":{\"keys\":[\"a\",null]}}",
					      "{\"data\":{\"keys\":[\"\\u0000\"]}}" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bodies); i++) {
		assert_int_equal(LIST("", { FOLDER, 200, bodies[i], T }), MK_STEP_FAIL);
		assert_int_equal(w.op.err, MK_BACKEND);
		assert_int_equal(w.op.n_listed, 0);
	}
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_folder_that_is_not_there_is_an_empty_list),
		EACH(what_is_no_connection_is_left_out),
		EACH(keys_out_of_order_and_doubles_come_in_order_once),
		EACH(openbao_is_asked_page_by_page),
		EACH(vault_gives_all_and_is_paged_here),
		EACH(a_prefix_in_the_last_part_is_taken_off),
		EACH(a_folder_of_other_things_ends_with_an_error),
		EACH(a_key_too_long_to_be_remembered_is_no_endless_circle),
		EACH(a_malformed_list_is_refused),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

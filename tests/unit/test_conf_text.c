/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the text of a configuration before it is parsed, and about the file it
 * comes from: what libconfig would swallow is refused, and so is a file that is not to
 * be trusted.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/conf/text.h"
#include "conf_files.h"

#define POLICY "environment = \"production\"; services = (); rules = ();\n"

static void says(const char *text, size_t n, unsigned line, const char *part)
{
	struct mk_conf c = { 0 };
	struct mk_why why = { 0 };
	if (mk_conf_parse(mk_span(text, n), "/x/agent.conf", &c, &why) == MK_OK)
		fail_msg("not refused: %.60s", text);
	if (why.line != line || !strstr(why.text, part))
		fail_msg("expected line %u \"%s\", got line %u \"%s\"", line, part, why.line, why.text);
}

static void passes(const char *text)
{
	struct mk_conf c = { 0 };
	struct mk_why why = { 0 };
	if (mk_conf_parse(mk_span_of(text), "/x/agent.conf", &c, &why) != MK_OK)
		fail_msg("line %u: %s", why.line, why.text);
	mk_conf_done(&c);
}

static void what_libconfig_would_swallow_is_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *part;
	} bad[] = {
		{ "\n@include \"/etc/hostname\"\n", 2, "@include and its kin are refused" },
		{ "a = 1; @include \"x\"", 1, "@include and its kin are refused" },
		{ "\n\na = 4294967297;", 3, "does not fit 32 bits" },
		{ "a = 2147483648;", 1, "does not fit 32 bits" },
		{ "a = -4294967297;", 1, "does not fit 32 bits" },
		{ "a = 4294967297L;", 1, "does not fit 32 bits" },
		{ "a = 0x80000000;", 1, "does not fit 32 bits" },
		{ "a = 99999999999999999999999999999999999999999999999999;", 1, "does not fit 32 bits" },
		{ "a = \"x\\x00y\";", 1, "\\x00 would cut this string short" },
		{ "a = \"x\" /* no comma */\n\"y\";", 2, "two strings stand side by side" },
		{ "a = 1;\n/* open\n\n", 2, "this comment is never closed" },
		{ "a = \"x\n\";", 1, "this string does not end on its line" },
		{ "a = \"x", 1, "this string is never closed" },
		{ "a = \"x\\", 1, "this string is never closed" },
		{ "a = \"x\\\"", 1, "this string is never closed" },
		{ "\na = {\nb = 1;\n", 2, "this { is never closed" },
		{ "a = ( 1 ];", 1, "stands where the ( of line 1" },
		{ "a = 1; }", 1, "closes nothing" },
		{ "a=((((((((((((((((((((((((((((((((((((((((", 1, "more than 16 brackets" },
		{ "a = 1;\n\x01", 2, "a control character (byte 0x01)" },
		{ "# \x1b[31m\n", 1, "a control character (byte 0x1b)" },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		says(bad[i].text, strlen(bad[i].text), bad[i].line, bad[i].part);
	says(LEAST "a\0b", sizeof LEAST - 1 + 3, 4, "a control character (byte 0x00)");
}

/* libconfig compares each key of a group with each: 90,000 of them would keep it busy for a minute. */
static void more_keys_than_any_group_knows_are_refused_at_once(void **state)
{
	char text[2048] = "";
	size_t n = 0;
	(void)state;
	for (unsigned i = 0; i < 65; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "a%u = 1;\n", i);
	says(text, n, 65, "more than 64 keys in one group");
	says(text, n - strlen("a64 = 1;\n"), 1, "unknown key \"a0\"");
}

static void what_only_looks_like_it_passes(void **state)
{
	static const char *const fine[] = {
		LEAST "# @include \"x\"\n",
		LEAST "// @include \"x\" 4294967297 /* { ",
		LEAST "/*\n@include \"x\"\n 4294967297 \" ( */",
		LEAST "policy = \"@include /* # // 4294967297 { \\\" \\\\\";",
		LEAST "policy = \"a\\\\\"; # \" \n",
		LEAST "refresh = { ttl = /* \" */ \"5m\"; };",
		LEAST "limits = { connections = 0x0000000100; connections_per_uid = 16; };",
		LEAST "\t\r\n\f",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(fine); i++)
		passes(fine[i]);
}

static void an_error_in_a_list_names_the_line_of_the_entry(void **state)
{
	static const char text[] = LEAST "lockdown = { exceptions = [\n\"landlock\",\n\"wrong\"\n\n]; };";
	(void)state;
	says(text, strlen(text), 6, "\"wrong\" is no word for \"exceptions\"");
}

static void errors_show_no_control_characters_and_no_endless_text(void **state)
{
	static const char text[] = LEAST "platform = \"\\x1b[31m\\x0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\";";
	struct mk_conf c = { 0 };
	struct mk_why why = { 0 };
	(void)state;
	assert_int_equal(mk_conf_parse(mk_span_of(text), "x", &c, &why), MK_BAD_REQUEST);
	assert_non_null(strstr(why.text, "\"?[31m?aaaaaa"));
	assert_non_null(strstr(why.text, "aaa...\""));
	for (const char *p = why.text; *p; p++)
		assert_true((unsigned char)*p >= 0x20);
}

static void loads(const struct dir *d)
{
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	if (load(d, &c, &why) != MK_OK)
		fail_msg("%s:%u: %s", why.file, why.line, why.text);
	mk_conf_free(c);
}

static void does_not_load(const struct dir *d, const char *part)
{
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	assert_int_not_equal(load(d, &c, &why), MK_OK);
	assert_null(c);
	if (!strstr(why.text, part))
		fail_msg("\"%s\" does not say \"%s\"", why.text, part);
}

static struct dir right(const char *agent)
{
	struct dir d = dir_new();
	put_text(&d, "agent.conf", agent);
	put_text(&d, "policy.conf", POLICY);
	return d;
}

static void files_that_others_can_write_are_refused(void **state)
{
	static const char *const names[] = { "agent.conf", "policy.conf" };
	struct dir d = right(LEAST);
	char path[256];
	(void)state;
	loads(&d);
	for (size_t i = 0; i < MK_COUNT(names); i++) {
		path_in(&d, names[i], path);
		assert_int_equal(chmod(path, 0664), 0);
		does_not_load(&d, "can be written by group or others: chmod go-w");
		assert_int_equal(chmod(path, 0644), 0);
		loads(&d);
	}
	assert_int_equal(chmod(d.path, 0777), 0);
	does_not_load(&d, "the directory of");
	assert_int_equal(chmod(d.path, 0700), 0);
	loads(&d);
	dir_free(&d);
}

static void what_is_no_file_of_this_place_is_refused(void **state)
{
	struct dir d = right(LEAST);
	char path[256], other[256];
	(void)state;
	path_in(&d, "policy.conf", path);
	path_in(&d, "other.conf", other);
	assert_int_equal(rename(path, other), 0);
	does_not_load(&d, "does not exist");
	assert_int_equal(symlink("other.conf", path), 0);
	does_not_load(&d, "symbolic link");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	does_not_load(&d, "not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	does_not_load(&d, "not a regular file");
	dir_free(&d);
}

static void a_file_over_a_mebibyte_is_refused(void **state)
{
	struct dir d = right(LEAST);
	char *big = malloc(MK_CONF_TEXT_MAX + 1);
	(void)state;
	assert_non_null(big);
	memset(big, '\n', MK_CONF_TEXT_MAX + 1);
	memcpy(big, LEAST, sizeof LEAST - 1);
	put(&d, "agent.conf", big, MK_CONF_TEXT_MAX);
	loads(&d);
	put(&d, "agent.conf", big, MK_CONF_TEXT_MAX + 1);
	does_not_load(&d, "larger than 1 MiB");
	free(big);
	dir_free(&d);
}

/* As a kubelet mounts them: agent.conf -> ..data/agent.conf, ..data -> ..1 */
static void symlinks_within_the_directory_are_a_pods_alone(void **state)
{
	struct dir d = dir_new();
	char path[256];
	(void)state;
	path_in(&d, "..1", path);
	assert_int_equal(mkdir(path, 0755), 0);
	path_in(&d, "..data", path);
	assert_int_equal(symlink("..1", path), 0);
	path_in(&d, "agent.conf", path);
	assert_int_equal(symlink("..data/agent.conf", path), 0);
	path_in(&d, "policy.conf", path);
	assert_int_equal(symlink("..data/policy.conf", path), 0);
	put_text(&d, "..1/policy.conf", POLICY);
	put_text(&d, "..1/agent.conf", LEAST "platform = \"pod\";");
	loads(&d);
	put_text(&d, "..1/agent.conf", LEAST);
	does_not_load(&d, "symbolic link");
	path_in(&d, "..1/agent.conf", path);
	assert_int_equal(unlink(path), 0);
	path_in(&d, "..1/policy.conf", path);
	assert_int_equal(unlink(path), 0);
	dir_free(&d);
}

static void a_relative_path_is_made_absolute(void **state)
{
	struct dir d = right(LEAST);
	struct mk_conf *c = NULL;
	char here[512], path[256];
	(void)state;
	assert_non_null(getcwd(here, sizeof here));
	assert_int_equal(chdir(d.path), 0);
	assert_int_equal(mk_conf_load("agent.conf", &c, NULL), MK_OK);
	assert_int_equal(chdir(here), 0);
	path_in(&d, "agent.conf", path);
	assert_string_equal(c->file, path);
	mk_conf_free(c);
	dir_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_libconfig_would_swallow_is_refused),
		cmocka_unit_test(more_keys_than_any_group_knows_are_refused_at_once),
		cmocka_unit_test(what_only_looks_like_it_passes),
		cmocka_unit_test(an_error_in_a_list_names_the_line_of_the_entry),
		cmocka_unit_test(errors_show_no_control_characters_and_no_endless_text),
		cmocka_unit_test(files_that_others_can_write_are_refused),
		cmocka_unit_test(what_is_no_file_of_this_place_is_refused),
		cmocka_unit_test(a_file_over_a_mebibyte_is_refused),
		cmocka_unit_test(symlinks_within_the_directory_are_a_pods_alone),
		cmocka_unit_test(a_relative_path_is_made_absolute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

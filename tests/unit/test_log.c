/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the process log. A JSON parser of other authors is the judge.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

static int real_stderr = -1, pipe_fd[2] = { -1, -1 };
static char line[8192];

static int setup(void **state)
{
	static const int64_t wall = 1795503032123;
	(void)state;
	mk_clock_fake(NULL, &wall);
	mk_log_init("broker");
	mk_log_level(MK_INFO);
	real_stderr = dup(STDERR_FILENO);
	if (pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	return dup2(pipe_fd[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	mk_closep(&real_stderr);
	mk_closep(&pipe_fd[0]);
	mk_closep(&pipe_fd[1]);
	mk_clock_fake(NULL, NULL);
	return 0;
}

/* What was written since; NULL where nothing was. */
static const char *written(void)
{
	const ssize_t n = read(pipe_fd[0], line, sizeof line - 1);
	if (n <= 0)
		return NULL;
	line[n] = '\0';
	return line;
}

static json_t *parsed(void)
{
	const char *text = written();
	assert_non_null(text);
	const size_t n = strlen(text);
	assert_true(n <= 2048);
	assert_int_equal(text[n - 1], '\n');
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	return json;
}

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void a_line_has_its_fields_in_order(void **state)
{
	(void)state;
	struct mk_word env;
	assert_int_equal(mk_word_of(mk_span_of("production"), &env), MK_OK);
	mk_log_(MK_INFO, "before", NULL, 0);
	assert_string_equal(written(), "{\"time\":\"2026-11-24T06:50:32.123Z\",\"level\":\"info\",\"role\":\"broker\",\"event\":\"before\"}\n");
	mk_log_env(&env);
	mk_log(MK_ALARM, "shared_token", MK_KV_S("connection", "acme"), MK_KV_N("count", 2));
	assert_string_equal(written(), "{\"time\":\"2026-11-24T06:50:32.123Z\",\"level\":\"alarm\",\"env\":\"production\",\"role\":\"broker\","
				       "\"event\":\"shared_token\",\"connection\":\"acme\",\"count\":2}\n");
}

static void lines_below_the_level_are_not_written(void **state)
{
	(void)state;
	mk_log_(MK_DEBUG, "quiet", NULL, 0);
	assert_null(written());
	mk_log_level(MK_DEBUG);
	mk_log_(MK_DEBUG, "loud", NULL, 0);
	assert_non_null(written());
	mk_log_level(MK_ERROR);
	mk_log_(MK_WARN, "quiet", NULL, 0);
	assert_null(written());
	mk_log_(MK_ALARM, "loud", NULL, 0);
	assert_non_null(written());
}

static void text_from_outside_makes_no_second_line_and_no_escape(void **state)
{
	(void)state;
	mk_log(MK_WARN, "x", MK_KV_S("text", "a\nb\r\x1b[31m\"}\xff%n"));
	json_t *json = parsed();
	assert_string_equal(text_of(json, "text"), "a\nb\r\x1b[31m\"}\xef\xbf\xbd%n");
	json_decref(json);
}

static void a_text_that_is_too_long_is_cut_and_the_line_says_so(void **state)
{
	(void)state;
	static char longer[5000];
	memset(longer, '\x01', sizeof longer - 1);
	for (size_t n = 1; n < sizeof longer; n += 67) {
		mk_log(MK_WARN, "x", MK_KV_S("text", longer + sizeof longer - 1 - n), MK_KV_N("kept", 7));
		json_t *json = parsed();
		assert_int_equal(json_integer_value(json_object_get(json, "kept")), 7);
		const char *text = text_of(json, "text");
		assert_non_null(text);
		assert_int_equal(strlen(text) < n, json_is_true(json_object_get(json, "cut")));
		if (n < 200)
			assert_int_equal(strlen(text), n);
		json_decref(json);
	}
}

static void too_many_fields_still_make_a_line(void **state)
{
	(void)state;
	static char keys[300][12];
	struct mk_kv kv[300];
	for (unsigned i = 0; i < MK_COUNT(kv); i++) {
		memcpy(keys[i], "key", 4);
		keys[i][3] = (char)('0' + i / 100);
		keys[i][4] = (char)('0' + i / 10 % 10);
		keys[i][5] = (char)('0' + i % 10);
		kv[i] = MK_KV_S(keys[i], "value");
	}
	mk_log_(MK_WARN, "crowded", kv, MK_COUNT(kv));
	json_t *json = parsed();
	assert_string_equal(text_of(json, "event"), "crowded");
	assert_string_equal(text_of(json, "cut"), "all");
	json_decref(json);
}

static void an_explanation_is_told_with_its_place(void **state)
{
	(void)state;
	struct mk_why why;
	const enum mk_err e = mk_why_at(&why, MK_BAD_REQUEST, "policy.conf", 3, "no such key \"rat\": did you mean \"rate\"?");
	mk_log_why(MK_ERROR, "refused", e, &why);
	json_t *json = parsed();
	assert_string_equal(text_of(json, "err"), "bad_request");
	assert_string_equal(text_of(json, "file"), "policy.conf");
	assert_int_equal(json_integer_value(json_object_get(json, "line")), 3);
	assert_string_equal(text_of(json, "why"), "no such key \"rat\": did you mean \"rate\"?");
	json_decref(json);
}

static void logging_keeps_errno_also_when_nobody_reads(void **state)
{
	(void)state;
	errno = EXDEV;
	dup2(pipe_fd[0], STDERR_FILENO); /* not writable */
	mk_log_(MK_ERROR, "lost", NULL, 0);
	assert_int_equal(errno, EXDEV);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_line_has_its_fields_in_order),
		T(lines_below_the_level_are_not_written),
		T(text_from_outside_makes_no_second_line_and_no_escape),
		T(a_text_that_is_too_long_is_cut_and_the_line_says_so),
		T(too_many_fields_still_make_a_line),
		T(an_explanation_is_told_with_its_place),
		T(logging_keeps_errno_also_when_nobody_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

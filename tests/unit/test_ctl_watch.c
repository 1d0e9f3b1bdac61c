/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about makinictl watch: it reads what an agent writes, in whatever pieces, and nothing
 * else; commands run one at a time, with the last news of each connection.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct mk_news heard[8];
static size_t n_heard;

static void told(void *arg, const struct mk_news *news)
{
	(void)arg;
	assert_true(n_heard < 8);
	heard[n_heard++] = *news;
}

static bool feed(struct mk_sse *s, const char *text, size_t piece)
{
	*s = (struct mk_sse){ .told = told };
	n_heard = 0;
	for (size_t at = 0, n = strlen(text); at < n; at += piece)
		if (!mk_sse_take(s, text + at, n - at < piece ? n - at : piece))
			return false;
	return true;
}

static void events_are_read_in_whatever_pieces_they_come(void **state)
{
	static const char text[] = ": hello\nid: life-1\n\n"
				   "event: rotated\nid: life-2\ndata: {\"connection\":\"acme-sap\",\"version\":\"7\"}\n\n:\n\n"
				   "event: resync\r\nid: life-3\r\ndata: {\"connection\":null,\"version\":null}\r\n\r\n"
				   "event: rotated\ndata: {\"connection\":\"acme-c";
	(void)state;
	for (size_t piece = 1; piece < sizeof text; piece += 7) {
		struct mk_sse s;
		assert_true(feed(&s, text, piece));
		assert_int_equal(n_heard, 2);
		assert_string_equal(heard[0].kind, "rotated");
		assert_string_equal(heard[0].connection, "acme-sap");
		assert_string_equal(heard[0].version, "7");
		assert_string_equal(heard[1].kind, "resync");
		assert_string_equal(heard[1].connection, "");
		assert_string_equal(s.last_id, "life-3");
		mk_sse_restart(&s);
		assert_true(mk_sse_take(&s, "\n", 1));
		assert_int_equal(n_heard, 2); /* what was cut off is no news */
		assert_string_equal(s.last_id, "life-3");
	}
}

static void what_no_agent_says_ends_the_reading(void **state)
{
	static const char *const texts[] = {
		"<html>\n", "event: Rotated\ndata: {\"connection\":\"a\",\"version\":null}\n\n", "event: rotated\ndata: {}\n\n",
		"event: rotated\ndata: {\"connection\":\"../x\",\"version\":null}\n\n", "event: rotated\ndata: x\n\n", "id: a b\n",
		"event: averyveryverylongword\n",
	};
	static char long_line[4096];
	struct mk_sse s;
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(feed(&s, texts[i], 3));
	memset(long_line, ':', sizeof long_line - 1);
	assert_false(feed(&s, long_line, 100));
	assert_false(mk_sse_take(&s, "\0", 1));
	assert_true(feed(&s, "event: mapping\nnew: x\ndata: {\"connection\":\"a\",\"version\":null}\n\n", 3)); /* of a later version */
	assert_int_equal(n_heard, 1);
}

static void control_characters_do_not_reach_a_terminal(void **state)
{
	struct mk_sse s;
	(void)state;
	assert_true(feed(&s, "event: rotated\ndata: {\"connection\":\"a\",\"version\":\"\\u001b[2J\"}\n\n", 50));
	assert_string_equal(heard[0].version, "?[2J");
}

static struct mk_news news(const char *kind, const char *connection, const char *version)
{
	struct mk_news n = { 0 };
	snprintf(n.kind, sizeof n.kind, "%s", kind);
	snprintf(n.connection, sizeof n.connection, "%s", connection);
	snprintf(n.version, sizeof n.version, "%s", version);
	return n;
}

static void add(struct mk_runner *r, const char *kind, const char *connection, const char *version)
{
	const struct mk_news n = news(kind, connection, version);
	mk_runner_add(r, &n);
}

static void what_waits_is_the_last_of_each_connection_or_a_resync(void **state)
{
	static struct mk_runner r;
	char name[32];
	(void)state;
	r = (struct mk_runner){ .command = "true" };
	add(&r, "rotated", "a", "1");
	add(&r, "rotated", "b", "1");
	add(&r, "revoked", "a", "2");
	assert_int_equal(r.n, 2);
	assert_string_equal(r.waiting[0].kind, "revoked");
	add(&r, "expiring", "b", "1"); /* who has not heard of 1 yet must hear that it is there */
	assert_int_equal(r.n, 2);
	assert_string_equal(r.waiting[1].kind, "rotated");
	add(&r, "resync", "", "");
	assert_int_equal(r.n, 1);
	add(&r, "rotated", "a", "3");
	assert_int_equal(r.n, 1);
	r.n = 0;
	for (unsigned i = 0; i <= MK_RUNNER_MOST; i++) {
		snprintf(name, sizeof name, "c%u", i);
		add(&r, "rotated", name, "1");
	}
	assert_int_equal(r.n, 1);
	assert_string_equal(r.waiting[0].kind, "resync");
}

static void run_all(struct mk_runner *r)
{
	for (int i = 0; i < 30000 && (r->pid > 0 || r->n > 0); i++) {
		assert_true(mk_runner_step(r));
		usleep(2000);
	}
	assert_int_equal(r->pid, 0);
}

static void commands_run_one_at_a_time_with_the_event_in_their_environment(void **state)
{
	static struct mk_runner r;
	char dir[] = "/tmp/mk-watch-XXXXXX", command[256], path[64], text[256] = "";
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/out", dir);
	snprintf(command, sizeof command, "echo \"<$MAKINI_EVENT\" >>%s; sleep 0.05; echo \"$MAKINI_CONNECTION $MAKINI_VERSION>\" >>%s", path, path);
	setenv("MAKINI_EVENT", "not this", 1);
	r = (struct mk_runner){ .command = command };
	add(&r, "rotated", "a", "$(rm x)");
	add(&r, "revoked", "b", "");
	run_all(&r);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	assert_string_equal(text, "<rotated\na $(rm x)>\n<revoked\nb >\n");
	close(fd);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_read_in_whatever_pieces_they_come),
		cmocka_unit_test(what_no_agent_says_ends_the_reading),
		cmocka_unit_test(control_characters_do_not_reach_a_terminal),
		cmocka_unit_test(what_waits_is_the_last_of_each_connection_or_a_resync),
		cmocka_unit_test(commands_run_one_at_a_time_with_the_event_in_their_environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

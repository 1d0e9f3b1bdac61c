/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher's driver with a backend made for the test: every run ends once, whatever
 * the backend does, and leaves nothing behind; files are read as the request says.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/secret.h"
#include "agent/fetcher/driver.h"
#include "mk/own.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	char dir[64], path[96];
	unsigned steps, dones, ends;
	enum mk_err err, answered;
	const char *fault;
	size_t body;
	struct mk_req ask;
	enum { DONE_AT_ONCE, FAIL_WITHOUT_WORD, ASK_ONCE, ASK_FOR_EVER, ASK_NOTHING, KEEP_A_SECRET } way;
} t;

static enum mk_step toy_step(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	assert_int_equal(t.steps == 0, res == NULL);
	t.steps++;
	if (res) {
		t.answered = res->err;
		t.body = res->body.n;
	}
	switch (t.way) {
	case DONE_AT_ONCE:
		return MK_STEP_DONE;
	case FAIL_WITHOUT_WORD:
		return MK_STEP_FAIL;
	case ASK_ONCE:
		*out = t.ask;
		return res ? MK_STEP_DONE : MK_STEP_SEND;
	case ASK_FOR_EVER:
		*out = t.ask;
		return MK_STEP_SEND;
	case ASK_NOTHING:
		return MK_STEP_SEND;
	case KEEP_A_SECRET:
		assert_int_equal(mk_secret_copy(mk_span_of("leaves"), &op->leaves), MK_OK);
		return MK_STEP_DONE;
	}
	return MK_STEP_FAIL;
}

static void toy_done(struct mk_op *op)
{
	assert_non_null(op->state);
	t.dones++;
}

static const struct mk_backend toy = { "toy", 16, 0, MK_VERB_GET, toy_step, toy_done, NULL };

static void ended(struct mk_run *run)
{
	t.ends++;
	t.err = run->op.err;
	t.fault = run->op.fault;
	mk_run_done(run);
}

static enum mk_err run(enum mk_verb verb)
{
	struct mk_instance at = { .backend = &toy };
	assert_int_equal(mk_instance_init(&at, NULL), MK_OK);
	struct mk_run r = { .at = &at, .op.verb = verb, .ended = ended };
	t.steps = t.dones = t.ends = 0;
	mk_run_begin(&r);
	assert_int_equal(t.ends, 1);
	assert_int_equal(t.dones, 1);
	assert_int_equal(mk_secret_in_use(), 0);
	return t.err;
}

static int setup(void **state)
{
	bool locked;
	(void)state;
	snprintf(t.dir, sizeof t.dir, "/tmp/mk-driver-XXXXXX");
	if (!mkdtemp(t.dir) || mk_secret_arena_init(8, 2, &locked) != MK_OK)
		return -1;
	snprintf(t.path, sizeof t.path, "%s/file", t.dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(t.path);
	return rmdir(t.dir);
}

static void write_file(const char *text, mode_t mode)
{
	unlink(t.path);
	mk_fd fd = open(t.path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static void a_run_ends_once_whatever_the_backend_does(void **state)
{
	(void)state;
	t.way = DONE_AT_ONCE;
	assert_int_equal(run(MK_VERB_GET), MK_OK);
	t.way = KEEP_A_SECRET;
	assert_int_equal(run(MK_VERB_GET), MK_OK);
	t.way = FAIL_WITHOUT_WORD;
	assert_int_equal(run(MK_VERB_GET), MK_BUG);
	t.way = ASK_NOTHING;
	assert_int_equal(run(MK_VERB_GET), MK_BUG);
	t.way = DONE_AT_ONCE;
	assert_int_equal(run(MK_VERB_LIST), MK_METHOD);
	assert_int_equal(t.steps, 0);
}

static void a_backend_that_asks_in_circles_is_stopped(void **state)
{
	(void)state;
	write_file("x", 0600);
	t.way = ASK_FOR_EVER;
	t.ask = (struct mk_req){ .kind = MK_REQ_FILE, .max = 10, .path = t.path };
	assert_int_equal(run(MK_VERB_GET), MK_BUG);
	assert_int_equal(t.steps, MK_WALK_STEPS_MAX + 1);
	assert_non_null(strstr(t.fault, "circles"));
}

static enum mk_err asked(size_t max, bool private_file)
{
	t.way = ASK_ONCE;
	t.ask = (struct mk_req){ .kind = MK_REQ_FILE, .max = max, .path = t.path, .private_file = private_file };
	assert_int_equal(run(MK_VERB_GET), MK_OK);
	return t.answered;
}

static void files_are_read_whole_up_to_their_limit(void **state)
{
	(void)state;
	for (int private_file = 0; private_file < 2; private_file++) {
		write_file("12345", 0600);
		assert_int_equal(asked(5, private_file), MK_OK);
		assert_int_equal(t.body, 5);
		assert_int_equal(asked(4, private_file), MK_TOO_LARGE);
		assert_int_equal(t.body, 0);
		write_file("", 0600);
		assert_int_equal(asked(5, private_file), MK_OK);
		assert_int_equal(t.body, 0);
	}
}

static void a_private_file_is_private_and_no_file_is_others_to_write(void **state)
{
	(void)state;
	write_file("12345", 0644);
	assert_int_equal(asked(5, false), MK_OK);
	assert_int_equal(asked(5, true), MK_DENIED);
	write_file("12345", 0662);
	assert_int_equal(asked(5, false), MK_DENIED);
	unlink(t.path);
	assert_int_equal(asked(5, false), MK_NOT_FOUND);
	assert_int_equal(symlink("/etc/hostname", t.path), 0);
	assert_int_equal(asked(500, false), MK_DENIED);
	unlink(t.path);
	assert_int_equal(mkfifo(t.path, 0600), 0);
	assert_int_equal(asked(5, false), MK_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_ends_once_whatever_the_backend_does),
		cmocka_unit_test(a_backend_that_asks_in_circles_is_stopped),
		cmocka_unit_test(files_are_read_whole_up_to_their_limit),
		cmocka_unit_test(a_private_file_is_private_and_no_file_is_others_to_write),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

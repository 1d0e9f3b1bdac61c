/* SPDX-License-Identifier: Apache-2.0
 *
 * The `local` backend's writes, through the fetcher's driver, on a real file: what is put
 * is there, what another one changed meanwhile is not lost, and a fetcher that may not
 * write does not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/file.h"
#include "agent/fetcher/driver.h"
#include "tests/unit/local_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static struct {
	char dir[64];
	struct store store;
	struct mk_instance at;
	struct mk_backend backend; /* the real one, with a step of ours around its own */
	struct mk_secret *value;
	struct mk_listed listed[MK_LIST_PAGE_MAX];
	struct mk_run run;
	unsigned ends, meddle, steps;
	void (*meddler)(void);
} t;

static void write_file(const char *path, struct mk_span bytes)
{
	assert_int_equal(mk_file_replace(path, bytes.p, bytes.n, 0600, geteuid(), getegid(), NULL), MK_OK);
}

static struct mk_local_bytes read_file(void)
{
	struct mk_local_bytes b = { .p = malloc(MK_LOCAL_INDEX_MAX) };
	mk_fd fd = open(t.at.conf.file, O_RDONLY | O_CLOEXEC);
	assert_int_equal(mk_file_read(fd, b.p, MK_LOCAL_INDEX_MAX, &b.n), MK_OK);
	return b;
}

/* What somebody with makinictl does. */
static void put_by_hand(const char *name, const char *value)
{
	free(t.store.file.p);
	t.store.file = read_file();
	assert_int_equal(put(&t.store, name, value, NULL, 0), MK_OK);
	write_file(t.at.conf.file, mk_span(t.store.file.p, t.store.file.n));
}

static void put_another(void)
{
	put_by_hand("other", "by hand");
}

/* Other bytes in the very file, as nobody should write it. */
static void write_in_place(void)
{
	free(t.store.file.p);
	t.store.file = read_file();
	assert_int_equal(put(&t.store, "other", "by hand", NULL, 0), MK_OK);
	mk_fd fd = open(t.at.conf.file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(mk_write_all(fd, t.store.file.p, t.store.file.n), MK_OK);
}

/* Another file with the same bytes. */
static void write_the_same(void)
{
	const struct mk_local_bytes b = read_file();
	write_file(t.at.conf.file, mk_span(b.p, b.n));
	free(b.p);
}

/* As often as it is told to, the store changes between what the operation read and what it writes. */
static enum mk_step meddling_step(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	const enum mk_step s = mk_backend_of("local")->step(op, res, out);
	if (s == MK_STEP_SEND && out->kind == MK_REQ_REPLACE && t.meddle > 0) {
		t.meddle--;
		t.meddler();
	}
	t.steps++;
	return s;
}

static void ended(struct mk_run *run)
{
	(void)run;
	t.ends++;
}

static enum mk_err run(enum mk_verb verb, const char *name, bool pending, const char *expect)
{
	mk_run_done(&t.run);
	t.run = (struct mk_run){ .at = &t.at, .ended = ended };
	t.run.op = (struct mk_op){ .verb = verb, .pending = pending, .value = t.value, .listed = t.listed };
	snprintf(t.run.op.name.s, sizeof t.run.op.name.s, "%s", name);
	snprintf(t.run.op.expect, sizeof t.run.op.expect, "%s", expect);
	t.ends = t.steps = 0;
	mk_run_begin(&t.run);
	assert_int_equal(t.ends, 1);
	return t.run.op.err;
}

static int begin(void **state)
{
	uint8_t buf[256];
	struct mk_secret *text;
	const struct mk_local_head head = mk_local_head_make(MK_LOCAL_KDF_KEY);
	(void)state;
	memset(&t, 0, sizeof t);
	snprintf(t.dir, sizeof t.dir, "/tmp/mk-local-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.at.conf.file, sizeof t.at.conf.file, "%s/store", t.dir);
	snprintf(t.at.conf.key_file, sizeof t.at.conf.key_file, "%s/key", t.dir);
	assert_int_equal(mk_local_key_make(&t.store.key, &text), MK_OK);
	write_file(t.at.conf.key_file, mk_secret_span(text));
	mk_secret_free(text);
	assert_int_equal(mk_local_empty(&head, t.store.key, &t.store.file), MK_OK);
	write_file(t.at.conf.file, mk_span(t.store.file.p, t.store.file.n));
	assert_int_equal(mk_secret_copy(mk_span(buf, leaves_of("new", buf)), &t.value), MK_OK);
	t.backend = *mk_backend_of("local");
	t.backend.step = meddling_step;
	t.at.backend = &t.backend;
	t.at.keep = calloc(1, t.backend.keep_size);
	t.at.may_write = true;
	t.meddler = put_another;
	assert_int_equal(mk_instance_init(&t.at, NULL), MK_OK);
	t.run.at = &t.at;
	return 0;
}

static int end(void **state)
{
	(void)state;
	mk_run_done(&t.run);
	t.backend.forget(t.at.keep);
	free(t.at.keep);
	free(t.store.file.p);
	mk_secret_free(t.store.key);
	mk_secret_free(t.value);
	unlink(t.at.conf.file);
	unlink(t.at.conf.key_file);
	return rmdir(t.dir) == 0 && mk_secret_in_use() == 0 ? 0 : -1;
}

static void assert_value(const char *name, bool pending, const char *value)
{
	struct mk_leaf l;
	assert_int_equal(run(MK_VERB_GET, name, pending, ""), MK_OK);
	assert_int_equal(mk_leaves_find(mk_secret_span(t.run.op.leaves), "/access_token", &l), MK_OK);
	assert_true(mk_span_is(l.value, value));
}

static void a_put_waits_and_is_promoted_disabled_and_enabled(void **state)
{
	char pending[MK_VERSION_MAX + 1];
	(void)state;
	put_by_hand("acme", "old");
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_OK);
	memcpy(pending, t.run.op.meta.version, sizeof pending);
	assert_value("acme", false, "old");
	assert_value("acme", true, "new");
	assert_string_equal(t.run.op.meta.version, pending);
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_CONFLICT);
	assert_int_equal(run(MK_VERB_PROMOTE, "acme", false, "0123456789abcdef"), MK_CONFLICT);
	assert_int_equal(run(MK_VERB_PROMOTE, "acme", false, ""), MK_OK);
	assert_string_equal(t.run.op.meta.version, pending);
	assert_value("acme", false, "new");
	assert_int_equal(run(MK_VERB_PROMOTE, "acme", false, ""), MK_NOT_FOUND);
	assert_int_equal(run(MK_VERB_DISCARD, "acme", false, ""), MK_NOT_FOUND);
	assert_int_equal(run(MK_VERB_DISABLE, "acme", false, pending), MK_OK);
	assert_false(t.run.op.already);
	assert_int_equal(run(MK_VERB_GET, "acme", false, ""), MK_DISABLED);
	assert_null(t.run.op.leaves);
	assert_int_equal(run(MK_VERB_DISABLE, "acme", false, ""), MK_OK);
	assert_true(t.run.op.already);
	assert_string_equal(t.run.op.meta.version, pending);
	assert_int_equal(run(MK_VERB_ENABLE, "acme", false, ""), MK_OK);
	assert_false(t.run.op.already);
	assert_value("acme", false, "new");
	assert_int_equal(run(MK_VERB_ENABLE, "never", false, ""), MK_NOT_FOUND);
}

static void a_pending_value_alone_is_no_name(void **state)
{
	(void)state;
	put_by_hand("b", "x");
	assert_int_equal(run(MK_VERB_PUT, "a", false, ""), MK_OK);
	assert_int_equal(run(MK_VERB_GET, "a", false, ""), MK_NOT_FOUND);
	assert_int_equal(run(MK_VERB_LIST, "", false, ""), MK_OK);
	assert_int_equal(t.run.op.n_listed, 1);
	assert_string_equal(t.listed[0].name.s, "b");
	assert_int_equal(run(MK_VERB_DISCARD, "a", false, ""), MK_OK);
	assert_int_equal(run(MK_VERB_GET, "a", true, ""), MK_NOT_FOUND);
}

static void a_change_of_somebody_else_is_kept_and_the_write_begins_again(void **state)
{
	(void)state;
	put_by_hand("acme", "old");
	t.meddle = 2;
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_OK);
	assert_int_equal(t.steps, 1 + 1 + 3 * 2);
	assert_value("acme", true, "new");
	assert_value("other", false, "by hand");
	t.meddle = 3;
	assert_int_equal(run(MK_VERB_PROMOTE, "acme", false, ""), MK_NOT_READY);
	assert_non_null(strstr(t.run.op.fault, "by someone else"));
	assert_value("acme", true, "new"); /* nothing was lost */
}

static void a_file_is_replaced_only_where_it_is_the_very_one_that_was_read(void **state)
{
	void (*const meddlers[])(void) = { write_in_place, write_the_same };
	(void)state;
	put_by_hand("acme", "old");
	for (size_t i = 0; i < MK_COUNT(meddlers); i++) {
		t.meddler = meddlers[i];
		t.meddle = 1;
		assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_OK);
		assert_true(t.steps >= 1 + 2 * 2); /* begun again */
		assert_value("other", false, "by hand");
		assert_int_equal(run(MK_VERB_DISCARD, "acme", false, ""), MK_OK);
	}
}

static void a_store_that_somebody_holds_is_not_waited_for(void **state)
{
	(void)state;
	mk_fd fd = open(t.at.conf.file, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_NOT_READY);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_OK);
}

static void a_fetcher_that_may_not_write_says_so(void **state)
{
	(void)state;
	put_by_hand("acme", "old");
	t.at.may_write = false;
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_DENIED);
	assert_non_null(strstr(t.run.op.fault, "this fetcher may not write"));
	assert_value("acme", false, "old");
	assert_int_equal(run(MK_VERB_GET, "acme", true, ""), MK_NOT_FOUND);
}

static void owner_and_mode_stay(void **state)
{
	struct stat st;
	(void)state;
	assert_int_equal(chmod(t.at.conf.file, 0640), 0);
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_OK);
	assert_int_equal(stat(t.at.conf.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void a_value_that_is_none_is_not_written(void **state)
{
	(void)state;
	t.value = mk_secret_free(t.value);
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_BAD_REQUEST);
	assert_int_equal(mk_secret_copy(mk_span_of("no list"), &t.value), MK_OK);
	assert_int_equal(run(MK_VERB_PUT, "acme", false, ""), MK_BAD_REQUEST);
	assert_int_equal(run(MK_VERB_GET, "acme", true, ""), MK_NOT_FOUND);
}

#undef EACH
#define EACH(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_put_waits_and_is_promoted_disabled_and_enabled),
		EACH(a_pending_value_alone_is_no_name),
		EACH(a_change_of_somebody_else_is_kept_and_the_write_begins_again),
		EACH(a_file_is_replaced_only_where_it_is_the_very_one_that_was_read),
		EACH(a_store_that_somebody_holds_is_not_waited_for),
		EACH(a_fetcher_that_may_not_write_says_so),
		EACH(owner_and_mode_stay),
		EACH(a_value_that_is_none_is_not_written),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The `local` backend, step by step, without any file: what it asks for, what it makes
 * of each answer, and when it reads its key again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/local_store.h"

#define STEPS_MAX 8

/* What the driver would read; and what was asked of it. */
struct world {
	struct store store;
	struct mk_secret *key_text;
	enum mk_err key_err, store_err;
	unsigned key_reads, store_reads;
	struct mk_conf_backend conf;
	void *keep;
	struct mk_op op;
	struct mk_listed listed[MK_LIST_PAGE_MAX];
};

static struct world w;

static const struct mk_backend *local(void)
{
	const struct mk_backend *b = mk_backend_of("local");
	assert_non_null(b);
	return b;
}

static void new_key(void)
{
	const struct mk_local_head head = mk_local_head_make(MK_LOCAL_KDF_KEY);
	mk_secret_free(w.store.key);
	mk_secret_free(w.key_text);
	free(w.store.file.p);
	assert_int_equal(mk_local_key_make(&w.store.key, &w.key_text), MK_OK);
	assert_int_equal(mk_local_empty(&head, w.store.key, &w.store.file), MK_OK);
}

/* A store under a passphrase, at the least cost that Argon2id has. */
static void new_passphrase(const char *text)
{
	struct mk_local_head head = mk_local_head_make(MK_LOCAL_KDF_ARGON2ID);
	head.ops = 1;
	head.mem_kib = MK_LOCAL_MEM_KIB_MIN;
	w.store.key = mk_secret_free(w.store.key);
	w.key_text = mk_secret_free(w.key_text);
	free(w.store.file.p);
	assert_int_equal(mk_secret_copy(mk_span_of(text), &w.key_text), MK_OK);
	assert_int_equal(mk_local_key_derive(&head, mk_span_of(text), &w.store.key), MK_OK);
	assert_int_equal(mk_local_empty(&head, w.store.key, &w.store.file), MK_OK);
	snprintf(w.conf.passphrase_file, sizeof w.conf.passphrase_file, "/etc/pass");
	w.conf.key_file[0] = '\0';
}

static int world_new(void **state)
{
	(void)state;
	memset(&w, 0, sizeof w);
	snprintf(w.conf.file, sizeof w.conf.file, "/var/store");
	snprintf(w.conf.key_file, sizeof w.conf.key_file, "/etc/key");
	w.keep = calloc(1, local()->keep_size);
	new_key();
	return 0;
}

static void op_free(void)
{
	if (w.op.state)
		local()->done(&w.op);
	free(w.op.state);
	mk_secret_free(w.op.leaves);
	w.op = (struct mk_op){ 0 };
}

static int world_gone(void **state)
{
	(void)state;
	op_free();
	local()->forget(w.keep);
	free(w.keep);
	mk_secret_free(w.store.key);
	mk_secret_free(w.key_text);
	free(w.store.file.p);
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static struct mk_res answer(const struct mk_req *req)
{
	const char *key = w.conf.key_file[0] ? w.conf.key_file : w.conf.passphrase_file;
	assert_int_equal(req->kind, MK_REQ_FILE);
	if (strcmp(req->path, w.conf.file) == 0) {
		assert_false(req->private_file);
		w.store_reads++;
		return (struct mk_res){ .err = w.store_err, .body = mk_span(w.store.file.p, w.store_err == MK_OK ? w.store.file.n : 0) };
	}
	assert_string_equal(req->path, key);
	assert_true(req->private_file);
	assert_true(mk_secret_span(w.key_text).n <= req->max);
	w.key_reads++;
	return (struct mk_res){ .err = w.key_err, .body = w.key_err == MK_OK ? mk_secret_span(w.key_text) : mk_span(NULL, 0) };
}

/* Runs one operation to its end; its error. */
static enum mk_err run(enum mk_verb verb, const char *name, bool previous)
{
	op_free();
	w.op = (struct mk_op){ .verb = verb, .conf = &w.conf, .keep = w.keep, .previous = previous, .listed = w.listed };
	snprintf(w.op.name.s, sizeof w.op.name.s, "%s", name);
	w.op.state = calloc(1, local()->state_size);
	w.key_reads = w.store_reads = 0;
	struct mk_res res = { .err = MK_OK };
	for (int i = 0; i < STEPS_MAX; i++) {
		struct mk_req req = { 0 };
		const enum mk_step s = local()->step(&w.op, i == 0 ? NULL : &res, &req);
		if (s == MK_STEP_DONE)
			return MK_OK;
		if (s == MK_STEP_FAIL) {
			assert_non_null(w.op.fault);
			assert_int_not_equal(w.op.err, MK_OK);
			return w.op.err;
		}
		res = answer(&req);
	}
	fail_msg("no end");
	return MK_BUG;
}

static enum mk_err fetch(const char *name)
{
	return run(MK_VERB_GET, name, false);
}

static void assert_value(const char *value)
{
	struct mk_leaf l;
	assert_non_null(w.op.leaves);
	assert_int_equal(mk_leaves_find(mk_secret_span(w.op.leaves), "/access_token", &l), MK_OK);
	assert_true(mk_span_is(l.value, value));
}

static void a_get_reads_key_and_store_once_and_then_only_the_store(void **state)
{
	const struct mk_tag tag = { "system", "sap" };
	(void)state;
	assert_int_equal(put(&w.store, "acme", "one", &tag, 1), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK);
	assert_value("one");
	assert_int_equal(w.key_reads, 1);
	assert_int_equal(w.store_reads, 1);
	assert_int_equal(strlen(w.op.meta.version), 16);
	assert_int_equal(w.op.meta.created_ms, 1000);
	assert_int_equal(w.op.meta.n_tags, 1);
	assert_string_equal(w.op.meta.tags[0].value, "sap");
	assert_int_equal(put(&w.store, "acme", "two", NULL, 0), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK);
	assert_value("two");
	assert_int_equal(w.key_reads, 0);
	assert_int_equal(run(MK_VERB_GET, "acme", true), MK_OK);
	assert_value("one");
	assert_int_equal(run(MK_VERB_HEALTH, "", false), MK_OK);
}

static void a_missing_name_or_version_is_not_found(void **state)
{
	(void)state;
	assert_int_equal(fetch("acme"), MK_NOT_FOUND);
	assert_int_equal(put(&w.store, "acme", "one", NULL, 0), MK_OK);
	assert_int_equal(run(MK_VERB_GET, "acme", true), MK_NOT_FOUND);
	assert_int_equal(fetch("acme"), MK_OK);
}

/* NOT_FOUND from a store is final; that its file is missing must not read as that. */
static void a_files_error_is_the_backends_and_names_the_remedy(void **state)
{
	static const struct {
		enum mk_err key, store, want;
		const char *said;
	} rows[] = {
		{ MK_NOT_FOUND, MK_OK, MK_BACKEND, "key file is missing" },
		{ MK_DENIED, MK_OK, MK_BACKEND, "0600" },
		{ MK_TOO_LARGE, MK_OK, MK_BACKEND, "32 bytes in base64" },
		{ MK_SYSTEM, MK_OK, MK_BACKEND, "cannot be read" },
		{ MK_TIMEOUT, MK_OK, MK_BACKEND, "cannot be read" },
		{ MK_NO_MEMORY, MK_OK, MK_NO_MEMORY, "no memory" },
		{ MK_OK, MK_NOT_FOUND, MK_BACKEND, "makinictl local init" },
		{ MK_OK, MK_DENIED, MK_BACKEND, "others cannot write" },
		{ MK_OK, MK_TOO_LARGE, MK_BACKEND, "64 MiB" },
		{ MK_OK, MK_SYSTEM, MK_BACKEND, "cannot be read" },
	};
	(void)state;
	assert_int_equal(put(&w.store, "acme", "one", NULL, 0), MK_OK);
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		local()->forget(w.keep);
		w.key_err = rows[i].key;
		w.store_err = rows[i].store;
		assert_int_equal(fetch("acme"), rows[i].want);
		assert_non_null(strstr(w.op.fault, rows[i].said));
	}
	w.key_err = w.store_err = MK_OK;
	assert_int_equal(fetch("acme"), MK_OK);
}

static void a_key_rotated_under_the_running_process_is_read_once_again(void **state)
{
	(void)state;
	assert_int_equal(put(&w.store, "acme", "old", NULL, 0), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK);
	new_key();
	assert_int_equal(put(&w.store, "acme", "new", NULL, 0), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK);
	assert_value("new");
	assert_int_equal(w.key_reads, 1);
	assert_int_equal(w.store_reads, 2);
}

static void a_changed_file_fails_after_one_more_look_at_the_key(void **state)
{
	(void)state;
	assert_int_equal(put(&w.store, "acme", "one", NULL, 0), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK);
	w.store.file.p[80] ^= 1;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fetch("acme"), MK_BACKEND);
		assert_string_equal(w.op.fault, "the store does not open under its key: wrong key file, or the file was changed");
		assert_int_equal(w.key_reads, 1);
		assert_null(w.op.leaves);
	}
	w.store.file.p[80] ^= 1;
	assert_int_equal(fetch("acme"), MK_OK);
	assert_int_equal(w.key_reads, 0);
	w.store.file.p[w.store.file.n - 1] ^= 1;
	assert_int_equal(fetch("acme"), MK_BACKEND);
	assert_non_null(strstr(w.op.fault, "record"));
	w.store.file.n -= 1;
	assert_int_equal(fetch("acme"), MK_BACKEND);
	w.store.file.n = 3;
	assert_int_equal(fetch("acme"), MK_BACKEND);
	assert_non_null(strstr(w.op.fault, "not a store"));
}

static void a_key_file_that_is_none_is_told(void **state)
{
	struct mk_secret *good = w.key_text;
	(void)state;
	assert_int_equal(mk_secret_copy(mk_span_of("not base64 of thirty-two bytes\n"), &w.key_text), MK_OK);
	assert_int_equal(fetch("acme"), MK_BACKEND);
	assert_non_null(strstr(w.op.fault, "32 bytes in base64"));
	mk_secret_free(w.key_text);
	w.key_text = good;
	assert_int_equal(fetch("acme"), MK_NOT_FOUND);
}

static void a_passphrase_works_and_a_changed_one_is_taken(void **state)
{
	(void)state;
	new_passphrase("correct horse\n");
	assert_int_equal(put(&w.store, "acme", "one", NULL, 0), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK);
	assert_value("one");
	assert_int_equal(fetch("acme"), MK_OK);
	assert_int_equal(w.key_reads, 0);
	new_passphrase("battery staple");
	assert_int_equal(put(&w.store, "acme", "two", NULL, 0), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK);
	assert_value("two");
	w.key_text = mk_secret_free(w.key_text);
	assert_int_equal(mk_secret_copy(mk_span_of("wrong"), &w.key_text), MK_OK);
	assert_int_equal(fetch("acme"), MK_OK); /* what is kept still opens it */
	local()->forget(w.keep);
	assert_int_equal(fetch("acme"), MK_BACKEND);
	w.key_text = mk_secret_free(w.key_text);
	assert_int_equal(mk_secret_copy(mk_span_of("\n"), &w.key_text), MK_OK);
	local()->forget(w.keep);
	assert_int_equal(fetch("acme"), MK_BACKEND);
	assert_non_null(strstr(w.op.fault, "empty"));
}

/* A key that is configured for a passphrase's store, and the other way round. */
static void the_wrong_kind_of_key_is_told(void **state)
{
	(void)state;
	snprintf(w.conf.passphrase_file, sizeof w.conf.passphrase_file, "/etc/pass");
	w.conf.key_file[0] = '\0';
	assert_int_equal(fetch("acme"), MK_BACKEND);
	assert_non_null(strstr(w.op.fault, "configure key_file"));
	new_passphrase("x");
	snprintf(w.conf.key_file, sizeof w.conf.key_file, "/etc/key");
	assert_int_equal(fetch("acme"), MK_BACKEND);
	assert_non_null(strstr(w.op.fault, "configure passphrase_file"));
}

static void a_list_goes_on_after_a_name(void **state)
{
	char name[32];
	(void)state;
	for (int i = 0; i < MK_LIST_PAGE_MAX + 5; i++) {
		snprintf(name, sizeof name, "conn-%03d", i);
		assert_int_equal(put(&w.store, name, "x", NULL, 0), MK_OK);
	}
	assert_int_equal(run(MK_VERB_LIST, "", false), MK_OK);
	assert_int_equal(w.op.n_listed, MK_LIST_PAGE_MAX);
	assert_true(w.op.more);
	assert_string_equal(w.listed[0].name.s, "conn-000");
	const struct mk_name last = w.listed[MK_LIST_PAGE_MAX - 1].name;
	assert_int_equal(run(MK_VERB_LIST, last.s, false), MK_OK);
	assert_int_equal(w.op.n_listed, 5);
	assert_false(w.op.more);
	assert_string_equal(w.listed[4].name.s, "conn-204");
	assert_int_equal(strlen(w.listed[4].version), 16);
	assert_int_equal(run(MK_VERB_LIST, "conn-204", false), MK_OK);
	assert_int_equal(w.op.n_listed, 0);
	assert_int_equal(run(MK_VERB_LIST, "conn-004", false), MK_OK);
	assert_int_equal(w.op.n_listed, MK_LIST_PAGE_MAX);
	assert_false(w.op.more);
}

static void the_table_knows_its_words_and_nothing_else(void **state)
{
	(void)state;
	assert_non_null(mk_backend_of("local"));
	assert_null(mk_backend_of("Local"));
	assert_null(mk_backend_of(""));
	assert_null(mk_backend_of("vaults"));
}

#undef EACH
#define EACH(f) cmocka_unit_test_setup_teardown(f, world_new, world_gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_get_reads_key_and_store_once_and_then_only_the_store),
		EACH(a_missing_name_or_version_is_not_found),
		EACH(a_files_error_is_the_backends_and_names_the_remedy),
		EACH(a_key_rotated_under_the_running_process_is_read_once_again),
		EACH(a_changed_file_fails_after_one_more_look_at_the_key),
		EACH(a_key_file_that_is_none_is_told),
		EACH(a_passphrase_works_and_a_changed_one_is_taken),
		EACH(the_wrong_kind_of_key_is_told),
		EACH(a_list_goes_on_after_a_name),
		EACH(the_table_knows_its_words_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

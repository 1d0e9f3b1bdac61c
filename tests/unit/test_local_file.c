/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's file: what is put comes back, and keys open what is theirs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/local_store.h"

static void an_empty_store_has_no_names(void **state)
{
	struct store *s = *state;
	char v[64];
	struct mk_local_cursor at = { 0 };
	struct mk_local_entry e;
	mk_auto(mk_local_freep) struct mk_local *f = opened(s);
	assert_int_equal(mk_local_count(f), 0);
	assert_false(mk_local_next(f, &at, &e));
	assert_int_equal(get(s, "acme", 0, v), MK_NOT_FOUND);
	assert_int_equal(rm(s, "acme"), MK_NOT_FOUND);
}

static void what_is_put_comes_back_and_the_one_before_it_is_previous(void **state)
{
	struct store *s = *state;
	char v[64];
	assert_int_equal(put(s, "acme-sap", "one", NULL, 0), MK_OK);
	assert_int_equal(get(s, "acme-sap", 0, v), MK_OK);
	assert_string_equal(v, "one");
	assert_int_equal(get(s, "acme-sap", 1, v), MK_NOT_FOUND);
	assert_int_equal(put(s, "acme-sap", "two", NULL, 0), MK_OK);
	assert_int_equal(put(s, "acme-sap", "three", NULL, 0), MK_OK);
	assert_int_equal(get(s, "acme-sap", 0, v), MK_OK);
	assert_string_equal(v, "three");
	assert_int_equal(get(s, "acme-sap", 1, v), MK_OK);
	assert_string_equal(v, "two");
}

static void names_come_in_order_however_they_were_put(void **state)
{
	struct store *s = *state;
	static const char *const put_as[] = { "m", "a", "z", "a-b", "m2", "0" };
	static const char *const read_as[] = { "0", "a", "a-b", "m", "m2", "z" };
	struct mk_local_cursor at = { 0 };
	struct mk_local_entry e;
	char v[64];
	for (size_t i = 0; i < MK_COUNT(put_as); i++)
		assert_int_equal(put(s, put_as[i], put_as[i], NULL, 0), MK_OK);
	mk_auto(mk_local_freep) struct mk_local *f = opened(s);
	assert_int_equal(mk_local_count(f), MK_COUNT(read_as));
	for (size_t i = 0; i < MK_COUNT(read_as); i++) {
		assert_true(mk_local_next(f, &at, &e));
		assert_string_equal(e.name.s, read_as[i]);
		assert_int_equal(get(s, read_as[i], 0, v), MK_OK);
		assert_string_equal(v, read_as[i]);
	}
	assert_false(mk_local_next(f, &at, &e));
}

static void a_removed_name_is_gone_and_the_others_stay(void **state)
{
	struct store *s = *state;
	char v[64];
	assert_int_equal(put(s, "a", "1", NULL, 0), MK_OK);
	assert_int_equal(put(s, "b", "2", NULL, 0), MK_OK);
	assert_int_equal(put(s, "b", "22", NULL, 0), MK_OK);
	assert_int_equal(put(s, "c", "3", NULL, 0), MK_OK);
	const size_t before = s->file.n;
	assert_int_equal(rm(s, "b"), MK_OK);
	assert_true(s->file.n < before);
	assert_int_equal(get(s, "b", 0, v), MK_NOT_FOUND);
	assert_int_equal(get(s, "a", 0, v), MK_OK);
	assert_int_equal(get(s, "c", 0, v), MK_OK);
	assert_string_equal(v, "3");
}

static size_t tags_of(const struct store *s, const char *name, struct mk_tag tags[MK_TAGS_MAX])
{
	mk_auto(mk_local_freep) struct mk_local *f = opened(s);
	const struct mk_name n = name_of(name);
	struct mk_local_entry e;
	assert_int_equal(mk_local_find(f, &n, &e), MK_OK);
	mk_local_tags(&e, tags);
	return e.n_tags;
}

static void tags_are_kept_set_and_taken_away(void **state)
{
	struct store *s = *state;
	const struct mk_tag first[] = { { "system", "sap" }, { "customer", "acme" } };
	const struct mk_tag second[] = { { "system", "r3" }, { "customer", "" }, { "never-there", "" }, { "zone", "eu" } };
	struct mk_tag tags[MK_TAGS_MAX];
	assert_int_equal(put(s, "a", "1", first, 2), MK_OK);
	assert_int_equal(tags_of(s, "a", tags), 2);
	assert_string_equal(tags[0].key, "customer");
	assert_string_equal(tags[1].value, "sap");
	assert_int_equal(put(s, "a", "2", NULL, 0), MK_OK);
	assert_int_equal(tags_of(s, "a", tags), 2);
	assert_int_equal(put(s, "a", "3", second, 4), MK_OK);
	assert_int_equal(tags_of(s, "a", tags), 2);
	assert_string_equal(tags[0].key, "system");
	assert_string_equal(tags[0].value, "r3");
	assert_string_equal(tags[1].key, "zone");
}

static void tags_beyond_the_limits_are_refused(void **state)
{
	struct store *s = *state;
	struct mk_tag many[MK_TAGS_MAX + 1] = { { "", "" } };
	const struct mk_tag bad[] = { { "a=b", "x" }, { "a b", "x" }, { "", "x" }, { "k", "a\nb" }, { "k", "\xff" }, { "k", "\xc2\x9b" "31m" } };
	for (size_t i = 0; i < MK_COUNT(many); i++) {
		snprintf(many[i].key, sizeof many[i].key, "k%zu", i);
		snprintf(many[i].value, sizeof many[i].value, "v");
	}
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		assert_int_equal(put(s, "a", "1", &bad[i], 1), MK_BAD_REQUEST);
	assert_int_equal(put(s, "a", "1", many, MK_TAGS_MAX + 1), MK_TOO_LARGE);
	assert_int_equal(put(s, "a", "1", many, MK_TAGS_MAX), MK_OK);
}

static void a_change_that_is_none_is_refused(void **state)
{
	struct store *s = *state;
	uint8_t buf[256] = { 0 };
	char id[ID_TEXT];
	const size_t n = leaves_of("x", buf);
	struct mk_local_change c = { .name = name_of("a"), .leaves = mk_span(buf, n), .now_ms = -1 };
	assert_int_equal(change(s, &c, id), MK_BAD_REQUEST);
	c.now_ms = 1;
	c.leaves.n = n - 1;
	assert_int_equal(change(s, &c, id), MK_BAD_REQUEST);
	c.leaves.n = 0;
	assert_int_equal(change(s, &c, id), MK_BAD_REQUEST);
	c.leaves.n = n;
	c.name = (struct mk_name){ "" };
	assert_int_equal(change(s, &c, id), MK_BAD_REQUEST);
	c.name = name_of("a");
	assert_int_equal(change(s, &c, id), MK_OK);
	assert_int_equal(strlen(id), ID_TEXT - 1);
}

static void a_key_files_text_gives_its_key_and_nothing_else_does(void **state)
{
	struct mk_secret *key, *text, *again;
	char bad[64];
	(void)state;
	assert_int_equal(mk_local_key_make(&key, &text), MK_OK);
	const struct mk_span t = mk_secret_span(text);
	assert_int_equal(t.n, 45);
	assert_int_equal(mk_local_key_of(t, &again), MK_OK);
	assert_true(mk_secret_same(key, again));
	again = mk_secret_free(again);
	assert_int_equal(mk_local_key_of(mk_span(t.p, t.n - 1), &again), MK_OK); /* without its newline */
	again = mk_secret_free(again);
	for (size_t n = 0; n < t.n - 1; n++)
		assert_int_equal(mk_local_key_of(mk_span(t.p, n), &again), MK_BAD_REQUEST);
	memcpy(bad, t.p, t.n);
	bad[t.n] = '\n';
	assert_int_equal(mk_local_key_of(mk_span(bad, t.n + 1), &again), MK_BAD_REQUEST);
	bad[3] = '!';
	assert_int_equal(mk_local_key_of(mk_span(bad, t.n), &again), MK_BAD_REQUEST);
	mk_secret_free(key);
	mk_secret_free(text);
}

static void a_passphrase_opens_its_store_and_another_one_does_not(void **state)
{
	struct mk_local_head head = mk_local_head_make(MK_LOCAL_KDF_ARGON2ID), read;
	struct mk_secret *key, *same, *other;
	struct mk_local_bytes file;
	struct mk_local *f = NULL;
	(void)state;
	head.ops = 1;
	head.mem_kib = 8;
	assert_int_equal(mk_local_key_derive(&head, mk_span_of("correct horse\n"), &key), MK_OK);
	assert_int_equal(mk_local_empty(&head, key, &file), MK_OK);
	assert_int_equal(mk_local_head_read(mk_span(file.p, file.n), &read), MK_OK);
	assert_int_equal(mk_local_key_derive(&read, mk_span_of("correct horse"), &same), MK_OK);
	assert_int_equal(mk_local_open(mk_span(file.p, file.n), same, &f), MK_OK);
	mk_local_free(f);
	assert_int_equal(mk_local_key_derive(&read, mk_span_of("correct house"), &other), MK_OK);
	assert_int_equal(mk_local_open(mk_span(file.p, file.n), other, &f), MK_DENIED);
	assert_int_equal(mk_local_key_derive(&read, mk_span_of("\n"), &key), MK_BAD_REQUEST);
	mk_secret_free(key);
	mk_secret_free(same);
	mk_secret_free(other);
	free(file.p);
}

static void versions_differ_from_put_to_put(void **state)
{
	struct store *s = *state;
	struct mk_local_entry e;
	const struct mk_name n = name_of("a");
	assert_int_equal(put(s, "a", "same", NULL, 0), MK_OK);
	assert_int_equal(put(s, "a", "same", NULL, 0), MK_OK);
	mk_auto(mk_local_freep) struct mk_local *f = opened(s);
	assert_int_equal(mk_local_find(f, &n, &e), MK_OK);
	assert_true(mk_local_has(&e, MK_LOCAL_PREVIOUS));
	assert_string_not_equal(e.versions[0].id, e.versions[1].id);
	assert_int_equal(e.versions[0].created_ms, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(an_empty_store_has_no_names),
		EACH(what_is_put_comes_back_and_the_one_before_it_is_previous),
		EACH(names_come_in_order_however_they_were_put),
		EACH(a_removed_name_is_gone_and_the_others_stay),
		EACH(tags_are_kept_set_and_taken_away),
		EACH(tags_beyond_the_limits_are_refused),
		EACH(a_change_that_is_none_is_refused),
		EACH(a_key_files_text_gives_its_key_and_nothing_else_does),
		EACH(a_passphrase_opens_its_store_and_another_one_does_not),
		EACH(versions_differ_from_put_to_put),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

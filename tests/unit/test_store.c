/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the store: versions move from current to previous, a failure changes
 * nothing, limits have a clear error, and nothing plain is kept.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/broker/store.h"

#include <stdio.h>

#define WALL INT64_C(1767225600000)

struct fix {
	struct mk_seal *seal;
	struct mk_store *store;
	uint8_t buf[MK_SECRET_MAX];
	size_t n;
};

static const struct mk_name acme = { "acme-erp" };

static int arena(void **state)
{
	bool locked = false;
	(void)state;
	return mk_secret_arena_init(16, 4, &locked) == MK_OK ? 0 : -1;
}

static int make(void **state)
{
	static const struct mk_word production = { "production" };
	static struct fix f;
	f = (struct fix){ 0 };
	*state = &f;
	if (mk_seal_new(&production, &f.seal) != MK_OK)
		return -1;
	return mk_store_new(f.seal, &f.store) == MK_OK ? 0 : -1;
}

static int drop(void **state)
{
	struct fix *f = *state;
	mk_store_free(f->store);
	mk_seal_free(f->seal);
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static void add(struct fix *f, const char *pointer, const char *value)
{
	const struct mk_leaf leaf = { mk_span_of(pointer), MK_LEAF_STRING, mk_span_of(value) };
	assert_int_equal(mk_leaves_add(f->buf, sizeof f->buf, &f->n, &leaf), MK_OK);
}

static struct mk_fetched fetched(struct fix *f, const char *version, const char *token)
{
	f->n = 0;
	add(f, "/access_token", token);
	return (struct mk_fetched){ .name = acme, .slot = MK_SLOT_CURRENT, .version = version, .created_ms = MK_TIME_NONE,
				    .leaves = mk_span(f->buf, f->n), .epoch = 1, .wall_ms = WALL, .boot_ms = 1000 };
}

static void put(struct fix *f, const char *version, const char *token)
{
	const struct mk_fetched got = fetched(f, version, token);
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
}

static void holds(struct fix *f, enum mk_slot slot, const char *version, const char *token)
{
	struct mk_secret *s = NULL;
	struct mk_record r;
	const struct mk_entry *e = mk_store_find(f->store, &acme);
	assert_non_null(e);
	assert_true(e->at[slot].held);
	assert_string_equal(e->at[slot].version, version);
	assert_int_equal(mk_secret_new(mk_store_plain_len(&e->at[slot]), &s), MK_OK);
	assert_int_equal(mk_store_open_(f->store, e, slot, s), MK_OK);
	assert_int_equal(mk_record_of(mk_secret_span(s), 0, &r, NULL), MK_OK);
	assert_true(mk_span_is(r.token, token));
	mk_secret_free(s);
}

static void what_is_put_can_be_opened_and_is_not_kept_plain(void **state)
{
	struct fix *f = *state;
	put(f, "v1", "token-one-of-acme");
	holds(f, MK_SLOT_CURRENT, "v1", "token-one-of-acme");
	const struct mk_entry *e = mk_store_find(f->store, &acme);
	const struct mk_sealed *sealed = e->at[MK_SLOT_CURRENT].sealed;
	assert_null(memmem(sealed, mk_sealed_size(sealed), "token-on", 8));
	assert_null(memmem(e, sizeof *e, "token-on", 8));
	const struct mk_name other = { "acme-crm" };
	assert_null(mk_store_find(f->store, &other));
}

static void another_version_makes_the_current_one_the_previous(void **state)
{
	struct fix *f = *state;
	put(f, "v1", "one");
	assert_false(mk_store_find(f->store, &acme)->at[MK_SLOT_PREVIOUS].held);
	put(f, "v1", "one");
	assert_false(mk_store_find(f->store, &acme)->at[MK_SLOT_PREVIOUS].held);
	put(f, "v2", "two");
	holds(f, MK_SLOT_CURRENT, "v2", "two");
	holds(f, MK_SLOT_PREVIOUS, "v1", "one");
	put(f, "v3", "three");
	holds(f, MK_SLOT_CURRENT, "v3", "three");
	holds(f, MK_SLOT_PREVIOUS, "v2", "two");
	assert_int_equal(mk_store_count(f->store), 1);
}

static void a_secret_without_a_token_leaves_the_old_version_in_place(void **state)
{
	struct fix *f = *state;
	const char *fault = NULL;
	put(f, "v1", "one");
	struct mk_fetched bad = fetched(f, "v2", "two\nlines");
	assert_int_equal(mk_store_put(f->store, &bad, &fault), MK_BACKEND);
	assert_non_null(fault);
	holds(f, MK_SLOT_CURRENT, "v1", "one");
	assert_false(mk_store_find(f->store, &acme)->at[MK_SLOT_PREVIOUS].held);
}

static void an_answer_to_an_older_question_changes_nothing(void **state)
{
	struct fix *f = *state;
	struct mk_fetched newer = fetched(f, "v2", "two");
	newer.epoch = 5;
	assert_int_equal(mk_store_put(f->store, &newer, NULL), MK_OK);
	struct mk_fetched older = fetched(f, "v1", "one");
	older.epoch = 4;
	assert_int_equal(mk_store_put(f->store, &older, NULL), MK_OK);
	holds(f, MK_SLOT_CURRENT, "v2", "two");
	older.epoch = 5;
	assert_int_equal(mk_store_put(f->store, &older, NULL), MK_OK);
	holds(f, MK_SLOT_CURRENT, "v1", "one");
}

static void a_relative_expiry_does_not_move_with_each_fetch(void **state)
{
	struct fix *f = *state;
	struct mk_fetched got = fetched(f, "v1", "one");
	add(f, "/expires_in", "3600");
	got.leaves.n = f->n;
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
	got.wall_ms += 600000;
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
	const struct mk_version *v = &mk_store_find(f->store, &acme)->at[MK_SLOT_CURRENT];
	assert_true(v->expires_ms == WALL + 3600000);
	got.created_ms = WALL - 60000; /* where the store says when, that counts */
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
	assert_true(v->expires_ms == WALL - 60000 + 3600000);
	got.created_ms = MK_TIME_NONE;
	got.version = "v2";
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
	assert_true(v->expires_ms == WALL + 600000 + 3600000);
}

static void a_disabled_secret_keeps_no_value_of_any_version(void **state)
{
	struct fix *f = *state;
	put(f, "v1", "one");
	put(f, "v2", "two");
	struct mk_fetched off = fetched(f, "", "x");
	off.disabled = true;
	assert_int_equal(mk_store_put(f->store, &off, NULL), MK_OK);
	const struct mk_entry *e = mk_store_find(f->store, &acme);
	assert_true(e->at[MK_SLOT_CURRENT].held && e->at[MK_SLOT_CURRENT].disabled);
	assert_null(e->at[MK_SLOT_CURRENT].sealed);
	assert_false(e->at[MK_SLOT_PREVIOUS].held);
}

static void removing_the_previous_one_leaves_the_current(void **state)
{
	struct fix *f = *state;
	put(f, "v1", "one");
	put(f, "v2", "two");
	mk_store_remove(f->store, &acme, MK_SLOT_PREVIOUS);
	holds(f, MK_SLOT_CURRENT, "v2", "two");
	assert_false(mk_store_find(f->store, &acme)->at[MK_SLOT_PREVIOUS].held);
	mk_store_remove(f->store, &acme, MK_SLOT_CURRENT);
	assert_null(mk_store_find(f->store, &acme));
	assert_int_equal(mk_store_count(f->store), 0);
}

static void a_full_store_says_so_and_still_takes_new_versions(void **state)
{
	struct fix *f = *state;
	struct mk_fetched got = fetched(f, "v1", "one");
	for (unsigned i = 0; i < MK_STORE_MAX; i++) {
		got.name = (struct mk_name){ 0 };
		snprintf(got.name.s, sizeof got.name.s, "c%u", i);
		assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
	}
	got.name = acme;
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_NO_MEMORY);
	assert_null(mk_store_find(f->store, &acme));
	got.name = (struct mk_name){ "c7" };
	got.version = "v2";
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
	mk_store_sweep(f->store, got.boot_ms + 100, 50);
	assert_int_equal(mk_store_count(f->store), 0);
	got.name = acme;
	assert_int_equal(mk_store_put(f->store, &got, NULL), MK_OK);
}

static void a_sweep_drops_only_what_is_too_old(void **state)
{
	struct fix *f = *state;
	put(f, "v1", "one");
	mk_store_sweep(f->store, 1050, 50);
	assert_non_null(mk_store_find(f->store, &acme));
	mk_store_sweep(f->store, 1051, 50);
	assert_null(mk_store_find(f->store, &acme));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_put_can_be_opened_and_is_not_kept_plain, make, drop),
		cmocka_unit_test_setup_teardown(another_version_makes_the_current_one_the_previous, make, drop),
		cmocka_unit_test_setup_teardown(a_secret_without_a_token_leaves_the_old_version_in_place, make, drop),
		cmocka_unit_test_setup_teardown(an_answer_to_an_older_question_changes_nothing, make, drop),
		cmocka_unit_test_setup_teardown(a_relative_expiry_does_not_move_with_each_fetch, make, drop),
		cmocka_unit_test_setup_teardown(a_disabled_secret_keeps_no_value_of_any_version, make, drop),
		cmocka_unit_test_setup_teardown(removing_the_previous_one_leaves_the_current, make, drop),
		cmocka_unit_test_setup_teardown(a_full_store_says_so_and_still_takes_new_versions, make, drop),
		cmocka_unit_test_setup_teardown(a_sweep_drops_only_what_is_too_old, make, drop),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

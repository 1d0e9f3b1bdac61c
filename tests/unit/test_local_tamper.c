/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's file: whatever is changed in it, cut from it or put into it from
 * elsewhere is found.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/local_store.h"

static void every_flipped_bit_is_found(void **state)
{
	struct store *s = *state;
	char v[64];
	const struct mk_tag tag = { "system", "sap" };
	assert_int_equal(put(s, "a", "current-value-0", &tag, 1), MK_OK);
	assert_int_equal(put(s, "a", "current-value-1", NULL, 0), MK_OK);
	assert_int_equal(get(s, "a", 0, v), MK_OK);
	for (size_t bit = 0; bit < 8 * s->file.n; bit++) {
		s->file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		const bool both = get(s, "a", 0, v) == MK_OK && get(s, "a", 1, v) == MK_OK;
		s->file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(both);
	}
	assert_int_equal(get(s, "a", 0, v), MK_OK);
	assert_int_equal(get(s, "a", 1, v), MK_OK);
}

static void every_truncation_and_every_byte_more_is_found(void **state)
{
	struct store *s = *state;
	char v[64];
	assert_int_equal(put(s, "a", "1", NULL, 0), MK_OK);
	for (size_t n = 0; n < s->file.n; n++) {
		uint8_t *part = malloc(n > 0 ? n : 1); /* of its exact size, for AddressSanitizer */
		memcpy(part, s->file.p, n);
		assert_int_not_equal(get_in(mk_span(part, n), s->key, "a", 0, v), MK_OK);
		free(part);
	}
	uint8_t *more = calloc(1, s->file.n + 1);
	memcpy(more, s->file.p, s->file.n);
	assert_int_equal(get_in(mk_span(more, s->file.n), s->key, "a", 0, v), MK_OK);
	assert_int_equal(get_in(mk_span(more, s->file.n + 1), s->key, "a", 0, v), MK_BAD_REQUEST);
	free(more);
}

/* Records lie at the end, in the index's order, and these are of one size. */
static void a_record_of_an_older_file_does_not_open_in_a_newer_one(void **state)
{
	struct store *s = *state;
	char v[64];
	const size_t record = 24 + 16 + 2 + 13 + 1 + 4 + 3;
	uint8_t old[24 + 16 + 2 + 13 + 1 + 4 + 3];
	assert_int_equal(put(s, "a", "old", NULL, 0), MK_OK);
	memcpy(old, s->file.p + s->file.n - record, record);
	assert_int_equal(put(s, "a", "new", NULL, 0), MK_OK);
	assert_memory_equal(s->file.p + s->file.n - record, old, record); /* it is the previous one now, carried over as it was */
	memcpy(s->file.p + s->file.n - 2 * record, old, record);
	assert_int_equal(get(s, "a", 0, v), MK_DENIED);
	assert_int_equal(get(s, "a", 1, v), MK_OK);
	assert_string_equal(v, "old");
}

static void swapped_records_are_found(void **state)
{
	struct store *s = *state;
	char v[64];
	const size_t record = 24 + 16 + 2 + 13 + 1 + 4 + 3;
	uint8_t a[24 + 16 + 2 + 13 + 1 + 4 + 3];
	assert_int_equal(put(s, "a", "aaa", NULL, 0), MK_OK);
	assert_int_equal(put(s, "b", "bbb", NULL, 0), MK_OK);
	uint8_t *const at = s->file.p + s->file.n - 2 * record;
	memcpy(a, at, record);
	memmove(at, at + record, record);
	memcpy(at + record, a, record);
	assert_int_equal(get(s, "a", 0, v), MK_DENIED);
	assert_int_equal(get(s, "b", 0, v), MK_DENIED);
}

static void a_file_of_another_store_under_the_same_key_gives_no_record(void **state)
{
	struct store *s = *state;
	struct store other = { s->key, { 0 } };
	char v[64];
	const struct mk_local_head head = mk_local_head_make(MK_LOCAL_KDF_KEY);
	const size_t record = 24 + 16 + 2 + 13 + 1 + 4 + 3;
	assert_int_equal(mk_local_empty(&head, s->key, &other.file), MK_OK);
	assert_int_equal(put(s, "a", "one", NULL, 0), MK_OK);
	assert_int_equal(put(&other, "a", "two", NULL, 0), MK_OK);
	assert_int_equal(s->file.n, other.file.n);
	memcpy(s->file.p + s->file.n - record, other.file.p + other.file.n - record, record);
	assert_int_equal(get(s, "a", 0, v), MK_DENIED);
	assert_int_equal(get(&other, "a", 0, v), MK_OK);
	free(other.file.p);
}

static void another_key_opens_nothing(void **state)
{
	struct store *s = *state;
	struct mk_secret *other, *text;
	struct mk_local *f = NULL;
	assert_int_equal(mk_local_key_make(&other, &text), MK_OK);
	assert_int_equal(mk_local_open(mk_span(s->file.p, s->file.n), other, &f), MK_DENIED);
	assert_null(f);
	mk_secret_free(other);
	mk_secret_free(text);
}

static void a_head_that_asks_too_much_is_refused(void **state)
{
	struct store *s = *state;
	struct mk_local_head head = mk_local_head_make(MK_LOCAL_KDF_ARGON2ID), read;
	static const struct {
		uint32_t ops, mem_kib;
		enum mk_err e;
	} rows[] = {
		{ 3, 256 * 1024, MK_OK },          { 10, 8, MK_OK },         { 11, 8, MK_BAD_REQUEST },  { 0, 8, MK_BAD_REQUEST },
		{ 3, 256 * 1024 + 1, MK_BAD_REQUEST }, { 3, 7, MK_BAD_REQUEST }, { 3, UINT32_MAX, MK_BAD_REQUEST },
	};
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		struct mk_local_bytes file;
		head.ops = rows[i].ops;
		head.mem_kib = rows[i].mem_kib;
		assert_int_equal(mk_local_empty(&head, s->key, &file), MK_OK);
		assert_int_equal(mk_local_head_read(mk_span(file.p, file.n), &read), rows[i].e);
		free(file.p);
	}
}

static void a_head_has_just_one_form(void **state)
{
	struct store *s = *state;
	struct mk_local_head read;
	static const size_t at[] = { 0, 7, 8, 9, 10, 11, 12, 16, 20, 35 }; /* magic, kdf, cipher, zeros, cost and salt without a passphrase */
	for (size_t i = 0; i < MK_COUNT(at); i++) {
		s->file.p[at[i]] ^= 0x40;
		assert_int_equal(mk_local_head_read(mk_span(s->file.p, s->file.n), &read), MK_BAD_REQUEST);
		s->file.p[at[i]] ^= 0x40;
	}
	assert_int_equal(mk_local_head_read(mk_span(s->file.p, s->file.n), &read), MK_OK);
}

/* 10,000 connections go into one file; one of them is read without a look at the others' values. */
static void a_get_looks_at_no_record_but_its_own(void **state)
{
	struct store *s = *state;
	char v[64];
	assert_int_equal(put(s, "a", "1", NULL, 0), MK_OK);
	assert_int_equal(put(s, "b", "2", NULL, 0), MK_OK);
	s->file.p[s->file.n - 1] ^= 1; /* in b's value */
	assert_int_equal(get(s, "a", 0, v), MK_OK);
	assert_int_equal(get(s, "b", 0, v), MK_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(every_flipped_bit_is_found),
		EACH(every_truncation_and_every_byte_more_is_found),
		EACH(a_record_of_an_older_file_does_not_open_in_a_newer_one),
		EACH(swapped_records_are_found),
		EACH(a_file_of_another_store_under_the_same_key_gives_no_record),
		EACH(another_key_opens_nothing),
		EACH(a_head_that_asks_too_much_is_refused),
		EACH(a_head_has_just_one_form),
		EACH(a_get_looks_at_no_record_but_its_own),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

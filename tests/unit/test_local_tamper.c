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

#include "agent/base/clock.h"
#include "agent/base/rw.h"
#include "backends/local_seal.h"
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

/* --- behind the seal: an index as only a holder of the key could write it */

struct built {
	uint8_t index[8192];
	struct mk_wr w;
	size_t records;
};

static void begin(struct built *b)
{
	*b = (struct built){ .records = 0 };
	b->w = mk_wr_of(b->index, sizeof b->index);
}

struct wanted {
	const char *name;
	uint8_t has, flags; /* has: 1 current, 2 previous, 4 pending */
	uint32_t size;
	int64_t created_ms;
};

static void entry(struct built *b, const struct wanted *e)
{
	mk_wr_u8(&b->w, (uint8_t)strlen(e->name));
	mk_wr_bytes(&b->w, mk_span_of(e->name));
	mk_wr_u8(&b->w, e->has);
	for (uint8_t i = 0; i < 8; i++) {
		if (!(e->has & 1u << i))
			continue;
		mk_wr_u64(&b->w, i + 1u);
		mk_wr_i64(&b->w, e->created_ms);
		mk_wr_u8(&b->w, e->flags);
		mk_wr_u32(&b->w, e->size);
		b->records += e->size;
	}
}

static void tag(struct built *b, const char *key, const char *value)
{
	mk_wr_u8(&b->w, (uint8_t)strlen(key));
	mk_wr_bytes(&b->w, mk_span_of(key));
	mk_wr_u16(&b->w, (uint16_t)strlen(value));
	mk_wr_bytes(&b->w, mk_span_of(value));
}

static enum mk_err open_built(const struct store *s, const struct built *b)
{
	mk_auto(mk_local_freep) struct mk_local *f = NULL;
	struct mk_local_head head;
	const size_t index = b->w.len + MK_LOCAL_SEAL_MORE, n = MK_LOCAL_HEAD_BYTES + index + b->records;
	uint8_t *file = calloc(1, n);
	assert_false(b->w.bad);
	assert_int_equal(mk_local_head_read(mk_span(s->file.p, s->file.n), &head), MK_OK);
	mk_local_head_write(&head, (uint32_t)index, file);
	const struct mk_local_ad ad = mk_local_ad_index(file);
	mk_local_seal(s->key, &ad, mk_span(b->index, b->w.len), file + MK_LOCAL_HEAD_BYTES);
	const enum mk_err e = mk_local_open(mk_span(file, n), s->key, &f);
	f = mk_local_free(f);
	free(file);
	return e;
}

static const struct wanted good = { "b", 1, 0, 100, 1 };

static void an_entry_out_of_its_range_is_refused(void **state)
{
	static const struct wanted rows[] = {
		{ "b", 0, 0, 100, 1 },  { "b", 8, 0, 100, 1 },   { "b", 9, 0, 100, 1 },  { "b", 2, 0, 100, 1 },
		{ "b", 6, 0, 100, 1 },  { "b", 1, 2, 100, 1 },   { "b", 1, 0, MK_LOCAL_SEAL_MORE, 1 },
		{ "b", 1, 0, 100, -1 }, { "b", 1, 0, 65577, 1 }, { "", 1, 0, 100, 1 },  { "B", 1, 0, 100, 1 },
		{ "a--b", 1, 0, 100, 1 },
	};
	struct built b;
	static const uint8_t may_have[] = { 1, 3, 4, 5, 7 };
	for (size_t i = 0; i < MK_COUNT(may_have); i++) {
		begin(&b);
		entry(&b, &(struct wanted){ "b", may_have[i], i & 1, 100, 1 });
		mk_wr_u8(&b.w, 0);
		assert_int_equal(open_built(*state, &b), MK_OK);
	}
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		begin(&b);
		entry(&b, &rows[i]);
		mk_wr_u8(&b.w, 0);
		assert_int_equal(open_built(*state, &b), MK_BAD_REQUEST);
	}
}

static void names_twice_or_out_of_order_are_refused(void **state)
{
	static const char *const seconds[] = { "b", "a", "0" };
	struct built b;
	for (size_t i = 0; i < MK_COUNT(seconds); i++) {
		begin(&b);
		entry(&b, &good);
		mk_wr_u8(&b.w, 0);
		entry(&b, &(struct wanted){ seconds[i], 1, 0, 100, 1 });
		mk_wr_u8(&b.w, 0);
		assert_int_equal(open_built(*state, &b), MK_BAD_REQUEST);
	}
}

static void tags_twice_out_of_order_or_malformed_are_refused(void **state)
{
	static const char *const rows[][4] = {
		{ "k", "v", "k", "w" }, { "l", "v", "k", "w" }, { "kk", "v", "k", "w" }, { "k", "", "l", "w" },
		{ "k", "v\n", "l", "w" }, { "", "v", "l", "w" }, { "k=", "v", "l", "w" },
	};
	struct built b;
	begin(&b);
	entry(&b, &good);
	mk_wr_u8(&b.w, 2);
	tag(&b, "k", "v");
	tag(&b, "kk", "w");
	assert_int_equal(open_built(*state, &b), MK_OK);
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		begin(&b);
		entry(&b, &good);
		mk_wr_u8(&b.w, 2);
		tag(&b, rows[i][0], rows[i][1]);
		tag(&b, rows[i][2], rows[i][3]);
		assert_int_equal(open_built(*state, &b), MK_BAD_REQUEST);
	}
	begin(&b);
	entry(&b, &good);
	mk_wr_u8(&b.w, MK_TAGS_MAX + 1);
	assert_int_equal(open_built(*state, &b), MK_BAD_REQUEST);
}

static void bytes_that_no_entry_accounts_for_are_refused(void **state)
{
	struct built b;
	for (int more = -1; more <= 1; more++) {
		begin(&b);
		entry(&b, &good);
		mk_wr_u8(&b.w, 0);
		b.records = (size_t)((int)b.records + more);
		assert_int_equal(open_built(*state, &b), more == 0 ? MK_OK : MK_BAD_REQUEST);
	}
	begin(&b);
	entry(&b, &good);
	mk_wr_u8(&b.w, 0);
	mk_wr_u8(&b.w, 0);
	assert_int_equal(open_built(*state, &b), MK_BAD_REQUEST);
}

/* --- large stores */

#define MANY 20000u

struct many {
	unsigned n;
	uint8_t has;
	uint32_t size; /* of each record, sealed */
	bool tagged;   /* with the longest tag */
};

static struct mk_local_bytes many_make(const struct store *s, const struct many *m)
{
	struct mk_local_head head;
	char key[MK_TAG_KEY_MAX + 1] = "", value[MK_TAG_VALUE_MAX + 1] = "";
	memset(key, 'k', MK_TAG_KEY_MAX);
	memset(value, 'v', MK_TAG_VALUE_MAX);
	const size_t cap = m->n * (64u + MK_TAG_KEY_MAX + MK_TAG_VALUE_MAX);
	uint8_t *plain = malloc(cap);
	struct built b = { .records = 0, .w = mk_wr_of(plain, cap) };
	char name[32];
	assert_int_equal(mk_local_head_read(mk_span(s->file.p, s->file.n), &head), MK_OK);
	for (unsigned i = 0; i < m->n; i++) {
		snprintf(name, sizeof name, "customer-%05u", i);
		entry(&b, &(struct wanted){ name, m->has, 0, m->size, 1 });
		mk_wr_u8(&b.w, m->tagged);
		if (m->tagged)
			tag(&b, key, value);
	}
	assert_false(b.w.bad);
	const size_t index = b.w.len + MK_LOCAL_SEAL_MORE;
	struct mk_local_bytes file = { NULL, MK_LOCAL_HEAD_BYTES + index + b.records };
	file.p = calloc(1, file.n);
	mk_local_head_write(&head, (uint32_t)index, file.p);
	const struct mk_local_ad ad = mk_local_ad_index(file.p);
	mk_local_seal(s->key, &ad, mk_span(plain, b.w.len), file.p + MK_LOCAL_HEAD_BYTES);
	free(plain);
	return file;
}

static void twenty_thousand_connections_are_read_and_changed(void **state)
{
	struct store *s = *state;
	char v[64];
	const struct mk_local_bytes many = many_make(s, &(struct many){ MANY, 3, 500u + MK_LOCAL_SEAL_MORE, false });
	free(s->file.p);
	s->file = many;
	assert_int_equal(put(s, "customer-13579", "one", NULL, 0), MK_OK);
	assert_int_equal(put(s, "new", "two", NULL, 0), MK_OK);
	assert_int_equal(rm(s, "customer-00000"), MK_OK);
	const int64_t began = mk_boot_ms();
	for (int i = 0; i < 20; i++)
		assert_int_equal(get(s, "customer-13579", 0, v), MK_OK);
	print_message("figure: a get from %u connections (%zu MiB): %.1f ms\n", MANY, s->file.n >> 20, (double)(mk_boot_ms() - began) / 20);
	assert_string_equal(v, "one");
	assert_int_equal(get(s, "new", 0, v), MK_OK);
	assert_int_equal(get(s, "customer-00000", 0, v), MK_NOT_FOUND);
	mk_auto(mk_local_freep) struct mk_local *f = opened(s);
	assert_int_equal(mk_local_count(f), MANY);
}

/* Names, bytes of the file, bytes of the index: each row has room for two puts at most. */
static void a_full_store_takes_no_more_and_can_still_be_read(void **state)
{
	static const struct many rows[] = {
		{ MK_LOCAL_NAMES_MAX - 1, 1, MK_LOCAL_SEAL_MORE + 1, false },
		{ 1032, 1, 64989, false },
		{ 46474, 1, MK_LOCAL_SEAL_MORE + 1, true },
	};
	struct store *s = *state;
	char value[200] = "", name[] = "new-0", v[64];
	memset(value, 'x', sizeof value - 1);
	for (size_t i = 0; i < MK_COUNT(rows); i++, name[4] = '0') {
		const struct mk_local_bytes many = many_make(s, &rows[i]);
		free(s->file.p);
		s->file = many;
		enum mk_err e;
		while ((e = put(s, name, value, NULL, 0)) == MK_OK && name[4] < '9')
			name[4]++;
		assert_int_equal(e, MK_TOO_LARGE);
		assert_in_range(name[4], '1', '3'); /* the control: it was not full before */
		assert_int_equal(get(s, "new-0", 0, v), MK_OK);
	}
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
		EACH(an_entry_out_of_its_range_is_refused),
		EACH(names_twice_or_out_of_order_are_refused),
		EACH(tags_twice_out_of_order_or_malformed_are_refused),
		EACH(bytes_that_no_entry_accounts_for_are_refused),
		EACH(twenty_thousand_connections_are_read_and_changed),
		EACH(a_full_store_takes_no_more_and_can_still_be_read),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

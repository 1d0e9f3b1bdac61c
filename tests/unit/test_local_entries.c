/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's entries: each out of its range, twice, out of order or unaccounted for is
 * refused, and as many as there may be are read and changed.
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
		EACH(an_entry_out_of_its_range_is_refused),
		EACH(names_twice_or_out_of_order_are_refused),
		EACH(tags_twice_out_of_order_or_malformed_are_refused),
		EACH(bytes_that_no_entry_accounts_for_are_refused),
		EACH(twenty_thousand_connections_are_read_and_changed),
		EACH(a_full_store_takes_no_more_and_can_still_be_read),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

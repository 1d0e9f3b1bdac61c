/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the embedded store's file: unseals the index, then checks all of it before
 * anything uses a part: names ascending, all lengths, all bytes of index and file
 * accounted for. Records are unsealed one at a time. The parser behind the seal trusts
 * nothing: a key that leaked must not make the file a way into this process.
 */
#include "agent/base/rw.h"
#include "agent/base/secret.h"
#include "agent/base/utf8.h"
#include "backends/local_seal.h"

#include <stdlib.h>

struct mk_local {
	struct mk_span file;      /* borrowed */
	struct mk_local_head head;
	uint8_t head_bytes[MK_LOCAL_HEAD_BYTES];
	size_t records;           /* where they begin */
	struct mk_span index;     /* plain, owned */
	size_t count;
};

bool mk_local_tag_ok(struct mk_span key, struct mk_span value)
{
	if (key.n == 0 || key.n > MK_TAG_KEY_MAX || value.n == 0 || value.n > MK_TAG_VALUE_MAX)
		return false;
	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] <= ' ' || key.p[i] > '~' || key.p[i] == '=')
			return false;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < ' ' || value.p[i] == 0x7f || (value.p[i] == 0xc2 && i + 1 < value.n && value.p[i + 1] < 0xa0))
			return false; /* C0, DEL and, in UTF-8, C1 */
	return mk_utf8_ok(value);
}

static void rd_tag(struct mk_rd *r, struct mk_span *ret_key, struct mk_span *ret_value)
{
	*ret_key = mk_rd_bytes(r, mk_rd_u8(r));
	*ret_value = mk_rd_bytes(r, mk_rd_u16(r));
}

static bool key_before(struct mk_span a, struct mk_span b)
{
	const size_t n = a.n < b.n ? a.n : b.n;
	const int d = n > 0 ? memcmp(a.p, b.p, n) : 0;
	return d < 0 || (d == 0 && a.n < b.n);
}

/* Keys ascending, so that none stands twice. */
static void rd_tags(struct mk_rd *r, struct mk_local_entry *e)
{
	struct mk_span before = { 0 }, key, value;
	e->n_tags = mk_rd_below(r, MK_TAGS_MAX + 1);
	const uint8_t *const start = r->p;
	for (size_t i = 0; i < e->n_tags && !r->bad; i++) {
		rd_tag(r, &key, &value);
		r->bad = r->bad || !mk_local_tag_ok(key, value) || (i > 0 && !key_before(before, key));
		before = key;
	}
	if (!r->bad)
		e->tags = mk_span(start, (size_t)(r->p - start));
}

static void rd_version(struct mk_rd *r, size_t *record_at, struct mk_local_version *ret)
{
	const struct mk_span id = mk_rd_bytes(r, MK_LOCAL_ID_BYTES);
	ret->created_ms = mk_rd_i64(r);
	const uint8_t flags = mk_rd_below(r, 2);
	ret->disabled = flags == 1;
	ret->size = mk_rd_u32(r);
	ret->at = *record_at;
	if (r->bad || ret->created_ms < 0 || ret->size <= MK_LOCAL_SEAL_MORE ||
	    ret->size > MK_SECRET_MAX + MK_LOCAL_SEAL_MORE) {
		r->bad = true;
		return;
	}
	mk_local_id_text(id.p, ret->id);
	*record_at += ret->size; /* at most 3 * 100,000 times 64 KiB: no overflow */
}

static void rd_entry(struct mk_rd *r, size_t *record_at, struct mk_local_entry *ret)
{
	*ret = (struct mk_local_entry){ .name = mk_rd_name(r) };
	const unsigned has = mk_rd_below(r, 1u << MK_LOCAL_SLOTS);
	r->bad = r->bad || has == 0 || ((has & 1u << MK_LOCAL_PREVIOUS) && !(has & 1u << MK_LOCAL_CURRENT));
	for (size_t i = 0; i < MK_LOCAL_SLOTS && !r->bad; i++)
		if (has & 1u << i)
			rd_version(r, record_at, &ret->versions[i]);
	rd_tags(r, ret);
}

bool mk_local_has(const struct mk_local_entry *e, enum mk_local_slot slot)
{
	return slot < MK_LOCAL_SLOTS && e->versions[slot].size > 0;
}

bool mk_local_next(const struct mk_local *s, struct mk_local_cursor *at, struct mk_local_entry *ret)
{
	if (at->index_at >= s->index.n)
		return false;
	struct mk_rd r = mk_rd_of(mk_span(s->index.p + at->index_at, s->index.n - at->index_at));
	struct mk_local_entry e;
	size_t record_at = at->record_at ? at->record_at : s->records;
	rd_entry(&r, &record_at, &e);
	if (r.bad)
		return false;
	at->index_at = s->index.n - r.n;
	at->record_at = record_at;
	*ret = e;
	return true;
}

static mk_must index_check(struct mk_local *s)
{
	struct mk_local_cursor at = { 0, s->records };
	struct mk_local_entry e;
	struct mk_name before = { 0 };
	while (mk_local_next(s, &at, &e)) {
		if (strcmp(before.s, e.name.s) >= 0 || ++s->count > MK_LOCAL_NAMES_MAX)
			return MK_BAD_REQUEST;
		before = e.name;
	}
	return at.index_at == s->index.n && at.record_at == s->file.n ? MK_OK : MK_BAD_REQUEST;
}

static mk_must index_unseal(struct mk_local *s, const struct mk_secret *key, uint32_t size)
{
	if (size < MK_LOCAL_SEAL_MORE || size > MK_LOCAL_INDEX_MAX + MK_LOCAL_SEAL_MORE ||
	    size > s->file.n - MK_LOCAL_HEAD_BYTES || s->file.n > MK_LOCAL_FILE_MAX)
		return MK_BAD_REQUEST;
	const struct mk_local_ad ad = mk_local_ad_index(s->head_bytes);
	const size_t n = size - MK_LOCAL_SEAL_MORE;
	uint8_t *plain = malloc(n > 0 ? n : 1);
	if (!plain)
		return MK_NO_MEMORY;
	s->index = mk_span(plain, n);
	s->records = MK_LOCAL_HEAD_BYTES + size;
	return mk_local_unseal(key, &ad, mk_span(s->file.p + MK_LOCAL_HEAD_BYTES, size), plain);
}

enum mk_err mk_local_open(struct mk_span file, const struct mk_secret *key, struct mk_local **ret)
{
	struct mk_local_head head;
	uint32_t index_size;
	MK_TRY(mk_local_head_parse(file, &head, &index_size));
	mk_auto(mk_local_freep) struct mk_local *s = calloc(1, sizeof *s);
	if (!s)
		return MK_NO_MEMORY;
	s->file = file;
	s->head = head;
	memcpy(s->head_bytes, file.p, sizeof s->head_bytes);
	MK_TRY(index_unseal(s, key, index_size));
	MK_TRY(index_check(s));
	*ret = MK_TAKE(s);
	return MK_OK;
}

struct mk_local *mk_local_free(struct mk_local *s)
{
	if (!s)
		return NULL;
	uint8_t *plain = (uint8_t *)(uintptr_t)s->index.p;
	if (plain)
		mk_wipe(plain, s->index.n);
	free(plain);
	free(s);
	return NULL;
}

void mk_local_freep(struct mk_local **s)
{
	*s = mk_local_free(*s);
}

size_t mk_local_count(const struct mk_local *s)
{
	return s->count;
}

struct mk_span mk_local_file(const struct mk_local *s)
{
	return s->file;
}

const struct mk_local_head *mk_local_head_of(const struct mk_local *s)
{
	return &s->head;
}

enum mk_err mk_local_find(const struct mk_local *s, const struct mk_name *name, struct mk_local_entry *ret)
{
	struct mk_local_cursor at = { 0 };
	struct mk_local_entry e;
	while (mk_local_next(s, &at, &e)) {
		if (!mk_name_eq(&e.name, name))
			continue;
		*ret = e;
		return MK_OK;
	}
	return MK_NOT_FOUND;
}

void mk_local_tags(const struct mk_local_entry *e, struct mk_tag tags[MK_TAGS_MAX])
{
	struct mk_rd r = mk_rd_of(e->tags);
	struct mk_span key, value;
	memset(tags, 0, MK_TAGS_MAX * sizeof *tags);
	for (size_t i = 0; i < e->n_tags; i++) {
		rd_tag(&r, &key, &value);
		mk_assert(!r.bad); /* checked at opening */
		memcpy(tags[i].key, key.p, key.n);
		memcpy(tags[i].value, value.p, value.n);
	}
}

enum mk_err mk_local_record(const struct mk_local *s, const struct mk_secret *key, const struct mk_local_entry *e,
			    enum mk_local_slot slot, struct mk_secret **ret)
{
	if (!mk_local_has(e, slot))
		return MK_NOT_FOUND;
	const struct mk_local_version *v = &e->versions[slot];
	uint8_t id[MK_LOCAL_ID_BYTES];
	mk_local_id_bytes(v->id, id);
	const struct mk_local_ad ad = mk_local_ad_record(s->head_bytes, &e->name, id);
	mk_auto(mk_secret_freep) struct mk_secret *plain = NULL;
	const size_t n = v->size - MK_LOCAL_SEAL_MORE;
	MK_TRY(mk_secret_new(n, &plain));
	MK_TRY(mk_local_unseal(key, &ad, mk_span(s->file.p + v->at, v->size), mk_secret_buf(plain)));
	mk_secret_set_len(plain, n);
	MK_TRY(mk_leaves_check(mk_secret_span(plain)));
	*ret = MK_TAKE(plain);
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the embedded store's next file from the one before: one put or one removal. The
 * index is written anew; records that do not change are carried over sealed, so that a
 * change touches the plain value of nothing but itself.
 */
#include "agent/base/rw.h"
#include "agent/base/secret.h"
#include "backends/flatten.h"
#include "backends/local_seal.h"

#include <sodium.h>
#include <stdlib.h>

#define TAGS_BYTES_MAX (MK_TAGS_MAX * (1u + MK_TAG_KEY_MAX + 2u + MK_TAG_VALUE_MAX))
#define VERSION_BYTES (MK_LOCAL_ID_BYTES + 8u + 1u + 4u)
#define ENTRY_BYTES_MAX (1u + MK_NAME_MAX + 1u + 2u * VERSION_BYTES + 1u + TAGS_BYTES_MAX)

/* A change under way. */
struct draft {
	const struct mk_local *old;
	const struct mk_secret *key;
	const struct mk_local_change *change;
	struct mk_local_entry entry; /* a put: the name's entry to be */
	uint8_t tags[TAGS_BYTES_MAX];
	uint8_t *record;             /* a put: the new version, sealed */
	struct mk_wr index, records;
};

static void draft_done(struct draft *d)
{
	if (d->index.p)
		mk_wipe(d->index.p, d->index.cap);
	free(d->index.p);
	free(d->records.p);
	free(d->record);
}

static void wr_version(struct mk_wr *w, const struct mk_local_version *v)
{
	uint8_t id[MK_LOCAL_ID_BYTES];
	mk_local_id_bytes(v->id, id);
	mk_wr_bytes(w, mk_span(id, sizeof id));
	mk_wr_i64(w, v->created_ms);
	mk_wr_u8(w, 0);
	mk_wr_u32(w, (uint32_t)v->size);
}

static void wr_entry(struct mk_wr *w, const struct mk_local_entry *e)
{
	mk_wr_name(w, &e->name);
	mk_wr_u8(w, (uint8_t)e->n_versions);
	for (size_t i = 0; i < e->n_versions; i++)
		wr_version(w, &e->versions[i]);
	mk_wr_u8(w, (uint8_t)e->n_tags);
	mk_wr_bytes(w, e->tags);
}

/* Entry and records of a name that stays as it is. */
static void carry(struct draft *d, const struct mk_local_entry *e)
{
	const struct mk_span file = mk_local_file(d->old);
	wr_entry(&d->index, e);
	for (size_t i = 0; i < e->n_versions; i++)
		mk_wr_bytes(&d->records, mk_span(file.p + e->versions[i].at, e->versions[i].size));
}

static void put_entry(struct draft *d)
{
	if (!d->record)
		return;
	const struct mk_span file = mk_local_file(d->old);
	wr_entry(&d->index, &d->entry);
	mk_wr_bytes(&d->records, mk_span(d->record, d->entry.versions[0].size));
	if (d->entry.n_versions == 2)
		mk_wr_bytes(&d->records, mk_span(file.p + d->entry.versions[1].at, d->entry.versions[1].size));
}

/* All entries in order, the changed one in its place. */
static void walk(struct draft *d)
{
	struct mk_local_cursor at = { 0 };
	struct mk_local_entry e;
	bool placed = false;
	while (mk_local_next(d->old, &at, &e)) {
		const int order = strcmp(e.name.s, d->change->name.s);
		if (order >= 0 && !placed) {
			put_entry(d);
			placed = true;
		}
		if (order != 0)
			carry(d, &e);
	}
	if (!placed)
		put_entry(d);
}

static size_t tag_at(const struct mk_tag *tags, size_t n, const char *key)
{
	size_t i = 0;
	while (i < n && strcmp(tags[i].key, key) != 0)
		i++;
	return i;
}

static mk_must tag_merge(struct mk_tag tags[MK_TAGS_MAX], size_t *n, const struct mk_tag *t)
{
	const bool away = t->value[0] == '\0';
	if (!mk_local_tag_ok(mk_span_of(t->key), mk_span_of(away ? "-" : t->value)))
		return MK_BAD_REQUEST;
	const size_t i = tag_at(tags, *n, t->key);
	if (away) {
		if (i < *n)
			tags[i] = tags[--*n];
		return MK_OK;
	}
	if (i == MK_TAGS_MAX)
		return MK_TOO_LARGE;
	tags[i] = *t;
	*n += i == *n;
	return MK_OK;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct mk_tag *)a)->key, ((const struct mk_tag *)b)->key);
}

static mk_must tags_make(struct draft *d, const struct mk_local_entry *was)
{
	struct mk_tag tags[MK_TAGS_MAX];
	size_t n = was->n_tags, len;
	mk_local_tags(was, tags);
	for (size_t i = 0; i < d->change->n_tags; i++)
		MK_TRY(tag_merge(tags, &n, &d->change->tags[i]));
	qsort(tags, n, sizeof tags[0], by_key);
	struct mk_wr w = mk_wr_of(d->tags, sizeof d->tags);
	for (size_t i = 0; i < n; i++) {
		const struct mk_span key = mk_span_of(tags[i].key), value = mk_span_of(tags[i].value);
		mk_wr_u8(&w, (uint8_t)key.n);
		mk_wr_bytes(&w, key);
		mk_wr_u16(&w, (uint16_t)value.n);
		mk_wr_bytes(&w, value);
	}
	MK_TRY(mk_wr_end(&w, &len));
	d->entry.n_tags = n;
	d->entry.tags = mk_span(d->tags, len);
	return MK_OK;
}

static mk_must record_make(struct draft *d)
{
	uint8_t id[MK_LOCAL_ID_BYTES], head[MK_LOCAL_HEAD_BYTES];
	struct mk_local_version *v = &d->entry.versions[0];
	MK_TRY(mk_leaves_check(d->change->leaves));
	randombytes_buf(id, sizeof id);
	mk_local_id_text(id, v->id);
	v->created_ms = d->change->now_ms;
	v->size = d->change->leaves.n + MK_LOCAL_SEAL_MORE;
	d->record = malloc(v->size);
	if (!d->record)
		return MK_NO_MEMORY;
	mk_local_head_write(mk_local_head_of(d->old), 0, head);
	const struct mk_local_ad ad = mk_local_ad_record(head, &d->entry.name, id);
	mk_local_seal(d->key, &ad, d->change->leaves, d->record);
	return MK_OK;
}

/* What the changed name's entry will be. */
static mk_must entry_make(struct draft *d)
{
	struct mk_local_entry was = { 0 };
	const enum mk_err e = mk_local_find(d->old, &d->change->name, &was);
	const bool found = e == MK_OK;
	if (d->change->remove || (e != MK_OK && e != MK_NOT_FOUND))
		return e;
	if (d->change->leaves.n == 0 || d->change->now_ms < 0 || d->change->name.s[0] == '\0')
		return MK_BAD_REQUEST;
	if (!found && mk_local_count(d->old) == MK_LOCAL_NAMES_MAX)
		return MK_TOO_LARGE;
	d->entry.name = d->change->name;
	d->entry.n_versions = found ? 2 : 1;
	d->entry.versions[1] = was.versions[0];
	MK_TRY(tags_make(d, &was));
	return record_make(d);
}

/* Head, sealed index, records: one file. */
static mk_must assemble(const struct mk_local_head *head, const struct mk_secret *key, struct mk_span index, struct mk_span records,
			struct mk_local_bytes *ret)
{
	const size_t size = MK_LOCAL_HEAD_BYTES + index.n + MK_LOCAL_SEAL_MORE + records.n;
	if (index.n > MK_LOCAL_INDEX_MAX || size > MK_LOCAL_FILE_MAX)
		return MK_TOO_LARGE;
	uint8_t *p = malloc(size);
	if (!p)
		return MK_NO_MEMORY;
	mk_local_head_write(head, (uint32_t)(index.n + MK_LOCAL_SEAL_MORE), p);
	const struct mk_local_ad ad = mk_local_ad_index(p);
	mk_local_seal(key, &ad, index, p + MK_LOCAL_HEAD_BYTES);
	if (records.n > 0)
		memcpy(p + size - records.n, records.p, records.n);
	*ret = (struct mk_local_bytes){ p, size };
	return MK_OK;
}

static mk_must draft_room(struct draft *d)
{
	const size_t file = mk_local_file(d->old).n; /* neither index nor records are longer */
	uint8_t *const index = malloc(file + ENTRY_BYTES_MAX);
	d->index = mk_wr_of(index, index ? file + ENTRY_BYTES_MAX : 0);
	uint8_t *const records = malloc(file + d->entry.versions[0].size);
	d->records = mk_wr_of(records, records ? file + d->entry.versions[0].size : 0);
	return index && records ? MK_OK : MK_NO_MEMORY;
}

static mk_must draft_make(struct draft *d, struct mk_local_bytes *ret)
{
	size_t index, records;
	MK_TRY(entry_make(d));
	MK_TRY(draft_room(d));
	walk(d);
	MK_TRY(mk_wr_end(&d->index, &index));
	MK_TRY(mk_wr_end(&d->records, &records));
	return assemble(mk_local_head_of(d->old), d->key, mk_span(d->index.p, index), mk_span(d->records.p, records), ret);
}

enum mk_err mk_local_change(const struct mk_local *s, const struct mk_secret *key, const struct mk_local_change *change,
			    struct mk_local_bytes *ret, char ret_id[2 * MK_LOCAL_ID_BYTES + 1])
{
	mk_auto(draft_done) struct draft d = { .old = s, .key = key, .change = change };
	MK_TRY(draft_make(&d, ret));
	memcpy(ret_id, d.entry.versions[0].id, sizeof d.entry.versions[0].id);
	return MK_OK;
}

enum mk_err mk_local_leaves_of(struct mk_span json, struct mk_secret **ret)
{
	return mk_flatten(json, ret);
}

enum mk_err mk_local_empty(const struct mk_local_head *head, const struct mk_secret *key, struct mk_local_bytes *ret)
{
	return assemble(head, key, mk_span(NULL, 0), mk_span(NULL, 0), ret);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the embedded store's next file from the one before: one act on one name. The
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
#define ENTRY_BYTES_MAX (1u + MK_NAME_MAX + 1u + MK_LOCAL_SLOTS * VERSION_BYTES + 1u + TAGS_BYTES_MAX)

/* A change under way. */
struct draft {
	const struct mk_local *old;
	const struct mk_secret *key;
	const struct mk_local_change *change;
	struct mk_local_entry entry; /* the name's, to be */
	bool found, gone;            /* there was one; there will be none */
	char id[2 * MK_LOCAL_ID_BYTES + 1];
	uint8_t tags[TAGS_BYTES_MAX];
	uint8_t *record;             /* the new version, sealed, where there is one: its `at` is 0, which no record in a file has */
	size_t record_size;
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
	mk_wr_u8(w, v->disabled);
	mk_wr_u32(w, (uint32_t)v->size);
}

static void wr_entry(struct mk_wr *w, const struct mk_local_entry *e)
{
	uint8_t has = 0;
	for (unsigned i = 0; i < MK_LOCAL_SLOTS; i++)
		has = (uint8_t)(has | (e->versions[i].size > 0) << i);
	mk_wr_name(w, &e->name);
	mk_wr_u8(w, has);
	for (size_t i = 0; i < MK_LOCAL_SLOTS; i++)
		if (e->versions[i].size > 0)
			wr_version(w, &e->versions[i]);
	mk_wr_u8(w, (uint8_t)e->n_tags);
	mk_wr_bytes(w, e->tags);
}

/* An entry and its records. */
static void put_entry(struct draft *d, const struct mk_local_entry *e)
{
	const uint8_t *const file = mk_local_file(d->old).p;
	wr_entry(&d->index, e);
	for (size_t i = 0; i < MK_LOCAL_SLOTS; i++) {
		const struct mk_local_version *v = &e->versions[i];
		if (v->size > 0)
			mk_wr_bytes(&d->records, mk_span(v->at > 0 ? file + v->at : d->record, v->size));
	}
}

static void put_changed(struct draft *d)
{
	if (!d->gone)
		put_entry(d, &d->entry);
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
			put_changed(d);
			placed = true;
		}
		if (order != 0)
			put_entry(d, &e);
	}
	if (!placed)
		put_changed(d);
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

static mk_must tags_make(struct draft *d)
{
	struct mk_tag tags[MK_TAGS_MAX];
	size_t n = d->entry.n_tags, len;
	mk_local_tags(&d->entry, tags);
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

/* The change's value as a fresh version. */
static mk_must record_make(struct draft *d, struct mk_local_version *ret)
{
	uint8_t id[MK_LOCAL_ID_BYTES], head[MK_LOCAL_HEAD_BYTES];
	if (d->change->leaves.n == 0 || d->change->now_ms < 0 || d->change->name.s[0] == '\0')
		return MK_BAD_REQUEST;
	if (!d->found && mk_local_count(d->old) == MK_LOCAL_NAMES_MAX)
		return MK_TOO_LARGE;
	MK_TRY(mk_leaves_check(d->change->leaves));
	d->record_size = d->change->leaves.n + MK_LOCAL_SEAL_MORE;
	d->record = malloc(d->record_size);
	if (!d->record)
		return MK_NO_MEMORY;
	randombytes_buf(id, sizeof id);
	*ret = (struct mk_local_version){ .created_ms = d->change->now_ms, .size = d->record_size };
	mk_local_id_text(id, ret->id);
	memcpy(d->id, ret->id, sizeof d->id);
	mk_local_head_write(mk_local_head_of(d->old), 0, head);
	const struct mk_local_ad ad = mk_local_ad_record(head, &d->entry.name, id);
	mk_local_seal(d->key, &ad, d->change->leaves, d->record);
	return MK_OK;
}

static bool expects(const struct draft *d)
{
	return d->change->expect && d->change->expect[0] != '\0';
}

static mk_must as_expected(const struct draft *d)
{
	const bool same = !expects(d) || strcmp(d->change->expect, d->entry.versions[MK_LOCAL_CURRENT].id) == 0;
	return same ? MK_OK : MK_CONFLICT;
}

static void step_up(struct draft *d, const struct mk_local_version *next)
{
	struct mk_local_version *v = d->entry.versions;
	v[MK_LOCAL_PREVIOUS] = v[MK_LOCAL_CURRENT];
	v[MK_LOCAL_CURRENT] = *next;
}

static mk_must act_put(struct draft *d)
{
	struct mk_local_version fresh;
	MK_TRY(tags_make(d));
	MK_TRY(record_make(d, &fresh));
	step_up(d, &fresh);
	return MK_OK;
}

static mk_must act_remove(struct draft *d)
{
	d->gone = true;
	return d->found ? MK_OK : MK_NOT_FOUND;
}

static mk_must act_offer(struct draft *d)
{
	if (mk_local_has(&d->entry, MK_LOCAL_PENDING))
		return MK_CONFLICT;
	MK_TRY(as_expected(d));
	return record_make(d, &d->entry.versions[MK_LOCAL_PENDING]);
}

/* Takes the pending version out of the entry. */
static mk_must take_pending(struct draft *d, struct mk_local_version *ret)
{
	struct mk_local_version *pending = &d->entry.versions[MK_LOCAL_PENDING];
	if (!mk_local_has(&d->entry, MK_LOCAL_PENDING))
		return MK_NOT_FOUND;
	memcpy(d->id, pending->id, sizeof d->id);
	*ret = *pending;
	*pending = (struct mk_local_version){ .size = 0 };
	return MK_OK;
}

static mk_must act_promote(struct draft *d)
{
	struct mk_local_version pending;
	MK_TRY(take_pending(d, &pending));
	MK_TRY(as_expected(d));
	step_up(d, &pending);
	return MK_OK;
}

static mk_must act_discard(struct draft *d)
{
	struct mk_local_version pending;
	MK_TRY(take_pending(d, &pending));
	d->gone = !mk_local_has(&d->entry, MK_LOCAL_CURRENT);
	return MK_OK;
}

static mk_must act_disable(struct draft *d)
{
	struct mk_local_version *v = d->entry.versions;
	if (expects(d) && strcmp(v->id, d->change->expect) != 0)
		v = &d->entry.versions[MK_LOCAL_PREVIOUS];
	if (v->size == 0 || (expects(d) && strcmp(v->id, d->change->expect) != 0))
		return MK_NOT_FOUND;
	v->disabled = d->change->act == MK_LOCAL_DISABLE;
	memcpy(d->id, v->id, sizeof d->id);
	return MK_OK;
}

/* What the changed name's entry will be. */
static mk_must entry_make(struct draft *d)
{
	static enum mk_err (*const acts[MK_LOCAL_ACTS])(struct draft *) = {
		[MK_LOCAL_PUT] = act_put,         [MK_LOCAL_REMOVE] = act_remove,   [MK_LOCAL_OFFER] = act_offer,
		[MK_LOCAL_PROMOTE] = act_promote, [MK_LOCAL_DISCARD] = act_discard, [MK_LOCAL_DISABLE] = act_disable,
		[MK_LOCAL_ENABLE] = act_disable,
	};
	const enum mk_err e = mk_local_find(d->old, &d->change->name, &d->entry);
	if (e != MK_OK && e != MK_NOT_FOUND)
		return e;
	d->found = e == MK_OK;
	d->entry.name = d->change->name;
	mk_assert(d->change->act < MK_LOCAL_ACTS);
	return acts[d->change->act](d);
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
	uint8_t *const records = malloc(file + d->record_size);
	d->records = mk_wr_of(records, records ? file + d->record_size : 0);
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
	memcpy(ret_id, d.id, sizeof d.id);
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

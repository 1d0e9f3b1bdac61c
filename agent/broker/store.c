/* SPDX-License-Identifier: Apache-2.0
 *
 * A chained hash of entries under a keyed hash. Sealed values are counted in bytes.
 * A new value is sealed first and put in its place last, so that a failure changes nothing.
 */
#include "agent/broker/store.h"

#include "agent/base/clock.h"
#include "agent/broker/marks.h"

#include <sodium.h>
#include <stdlib.h>

#define CHAINS 16384u

static const char usual_type[] = "bearer";

struct mk_store {
	struct mk_seal *seal;
	struct mk_statekey *statekey; /* NULL: no fingerprints */
	uint8_t hash_key[crypto_shorthash_KEYBYTES], mark_key[crypto_shorthash_KEYBYTES];
	struct mk_marks marks;
	size_t n, bytes;
	struct mk_entry *chain[CHAINS];
};

mk_must mk_store_new(struct mk_seal *seal, struct mk_store **ret)
{
	struct mk_store *s = calloc(1, sizeof *s);
	if (!s)
		return MK_NO_MEMORY;
	s->seal = seal;
	randombytes_buf(s->hash_key, sizeof s->hash_key);
	randombytes_buf(s->mark_key, sizeof s->mark_key);
	*ret = s;
	return MK_OK;
}

void mk_store_print(struct mk_store *s, struct mk_statekey *key)
{
	s->statekey = key;
}

struct mk_store *mk_store_free(struct mk_store *s)
{
	if (s) {
		mk_store_clear(s);
		mk_marks_done(&s->marks);
		free(s);
	}
	return NULL;
}

static uint64_t hash_of(struct mk_span s, const uint8_t key[crypto_shorthash_KEYBYTES])
{
	uint64_t h;
	_Static_assert(sizeof h == crypto_shorthash_BYTES, "a hash is a number");
	crypto_shorthash((uint8_t *)&h, s.p, s.n, key);
	return h;
}

static struct mk_entry **place_of(struct mk_store *s, const struct mk_name *name)
{
	const uint64_t h = hash_of(mk_span((const uint8_t *)name->s, sizeof name->s), s->hash_key);
	struct mk_entry **at = &s->chain[h % CHAINS];
	while (*at && !mk_name_eq(&(*at)->name, name))
		at = &(*at)->next;
	return at;
}

struct mk_entry *mk_store_find(struct mk_store *s, const struct mk_name *name)
{
	return *place_of(s, name);
}

const struct mk_version *mk_entry_newest(const struct mk_entry *e)
{
	if (!e)
		return NULL;
	const struct mk_version *current = &e->at[MK_SLOT_CURRENT], *previous = &e->at[MK_SLOT_PREVIOUS];
	if (previous->held && (!current->held || previous->fetched_ms > current->fetched_ms))
		return previous;
	return current->held ? current : NULL;
}

size_t mk_store_count(const struct mk_store *s)
{
	return s->n;
}

static struct mk_mark mark_of(const struct mk_store *s, const struct mk_name *name, const struct mk_version *v)
{
	return (struct mk_mark){ v->mark, hash_of(mk_span((const uint8_t *)name->s, sizeof name->s), s->mark_key) };
}

bool mk_store_twice(const struct mk_store *s, const struct mk_name *name, const struct mk_version *v)
{
	return v->mark && mk_marks_twice(&s->marks, mark_of(s, name, v));
}

static void value_done(struct mk_store *s, const struct mk_entry *e, struct mk_version *v)
{
	if (v->mark)
		mk_marks_drop(&s->marks, mark_of(s, &e->name, v));
	v->mark = 0;
	s->bytes -= mk_sealed_size(v->sealed);
	v->sealed = mk_sealed_free(v->sealed);
}

static void version_done(struct mk_store *s, struct mk_entry *e, enum mk_slot slot)
{
	struct mk_version *v = &e->at[slot];
	value_done(s, e, v);
	free(v->version);
	free(v->tags);
	*v = (struct mk_version){ .failure.at_ms = MK_TIME_NONE };
}

static void entry_free(struct mk_store *s, struct mk_entry **at)
{
	struct mk_entry *e = *at;
	*at = e->next;
	version_done(s, e, MK_SLOT_CURRENT);
	version_done(s, e, MK_SLOT_PREVIOUS);
	free(e);
	s->n--;
}

static void label_of(const struct mk_name *name, const char *version, enum mk_slot slot, struct mk_label *ret)
{
	*ret = (struct mk_label){ .name = *name, .slot = slot };
	memcpy(ret->version, version, strnlen(version, MK_VERSION_MAX));
}

/* The first time that this very version was fetched: what its relative expiry counts from. */
static int64_t first_seen(const struct mk_entry *e, const struct mk_fetched *f)
{
	for (unsigned slot = MK_SLOT_CURRENT; e && slot <= MK_SLOT_PREVIOUS; slot++)
		if (e->at[slot].held && strcmp(e->at[slot].version, f->version) == 0)
			return e->at[slot].first_ms;
	return f->wall_ms;
}

/* Both texts in one block, as small as they are. */
static mk_must set_texts(struct mk_version *v, const char *version, const char *type)
{
	const bool usual = strcmp(type, usual_type) == 0;
	const size_t n = strlen(version) + 1, type_n = usual ? 0 : strlen(type) + 1;
	v->version = malloc(n + type_n);
	if (!v->version)
		return MK_NO_MEMORY;
	memcpy(v->version, version, n);
	if (!usual)
		memcpy(v->version + n, type, type_n);
	v->token_type = usual ? usual_type : v->version + n;
	return MK_OK;
}

static mk_must copy_tags(const struct mk_fetched *f, struct mk_version *v)
{
	if (f->n_tags == 0)
		return MK_OK;
	v->tags = calloc(f->n_tags, sizeof *v->tags);
	if (!v->tags)
		return MK_NO_MEMORY;
	memcpy(v->tags, f->tags, f->n_tags * sizeof *v->tags);
	v->n_tags = f->n_tags;
	return MK_OK;
}

static mk_must take_value(struct mk_store *s, const struct mk_fetched *f, const struct mk_label *label, struct mk_version *v,
			  const char **fault)
{
	struct mk_record r;
	MK_TRY(mk_record_of(f->leaves, f->created_ms != MK_TIME_NONE ? f->created_ms : v->first_ms, &r, fault));
	v->token_room = r.token_room;
	v->expires_ms = r.expires_ms;
	v->mark = hash_of(r.token, s->mark_key) | 1; /* not 0 */
	if (s->statekey)
		mk_statekey_print(s->statekey, r.token, v->print);
	if (s->bytes + f->leaves.n > MK_STORE_BYTES_MAX)
		return MK_NO_MEMORY;
	MK_TRY(set_texts(v, label->version, r.token_type));
	return mk_seal_shut(s->seal, label, f->leaves, &v->sealed);
}

/* Meta data and the sealed value, beside what is there. */
static mk_must make_version(struct mk_store *s, const struct mk_entry *e, const struct mk_fetched *f,
			    struct mk_version *ret, const char **fault)
{
	struct mk_label label;
	label_of(&f->name, f->version, f->slot, &label);
	struct mk_version v = {
		.held = true, .disabled = f->disabled, .expires_ms = MK_TIME_NONE,
		.fetched_ms = f->boot_ms, .backend = f->backend, .epoch = f->epoch, .failure.at_ms = MK_TIME_NONE,
		.first_ms = first_seen(e, f),
	};
	MK_TRY(copy_tags(f, &v));
	const enum mk_err err = f->disabled ? set_texts(&v, label.version, usual_type) : take_value(s, f, &label, &v, fault);
	if (err != MK_OK) {
		free(v.tags);
		free(v.version);
		return err;
	}
	*ret = v;
	return MK_OK;
}

/* There is room for its mark. */
static void set_version(struct mk_store *s, struct mk_entry *e, enum mk_slot slot, const struct mk_version *v)
{
	version_done(s, e, slot);
	e->at[slot] = *v;
	s->bytes += mk_sealed_size(v->sealed);
	if (v->mark)
		mk_marks_add(&s->marks, mark_of(s, &e->name, v));
}

static mk_must reseal(struct mk_store *s, const struct mk_entry *e, struct mk_sealed **ret)
{
	const struct mk_version *v = &e->at[MK_SLOT_CURRENT];
	mk_auto(mk_secret_freep) struct mk_secret *plain = NULL;
	struct mk_label label;
	MK_TRY(mk_secret_new(mk_store_plain_len(v), &plain));
	MK_TRY(mk_store_open_(s, e, MK_SLOT_CURRENT, plain));
	label_of(&e->name, v->version, MK_SLOT_PREVIOUS, &label);
	return mk_seal_shut(s->seal, &label, mk_secret_span(plain), ret);
}

/* The current version becomes the previous one. Where it cannot be sealed anew it is let go, and fetched when asked for. */
static void retire(struct mk_store *s, struct mk_entry *e)
{
	struct mk_version old = e->at[MK_SLOT_CURRENT];
	version_done(s, e, MK_SLOT_PREVIOUS);
	if (old.disabled || reseal(s, e, &old.sealed) != MK_OK)
		return;
	e->at[MK_SLOT_CURRENT].version = NULL; /* went with it */
	set_version(s, e, MK_SLOT_PREVIOUS, &old);
	e->at[MK_SLOT_CURRENT].tags = NULL; /* the previous one's now */
	e->at[MK_SLOT_CURRENT].n_tags = 0;
}

/* A store keeps tags for a secret, not for a version: the previous one's are these now. Without room for them it is let go. */
static void share_tags(struct mk_store *s, struct mk_entry *e, const struct mk_fetched *f)
{
	struct mk_version *v = &e->at[MK_SLOT_PREVIOUS], with = { .tags = NULL };
	if (!v->held)
		return;
	if (copy_tags(f, &with) != MK_OK) {
		version_done(s, e, MK_SLOT_PREVIOUS);
		return;
	}
	free(v->tags);
	v->tags = with.tags;
	v->n_tags = with.n_tags;
}

static mk_must entry_for(struct mk_store *s, const struct mk_name *name, struct mk_entry **ret)
{
	struct mk_entry **at = place_of(s, name);
	if (!*at) {
		if (s->n >= MK_STORE_MAX)
			return MK_NO_MEMORY;
		struct mk_entry *e = calloc(1, sizeof *e);
		if (!e)
			return MK_NO_MEMORY;
		e->name = *name;
		e->jitter = (uint16_t)randombytes_uniform(UINT16_MAX);
		e->at[MK_SLOT_CURRENT].failure.at_ms = e->at[MK_SLOT_PREVIOUS].failure.at_ms = MK_TIME_NONE;
		*at = e;
		s->n++;
	}
	*ret = *at;
	return MK_OK;
}

/* Is what is held from a later question to the same backend? Epochs may wrap. */
static bool outdated(const struct mk_entry *e, const struct mk_fetched *f)
{
	const struct mk_version *v = e ? &e->at[f->slot] : NULL;
	return v && v->held && v->backend == f->backend && (int32_t)(v->epoch - f->epoch) > 0;
}

mk_must mk_store_put(struct mk_store *s, const struct mk_fetched *f, const char **fault)
{
	struct mk_entry *e = mk_store_find(s, &f->name);
	struct mk_version v;
	if (outdated(e, f))
		return MK_OK;
	MK_TRY(mk_marks_room(&s->marks, 2)); /* the new one's, and that of the one that becomes the previous */
	MK_TRY(make_version(s, e, f, &v, fault));
	const enum mk_err err = entry_for(s, &f->name, &e);
	if (err != MK_OK) {
		mk_sealed_free(v.sealed);
		free(v.tags);
		free(v.version);
		return err;
	}
	struct mk_version *at = &e->at[f->slot];
	if (f->slot == MK_SLOT_CURRENT && f->disabled)
		version_done(s, e, MK_SLOT_PREVIOUS); /* the secret is off, not one version of it */
	else if (f->slot == MK_SLOT_CURRENT && at->held && strcmp(at->version, v.version) != 0)
		retire(s, e);
	set_version(s, e, f->slot, &v);
	if (f->slot == MK_SLOT_CURRENT)
		share_tags(s, e, f);
	return MK_OK;
}

void mk_store_failed(struct mk_store *s, const struct mk_name *name, enum mk_slot slot, const struct mk_failure *failure)
{
	struct mk_entry *e = mk_store_find(s, name);
	if (e)
		e->at[slot].failure = *failure;
}

void mk_store_remove(struct mk_store *s, const struct mk_name *name, enum mk_slot slot)
{
	struct mk_entry **at = place_of(s, name);
	if (!*at)
		return;
	if (slot == MK_SLOT_PREVIOUS)
		version_done(s, *at, MK_SLOT_PREVIOUS);
	else
		entry_free(s, at);
}

void mk_store_wipe(struct mk_store *s, const struct mk_name *name, enum mk_slot slot)
{
	struct mk_entry *e = mk_store_find(s, name);
	if (!e || !e->at[slot].held)
		return;
	value_done(s, e, &e->at[slot]);
	e->at[slot].disabled = true;
	e->at[slot].used = false;
}

void mk_store_clear(struct mk_store *s)
{
	for (size_t i = 0; i < CHAINS; i++)
		while (s->chain[i])
			entry_free(s, &s->chain[i]);
}

void mk_store_sweep(struct mk_store *s, int64_t boot_ms, int64_t max_age_ms)
{
	for (size_t i = 0; i < CHAINS; i++) {
		struct mk_entry **at = &s->chain[i];
		while (*at) {
			struct mk_version *v = (*at)->at;
			if (v[MK_SLOT_PREVIOUS].held && boot_ms - v[MK_SLOT_PREVIOUS].fetched_ms > max_age_ms)
				version_done(s, *at, MK_SLOT_PREVIOUS);
			if (boot_ms - v[MK_SLOT_CURRENT].fetched_ms > max_age_ms && !v[MK_SLOT_PREVIOUS].held)
				entry_free(s, at);
			else
				at = &(*at)->next;
		}
	}
}

void mk_store_part(struct mk_store *s, size_t part, size_t parts, void (*look)(void *arg, const struct mk_entry *e), void *arg)
{
	for (size_t i = CHAINS * part / parts; i < CHAINS * (part + 1) / parts; i++)
		for (const struct mk_entry *e = s->chain[i]; e; e = e->next)
			look(arg, e);
}

size_t mk_store_plain_len(const struct mk_version *v)
{
	return mk_sealed_plain_len(v->sealed);
}

mk_must mk_store_open_(struct mk_store *s, const struct mk_entry *e, enum mk_slot slot, struct mk_secret *into)
{
	struct mk_label label;
	const struct mk_version *v = &e->at[slot];
	label_of(&e->name, v->version, slot, &label);
	return v->sealed ? mk_seal_open_(s->seal, &label, v->sealed, into) : MK_BUG;
}

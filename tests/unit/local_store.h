/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of the embedded store: a store in memory, with its key.
 */
#ifndef MK_TEST_LOCAL_STORE_H
#define MK_TEST_LOCAL_STORE_H

#include "agent/base/secret.h"
#include "backends/local_file.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

#define ID_TEXT (2 * MK_LOCAL_ID_BYTES + 1)

struct store {
	struct mk_secret *key;
	struct mk_local_bytes file;
};

static inline struct mk_name name_of(const char *s)
{
	struct mk_name n;
	assert_int_equal(mk_name_of(mk_span_of(s), &n), MK_OK);
	return n;
}

/* {"access_token": value} as a leaf list. */
static inline size_t leaves_of(const char *value, uint8_t buf[256])
{
	size_t n = 0;
	const struct mk_leaf l = { mk_span_of("/access_token"), MK_LEAF_STRING, mk_span_of(value) };
	assert_int_equal(mk_leaves_add(buf, 256, &n, &l), MK_OK);
	return n;
}

static inline int arena(void **state)
{
	bool locked;
	(void)state;
	return mk_secret_arena_init(64, 4, &locked) == MK_OK ? 0 : -1;
}

static inline int fresh(void **state)
{
	struct store *s = calloc(1, sizeof *s);
	struct mk_secret *text;
	const struct mk_local_head head = mk_local_head_make(MK_LOCAL_KDF_KEY);
	assert_int_equal(mk_local_key_make(&s->key, &text), MK_OK);
	mk_secret_free(text);
	assert_int_equal(mk_local_empty(&head, s->key, &s->file), MK_OK);
	*state = s;
	return 0;
}

static inline int gone(void **state)
{
	struct store *s = *state;
	mk_secret_free(s->key);
	free(s->file.p);
	free(s);
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static inline enum mk_err change(struct store *s, const struct mk_local_change *c, char id[ID_TEXT])
{
	mk_auto(mk_local_freep) struct mk_local *f = NULL;
	struct mk_local_bytes next;
	MK_TRY(mk_local_open(mk_span(s->file.p, s->file.n), s->key, &f));
	MK_TRY(mk_local_change(f, s->key, c, &next, id));
	free(s->file.p);
	s->file = next;
	return MK_OK;
}

static inline enum mk_err put(struct store *s, const char *name, const char *value, const struct mk_tag *tags, size_t n_tags)
{
	uint8_t buf[256];
	char id[ID_TEXT];
	const struct mk_local_change c = { .name = name_of(name), .leaves = mk_span(buf, leaves_of(value, buf)), .tags = tags, .n_tags = n_tags,
					   .now_ms = 1000 };
	return change(s, &c, id);
}

static inline enum mk_err rm(struct store *s, const char *name)
{
	char id[ID_TEXT];
	const struct mk_local_change c = { .name = name_of(name), .act = MK_LOCAL_REMOVE };
	return change(s, &c, id);
}

/* Any act; value only where it puts one. */
static inline enum mk_err act(struct store *s, enum mk_local_act what, const char *name, const char *value, const char *expect, char id[ID_TEXT])
{
	uint8_t buf[256];
	const struct mk_local_change c = { .name = name_of(name), .act = what, .expect = expect, .now_ms = 2000,
					   .leaves = mk_span(buf, value ? leaves_of(value, buf) : 0) };
	return change(s, &c, id);
}

static inline struct mk_local *opened(const struct store *s)
{
	struct mk_local *f = NULL;
	assert_int_equal(mk_local_open(mk_span(s->file.p, s->file.n), s->key, &f), MK_OK);
	return f;
}

static inline enum mk_err get_in(struct mk_span file, const struct mk_secret *key, const char *name, enum mk_local_slot version, char value[64])
{
	mk_auto(mk_local_freep) struct mk_local *f = NULL;
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	const struct mk_name n = name_of(name);
	struct mk_local_entry e;
	struct mk_leaf l;
	MK_TRY(mk_local_open(file, key, &f));
	MK_TRY(mk_local_find(f, &n, &e));
	MK_TRY(mk_local_record(f, key, &e, version, &leaves));
	MK_TRY(mk_leaves_find(mk_secret_span(leaves), "/access_token", &l));
	snprintf(value, 64, "%.*s", (int)l.value.n, (const char *)l.value.p);
	return MK_OK;
}

static inline enum mk_err get(const struct store *s, const char *name, enum mk_local_slot version, char value[64])
{
	return get_in(mk_span(s->file.p, s->file.n), s->key, name, version, value);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fresh, gone)

#endif

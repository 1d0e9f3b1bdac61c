/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's file. The first byte chooses: 0, the bytes as a whole file (the
 * head's parser, and all before the seal); else an index that is sealed here under the
 * known key, so that the parser behind the seal is reached. What opens is walked, asked
 * for, changed, and the changed file must open again.
 */
#include "agent/base/rw.h"
#include "agent/base/secret.h"
#include "backends/local_seal.h"
#include "mk/own.h"

#include <stdlib.h>

#define RECORDS_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char key_text[] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
static const uint8_t leaf[] = "\x02\x00/a\x01\x01\x00\x00\x00x";

static void use(const struct mk_local *s, const struct mk_secret *key)
{
	struct mk_local_cursor at = { 0 };
	struct mk_local_entry e, again;
	struct mk_tag tags[MK_TAGS_MAX];
	size_t n = 0;
	while (mk_local_next(s, &at, &e)) {
		mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
		mk_local_tags(&e, tags);
		mk_assert(mk_local_find(s, &e.name, &again) == MK_OK);
		mk_ignore(mk_local_record(s, key, &e, MK_LOCAL_CURRENT, &leaves), "it does not open: only its bounds count");
		n++;
	}
	mk_assert(n == mk_local_count(s));
}

static void change(const struct mk_local *s, const struct mk_secret *key, enum mk_local_act act)
{
	static const struct mk_tag tag = { "k", "v" };
	struct mk_local_change c = { .act = act, .leaves = mk_span(leaf, sizeof leaf - 1), .tags = &tag, .n_tags = 1, .now_ms = 1 };
	struct mk_local_bytes next = { 0 };
	struct mk_local *f = NULL;
	char id[2 * MK_LOCAL_ID_BYTES + 1];
	mk_assert(mk_name_of(mk_span_of("m"), &c.name) == MK_OK);
	const enum mk_err e = mk_local_change(s, key, &c, &next, id);
	if (e == MK_OK)
		mk_assert(mk_local_open(mk_span(next.p, next.n), key, &f) == MK_OK);
	else
		mk_assert(e == MK_TOO_LARGE || (act == MK_LOCAL_OFFER && e == MK_CONFLICT) ||
			  (act != MK_LOCAL_PUT && act != MK_LOCAL_OFFER && e == MK_NOT_FOUND));
	mk_local_free(f);
	free(next.p);
}

static void try_file(struct mk_span file, const struct mk_secret *key)
{
	struct mk_local *s = NULL;
	if (mk_local_open(file, key, &s) != MK_OK)
		return;
	use(s, key);
	for (unsigned act = 0; act < MK_LOCAL_ACTS; act++)
		change(s, key, (enum mk_local_act)act);
	mk_local_free(s);
}

/* u32 bytes of records | index */
static void try_index(struct mk_rd in, const struct mk_secret *key)
{
	const struct mk_local_head head = { .kdf = MK_LOCAL_KDF_KEY };
	const size_t records = mk_rd_u32(&in);
	const struct mk_span index = mk_rd_rest(&in);
	if (in.bad || records > RECORDS_MAX)
		return;
	const size_t sealed = index.n + MK_LOCAL_SEAL_MORE, n = MK_LOCAL_HEAD_BYTES + sealed + records;
	uint8_t *file = calloc(1, n);
	mk_local_head_write(&head, (uint32_t)sealed, file);
	const struct mk_local_ad ad = mk_local_ad_index(file);
	mk_local_seal(key, &ad, index, file + MK_LOCAL_HEAD_BYTES);
	try_file(mk_span(file, n), key);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct mk_secret *key;
	bool locked;
	if (!key) {
		mk_assert(mk_secret_arena_init(16, 4, &locked) == MK_OK);
		mk_assert(mk_local_key_of(mk_span_of(key_text), &key) == MK_OK);
	}
	struct mk_rd in = mk_rd_of(mk_span(p, n));
	if (mk_rd_u8(&in) == 0)
		try_file(mk_rd_rest(&in), key);
	else
		try_index(in, key);
	return 0;
}

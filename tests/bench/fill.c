/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts many tokens into an embedded store at once, in memory, and writes the file once:
 * fill STORE KEY-FILE COUNT BYTES. Names are acme-0, acme-1, …
 */
#include "agent/base/secret.h"
#include "backends/local_file.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mk_must read_all(const char *path, struct mk_local_bytes *ret)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return MK_NOT_FOUND;
	ret->p = malloc(MK_LOCAL_FILE_MAX);
	ret->n = ret->p ? fread(ret->p, 1, MK_LOCAL_FILE_MAX, f) : 0;
	fclose(f);
	return ret->n > 0 ? MK_OK : MK_NO_MEMORY;
}

/* Each token is its own: one value under two names is served to neither. */
static void mark(uint8_t *token, size_t bytes, unsigned i)
{
	for (size_t at = 0; at < 4 && at < bytes; at++, i /= 26)
		token[at] = (uint8_t)('a' + i % 26);
}

static mk_must put(struct mk_local_bytes *file, const struct mk_secret *key, unsigned i, struct mk_span token)
{
	mk_auto(mk_local_freep) struct mk_local *open = NULL;
	uint8_t leaves[4096];
	char name[32], id[2 * MK_LOCAL_ID_BYTES + 1];
	size_t n = 0;
	struct mk_local_bytes next = { 0 };
	struct mk_local_change change = { .now_ms = 1 };
	const struct mk_leaf leaf = { mk_span_of("/access_token"), MK_LEAF_STRING, token };
	snprintf(name, sizeof name, "acme-%u", i);
	MK_TRY(mk_name_of(mk_span_of(name), &change.name));
	MK_TRY(mk_leaves_add(leaves, sizeof leaves, &n, &leaf));
	change.leaves = mk_span(leaves, n);
	MK_TRY(mk_local_open(mk_span(file->p, file->n), key, &open));
	MK_TRY(mk_local_change(open, key, &change, &next, id));
	free(file->p);
	*file = next;
	return MK_OK;
}

static mk_must fill(char **argv)
{
	struct mk_local_bytes key_text, file;
	struct mk_secret *key = NULL;
	static uint8_t token[2048];
	bool locked = false;
	const size_t bytes = strtoul(argv[4], NULL, 10);
	if (bytes > sizeof token || sodium_init() < 0)
		return MK_TOO_LARGE;
	memset(token, 't', bytes);
	MK_TRY(mk_secret_arena_init(16, 1024, &locked));
	MK_TRY(read_all(argv[2], &key_text));
	MK_TRY(mk_local_key_of(mk_span(key_text.p, key_text.n), &key));
	MK_TRY(read_all(argv[1], &file));
	for (unsigned i = 0; i < strtoul(argv[3], NULL, 10); i++) {
		mark(token, bytes, i);
		MK_TRY(put(&file, key, i, mk_span(token, bytes)));
	}
	FILE *out = fopen(argv[1], "we");
	const bool written = out && fwrite(file.p, 1, file.n, out) == file.n;
	return out && fclose(out) == 0 && written ? MK_OK : MK_SYSTEM;
}

int main(int argc, char **argv)
{
	const enum mk_err e = argc == 5 ? fill(argv) : MK_BAD_REQUEST;
	if (e != MK_OK)
		fprintf(stderr, "fill: %s\n", mk_err_word(e));
	return e != MK_OK;
}

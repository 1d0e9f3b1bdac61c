/* SPDX-License-Identifier: Apache-2.0
 *
 * The file holds 44 characters of base64 and perhaps a newline. What the key itself is used
 * for is only to make two others: one for fingerprints, one for the number that says in the
 * database which key it goes with.
 */
#include "agent/broker/statekey.h"

#include "agent/base/file.h"
#include "agent/base/guarded.h"
#include "agent/base/secret.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY_BYTES 32u
#define KEY_TEXT  44u

struct mk_statekey {
	struct mk_guarded *key; /* for fingerprints */
};

struct mk_statekey *mk_statekey_free(struct mk_statekey *k)
{
	if (k)
		mk_guarded_free(k->key);
	free(k);
	return NULL;
}

void mk_statekey_print(struct mk_statekey *k, struct mk_span token, uint8_t ret[MK_PRINT])
{
	while (token.n > 0 && token.p[0] == ' ')
		token = mk_span(token.p + 1, token.n - 1);
	while (token.n > 0 && token.p[token.n - 1] == ' ')
		token.n--;
	const uint8_t *key = mk_guarded_open(k->key);
	crypto_generichash(ret, MK_PRINT, token.p, token.n, key, KEY_BYTES);
	mk_guarded_close(k->key);
	mk_wipe_stack();
}

/* Another for each use and environment. */
static void derive(const struct mk_secret *key, const char *use, const struct mk_word *environment, uint8_t *ret, size_t n)
{
	char text[96];
	const int len = snprintf(text, sizeof text, "makini %s %s", use, environment->s);
	mk_assert(len > 0 && (size_t)len < sizeof text);
	crypto_generichash(ret, n, (const uint8_t *)text, strlen(text), mk_secret_span(key).p, KEY_BYTES);
	mk_wipe_stack();
}

static mk_must read_key(const char *path, bool in_pod, struct mk_secret *key, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *text = NULL;
	mk_fd fd = -1;
	size_t n = 0, len = 0;
	MK_TRY(mk_file_open(path, MK_FILE_PRIVATE | (in_pod ? (unsigned)MK_FILE_POD : 0), &fd, why));
	MK_TRY(mk_secret_new(KEY_TEXT + 2, &text));
	const enum mk_err e = mk_file_read(fd, mk_secret_buf(text), KEY_TEXT + 2, &n);
	char *p = (char *)mk_secret_buf(text);
	if (n > 0 && p[n - 1] == '\n')
		n--;
	const bool good = e == MK_OK && n == KEY_TEXT &&
			  sodium_base642bin(mk_secret_buf(key), KEY_BYTES, p, n, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
	mk_wipe_stack();
	if (!good || len != KEY_BYTES)
		return mk_why_at(why, MK_BAD_REQUEST, path, 0, "is no state key: 32 random bytes in base64, as `head -c 32 /dev/urandom | base64` makes them");
	mk_secret_set_len(key, len);
	return MK_OK;
}

/* Whole or not at all: beside its place, synced, renamed. What a start before this one left half done goes. */
static mk_must write_key(const char *path, const void *p, size_t n)
{
	char beside[MK_PATH_MAX + 8], dir[MK_PATH_MAX];
	snprintf(beside, sizeof beside, "%s.new", path);
	MK_TRY(mk_path_dir(path, dir, sizeof dir));
	if (unlinkat(AT_FDCWD, beside, 0) != 0 && errno != ENOENT)
		return MK_SYSTEM;
	mk_fd fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	mk_fd at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || at < 0 || mk_write_all(fd, p, n) != MK_OK || fsync(fd) != 0)
		return MK_SYSTEM;
	return renameat(AT_FDCWD, beside, AT_FDCWD, path) == 0 && fsync(at) == 0 ? MK_OK : MK_SYSTEM;
}

static mk_must make_key(const char *path, struct mk_secret *key, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *text = NULL;
	MK_TRY(mk_secret_new(KEY_TEXT + 2, &text));
	randombytes_buf(mk_secret_buf(key), KEY_BYTES);
	mk_secret_set_len(key, KEY_BYTES);
	char *p = (char *)mk_secret_buf(text);
	sodium_bin2base64(p, KEY_TEXT + 2, mk_secret_buf(key), KEY_BYTES, sodium_base64_VARIANT_ORIGINAL);
	p[KEY_TEXT] = '\n';
	mk_wipe_stack();
	if (write_key(path, p, KEY_TEXT + 1) != MK_OK)
		return mk_why_at(why, MK_SYSTEM, path, 0, "cannot be made: its directory must be the agent's (uid %u) to write, and the disk must have room", geteuid());
	return MK_OK;
}

/* One that the agent made itself is made again only while nothing goes by it. */
static mk_must have_key(const struct mk_statekey_from *from, bool fresh, struct mk_secret *key, struct mk_why *why)
{
	char path[MK_PATH_MAX];
	if (from->file[0])
		return read_key(from->file, from->in_pod, key, why);
	MK_TRY(mk_path_join(from->dir, "state.key", path, sizeof path));
	if (access(path, F_OK) == 0)
		return read_key(path, from->in_pod, key, why);
	if (fresh)
		return make_key(path, key, why);
	return mk_why_at(why, MK_NOT_FOUND, path, 0, "is gone, and state.db goes by it: put it back from a backup; without it revoked values are not known again");
}

static mk_must settle(struct mk_statedb *db, const uint8_t *known, const uint8_t *id, const char *dir, struct mk_why *why)
{
	if (sodium_is_zero(known, MK_STATEKEY_ID)) {
		if (mk_statedb_set_key(db, id) == MK_OK)
			return MK_OK;
		return mk_why_at(why, MK_SYSTEM, dir, 0, "state.db cannot be written: the disk must have room, and no limit (LimitFSIZE) be in the way");
	}
	if (sodium_memcmp(known, id, MK_STATEKEY_ID) == 0)
		return MK_OK;
	return mk_why_at(why, MK_CONFLICT, dir, 0, "the state key is not the one that state.db was made with, so values that were revoked would not be "
			 "known again: put the key of before back (state_key.file, or state.key beside state.db)");
}

mk_must mk_statekey_load(const struct mk_statekey_from *from, struct mk_statedb *db, struct mk_statekey **ret, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *key = NULL;
	uint8_t known[MK_STATEKEY_ID] = { 0 }, id[MK_STATEKEY_ID];
	if (mk_statedb_key(db, known) != MK_OK)
		return mk_why_at(why, MK_BAD_REQUEST, from->dir, 0, "state.db does not say which state key it goes with: restore it from a backup");
	MK_TRY(mk_secret_new(KEY_BYTES, &key));
	MK_TRY(have_key(from, sodium_is_zero(known, sizeof known), key, why));
	derive(key, "state key", from->environment, id, sizeof id);
	MK_TRY(settle(db, known, id, from->dir, why));
	struct mk_statekey *k = calloc(1, sizeof *k);
	if (!k)
		return MK_NO_MEMORY;
	if (mk_guarded_new(KEY_BYTES, &k->key) != MK_OK) {
		free(k);
		return MK_NO_MEMORY;
	}
	derive(key, "retired values", from->environment, mk_guarded_open(k->key), KEY_BYTES);
	mk_guarded_close(k->key);
	*ret = k;
	return MK_OK;
}

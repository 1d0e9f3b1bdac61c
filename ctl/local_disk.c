/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's files: made, opened under their key, replaced whole by whoever
 * holds the store (mk_file_hold). Readers need no lock.
 */
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "ctl/local.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static mk_must read_private(const char *path, struct mk_secret **ret, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *text = NULL;
	mk_fd fd = -1;
	size_t n = 0;
	MK_TRY(mk_file_open(path, MK_FILE_PRIVATE, &fd, why));
	MK_TRY(mk_secret_new(MK_LOCAL_PASSPHRASE_MAX + 1, &text));
	const enum mk_err e = mk_file_read(fd, mk_secret_buf(text), MK_LOCAL_PASSPHRASE_MAX + 1, &n);
	if (e != MK_OK)
		return mk_why_set(why, e, "%s cannot be read, or is larger than a key or a passphrase (%d bytes)", path,
				  MK_LOCAL_PASSPHRASE_MAX);
	mk_secret_set_len(text, n);
	*ret = MK_TAKE(text);
	return MK_OK;
}

static mk_must key_of(const struct mk_local_paths *p, const struct mk_local_head *head, struct mk_secret **ret, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *text = NULL;
	const bool by_key = head->kdf == MK_LOCAL_KDF_KEY;
	if (by_key && !p->key_file)
		return mk_why_set(why, MK_BAD_REQUEST, "%s was made with a key file: give --key-file instead of --passphrase-file", p->file);
	if (!by_key && !p->passphrase_file)
		return mk_why_set(why, MK_BAD_REQUEST, "%s was made with a passphrase: give --passphrase-file instead of --key-file", p->file);
	MK_TRY(read_private(by_key ? p->key_file : p->passphrase_file, &text, why));
	const struct mk_span s = mk_secret_span(text);
	const enum mk_err e = by_key ? mk_local_key_of(s, ret) : mk_local_key_derive(head, s, ret);
	if (e == MK_BAD_REQUEST && by_key)
		return mk_why_set(why, e, "%s is not a key file: it holds 32 bytes in base64, as makinictl local init writes it", p->key_file);
	if (e == MK_BAD_REQUEST)
		return mk_why_set(why, e, "%s holds no passphrase: 1 to %d bytes, at most one newline behind", p->passphrase_file,
				  MK_LOCAL_PASSPHRASE_MAX);
	if (e == MK_NO_MEMORY)
		return mk_why_set(why, e, "no memory: the passphrase's key takes %u MiB", head->mem_kib / 1024);
	return e;
}

/* --- init */

static mk_must create(const char *path, int *ret_fd, struct mk_why *why)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return mk_why_set(why, MK_CONFLICT, "%s exists already, and is never overwritten: give another path, or move it away", path);
	if (fd < 0)
		return mk_why_set(why, MK_SYSTEM, "%s cannot be made: %s", path, strerrordesc_np(errno));
	*ret_fd = fd;
	return MK_OK;
}

/* So that a store can have a directory of its own, as the agent wants it. What goes wrong is seen when the file is made. */
static void make_folder(const char *path)
{
	char dir[MK_PATH_MAX];
	if (path && mk_path_dir(path, dir, sizeof dir) == MK_OK)
		(void)mkdir(dir, 0700);
}

/* Would the agent take it, where it stands? */
static mk_must trusted(const char *path, unsigned flags, struct mk_why *why)
{
	mk_fd fd = -1;
	return mk_file_open(path, flags, &fd, why);
}

static mk_must key_write(const char *path, int fd, struct mk_span text, struct mk_why *why)
{
	if (mk_write_all(fd, text.p, text.n) != MK_OK || fsync(fd) < 0)
		return mk_why_set(why, MK_SYSTEM, "%s cannot be written: %s", path, strerrordesc_np(errno));
	return trusted(path, MK_FILE_PRIVATE, why);
}

static mk_must key_create(const char *path, struct mk_secret **ret, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *key = NULL, *text = NULL;
	mk_fd fd = -1;
	MK_TRY(mk_local_key_make(&key, &text));
	MK_TRY(create(path, &fd, why));
	const enum mk_err e = key_write(path, fd, mk_secret_span(text), why);
	if (e != MK_OK) {
		unlink(path);
		return e;
	}
	*ret = MK_TAKE(key);
	return MK_OK;
}

/* The store's name is taken (an empty file) before the key is made, so that a key is only made for a store. */
static mk_must init_taken(const struct mk_local_paths *p, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *key = NULL;
	struct mk_local_bytes file = { 0 };
	const struct mk_local_head head = mk_local_head_make(p->key_file ? MK_LOCAL_KDF_KEY : MK_LOCAL_KDF_ARGON2ID);
	MK_TRY(p->key_file ? key_create(p->key_file, &key, why) : key_of(p, &head, &key, why));
	enum mk_err e = mk_local_empty(&head, key, &file);
	if (e == MK_OK)
		e = mk_file_replace(p->file, file.p, file.n, 0600, geteuid(), getegid(), why);
	if (e != MK_OK && p->key_file)
		unlink(p->key_file);
	free(file.p);
	return e;
}

enum mk_err mk_disk_init(const struct mk_local_paths *p, struct mk_why *why)
{
	mk_fd taken = -1;
	make_folder(p->file);
	make_folder(p->key_file);
	MK_TRY(create(p->file, &taken, why));
	enum mk_err e = trusted(p->file, 0, why);
	if (e == MK_OK)
		e = init_taken(p, why);
	if (e != MK_OK)
		unlink(p->file);
	return e;
}

/* --- open, replace */

static mk_must open_file(struct mk_disk *d, bool to_change, struct mk_why *why)
{
	const char *path = d->paths->file;
	const enum mk_err e = to_change ? mk_file_hold(path, 0, true, &d->file, why) : mk_file_open(path, 0, &d->file.fd, why);
	if (e == MK_NOT_FOUND)
		return mk_why_set(why, e, "%s does not exist: makinictl local init makes a store", path);
	MK_TRY(e);
	if (fstat(d->file.fd, &d->file.st) < 0)
		return mk_why_set(why, MK_SYSTEM, "%s cannot be read: %s", path, strerrordesc_np(errno));
	return MK_OK;
}

static mk_must read_file(struct mk_disk *d, struct mk_span *ret, struct mk_why *why)
{
	size_t n = 0;
	const off_t size = d->file.st.st_size;
	if (size > (off_t)MK_LOCAL_FILE_MAX)
		return mk_why_set(why, MK_TOO_LARGE, "%s is larger than a store may be (64 MiB)", d->paths->file);
	d->bytes = malloc((size_t)size + 1);
	if (!d->bytes)
		return MK_NO_MEMORY;
	if (mk_file_read(d->file.fd, d->bytes, (size_t)size, &n) != MK_OK)
		return mk_why_set(why, MK_SYSTEM, "%s cannot be read: %s", d->paths->file, strerrordesc_np(errno));
	*ret = mk_span(d->bytes, n);
	return MK_OK;
}

static mk_must open_store(struct mk_disk *d, bool to_change, struct mk_why *why)
{
	const struct mk_local_paths *p = d->paths;
	struct mk_span file;
	struct mk_local_head head;
	MK_TRY(open_file(d, to_change, why));
	MK_TRY(read_file(d, &file, why));
	if (mk_local_head_read(file, &head) != MK_OK)
		return mk_why_set(why, MK_BAD_REQUEST, "%s is not a store, or was cut short", p->file);
	MK_TRY(key_of(p, &head, &d->key, why));
	const enum mk_err e = mk_local_open(file, d->key, &d->store);
	if (e == MK_DENIED)
		return mk_why_set(why, e, "%s does not open under %s: another store's key, or the file was changed", p->file,
				  p->key_file ? p->key_file : p->passphrase_file);
	if (e == MK_BAD_REQUEST)
		return mk_why_set(why, e, "%s is not a store, or was cut short", p->file);
	return e;
}

enum mk_err mk_disk_open(const struct mk_local_paths *paths, bool to_change, struct mk_disk *ret, struct mk_why *why)
{
	struct mk_disk d = { .paths = paths, .file.fd = -1 };
	const enum mk_err e = open_store(&d, to_change, why);
	if (e != MK_OK)
		mk_disk_done(&d);
	else
		*ret = d;
	return e;
}

enum mk_err mk_disk_replace(const struct mk_disk *d, const struct mk_local_bytes *next, struct mk_why *why)
{
	return mk_held_replace(d->paths->file, &d->file, next->p, next->n, why);
}

void mk_disk_done(struct mk_disk *d)
{
	if (!d->paths)
		return;
	d->store = mk_local_free(d->store);
	d->key = mk_secret_free(d->key);
	free(d->bytes);
	mk_close(d->file.fd);
	*d = (struct mk_disk){ .file.fd = -1 };
}

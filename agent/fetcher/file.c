/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers a request for a file: opened once and read from that descriptor, so a file
 * that is replaced meanwhile is read as it was, whole. A private file (a key) goes
 * straight into locked memory. A file is replaced only where it still is the one that was
 * read: the same inode, with the same bytes. It is never waited for: the loop goes on.
 */
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/fetcher/walk.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>

static mk_must read_private(int fd, size_t max, struct mk_answer *ret)
{
	size_t n = 0;
	MK_TRY(mk_secret_new(max, &ret->locked));
	MK_TRY(mk_file_read(fd, mk_secret_buf(ret->locked), max, &n));
	mk_secret_set_len(ret->locked, n);
	ret->res.body = mk_secret_span(ret->locked);
	return MK_OK;
}

/* As long as it was when it was opened: one that still grows is TOO_LARGE. */
static mk_must read_plain(int fd, size_t max, struct mk_answer *ret)
{
	struct stat st;
	size_t n = 0;
	if (fstat(fd, &st) < 0 || st.st_size < 0)
		return MK_SYSTEM;
	if ((size_t)st.st_size > max)
		return MK_TOO_LARGE;
	ret->heap = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
	if (!ret->heap)
		return MK_NO_MEMORY;
	MK_TRY(mk_file_read(fd, ret->heap, (size_t)st.st_size, &n));
	ret->res.body = mk_span(ret->heap, n);
	return MK_OK;
}

/* The file's bytes are sealed, and so the hash tells nothing. */
static mk_must mark_of(int fd, struct mk_span bytes, struct mk_file_mark *ret)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return MK_SYSTEM;
	*ret = (struct mk_file_mark){ .set = true, .dev = st.st_dev, .ino = st.st_ino };
	_Static_assert(sizeof ret->hash == crypto_generichash_BYTES, "a mark's hash");
	crypto_generichash(ret->hash, sizeof ret->hash, bytes.p, bytes.n, NULL, 0);
	return MK_OK;
}

static mk_must read_file(const struct mk_req *req, bool in_pod, struct mk_answer *ret, struct mk_file_mark *mark)
{
	const unsigned flags = (in_pod ? MK_FILE_POD : 0u) | (req->private_file ? MK_FILE_PRIVATE : 0u);
	mk_fd fd = -1;
	MK_TRY(mk_file_open(req->path, flags, &fd, NULL));
	if (req->private_file)
		return read_private(fd, req->max, ret);
	MK_TRY(read_plain(fd, req->max, ret));
	return req->to_replace && mark ? mark_of(fd, ret->res.body, mark) : MK_OK;
}

static bool same_file(const struct mk_file_mark *a, const struct mk_file_mark *b)
{
	return a->set && a->dev == b->dev && a->ino == b->ino && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

static mk_must still_as_marked(const struct mk_held *held, const struct mk_file_mark *mark)
{
	struct mk_answer now = { 0 };
	struct mk_file_mark is = { .set = false };
	enum mk_err e = read_plain(held->fd, held->st.st_size > 0 ? (size_t)held->st.st_size : 0, &now);
	if (e == MK_OK)
		e = mark_of(held->fd, now.res.body, &is);
	mk_answer_done(&now);
	return e != MK_OK || same_file(mark, &is) ? e : MK_CONFLICT;
}

static mk_must replace_held(const struct mk_req *req, const struct mk_held *held, const struct mk_file_mark *mark)
{
	MK_TRY(still_as_marked(held, mark));
	return mk_held_replace(req->path, held, req->file_body.p, req->file_body.n, NULL);
}

enum mk_err mk_answer_replace(const struct mk_req *req, bool in_pod, const struct mk_file_mark *mark)
{
	struct mk_held held;
	enum mk_err e = mk_file_hold(req->path, in_pod ? MK_FILE_POD : 0u, false, &held, NULL);
	if (e == MK_NOT_FOUND)
		return MK_CONFLICT; /* there was one: it is being moved, or was taken away, which the next reading tells */
	MK_TRY(e);
	e = replace_held(req, &held, mark);
	mk_close(held.fd);
	return e;
}

void mk_answer_file(const struct mk_req *req, bool in_pod, struct mk_answer *ret, struct mk_file_mark *mark)
{
	const enum mk_err e = read_file(req, in_pod, ret, mark);
	if (e != MK_OK)
		mk_answer_done(ret);
	ret->res.err = e;
}

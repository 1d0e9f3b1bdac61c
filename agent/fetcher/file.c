/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers a request for a file: opened once and read from that descriptor, so a file
 * that is replaced meanwhile is read as it was, whole. A private file (a key) goes
 * straight into locked memory.
 */
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/fetcher/walk.h"
#include "mk/own.h"

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

static mk_must read_file(const struct mk_req *req, bool in_pod, struct mk_answer *ret)
{
	const unsigned flags = (in_pod ? MK_FILE_POD : 0u) | (req->private_file ? MK_FILE_PRIVATE : 0u);
	mk_fd fd = -1;
	MK_TRY(mk_file_open(req->path, flags, &fd, NULL));
	return req->private_file ? read_private(fd, req->max, ret) : read_plain(fd, req->max, ret);
}

void mk_answer_file(const struct mk_req *req, bool in_pod, struct mk_answer *ret)
{
	const enum mk_err e = read_file(req, in_pod, ret);
	if (e != MK_OK)
		mk_answer_done(ret);
	ret->res.err = e;
}

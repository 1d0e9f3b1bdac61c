/* SPDX-License-Identifier: Apache-2.0
 *
 * Which files make a log: those named and their set-aside segments, sorted by the
 * number of their first record.
 */
#include "agent/audit/tail.h"
#include "ctl/audit.h"

#include "agent/base/file.h"
#include "agent/base/units.h"
#include "mk/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 100000
#define SEQ_DIGITS 20

void mk_log_files_done(struct mk_log_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->files[i].path);
	free(f->files);
	*f = (struct mk_log_files){ NULL, 0 };
}

/* The number in a set-aside segment's name behind `base.`; 0: it is none. */
static uint64_t number_of(const char *base, const char *name)
{
	int64_t n;
	const size_t len = strlen(base);
	if (strncmp(name, base, len) != 0 || name[len] != '.' || strspn(name + len + 1, "0123456789") != SEQ_DIGITS)
		return 0;
	const char *rest = name + len + 1 + SEQ_DIGITS;
	if (rest[0] != '\0' && (rest[0] != '.' || rest[1 + strspn(rest + 1, "0123456789")] != '\0'))
		return 0;
	return mk_i64_of(mk_span(name + len + 1, SEQ_DIGITS), &n) == MK_OK ? (uint64_t)n : 0;
}

static enum mk_err add(struct mk_log_files *f, const char *path, uint64_t by_name, struct mk_why *why)
{
	struct stat st;
	struct mk_log_file file = { 0 };
	mk_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		return mk_why_at(why, MK_NOT_FOUND, path, 0, "cannot be read: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return mk_why_at(why, MK_BAD_REQUEST, path, 0, "is not a regular file; name a log, or copy it to a file");
	for (size_t i = 0; i < f->n; i++)
		if (f->files[i].dev == st.st_dev && f->files[i].ino == st.st_ino)
			return MK_OK;
	MK_TRY(mk_tail_first(fd, &file.first));
	file.begun = file.first != 0;
	file.first = file.begun ? file.first : by_name ? by_name : UINT64_MAX;
	file.dev = st.st_dev;
	file.ino = st.st_ino;
	struct mk_log_file *more = f->n < FILES_MAX ? reallocarray(f->files, f->n + 1, sizeof *more) : NULL;
	if (!more)
		return MK_NO_MEMORY;
	f->files = more;
	file.path = strdup(path);
	if (!file.path)
		return MK_NO_MEMORY;
	f->files[f->n++] = file;
	return MK_OK;
}

static enum mk_err add_siblings(struct mk_log_files *f, const char *path, struct mk_why *why)
{
	char dir[MK_PATH_MAX], sibling[2 * MK_PATH_MAX];
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	MK_TRY(mk_path_dir(path, dir, sizeof dir));
	DIR *d = opendir(dir);
	if (!d)
		return mk_why_at(why, MK_NOT_FOUND, dir, 0, "cannot be listed: %s", strerror(errno));
	enum mk_err e = MK_OK;
	for (const struct dirent *entry; e == MK_OK && (entry = readdir(d));) {
		const uint64_t n = number_of(base, entry->d_name);
		if (n == 0)
			continue;
		e = mk_path_join(dir, entry->d_name, sibling, sizeof sibling);
		if (e == MK_OK)
			e = add(f, sibling, n, why);
	}
	closedir(d);
	return e;
}

static int by_first(const void *a, const void *b)
{
	const struct mk_log_file *x = a, *y = b;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->begun != y->begun)
		return x->begun ? 1 : -1; /* a piece that never began was set aside for the one that did */
	return strcmp(x->path, y->path);
}

mk_must mk_log_files_of(const char *const *names, size_t n, bool all, struct mk_log_files *ret, struct mk_why *why)
{
	struct mk_log_files f = { NULL, 0 };
	enum mk_err e = MK_OK;
	for (size_t i = 0; e == MK_OK && i < n; i++) {
		e = add(&f, names[i], 0, why);
		if (e == MK_OK && all)
			e = add_siblings(&f, names[i], why);
	}
	if (e != MK_OK) {
		mk_log_files_done(&f);
		return e;
	}
	if (f.n > 0)
		qsort(f.files, f.n, sizeof *f.files, by_first);
	*ret = f;
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory: listing siblings, setting a file aside, removing the oldest. All
 * names are relative to a descriptor opened once, so that the lock-down needs one rule.
 */
#include "agent/audit/segment.h"

#include "agent/base/file.h"
#include "mk/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEQ_DIGITS 20
#define TRIES_MAX 100 /* names tried for one file */

static enum mk_err remember(struct mk_segment *s, uint64_t first)
{
	uint64_t *p = reallocarray(s->old, s->n_old + 1, sizeof *p);
	if (!p)
		return MK_NO_MEMORY;
	s->old = p;
	size_t at = s->n_old++;
	for (; at > 0 && p[at - 1] > first; at--)
		p[at] = p[at - 1];
	p[at] = first;
	return MK_OK;
}

/* The number of a sibling's name; 0: it is none. */
static uint64_t sibling_seq(const struct mk_segment *s, const char *name)
{
	const size_t n = strlen(s->name);
	if (strncmp(name, s->name, n) != 0 || name[n] != '.' || strlen(name + n + 1) != SEQ_DIGITS)
		return 0;
	uint64_t v = 0;
	for (const char *c = name + n + 1; *c; c++) {
		if (*c < '0' || *c > '9' || v > UINT64_MAX / 100)
			return 0;
		v = v * 10 + (uint64_t)(*c - '0');
	}
	return v;
}

static enum mk_err list(struct mk_segment *s)
{
	const int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		mk_close(fd);
		return MK_SYSTEM;
	}
	enum mk_err e = MK_OK;
	for (const struct dirent *entry; e == MK_OK && (entry = readdir(d));) {
		const uint64_t seq = sibling_seq(s, entry->d_name);
		if (seq != 0)
			e = remember(s, seq);
	}
	closedir(d);
	return e;
}

static enum mk_err check_dir(const struct mk_segment *s, const char *dir, struct mk_why *why)
{
	struct stat st;
	if (fstat(s->dir, &st) != 0)
		return MK_SYSTEM;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return mk_why_at(why, MK_DENIED, dir, 0,
				 "the audit log's directory belongs to uid %u; it must be root's or the agent's (uid %u)",
				 st.st_uid, geteuid());
	if (st.st_mode & 022)
		return mk_why_at(why, MK_DENIED, dir, 0, "the audit log's directory can be written by others; chmod go-w %s", dir);
	return MK_OK;
}

mk_must mk_segment_init(struct mk_segment *s, const char *path, struct mk_why *why)
{
	char dir[MK_PATH_MAX];
	memset(s, 0, sizeof *s);
	s->dir = s->fd = -1;
	const int n = snprintf(s->path, sizeof s->path, "%s", path);
	const char *slash = strrchr(s->path, '/');
	s->name = slash ? slash + 1 : s->path;
	if (n < 0 || (size_t)n >= sizeof s->path || !s->name[0] || strlen(s->name) > MK_SEGMENT_NAME_MAX)
		return mk_why_set(why, MK_BAD_REQUEST, "audit.file: the file's name is empty or longer than %d bytes",
				  MK_SEGMENT_NAME_MAX);
	MK_TRY(mk_path_dir(path, dir, sizeof dir));
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return mk_why_at(why, MK_DENIED, dir, 0,
				 "the audit log's directory cannot be opened (%s); make it: install -d -m 0700 -o USER %s",
				 strerrorname_np(errno), dir);
	MK_TRY(check_dir(s, dir, why));
	return list(s);
}

void mk_segment_done(struct mk_segment *s)
{
	mk_closep(&s->fd);
	mk_closep(&s->dir);
	free(s->old);
	s->old = NULL;
	s->n_old = 0;
}

static bool is_free(const struct mk_segment *s, const char *name)
{
	struct stat st;
	return fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

/* A free name. What is a segment of ours by its first record is FILE.<seq>; all else never takes that name. */
static bool free_name(const struct mk_segment *s, uint64_t seq, bool ours, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s.%020" PRIu64, s->name, seq);
	if (ours && is_free(s, buf))
		return true;
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		snprintf(buf, cap, "%s.%020" PRIu64 ".%u", s->name, seq, i);
		if (is_free(s, buf))
			return true;
	}
	errno = EEXIST;
	return false;
}

mk_must mk_segment_set_aside(struct mk_segment *s, uint64_t next)
{
	char name[MK_SEGMENT_NAME_MAX + 40];
	if (is_free(s, s->name))
		return MK_OK;
	const bool ours = mk_segment_at_path(s) && s->first != 0;
	const uint64_t seq = ours ? s->first : next;
	if (!free_name(s, seq, ours, name, sizeof name))
		return MK_SYSTEM;
	/* Nobody else may write in this directory, so the name is still free. */
	if (renameat(s->dir, s->name, s->dir, name) != 0)
		return MK_SYSTEM;
	return sibling_seq(s, name) != 0 ? remember(s, seq) : MK_OK;
}

mk_must mk_segment_remove_oldest(struct mk_segment *s)
{
	char name[MK_SEGMENT_NAME_MAX + 24];
	mk_assert(s->n_old > 0);
	snprintf(name, sizeof name, "%s.%020" PRIu64, s->name, s->old[0]);
	if (unlinkat(s->dir, name, 0) != 0 && errno != ENOENT)
		return MK_SYSTEM;
	memmove(s->old, s->old + 1, --s->n_old * sizeof *s->old);
	return MK_OK;
}

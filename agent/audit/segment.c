/* SPDX-License-Identifier: Apache-2.0
 *
 * The open file: adopting it, appending to it, watching it. What moves and names
 * files is in aside.c.
 */
#include "agent/audit/segment.h"

#include "agent/base/file.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool same_file(const struct mk_segment *s, const struct stat *st)
{
	return st->st_dev == s->dev && st->st_ino == s->ino;
}

static enum mk_err check_file(const struct mk_segment *s, const struct stat *st, struct mk_why *why)
{
	if (!S_ISREG(st->st_mode))
		return mk_why_at(why, MK_BAD_REQUEST, s->path, 0, "is not a regular file; move it away or change audit.file");
	if (st->st_uid != geteuid())
		return mk_why_at(why, MK_DENIED, s->path, 0,
				 "belongs to uid %u, not to the agent's uid %u; move it away or chown it", st->st_uid, geteuid());
	if (st->st_mode & 022)
		return mk_why_at(why, MK_DENIED, s->path, 0, "can be written by others; chmod go-w %s", s->path);
	return MK_OK;
}

/* Takes over fd in any case. */
static enum mk_err take(struct mk_segment *s, int taken, struct stat *st, struct mk_why *why)
{
	mk_fd fd = taken;
	if (fstat(fd, st) != 0)
		return MK_SYSTEM;
	MK_TRY(check_file(s, st, why));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno != EWOULDBLOCK ? MK_SYSTEM
			: mk_why_at(why, MK_CONFLICT, s->path, 0,
				    "another process writes to it; give each instance an audit.file of its own");
	mk_close(s->fd);
	s->fd = MK_TAKE_FD(fd);
	s->dev = st->st_dev;
	s->ino = st->st_ino;
	s->size = (uint64_t)st->st_size;
	s->torn = false;
	return MK_OK;
}

static enum mk_err refused(const struct mk_segment *s, struct mk_why *why)
{
	if (errno == ELOOP)
		return mk_why_at(why, MK_BAD_REQUEST, s->path, 0, "is a symbolic link; name the file itself in audit.file");
	if (errno == EISDIR)
		return mk_why_at(why, MK_BAD_REQUEST, s->path, 0, "is a directory; name a file in audit.file");
	if (errno == EACCES || errno == EPERM)
		return mk_why_at(why, MK_DENIED, s->path, 0, "may not be opened for reading and writing; chown it to uid %u",
				 geteuid());
	return MK_SYSTEM;
}

/* The end of the newest sibling, where the file itself says nothing. */
static enum mk_err sibling_end(struct mk_segment *s, struct mk_tail *ret)
{
	if (s->n_old == 0)
		return MK_OK;
	char name[MK_SEGMENT_NAME_MAX + 24];
	const int n = snprintf(name, sizeof name, "%s.%020llu", s->name, (unsigned long long)s->old[s->n_old - 1]);
	mk_assert(n > 0 && (size_t)n < sizeof name);
	mk_fd fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return errno == ENOENT ? MK_OK : MK_SYSTEM;
	MK_TRY(mk_tail_read(fd, (uint64_t)st.st_size, ret));
	return mk_tail_state(fd, (uint64_t)st.st_size, &ret->state);
}

mk_must mk_segment_adopt(struct mk_segment *s, struct mk_tail *ret, struct mk_why *why)
{
	memset(ret, 0, sizeof *ret);
	const int fd = openat(s->dir, s->name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT ? sibling_end(s, ret) : refused(s, why);
	struct stat st;
	MK_TRY(take(s, fd, &st, why));
	MK_TRY(mk_tail_first(s->fd, &s->first));
	MK_TRY(mk_tail_read(s->fd, s->size, ret));
	MK_TRY(mk_tail_state(s->fd, s->size, &ret->state));
	if (ret->found || ret->damaged)
		return MK_OK;
	struct mk_tail before = { 0 }; /* only a torn beginning, or nothing, stands in the file */
	MK_TRY(sibling_end(s, &before));
	if (!before.found)
		return MK_OK;
	memcpy(ret->buf, before.buf, before.n);
	ret->n = before.n;
	ret->state = before.state;
	ret->found = mk_line_parse(mk_span(ret->buf, ret->n), &ret->last);
	return MK_OK;
}

enum mk_segment_state mk_segment_state(const struct mk_segment *s)
{
	struct stat st;
	if (s->fd < 0 || fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !same_file(s, &st))
		return MK_SEGMENT_GONE;
	if ((uint64_t)st.st_size == s->size)
		return MK_SEGMENT_OK;
	return (uint64_t)st.st_size > s->size ? MK_SEGMENT_FOREIGN : MK_SEGMENT_CUT;
}

bool mk_segment_at_path(const struct mk_segment *s)
{
	return mk_segment_state(s) != MK_SEGMENT_GONE;
}

enum mk_segment_place mk_segment_place(const struct mk_segment *s)
{
	char path[MK_PATH_MAX];
	struct stat there, here;
	if (mk_path_dir(s->path, path, sizeof path) != MK_OK || fstat(s->dir, &here) != 0 || stat(path, &there) != 0)
		return MK_PLACE_GONE;
	return there.st_dev == here.st_dev && there.st_ino == here.st_ino ? MK_PLACE_HERE : MK_PLACE_REPLACED;
}

mk_must mk_segment_append(struct mk_segment *s, const void *p, size_t n, uint64_t seq)
{
	size_t done = 0;
	while (done < n) {
		const ssize_t w = write(s->fd, (const uint8_t *)p + done, n - done);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			const int e = w == 0 ? EIO : errno;
			if (done > 0 && ftruncate(s->fd, (off_t)s->size) != 0)
				s->torn = true;
			errno = e;
			return MK_SYSTEM;
		}
		done += (size_t)w;
	}
	s->size += n;
	if (s->first == 0)
		s->first = seq;
	return MK_OK;
}

mk_must mk_segment_sync(const struct mk_segment *s)
{
	return fdatasync(s->fd) == 0 ? MK_OK : MK_SYSTEM;
}

mk_must mk_segment_sync_dir(const struct mk_segment *s)
{
	return fsync(s->dir) == 0 ? MK_OK : MK_SYSTEM;
}

mk_must mk_segment_second(const struct mk_segment *s, int *ret_fd)
{
	mk_fd fd = openat(s->dir, s->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return MK_SYSTEM;
	if (!same_file(s, &st)) {
		errno = ESTALE;
		return MK_SYSTEM;
	}
	*ret_fd = MK_TAKE_FD(fd);
	return MK_OK;
}

mk_must mk_segment_fresh(struct mk_segment *s)
{
	const int fd = openat(s->dir, s->name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	if (fd < 0)
		return MK_SYSTEM;
	s->first = 0;
	return take(s, fd, &st, NULL);
}

void mk_segment_drop(struct mk_segment *s)
{
	if (s->fd < 0 || s->size != 0) /* not by `first`: a first line that is damaged may have records behind it */
		return;
	if (mk_segment_at_path(s) && unlinkat(s->dir, s->name, 0) != 0)
		return; /* it stays, empty or torn, and is set aside next time */
	mk_closep(&s->fd);
	s->torn = false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing whole files. A replaced file is either the old or the new one at
 * any moment, also after a crash; a failed attempt leaves the old one and nothing else.
 */
#include "agent/base/file.h"

#include "mk/limits.h"
#include "mk/own.h"
#include "mk/span.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t read_some(int fd, void *p, size_t n)
{
	ssize_t got;
	do
		got = read(fd, p, n);
	while (got < 0 && errno == EINTR);
	return got;
}

mk_must mk_file_read(int fd, void *buf, size_t max, size_t *ret_len)
{
	char *p = buf;
	char more = 0;
	size_t len = 0;
	for (;;) {
		const bool full = len == max;
		const ssize_t n = full ? read_some(fd, &more, 1) : read_some(fd, p + len, max - len);
		if (n < 0)
			return MK_SYSTEM;
		if (n == 0)
			break;
		if (full) {
			explicit_bzero(&more, 1); /* it may be a secret's */
			return MK_TOO_LARGE;
		}
		len += (size_t)n;
	}
	*ret_len = len;
	return MK_OK;
}

mk_must mk_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;
	while (n > 0) {
		const ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (done == 0)
				errno = EIO;
			return MK_SYSTEM;
		}
		at += done;
		n -= (size_t)done;
	}
	return MK_OK;
}

/* Only root may give a file away; for others it stays theirs. A group may be one of theirs. */
static bool set_owner(int fd, uid_t uid, gid_t gid)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return false;
	if (st.st_uid == uid && st.st_gid == gid)
		return true;
	if (fchown(fd, uid, gid) == 0 || fchown(fd, (uid_t)-1, gid) == 0)
		return true;
	return errno == EPERM;
}

static const char *error_text(int error)
{
	const char *text = strerrordesc_np(error); /* no locale, no allocation */
	return text ? text : "unknown error";
}

struct beside { /* the new file until it has its name */
	int dirfd;
	char name[NAME_MAX + 1];
};

static int create_beside(struct beside *b, const char *base)
{
	uint64_t random;
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return -1;
	const int n = snprintf(b->name, sizeof b->name, ".%s.%016" PRIx64, base, random);
	if (n < 0 || (size_t)n >= sizeof b->name) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return openat(b->dirfd, b->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static bool fill(int fd, struct mk_span bytes, const struct stat *as)
{
	return set_owner(fd, as->st_uid, as->st_gid) && fchmod(fd, as->st_mode) == 0 &&
	       mk_write_all(fd, bytes.p, bytes.n) == MK_OK && fsync(fd) == 0;
}

mk_must mk_file_replace(const char *path, const void *p, size_t n, mode_t mode, uid_t uid, gid_t gid, struct mk_why *why)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const struct stat as = { .st_uid = uid, .st_gid = gid, .st_mode = mode };
	char dir[MK_PATH_MAX];
	struct beside b;
	if (mk_path_dir(path, dir, sizeof dir) != MK_OK || base[0] == '\0')
		return mk_why_set(why, MK_BAD_REQUEST, "\"%s\" does not name a file", path);
	mk_fd dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b.dirfd = dirfd;
	mk_fd fd = dirfd < 0 ? -1 : create_beside(&b, base);
	if (fd < 0)
		return mk_why_set(why, MK_SYSTEM, "%s cannot be written: no new file can be made in %s (%s)", path, dir,
				  error_text(errno));
	if (!fill(fd, mk_span(p, n), &as) || renameat(dirfd, b.name, dirfd, base) < 0) {
		const int error = errno;
		unlinkat(dirfd, b.name, 0);
		return mk_why_set(why, MK_SYSTEM, "%s cannot be written (%s); it is as it was", path, error_text(error));
	}
	if (fsync(dirfd) < 0)
		return mk_why_set(why, MK_SYSTEM, "%s is written, but its directory cannot be synced (%s)", path,
				  error_text(errno));
	return MK_OK;
}

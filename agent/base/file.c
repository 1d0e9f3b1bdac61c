/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening files that must be trusted. The directory is opened and looked at first, the
 * file is opened from it, and all further checks are made on the descriptor: nothing is
 * looked up twice, so nothing can be swapped in between. A FIFO or a device neither
 * blocks nor passes.
 */
#include "agent/base/file.h"

#include "mk/limits.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RETRIES_MAX 16 /* openat2 says EAGAIN when a rename crosses its way */

struct look { /* at one file */
	const char *path;
	unsigned flags;
	struct stat dir, file;
	bool read_only; /* its file system: as a kubelet mounts volumes, with directories of mode 1777 */
	struct mk_why *why;
};

/* A link that stands where a directory should is told from a file. */
static int step(int at, const char *part, int flags)
{
	struct stat st;
	const int fd = openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOTDIR && fstatat(at, part, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
	return fd;
}

/* RESOLVE_NO_SYMLINKS by hand, part for part, each opened in the one before: systemd's RestrictSUIDSGID= takes openat2 away. */
static int walk(const char *path, int flags)
{
	mk_fd at = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (path += strspn(path, "/"); at >= 0 && *path;) {
		char part[MK_PATH_MAX];
		const size_t n = strcspn(path, "/");
		if (n >= sizeof part) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, n);
		part[n] = '\0';
		path += n;
		path += strspn(path, "/");
		const int fd = step(at, part, *path ? O_PATH | O_DIRECTORY : flags);
		if (fd < 0 || !*path)
			return fd;
		mk_close(at);
		at = fd;
	}
	return at < 0 ? -1 : step(at, ".", flags);
}

static int open_at(int dirfd, const char *name, uint64_t flags, uint64_t resolve)
{
	const struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS };
	long fd = -1;
	for (int i = 0; i < RETRIES_MAX; i++) {
		fd = syscall(SYS_openat2, dirfd, name, &how, sizeof how);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd < 0 && errno == ENOSYS && (resolve & RESOLVE_NO_SYMLINKS))
		return dirfd == AT_FDCWD ? walk(name, (int)flags) : step(dirfd, name, (int)flags); /* then it is one part */
	return (int)fd;
}

static mk_must open_failed(const struct look *l, const char *path)
{
	static const struct {
		int error;
		enum mk_err e;
		const char *text;
	} known[] = {
		{ ENOENT, MK_NOT_FOUND, "does not exist" },
		{ ENOTDIR, MK_NOT_FOUND, "leads through something that is not a directory" },
		{ ELOOP, MK_DENIED, "is a symbolic link or leads through one: give the real path (see realpath)" },
		{ EXDEV, MK_DENIED, "is a symbolic link that leaves its own directory: give the real path" },
		{ EACCES, MK_DENIED, "may not be opened by this user: give the user or its group read access to the file, "
				    "and search access to its directories" },
		{ EPERM, MK_DENIED, "may not be opened by this user" },
		{ ENXIO, MK_DENIED, "is not a regular file" },
		{ ENAMETOOLONG, MK_TOO_LARGE, "is too long a path" },
		{ ENOSYS, MK_SYSTEM, "cannot be opened safely: this kernel has no openat2 (Linux 5.6), or a filter takes it away" },
	};
	const int error = errno;
	for (size_t i = 0; i < MK_COUNT(known); i++)
		if (known[i].error == error)
			return mk_why_set(l->why, known[i].e, "%s %s", path, known[i].text);
	return mk_why_set(l->why, MK_SYSTEM, "%s cannot be opened (errno %d)", path, error);
}

/* Root, who works on an instance's files with makinictl, takes the directory's owner for the instance's user. */
static bool trusted_owner(const struct look *l, uid_t owner)
{
	const uid_t self = geteuid();
	return owner == 0 || owner == self || (self == 0 && owner == l->dir.st_uid);
}

static mk_must check_dir(const struct look *l, const char *dir)
{
	const bool others_write = (l->dir.st_mode & (S_IWGRP | S_IWOTH)) != 0;
	if (!trusted_owner(l, l->dir.st_uid))
		return mk_why_set(l->why, MK_DENIED,
				  "%s, the directory of %s, belongs to uid %u: it must belong to root or to uid %u, who runs this", dir,
				  l->path, l->dir.st_uid, geteuid());
	if (others_write && !((l->flags & MK_FILE_POD) && l->read_only))
		return mk_why_set(l->why, MK_DENIED,
				  "%s, the directory of %s, can be written by group or others: chmod go-w %s, "
				  "or move the file to a directory of its own", dir, l->path, dir);
	return MK_OK;
}

/* A volume in a pod is readable by its fsGroup, else a process that is not root could not read it. */
static mode_t readers_refused(const struct look *l)
{
	const bool volume = (l->flags & MK_FILE_POD) && l->read_only && l->file.st_uid == 0;
	return volume ? S_IROTH : S_IRGRP | S_IROTH;
}

static mk_must check_file(const struct look *l)
{
	if (!S_ISREG(l->file.st_mode))
		return mk_why_set(l->why, MK_DENIED, "%s is not a regular file", l->path);
	if (!trusted_owner(l, l->file.st_uid))
		return mk_why_set(l->why, MK_DENIED, "%s belongs to uid %u: it must belong to root or to uid %u, who runs this",
				  l->path, l->file.st_uid, geteuid());
	if (l->file.st_mode & (S_IWGRP | S_IWOTH))
		return mk_why_set(l->why, MK_DENIED, "%s can be written by group or others: chmod go-w %s", l->path, l->path);
	if (!(l->flags & MK_FILE_PRIVATE))
		return MK_OK;
	if (l->file.st_mode & readers_refused(l))
		return mk_why_set(l->why, MK_DENIED, "%s can be read by %s: chmod %s %s", l->path,
				  l->file.st_mode & S_IROTH ? "others" : "its group",
				  l->file.st_mode & S_IROTH ? "o-r" : "g-r", l->path);
	if (l->file.st_nlink > 1)
		return mk_why_set(l->why, MK_DENIED, "%s has %lu hard links: a key file must have just one name", l->path,
				  (unsigned long)l->file.st_nlink);
	return MK_OK;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static mk_must open_dir(struct look *l, int *ret_fd)
{
	char dir[MK_PATH_MAX];
	struct statvfs fs;
	if (mk_path_dir(l->path, dir, sizeof dir) != MK_OK)
		return mk_why_set(l->why, MK_TOO_LARGE, "%s is too long a path", l->path);
	mk_fd fd = open_at(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (fd < 0 && errno == EACCES) /* search access is enough */
		fd = open_at(AT_FDCWD, dir, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return open_failed(l, dir);
	if (fstat(fd, &l->dir) < 0 || fstatvfs(fd, &fs) < 0)
		return mk_why_set(l->why, MK_SYSTEM, "%s cannot be looked at (errno %d)", dir, errno);
	l->read_only = (fs.f_flag & ST_RDONLY) != 0;
	MK_TRY(check_dir(l, dir));
	*ret_fd = MK_TAKE_FD(fd);
	return MK_OK;
}

mk_must mk_file_open(const char *path, unsigned flags, int *ret_fd, struct mk_why *why)
{
	const bool pod = (flags & MK_FILE_POD) != 0;
	struct look l = { .path = path, .flags = flags, .why = why };
	mk_fd dirfd = -1;
	mk_fd fd = -1;
	if (base_name(path)[0] == '\0')
		return mk_why_set(why, MK_DENIED, "\"%s\" does not name a file", path);
	MK_TRY(open_dir(&l, &dirfd));
	fd = open_at(dirfd, base_name(path), O_RDONLY | O_NONBLOCK | O_NOCTTY | (pod ? 0 : O_NOFOLLOW),
		     RESOLVE_BENEATH | (pod ? 0 : RESOLVE_NO_SYMLINKS));
	if (fd < 0)
		return open_failed(&l, path);
	if (fstat(fd, &l.file) < 0)
		return mk_why_set(why, MK_SYSTEM, "%s cannot be looked at (errno %d)", path, errno);
	MK_TRY(check_file(&l));
	*ret_fd = MK_TAKE_FD(fd);
	return MK_OK;
}

mk_must mk_path_join(const char *dir, const char *name, char *buf, size_t cap)
{
	const size_t n_name = strlen(name);
	size_t n_dir = name[0] == '/' ? 0 : strlen(dir);
	const bool slash = n_dir > 0 && dir[n_dir - 1] != '/';
	if (n_dir >= cap || n_name >= cap || n_dir + slash + n_name >= cap)
		return MK_TOO_LARGE;
	memmove(buf, dir, n_dir);
	if (slash)
		buf[n_dir++] = '/';
	memmove(buf + n_dir, name, n_name + 1);
	return MK_OK;
}

mk_must mk_path_dir(const char *path, char *buf, size_t cap)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return mk_path_join("", ".", buf, cap);
	const size_t n = slash == path ? 1 : (size_t)(slash - path);
	if (n >= cap)
		return MK_TOO_LARGE;
	memmove(buf, path, n);
	buf[n] = '\0';
	return MK_OK;
}

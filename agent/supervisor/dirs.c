/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of the instance belongs to its user, and nobody else may write there:
 * who can write to it can swap a socket, a lock or a log.
 */
#include "agent/supervisor/dirs.h"
#include "agent/base/file.h"
#include "mk/limits.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 500
#define LOCK_NAP_MS  10

static enum mk_err cannot_make(const char *path, mode_t mode, const char *key, struct mk_why *why)
{
	return mk_why_set(why, MK_SYSTEM,
			  "%s: %s is not there and cannot be made by uid %u (%s); as root: install -d -o %u -g %u -m %04o %s", key,
			  path, geteuid(), strerrordesc_np(errno), geteuid(), getegid(), mode, path);
}

enum mk_err mk_dir_need(const char *path, mode_t mode, const char *key, struct mk_why *why)
{
	if (mkdir(path, 0700) == 0) {
		if (chmod(path, mode) < 0) /* the umask does not count */
			return cannot_make(path, mode, key, why);
	} else if (errno != EEXIST) {
		return cannot_make(path, mode, key, why);
	}
	mk_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return mk_why_set(why, MK_SYSTEM, "%s: %s cannot be opened as a directory of this user: %s", key, path,
				  strerrordesc_np(errno));
	if (st.st_uid != geteuid())
		return mk_why_set(why, MK_DENIED, "%s: %s belongs to uid %u, not to uid %u who runs this; as root: chown %u %s", key,
				  path, st.st_uid, geteuid(), geteuid(), path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return mk_why_set(why, MK_DENIED, "%s: others can write to %s; chmod %04o %s", key, path, mode, path);
	return MK_OK;
}

enum mk_err mk_dir_stays(const char *path, const char *key, struct mk_why *why)
{
	char above[MK_PATH_MAX];
	struct stat st;
	MK_TRY(mk_path_dir(path, above, sizeof above));
	if (stat(above, &st) < 0)
		return mk_why_set(why, MK_SYSTEM, "%s: %s cannot be looked at: %s", key, above, strerrordesc_np(errno));
	if ((st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH)
		return mk_why_set(why, MK_DENIED, "%s: anyone can write to %s and put another directory in the place of %s; chmod o-w %s",
				  key, above, path, above);
	return MK_OK;
}

/* A supervisor that was killed while it started a child leaves the lock with that child until its exec: wait a little,
 * or a unit that is told not to try again after 75 would stay down. */
static bool lock_soon(int fd)
{
	const struct timespec nap = { .tv_nsec = LOCK_NAP_MS * 1000000 };
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	for (int ms = 0;; ms += LOCK_NAP_MS) {
		if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
			return true;
		if ((errno != EAGAIN && errno != EACCES) || ms >= LOCK_WAIT_MS)
			return false;
		nanosleep(&nap, NULL);
	}
}

enum mk_err mk_dir_lock(const char *path, const char *key, int *ret_fd, struct mk_why *why)
{
	mk_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mk_fd fd = dir < 0 ? -1 : openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return mk_why_set(why, MK_SYSTEM, "%s: %s/lock cannot be opened: %s", key, path, strerrordesc_np(errno));
	if (lock_soon(fd)) {
		*ret_fd = MK_TAKE_FD(fd);
		return MK_OK;
	}
	if (errno != EAGAIN && errno != EACCES)
		return mk_why_set(why, MK_SYSTEM, "%s: %s/lock cannot be locked: %s", key, path, strerrordesc_np(errno));
	return mk_why_set(why, MK_CONFLICT,
			  "%s: %s is in use by another instance; stop it, or give this one a %s of its own", key, path, key);
}

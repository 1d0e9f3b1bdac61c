/* SPDX-License-Identifier: Apache-2.0
 *
 * Changing a file that is only ever replaced whole: who changes it holds a lock (flock) on
 * the very file that the name stands for. After waiting, one looks whether the name still
 * means that file, because the one before replaced it. So no change is lost, and no lock
 * file is left behind. Readers need no lock. A link is never followed, not in a pod either:
 * it is the link that would be replaced.
 */
#include "agent/base/file.h"

#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

static mk_must lock(const char *path, int fd, bool wait, struct mk_why *why)
{
	int rc;
	do
		rc = flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
	while (rc < 0 && errno == EINTR);
	if (rc < 0 && errno == EWOULDBLOCK)
		return mk_why_set(why, MK_NOT_READY, "%s is being changed by someone else", path);
	return rc == 0 ? MK_OK : mk_why_set(why, MK_SYSTEM, "%s cannot be locked: %s", path, strerrordesc_np(errno));
}

/* Does the name still stand for the file that was opened? */
static bool still_named(const char *path, const struct stat *st)
{
	struct stat now;
	return fstatat(AT_FDCWD, path, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

enum mk_err mk_file_hold(const char *path, unsigned flags, bool wait, struct mk_held *ret, struct mk_why *why)
{
	for (;;) { /* each turn means that another change was made meanwhile */
		mk_fd fd = -1;
		struct stat st;
		MK_TRY(mk_file_open(path, flags & ~(unsigned)MK_FILE_POD, &fd, why));
		MK_TRY(lock(path, fd, wait, why));
		if (fstat(fd, &st) < 0)
			return mk_why_set(why, MK_SYSTEM, "%s cannot be read: %s", path, strerrordesc_np(errno));
		if (!still_named(path, &st))
			continue;
		*ret = (struct mk_held){ .fd = fd, .st = st };
		fd = -1;
		return MK_OK;
	}
}

enum mk_err mk_held_replace(const char *path, const struct mk_held *held, const void *p, size_t n, struct mk_why *why)
{
	return mk_file_replace(path, p, n, held->st.st_mode & 07777, held->st.st_uid, held->st.st_gid, why);
}

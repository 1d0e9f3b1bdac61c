/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are trusted only after a look: opened without following symlinks
 * (openat2 RESOLVE_NO_SYMLINKS), then checked on the descriptor: a regular file,
 * owned by root or the process's user, not writable by group or others, and neither
 * is its directory. In a pod (MK_FILE_POD) symlinks within the file's own directory are
 * followed, because a kubelet mounts files as ..data/NAME; where that volume is mounted
 * read-only (as a kubelet does) its directory's mode does not count, and a private file of
 * root's may be readable by its group (fsGroup). Root, who runs makinictl, may also open
 * the files of the user to whom their directory belongs.
 */
#ifndef MK_FILE_H
#define MK_FILE_H

#include "mk/err.h"
#include "mk/why.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

enum mk_file_flags {
	MK_FILE_POD = 1,      /* the pod's rule for symlinks */
	MK_FILE_PRIVATE = 2,  /* neither group nor others may read it, and it has one name only (keys) */
};

/* Opens for reading. why names the path and the remedy. The caller closes the descriptor.
 * NOT_FOUND: no such file. DENIED: it is not to be trusted, or may not be read. Else SYSTEM or TOO_LARGE. */
mk_must mk_file_open(const char *path, unsigned flags, int *ret_fd, struct mk_why *why);

/* Reads a whole file that was opened, at most max bytes (TOO_LARGE beyond), into buf of cap max. */
mk_must mk_file_read(int fd, void *buf, size_t max, size_t *ret_len);

/* Writes all of it; short writes and EINTR are dealt with. SYSTEM with errno on failure. */
mk_must mk_write_all(int fd, const void *p, size_t n);

/* Joins dir and name (an absolute name stays as it is). TOO_LARGE where it does not fit. */
mk_must mk_path_join(const char *dir, const char *name, char *buf, size_t cap);
/* The directory of a path ("." where there is none). */
mk_must mk_path_dir(const char *path, char *buf, size_t cap);

/* Replaces path at once: written beside it, synced, renamed, directory synced. Mode and, where the caller may, owner. */
mk_must mk_file_replace(const char *path, const void *p, size_t n, mode_t mode, uid_t uid, gid_t gid, struct mk_why *why);

/* A file that its holder alone may replace, until it closes fd. */
struct mk_held {
	int fd;
	struct stat st;
};

/* As mk_file_open, but never by a link, then locked. With `wait`, after all who hold it now; else NOT_READY where somebody does. */
mk_must mk_file_hold(const char *path, unsigned flags, bool wait, struct mk_held *ret, struct mk_why *why);
/* mk_file_replace of a path that is held; mode and owner stay. */
mk_must mk_held_replace(const char *path, const struct mk_held *held, const void *p, size_t n, struct mk_why *why);

#endif

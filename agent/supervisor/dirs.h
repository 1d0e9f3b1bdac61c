/* SPDX-License-Identifier: Apache-2.0
 *
 * The directories that an instance writes to, and the lock that makes it the only one.
 * Makes the last component where the user may; never changes one that is there.
 */
#ifndef MK_DIRS_H
#define MK_DIRS_H

#include "mk/err.h"
#include "mk/why.h"

#include <sys/types.h>

/* `key` is the configuration's word for it. why names the command that makes it. */
mk_must mk_dir_need(const char *path, mode_t mode, const char *key, struct mk_why *why);

/* Nobody else may put another directory in this one's place: on a host its parent is not open to all. */
mk_must mk_dir_stays(const char *path, const char *key, struct mk_why *why);

/* CONFLICT: another instance has it. The descriptor holds the lock for the process's life. */
mk_must mk_dir_lock(const char *path, const char *key, int *ret_fd, struct mk_why *why);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting a role's executable. They are found beside this one (P/bin, P/libexec/makini)
 * and opened once: a package upgrade under a running agent cannot mix two versions. A
 * child gets /dev/null as 0, the log as 1 and 2, its link as 3, and nothing else: no
 * other descriptor, no variables but LANG, default signals.
 */
#ifndef MK_SPAWN_H
#define MK_SPAWN_H

#include "agent/ipc/ipc.h"
#include "mk/limits.h"
#include "mk/why.h"

#include <sys/types.h>

struct mk_exes {
	char dir[MK_PATH_MAX]; /* P/libexec/makini */
	int fd[MK_ROLE_COUNT]; /* -1: the supervisor itself */
	int null_fd;
};

mk_must mk_exes_open(struct mk_exes *ret, struct mk_why *why);
void mk_exes_close(struct mk_exes *x);

mk_must mk_spawn(const struct mk_exes *x, enum mk_role role, int link_fd, pid_t *ret, struct mk_why *why);

#endif

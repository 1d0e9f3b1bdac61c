/* SPDX-License-Identifier: Apache-2.0
 *
 * A home for what a supervisor makes in the file system.
 */
#ifndef MK_TEST_SUPERVISOR_KIT_H
#define MK_TEST_SUPERVISOR_KIT_H

#include "agent/supervisor/listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[] = "/tmp/makini-unit-XXXXXX";

static inline void at(char *buf, const char *name)
{
	assert_true(snprintf(buf, MK_SOCKET_PATH_MAX, "%s/%s", home, name) > 0);
}

static inline struct stat stat_of(const char *name)
{
	char path[MK_SOCKET_PATH_MAX];
	struct stat st;
	at(path, name);
	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static inline void make_link(const char *path)
{
	assert_int_equal(symlink("/tmp/makini-unit-nowhere", path), 0);
}

static inline int make_home(void **state)
{
	(void)state;
	return mkdtemp(home) ? 0 : -1;
}

static inline int remove_home(void **state)
{
	char path[MK_SOCKET_PATH_MAX];
	(void)state;
	at(path, "lock");
	unlink(path);
	return rmdir(home);
}

#endif

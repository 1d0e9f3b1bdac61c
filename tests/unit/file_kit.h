/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of its own, and a file in it that is opened or refused.
 */
#ifndef MK_TEST_FILE_KIT_H
#define MK_TEST_FILE_KIT_H

#include "agent/base/file.h"
#include "tests/unit/child.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static char dir[64], path[128];
static struct mk_why why;

static inline void make(const char *name, mode_t mode)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "content", 7), 7);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static inline int setup(void **state)
{
	(void)state;
	memcpy(dir, "/tmp/mk-file-XXXXXX", 20);
	return mkdtemp(dir) ? 0 : -1;
}

static inline void empty(const char *where)
{
	char name[512];
	DIR *d = opendir(where);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		assert_in_range(snprintf(name, sizeof name, "%s/%s", where, e->d_name), 1, sizeof name - 1);
		if (unlink(name) < 0) {
			empty(name);
			rmdir(name);
		}
	}
	closedir(d);
}

static inline int teardown(void **state)
{
	(void)state;
	empty(dir);
	return rmdir(dir);
}

#endif

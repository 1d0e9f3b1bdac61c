/* SPDX-License-Identifier: Apache-2.0
 *
 * How many descriptors this process has: none may be left where something ended.
 */
#ifndef MK_TEST_OPEN_FDS_H
#define MK_TEST_OPEN_FDS_H

#include <dirent.h>

static inline unsigned open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif

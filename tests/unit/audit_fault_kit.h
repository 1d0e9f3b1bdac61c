/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that fails an audit log: calls that say no when a test wants it, and limits. heal() takes
 * them back.
 */
#ifndef MK_TEST_AUDIT_FAULT_KIT_H
#define MK_TEST_AUDIT_FAULT_KIT_H

#include "audit_kit.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* These stand before libc's and fail when told to. */
static int fail_ftruncate;         /* errno */
static _Atomic int fail_fdatasync; /* errno, once */
static bool never_syncs;

int ftruncate(int fd, off_t n)
{
	if (fail_ftruncate == 0)
		return (int)syscall(SYS_ftruncate, fd, n);
	errno = fail_ftruncate;
	return -1;
}

int fdatasync(int fd)
{
	const int e = never_syncs ? EIO : atomic_exchange(&fail_fdatasync, 0);
	if (e == 0)
		return (int)syscall(SYS_fdatasync, fd);
	errno = e;
	return -1;
}

static inline off_t size_of(const char *file)
{
	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	return st.st_size;
}

/* A real failure of write(2): the file may not grow beyond `bytes`. RLIM_INFINITY takes it back. */
static inline void limit(rlim_t bytes)
{
	struct rlimit r;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static inline int heal(void **state)
{
	never_syncs = false;
	fail_ftruncate = 0;
	fail_fdatasync = 0;
	limit(RLIM_INFINITY);
	return kit_teardown(state);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a role tries once it is locked down. An attempt returns 0 or an errno; it may
 * also not return. What each role must answer stands in test_lockdown.py.
 */
#ifndef MK_TEST_ATTEMPTS_H
#define MK_TEST_ATTEMPTS_H

#include <stddef.h>
#include <sys/types.h>

/* Told by the test, in probe.txt. */
struct aims {
	pid_t sibling, parent;
	char state[256];   /* the state directory */
	char outside[256]; /* a directory that the user may write to, and no role */
};
extern struct aims aims;

struct attempt {
	const char *name;
	int (*run)(void);
};
extern const struct attempt attempts[];
extern const size_t attempts_n;

#endif

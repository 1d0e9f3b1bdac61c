/* SPDX-License-Identifier: Apache-2.0
 *
 * A group of tests with memory for a crowd of callers; a file that may not grow is an error of the
 * write, not a signal.
 */
#ifndef MK_TEST_GATE_CROWD_H
#define MK_TEST_GATE_CROWD_H

#include "tests/unit/gate_fix.h"

#include <sys/wait.h>

static inline int group_make(void **state)
{
	bool locked = false;
	sigset_t set;
	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGXFSZ);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	mk_log_level(MK_ALARM);
	return mk_secret_arena_init(2200, 8, &locked) == MK_OK ? 0 : -1;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Before a value passes through this process: no core, no debugger of the same user,
 * locked memory.
 */
#include "ctl/ctl.h"

#include "agent/base/secret.h"

#include <sys/prctl.h>
#include <sys/resource.h>

int mk_ctl_guard(unsigned small, unsigned large, bool tell)
{
	struct rlimit none = { 0, 0 };
	bool locked = false;
	prctl(PR_SET_DUMPABLE, 0ul, 0ul, 0ul, 0ul);
	if (getrlimit(RLIMIT_CORE, &none) == 0) { /* the hard limit is also that of a program that is started from here */
		none.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &none);
	}
	if (mk_secret_arena_init(small, large, &locked) != MK_OK)
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	if (!locked && tell)
		mk_ctl_fail(MK_EXIT_DONE, "note: memory cannot be locked (ulimit -l): the value could reach the swap");
	return MK_EXIT_DONE;
}

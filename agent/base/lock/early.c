/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock-down's first step. Nothing is opened and nothing is read before it. Each guard
 * is set, then asked back from the kernel: what counts is what the kernel says, not
 * that a call returned 0. The configuration with its exceptions is not known yet, so
 * a guard that fails is only reported; mk_lockdown_check judges it.
 */
#include "agent/base/lock/lockdown.h"

#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOFILE_MAX 65536u

static bool no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0ul, 0ul, 0ul, 0ul) == 1;
}

static bool no_capabilities(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0, 0, 0 } }, now[_LINUX_CAPABILITY_U32S_3];

	/* The bounding set wants CAP_SETPCAP, which an unprivileged start does not have; then no_new_privs must do. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0ul, 0ul, 0ul) == 0; cap++) {
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0ul, 0ul, 0ul);
	(void)syscall(SYS_capset, &head, none); /* a unit's filter may refuse it to who has none anyway */
	memset(now, 0xff, sizeof(now));
	if (syscall(SYS_capget, &head, now) != 0)
		return false;
	return memcmp(now, none, sizeof(none)) == 0;
}

static bool no_core(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit now;

	return setrlimit(RLIMIT_CORE, &none) == 0 && getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_cur == 0 &&
	       now.rlim_max == 0;
}

static bool not_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 0ul, 0ul, 0ul, 0ul) == 0 && prctl(PR_GET_DUMPABLE, 0ul, 0ul, 0ul, 0ul) == 0;
}

/* Takes as much as the hard limit gives; how much is enough is judged by those who use it. */
static void use_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		if (l.rlim_max > NOFILE_MAX)
			l.rlim_max = NOFILE_MAX;
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	if (getrlimit(RLIMIT_MEMLOCK, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_MEMLOCK, &l);
	}
}

/* In a pod the supervisor may be pid 1 (or, seen from a nested namespace, 0): only a change tells that it died.
 * One that died before the first look is noticed by the end of the child's link. */
static enum mk_err die_with_parent(struct mk_why *why)
{
	const pid_t parent = getppid();

	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0ul, 0ul, 0ul) != 0)
		return mk_why_set(why, MK_SYSTEM, "lock-down: cannot bind this process's life to the supervisor's");
	if (getppid() != parent)
		return mk_why_set(why, MK_NOT_READY, "lock-down: the supervisor ended while this process started");
	return MK_OK;
}

enum mk_err mk_lockdown_early(bool is_child, struct mk_lockdown_report *report, struct mk_why *why)
{
	*report = (struct mk_lockdown_report){ .landlock_abi = 0 };
	(void)umask(077);
	report->state[MK_GUARD_NO_NEW_PRIVS] = no_new_privs() ? MK_GUARD_FULL : MK_GUARD_NONE;
	report->state[MK_GUARD_CAPABILITIES] = no_capabilities() ? MK_GUARD_FULL : MK_GUARD_NONE;
	report->state[MK_GUARD_NO_CORE] = no_core() ? MK_GUARD_FULL : MK_GUARD_NONE;
	use_limits();
	/* After the capabilities: a change of credentials would reset both of these. */
	report->state[MK_GUARD_NOT_DUMPABLE] = not_dumpable() ? MK_GUARD_FULL : MK_GUARD_NONE;
	return is_child ? die_with_parent(why) : MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock-down's third step: MDWE, then the role's two seccomp filters (filter.h) on all
 * threads. The guards come first, since the list would not allow a filter more.
 */
#include "agent/base/lock/filter.h"
#include "agent/base/lock/kernel.h"
#include "agent/base/lock/lockdown.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

static bool mdwe(void)
{
	const unsigned long on = MK_PR_MDWE_REFUSE_EXEC_GAIN;

	if (prctl(MK_PR_SET_MDWE, on, 0ul, 0ul, 0ul) != 0)
		return false;
	return ((unsigned long)prctl(MK_PR_GET_MDWE, 0ul, 0ul, 0ul, 0ul) & on) != 0;
}

static enum mk_err no_seccomp(uint32_t exceptions, struct mk_lockdown_report *report, struct mk_why *why)
{
	const enum mk_guard g = MK_GUARD_SECCOMP;

	if (!(exceptions & (1u << g)))
		return mk_why_set(why, MK_NOT_READY,
				  "lock-down: the required guard \"%s\" cannot be had: %s; use a kernel built with seccomp filters, or "
				  "name \"%s\" among the exceptions in the configuration",
				  mk_guards[g].word, strerrordesc_np(errno), mk_guards[g].word);
	report->state[g] = MK_GUARD_EXCEPTED;
	return MK_OK;
}

/* On all threads or on none (ESRCH: one could not be had). */
static mk_must load(scmp_filter_ctx f)
{
	const int e = seccomp_load(f);

	errno = -e;
	return e == 0 ? MK_OK : MK_NOT_READY;
}

static mk_must filter(const struct mk_role_calls *calls)
{
	mk_auto(mk_filter_releasep) scmp_filter_ctx guards = NULL;
	mk_auto(mk_filter_releasep) scmp_filter_ctx list = NULL;

	MK_TRY(mk_filter_guards(calls, &guards));
	MK_TRY(mk_filter_list(calls, &list));
	MK_TRY(load(guards));
	return load(list);
}

enum mk_err mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
			      struct mk_why *why)
{
	if (mdwe())
		report->state[MK_GUARD_MDWE] = MK_GUARD_FULL;
	const enum mk_err e = filter(calls);
	if (e == MK_NOT_READY)
		return no_seccomp(exceptions, report, why);
	if (e != MK_OK)
		return mk_why_set(why, e, "lock-down: the role's list of system calls makes no filter");
	report->state[MK_GUARD_SECCOMP] = MK_GUARD_FULL;
	if (report->state[MK_GUARD_MDWE] == MK_GUARD_NONE)
		report->state[MK_GUARD_MDWE] = MK_GUARD_FALLBACK;
	if (report->state[MK_GUARD_SIGNAL_SCOPE] == MK_GUARD_NONE && !calls->may_signal)
		report->state[MK_GUARD_SIGNAL_SCOPE] = MK_GUARD_FALLBACK;
	return MK_OK;
}

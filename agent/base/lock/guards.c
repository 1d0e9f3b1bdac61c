/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of guards and the last word on them: a required guard is in force or
 * named by an exception, or the process must not go on. Everything starts as `none`,
 * so a guard that a role forgot to report counts as missing.
 */
#include "agent/base/lock/lockdown.h"

const struct mk_guard_row mk_guards[MK_GUARD_COUNT] = {
#define MK_GUARD_ROW_(name, guard_word, needed, falls_back)                                                            \
	[MK_GUARD_##name] = { .word = (guard_word), .fallback = (falls_back), .required = (needed) },
	MK_GUARD_LIST(MK_GUARD_ROW_)
#undef MK_GUARD_ROW_
};

const char *mk_guard_state_word(enum mk_guard_state s)
{
	static const char *const words[] = {
		[MK_GUARD_NONE] = "none", [MK_GUARD_EXCEPTED] = "excepted", [MK_GUARD_FALLBACK] = "fallback",
		[MK_GUARD_FULL] = "full", [MK_GUARD_UNUSED] = "unused",
	};
	return (unsigned)s <= MK_GUARD_UNUSED ? words[s] : "none";
}

enum mk_err mk_lockdown_check(struct mk_lockdown_report *report, uint32_t exceptions, struct mk_why *why)
{
	for (unsigned g = 0; g < MK_GUARD_COUNT; g++) {
		if (report->state[g] != MK_GUARD_NONE || !mk_guards[g].required)
			continue;
		if (!(exceptions & (1u << g)))
			return mk_why_set(why, MK_NOT_READY,
					  "lock-down: the required guard \"%s\" is not in force here; give the process what it needs, "
					  "or name \"%s\" among the exceptions in the configuration",
					  mk_guards[g].word, mk_guards[g].word);
		report->state[g] = MK_GUARD_EXCEPTED;
	}
	return MK_OK;
}

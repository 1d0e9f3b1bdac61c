/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked into the supervisor of coverage builds, never into the product. Landlock is
 * inherited, so what its children may open as they start, before they lock themselves
 * down further, is what it may open: here also the directory of counters (dump.c).
 */
#include "agent/base/lock/lockdown.h"

#include <string.h>

#define RULES_MAX 32

mk_must __real_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why);
mk_must __wrap_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why);

mk_must __wrap_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why)
{
	struct mk_path_rule more[RULES_MAX];
	mk_assert(n < RULES_MAX);
	memcpy(more, rules, n * sizeof *rules);
	more[n] = (struct mk_path_rule){ .path = MK_COVER_DIR, .rights = MK_PATH_READ | MK_PATH_WRITE, .optional = true };
	return __real_mk_lockdown_files(more, n + 1, scope_signals, exceptions, report, why);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock-down's second step: Landlock. All rights that the running kernel's ABI knows
 * are handled, so what no rule gives is refused. Links and renames between directories
 * (REFER), device ioctls, symlinks, fifos and device nodes are given to nobody, which
 * also makes every ABI behave alike. Rules are few and stay; nothing is kept open.
 */
#include "agent/base/lock/kernel.h"
#include "agent/base/lock/lockdown.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READS  (MK_LL_READ_FILE | MK_LL_READ_DIR)
#define WRITES (MK_LL_WRITE_FILE | MK_LL_TRUNCATE | MK_LL_MAKE_REG | MK_LL_MAKE_DIR | MK_LL_MAKE_SOCK | \
		MK_LL_REMOVE_FILE | MK_LL_REMOVE_DIR)
#define ON_A_FILE (MK_LL_EXECUTE | MK_LL_WRITE_FILE | MK_LL_READ_FILE | MK_LL_TRUNCATE)

/* How many rights an ABI knows: they are bits from 0 up. Later ABIs are taken as the last one here. */
static const uint8_t rights_of_abi[] = { 0, 13, 14, 15, 15, 16 };

static int kernel_abi(void)
{
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, MK_LL_VERSION);

	return abi < 1 ? 0 : abi > UINT8_MAX ? UINT8_MAX : (int)abi;
}

static uint64_t handled_by(int abi)
{
	const size_t last = MK_COUNT(rights_of_abi) - 1;

	return (1ull << rights_of_abi[(size_t)abi < last ? (size_t)abi : last]) - 1;
}

static int open_ruleset(int abi, bool scope_signals)
{
	const bool scopes = abi >= MK_LL_ABI_SCOPES;
	struct mk_ll_ruleset r = { .handled_fs = handled_by(abi) };

	if (scopes)
		r.scoped = MK_LL_SCOPE_ABSTRACT | (scope_signals ? MK_LL_SCOPE_SIGNAL : 0);
	return (int)syscall(SYS_landlock_create_ruleset, &r, scopes ? sizeof(r) : MK_LL_RULESET_SIZE_1, 0u);
}

static uint64_t rights_of(const struct mk_path_rule *rule)
{
	return ((rule->rights & MK_PATH_READ) ? READS : 0) | ((rule->rights & MK_PATH_WRITE) ? WRITES : 0) |
	       ((rule->rights & MK_PATH_EXEC) ? MK_LL_EXECUTE : 0);
}

static enum mk_err add_rule(int ruleset, uint64_t handled, const struct mk_path_rule *rule, struct mk_why *why)
{
	mk_fd fd = open(rule->path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && rule->optional && (errno == ENOENT || errno == ENOTDIR))
		return MK_OK;
	if (fd < 0 || fstat(fd, &st) != 0)
		return mk_why_set(why, MK_NOT_READY, "lock-down: %s, which this process needs, cannot be opened: %s", rule->path,
				  strerrordesc_np(errno));
	struct mk_ll_path p = { .allowed = rights_of(rule) & handled, .parent_fd = fd };
	if (!S_ISDIR(st.st_mode))
		p.allowed &= ON_A_FILE;
	if (p.allowed == 0)
		return MK_OK;
	if (syscall(SYS_landlock_add_rule, ruleset, MK_LL_RULE_PATH, &p, 0u) != 0)
		return mk_why_set(why, MK_SYSTEM, "lock-down: Landlock takes no rule for %s: %s", rule->path,
				  strerrordesc_np(errno));
	return MK_OK;
}

static enum mk_err no_landlock(uint32_t exceptions, struct mk_lockdown_report *report, struct mk_why *why)
{
	const enum mk_guard g = MK_GUARD_LANDLOCK;

	if (!(exceptions & (1u << g)))
		return mk_why_set(why, MK_NOT_READY,
				  "lock-down: the required guard \"%s\" is missing: %s; use a kernel from 5.13 with landlock in its "
				  "list of security modules (lsm=), or name \"%s\" among the exceptions in the configuration",
				  mk_guards[g].word, strerrordesc_np(errno), mk_guards[g].word);
	report->state[g] = MK_GUARD_EXCEPTED;
	return MK_OK;
}

enum mk_err mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
			      struct mk_lockdown_report *report, struct mk_why *why)
{
	const int abi = kernel_abi();

	if (abi == 0)
		return no_landlock(exceptions, report, why);
	mk_fd ruleset = open_ruleset(abi, scope_signals);
	if (ruleset < 0)
		return no_landlock(exceptions, report, why);
	for (size_t i = 0; i < n; i++)
		MK_TRY(add_rule(ruleset, handled_by(abi), &rules[i], why));
	if (syscall(SYS_landlock_restrict_self, ruleset, 0u) != 0)
		return no_landlock(exceptions, report, why);
	report->landlock_abi = (uint8_t)abi;
	report->state[MK_GUARD_LANDLOCK] = MK_GUARD_FULL;
	if (abi >= MK_LL_ABI_SCOPES && scope_signals)
		report->state[MK_GUARD_SIGNAL_SCOPE] = MK_GUARD_FULL;
	return MK_OK;
}

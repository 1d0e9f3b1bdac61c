/* SPDX-License-Identifier: Apache-2.0
 *
 * What every process gives up, in three steps:
 *   early   first thing in main: umask, not dumpable, no core, no_new_privs, no
 *           capabilities, dies with its parent (children), rlimits;
 *   files   Landlock, once the configuration is known and all that must be opened is open
 *           (a helper thread starts after this step);
 *   calls   MDWE, then the role's two seccomp filters on all threads (TSYNC).
 * mk_guards[] is the one table of what is required, what falls back, and to what;
 * the report says what is in force and goes into `makinictl status` and the log.
 * A required guard that cannot be had is an error unless `exceptions` names it.
 * Who sets which: early NO_NEW_PRIVS CAPABILITIES NOT_DUMPABLE NO_CORE; files LANDLOCK
 * SIGNAL_SCOPE; calls SECCOMP MDWE and the fallbacks of MDWE and SIGNAL_SCOPE; the role
 * MEMORY_LOCK SECRETMEM PEER_PIDFD (UNUSED where it has no use for one). What nobody
 * set is `none`. The supervisor takes all steps before its first child starts: domains
 * and filters are inherited, and it may only signal what is in its own domain.
 */
#ifndef MK_LOCKDOWN_H
#define MK_LOCKDOWN_H

#include "mk/err.h"
#include "mk/why.h"

#include <stddef.h>
#include <stdint.h>

#define MK_GUARD_LIST(X) /* name, word, required, what it falls back to ("" for nothing) */            \
	X(NO_NEW_PRIVS, "no_new_privs", 1, "")                                                         \
	X(CAPABILITIES, "no_capabilities", 1, "")                                                      \
	X(NOT_DUMPABLE, "not_dumpable", 1, "")                                                         \
	X(NO_CORE, "no_core", 1, "")                                                                   \
	X(LANDLOCK, "landlock", 1, "")                                                                 \
	X(SECCOMP, "seccomp", 1, "")                                                                   \
	X(MEMORY_LOCK, "memory_lock", 1, "")                                                           \
	X(MDWE, "mdwe", 0, "seccomp refuses PROT_EXEC")                                                \
	X(SIGNAL_SCOPE, "signal_scope", 0, "seccomp refuses kill and its kin")                         \
	X(SECRETMEM, "memfd_secret", 0, "a locked page, closed at rest")                               \
	X(PEER_PIDFD, "peer_pidfd", 0, "start time in /proc")

enum mk_guard {
#define MK_GUARD_ENUM_(name, word, required, fallback) MK_GUARD_##name,
	MK_GUARD_LIST(MK_GUARD_ENUM_)
#undef MK_GUARD_ENUM_
	MK_GUARD_COUNT
};

enum mk_guard_state { MK_GUARD_NONE, MK_GUARD_EXCEPTED, MK_GUARD_FALLBACK, MK_GUARD_FULL, MK_GUARD_UNUSED };

struct mk_guard_row {
	const char *word, *fallback;
	bool required;
};
extern const struct mk_guard_row mk_guards[MK_GUARD_COUNT];
const char *mk_guard_state_word(enum mk_guard_state s); /* "none" "excepted" "fallback" "full" "unused" */

struct mk_lockdown_report {
	uint8_t state[MK_GUARD_COUNT]; /* enum mk_guard_state */
	uint8_t landlock_abi;          /* 0: none */
};

/* A directory (never a single file that others swap) and what may be done beneath it: READ files and list
 * directories; WRITE, create, truncate, remove and rename (within one directory) files, directories and
 * sockets, no symlinks; EXEC programs. Each stands for itself: who reads and writes needs both. */
enum mk_path_right { MK_PATH_READ = 1, MK_PATH_WRITE = 2, MK_PATH_EXEC = 4 };
struct mk_path_rule {
	const char *path;
	unsigned rights;
	bool optional; /* need not exist */
};

/* One row of a role's allow-list. `arg` rows compare one argument under a mask. Several rows for one call: any may match.
 * No row can allow what no role may do: PROT_EXEC (EACCES), being dumpable again (EPERM), namespaces, clone3 (ENOSYS),
 * AF_NETLINK (EAFNOSUPPORT),
 * TIOCSTI, F_SETOWN and its kin, and, without may_signal, signals to other processes. Needs no rows: exit, exit_group,
 * rt_sigreturn, restart_syscall, rt_sigprocmask, getpid, gettid, tgkill to own threads, brk, munmap, madvise. */
enum mk_call_test { MK_CALL_ANY, MK_CALL_EQ /* (arg & mask) == value */ };
struct mk_call_rule {
	int nr; /* __NR_* ; -1 entries (not on this architecture) are passed over */
	enum mk_call_test test;
	unsigned arg;
	uint64_t mask, value;
};
/* Calls that answer an errno instead of ending the process (for libraries that merely probe): whole calls, of which
 * no row allows any part (BUG otherwise). */
struct mk_call_refusal {
	int nr, error;
};

struct mk_role_calls {
	const struct mk_call_rule *allow;
	size_t n_allow;
	const struct mk_call_refusal *refuse;
	size_t n_refuse;
	bool may_signal; /* the supervisor: kill its children */
	bool inet_only; /* socket(2) of AF_UNIX answers EAFNOSUPPORT, where the list allows it (name services try) */
	bool may_exec_memory; /* children start under this filter: the loader's PROT_EXEC mappings (never writable ones)
			       * and the calls that lock-down itself makes are allowed */
};

/* is_child: killed when its parent dies. A guard that fails is only reported here, as the exceptions are not known yet. */
mk_must mk_lockdown_early(bool is_child, struct mk_lockdown_report *report, struct mk_why *why);
mk_must mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
			  struct mk_lockdown_report *report, struct mk_why *why);
mk_must mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
			  struct mk_why *why);
/* NOT_READY with the guard's name where a required guard is neither in force nor excepted. exceptions: bits 1 << enum mk_guard. */
mk_must mk_lockdown_check(struct mk_lockdown_report *report, uint32_t exceptions, struct mk_why *why);

#endif

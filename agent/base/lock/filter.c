/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that are the same for all roles, and the way of a role's rules into its
 * filter. The kernel takes most of the arguments tested here as 32 bits, so they are
 * compared under a mask: what is in the upper half must not make a rule miss.
 */
#include "agent/base/lock/filter.h"

#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/lock/kernel.h"

#define BINARY_TREE 2u /* calls are found by halving */
#define ARGS_MAX 2u
#define WORD 0xffffffffull

struct rule {
	int nr;
	uint32_t action;
	unsigned n;
	struct scmp_arg_cmp arg[ARGS_MAX];
};

#define BITS(arg, mask, value) { (arg), SCMP_CMP_MASKED_EQ, (mask), (value) }
#define UNLIKE(arg, value)     { (arg), SCMP_CMP_NE, (value), 0 }
#define NO_ARG                 { 0, SCMP_CMP_EQ, 0, 0 }

#define ALWAYS(call, action)                  { SYS_##call, (action), 0, { NO_ARG, NO_ARG } }
#define WHERE(call, action, arg, mask, value) { SYS_##call, (action), 1, { BITS(arg, mask, value), NO_ARG } }
#define ALLOW(call)                           ALWAYS(call, SCMP_ACT_ALLOW)
#define KILL(call)                            ALWAYS(call, SCMP_ACT_KILL_PROCESS)

/* -- guards */

#define NO_CLONE(flag)    WHERE(clone, SCMP_ACT_KILL_PROCESS, 0, (flag), (flag))
#define NO_IOCTL(command) WHERE(ioctl, SCMP_ACT_KILL_PROCESS, 1, WORD, (command))
#define NO_FCNTL(command) WHERE(fcntl, SCMP_ACT_KILL_PROCESS, 1, WORD, (command))
#define NO_PROT(call, bits) WHERE(call, SCMP_ACT_ERRNO(EACCES), 2, (bits), (bits))

static const struct rule no_role_may[] = {
	/* be dumpable again */
	{ SYS_prctl, SCMP_ACT_ERRNO(EPERM), 2, { BITS(0, WORD, PR_SET_DUMPABLE), UNLIKE(1, 0) } },
	/* have a namespace, which would give it capabilities again. clone3 hides its flags from filters: libraries take clone
	 * when it is not there */
	ALWAYS(clone3, SCMP_ACT_ERRNO(ENOSYS)),
	NO_CLONE(CLONE_NEWUSER), NO_CLONE(CLONE_NEWNS), NO_CLONE(CLONE_NEWPID), NO_CLONE(CLONE_NEWNET),
	NO_CLONE(CLONE_NEWIPC), NO_CLONE(CLONE_NEWUTS), NO_CLONE(CLONE_NEWCGROUP),
	/* type for the user of a terminal that standard error may be */
	NO_IOCTL(TIOCSTI), NO_IOCTL(TIOCLINUX),
	/* have a signal sent by making another process a descriptor's owner */
	NO_FCNTL(F_SETOWN), NO_FCNTL(F_SETOWN_EX), NO_FCNTL(F_SETSIG), NO_IOCTL(FIOSETOWN), NO_IOCTL(SIOCSPGRP),
	/* ask the kernel for this host's interfaces: glibc's resolver tries, and does without */
	WHERE(socket, SCMP_ACT_ERRNO(EAFNOSUPPORT), 0, WORD, AF_NETLINK),
};

static const struct rule no_exec_memory[] = {
	NO_PROT(mmap, PROT_EXEC), NO_PROT(mprotect, PROT_EXEC), NO_PROT(pkey_mprotect, PROT_EXEC),
};

/* For who starts programs: the loader maps their text from files, but nothing is both writable and executable, nor
 * becomes executable later. */
static const struct rule no_exec_gain[] = {
	NO_PROT(mmap, PROT_WRITE | PROT_EXEC), NO_PROT(mprotect, PROT_EXEC), NO_PROT(pkey_mprotect, PROT_EXEC),
};

static const struct rule no_signals[] = {
	KILL(kill), KILL(tkill), KILL(rt_sigqueueinfo), KILL(rt_tgsigqueueinfo), KILL(pidfd_send_signal),
};

/* -- list */

#define PRCTL(option) WHERE(prctl, SCMP_ACT_ALLOW, 0, WORD, (option))

static const struct rule every_role_may[] = {
	/* end, by itself or by abort(3), and return from a signal */
	ALLOW(exit), ALLOW(exit_group), ALLOW(rt_sigreturn), ALLOW(restart_syscall), ALLOW(getpid), ALLOW(gettid),
	ALLOW(rt_sigprocmask), ALLOW(tgkill),
	/* give back the memory in which the filters were made */
	ALLOW(brk), ALLOW(munmap), ALLOW(madvise),
	/* have a guard's errno instead of being killed by its list */
	ALLOW(clone3), PRCTL(PR_SET_DUMPABLE),
#ifdef MK_SANITIZED
	/* what a sanitizer's runtime calls behind our back, to watch and to report */
	ALLOW(sigaltstack), ALLOW(write), ALLOW(openat), ALLOW(read), ALLOW(close), ALLOW(readlinkat), ALLOW(sched_yield),
	ALLOW(futex), ALLOW(newfstatat),
#ifdef SYS_open
	ALLOW(open), ALLOW(readlink),
#endif
#endif
};

/* What lock-down itself calls, and a name: children lock themselves down under their parent's filters. */
static const struct rule a_child_locking_down[] = {
	ALLOW(umask), ALLOW(getppid), ALLOW(capget), ALLOW(capset),
	WHERE(prlimit64, SCMP_ACT_ALLOW, 0, WORD, 0), /* its own limits and nobody else's */
	ALLOW(landlock_create_ruleset), ALLOW(landlock_add_rule), ALLOW(landlock_restrict_self),
	ALLOW(seccomp),
	PRCTL(PR_SET_NAME), /* started by descriptor, a program is called by its number at first */
	PRCTL(PR_SET_NO_NEW_PRIVS), PRCTL(PR_GET_NO_NEW_PRIVS), PRCTL(PR_CAPBSET_DROP), PRCTL(PR_CAP_AMBIENT),
	PRCTL(PR_GET_DUMPABLE), PRCTL(PR_SET_PDEATHSIG), PRCTL(MK_PR_SET_MDWE), PRCTL(MK_PR_GET_MDWE),
};

/* -- making */

static mk_must start(uint32_t otherwise, scmp_filter_ctx *ret)
{
	static const struct {
		enum scmp_filter_attr attr;
		uint32_t value;
	} wanted[] = {
		{ SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS }, /* 32-bit calls and x32 */
		{ SCMP_FLTATR_CTL_TSYNC, 1 },
		{ SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE },
		{ SCMP_FLTATR_API_SYSRAWRC, 1 },
	};

	*ret = seccomp_init(otherwise);
	if (!*ret)
		errno = ENOSYS;
	for (size_t i = 0; *ret && i < MK_COUNT(wanted); i++) {
		const int e = seccomp_attr_set(*ret, wanted[i].attr, wanted[i].value);

		if (e != 0) {
			errno = -e;
			return MK_NOT_READY;
		}
	}
	return *ret ? MK_OK : MK_NOT_READY;
}

static mk_must add(scmp_filter_ctx f, const struct rule *r)
{
	const int e = r->nr < 0 ? 0 : seccomp_rule_add_exact_array(f, r->action, r->nr, r->n, r->arg);

	return e == 0 || e == -EEXIST ? MK_OK : e == -ENOMEM ? MK_NO_MEMORY : MK_BUG;
}

static mk_must add_all(scmp_filter_ctx f, const struct rule *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		MK_TRY(add(f, &r[i]));
	return MK_OK;
}
#define ADD(f, rules) add_all((f), (rules), MK_COUNT(rules))

enum mk_err mk_filter_guards(const struct mk_role_calls *c, scmp_filter_ctx *ret)
{
	mk_auto(mk_filter_releasep) scmp_filter_ctx f = NULL;
	const struct rule no_unix = WHERE(socket, SCMP_ACT_ERRNO(EAFNOSUPPORT), 0, WORD, AF_UNIX);
	const struct rule others = { SYS_tgkill, SCMP_ACT_KILL_PROCESS, 1, { UNLIKE(0, (uint32_t)getpid()), NO_ARG } };

	MK_TRY(start(SCMP_ACT_ALLOW, &f));
	MK_TRY(ADD(f, no_role_may));
	MK_TRY(c->may_exec_memory ? ADD(f, no_exec_gain) : ADD(f, no_exec_memory));
	if (!c->may_signal) {
		MK_TRY(ADD(f, no_signals));
		MK_TRY(add(f, &others));
	}
	if (c->inet_only)
		MK_TRY(add(f, &no_unix));
	*ret = MK_TAKE(f);
	return MK_OK;
}

static mk_must add_row(scmp_filter_ctx f, const struct mk_call_rule *a)
{
	const struct rule any = { a->nr, SCMP_ACT_ALLOW, 0, { NO_ARG, NO_ARG } };
	const struct rule some = { a->nr, SCMP_ACT_ALLOW, 1, { BITS(a->arg, a->mask, a->value), NO_ARG } };

	if (a->test == MK_CALL_ANY)
		return add(f, &any);
	return a->value & ~a->mask ? MK_BUG /* never holds; libseccomp would drop the bits */ : add(f, &some);
}

static mk_must add_refusal(scmp_filter_ctx f, const struct mk_role_calls *c, const struct mk_call_refusal *no)
{
	const struct rule r = { no->nr, SCMP_ACT_ERRNO((uint32_t)no->error), 0, { NO_ARG, NO_ARG } };

	for (size_t i = 0; no->nr >= 0 && i < c->n_allow; i++)
		if (c->allow[i].nr == no->nr)
			return MK_BUG;
	for (size_t i = 0; i < MK_COUNT(every_role_may); i++)
		if (every_role_may[i].nr == no->nr)
			return MK_OK;
	return add(f, &r);
}

enum mk_err mk_filter_list(const struct mk_role_calls *c, scmp_filter_ctx *ret)
{
	mk_auto(mk_filter_releasep) scmp_filter_ctx f = NULL;

	MK_TRY(start(SCMP_ACT_KILL_PROCESS, &f));
	MK_TRY(ADD(f, every_role_may));
	if (c->may_exec_memory)
		MK_TRY(ADD(f, a_child_locking_down));
	for (size_t i = 0; i < c->n_allow; i++)
		MK_TRY(add_row(f, &c->allow[i]));
	for (size_t i = 0; i < c->n_refuse; i++)
		MK_TRY(add_refusal(f, c, &c->refuse[i]));
	*ret = MK_TAKE(f);
	return MK_OK;
}

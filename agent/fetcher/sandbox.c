/* SPDX-License-Identifier: Apache-2.0
 *
 * What a locked fetcher may still do: read below the directories of its own files, talk
 * on the links it holds, wait, and end. No socket, no other file, no signal, no program.
 * The list is what strace showed (the `local` backend with key file and passphrase, all
 * errors, reload, drain), and what glibc may take instead on another machine.
 */
#include "agent/base/file.h"
#include "agent/fetcher/fetcher.h"
#include "agent/fetcher/sandbox.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#define DIRS_PER_BACKEND 3

#define ANY(nr) { (nr), MK_CALL_ANY, 0, 0, 0 }

static const struct mk_call_rule allowed[] = {
	/* links */
	ANY(SYS_recvmsg), ANY(SYS_sendmsg), ANY(SYS_close),
	/* the loop */
	ANY(SYS_epoll_wait), ANY(SYS_epoll_pwait), ANY(SYS_epoll_ctl), ANY(SYS_clock_gettime),
	/* files below the given directories: mk_file_open, mk_file_read */
	ANY(SYS_openat2), ANY(SYS_read), ANY(SYS_fstat), ANY(SYS_newfstatat), ANY(SYS_fstatfs), ANY(SYS_geteuid),
	/* the log on standard error */
	ANY(SYS_write),
	/* memory: malloc, the arena's cold slots, Argon2id; lock-down refuses PROT_EXEC */
	ANY(SYS_mmap), ANY(SYS_mremap), ANY(SYS_mprotect),
	/* libsodium and glibc's malloc */
	ANY(SYS_getrandom), ANY(SYS_futex),
};

/* Libraries that merely probe get an error instead of an end. */
static const struct mk_call_refusal refused[] = {
	{ SYS_openat, EACCES },
	{ SYS_readlinkat, EACCES },
	{ SYS_ioctl, ENOTTY },
};

static const struct mk_role_calls calls = {
	.allow = allowed, .n_allow = MK_COUNT(allowed),
	.refuse = refused, .n_refuse = MK_COUNT(refused),
};

const struct mk_role_calls *mk_fetcher_calls(void)
{
	return &calls;
}

static size_t paths_of(const struct mk_instance *at, const char *paths[DIRS_PER_BACKEND])
{
	const char *const all[DIRS_PER_BACKEND] = { at->conf.file, at->conf.key_file, at->conf.passphrase_file };
	size_t n = 0;
	for (size_t i = 0; i < MK_COUNT(all); i++)
		if (all[i][0])
			paths[n++] = all[i];
	return n;
}

struct dirs {
	char path[MK_BACKENDS_MAX * DIRS_PER_BACKEND][MK_PATH_MAX];
	size_t n;
};

static bool dirs_have(const struct dirs *d, const char *dir)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->path[i], dir) == 0)
			return true;
	return false;
}

static mk_must dirs_add(struct dirs *d, const char *path)
{
	char dir[MK_PATH_MAX];
	MK_TRY(mk_path_dir(path, dir, sizeof dir));
	if (!dirs_have(d, dir))
		memcpy(d->path[d->n++], dir, sizeof dir);
	return MK_OK;
}

static mk_must dirs_of(const struct mk_fetcher_conf *c, struct dirs *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < c->n; i++) {
		const char *paths[DIRS_PER_BACKEND];
		const size_t n = paths_of(&c->instances[i], paths);
		for (size_t k = 0; k < n; k++)
			MK_TRY(dirs_add(ret, paths[k]));
	}
	return MK_OK;
}

bool mk_fetcher_reaches(const struct mk_fetcher_conf *now, const struct mk_fetcher_conf *next)
{
	struct dirs have, want;
	if (dirs_of(now, &have) != MK_OK || dirs_of(next, &want) != MK_OK)
		return false;
	for (size_t i = 0; i < want.n; i++)
		if (!dirs_have(&have, want.path[i]))
			return false;
	return true;
}

enum mk_err mk_fetcher_lock(const struct mk_fetcher_conf *c, struct mk_lockdown_report *report, struct mk_why *why)
{
	const uint32_t exceptions = c->begin.exceptions;
	struct dirs d;
	struct mk_path_rule rules[MK_BACKENDS_MAX * DIRS_PER_BACKEND];
	if (dirs_of(c, &d) != MK_OK)
		return mk_why_set(why, MK_TOO_LARGE, "the path of a backend's file is too long");
	for (size_t i = 0; i < d.n; i++)
		rules[i] = (struct mk_path_rule){ d.path[i], MK_PATH_READ, false };
	report->state[MK_GUARD_SECRETMEM] = MK_GUARD_UNUSED; /* a fetcher keeps its credential in the locked arena */
	report->state[MK_GUARD_PEER_PIDFD] = MK_GUARD_UNUSED;
	MK_TRY(mk_lockdown_files(rules, d.n, true, exceptions, report, why));
	MK_TRY(mk_lockdown_calls(&calls, exceptions, report, why));
	return mk_lockdown_check(report, exceptions, why);
}

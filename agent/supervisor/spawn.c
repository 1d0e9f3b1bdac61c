/* SPDX-License-Identifier: Apache-2.0
 *
 * By posix_spawn, so that no code of ours runs between fork and exec. The executable is
 * named by its descriptor in /proc, as posix_spawn takes no descriptor; so it must be
 * open until exec, and all descriptors of this process are made to close there, also
 * those that a library opened without saying so.
 */
#include "agent/supervisor/spawn.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBEXEC "libexec/makini"

static const char *const exe_names[MK_ROLE_COUNT] = { NULL, "makini-broker", "makini-fetcher", "makini-reporter" };

/* P/bin/makini-agent is this; what is looked for lies in P. */
static mk_must find_dir(char *dir, size_t cap, struct mk_why *why)
{
	char self[MK_PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return mk_why_set(why, MK_SYSTEM, "cannot read /proc/self/exe (%s): is /proc mounted?", strerrordesc_np(errno));
	self[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(self, '/');
		if (!slash)
			return mk_why_set(why, MK_SYSTEM, "%s is not in a bin directory", self);
		*slash = '\0';
	}
	const int len = snprintf(dir, cap, "%s/" LIBEXEC, self);
	return len > 0 && (size_t)len < cap ? MK_OK : mk_why_set(why, MK_TOO_LARGE, "%s: the path is too long", self);
}

enum mk_err mk_exes_open(struct mk_exes *ret, struct mk_why *why)
{
	struct mk_exes x = { .fd = { -1, -1, -1, -1 }, .null_fd = open("/dev/null", O_RDWR | O_CLOEXEC) };
	MK_TRY(find_dir(x.dir, sizeof x.dir, why));
	mk_fd dir = open(x.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t r = 0; r < MK_ROLE_COUNT && dir >= 0; r++) {
		if (!exe_names[r])
			continue;
		struct stat st;
		x.fd[r] = openat(dir, exe_names[r], O_PATH | O_CLOEXEC);
		if (x.fd[r] >= 0 && fstat(x.fd[r], &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR))
			continue;
		mk_exes_close(&x);
		return mk_why_set(why, MK_NOT_FOUND, "%s/%s is not there or cannot be executed: install all of the agent under one "
				  "prefix (cmake --install build --prefix P)", x.dir, exe_names[r]);
	}
	if (dir < 0 || x.null_fd < 0) {
		mk_exes_close(&x);
		return mk_why_set(why, MK_NOT_FOUND, "%s is not there: install all of the agent under one prefix (cmake --install "
				  "build --prefix P)", x.dir);
	}
	*ret = x;
	return MK_OK;
}

void mk_exes_close(struct mk_exes *x)
{
	for (size_t r = 0; r < MK_ROLE_COUNT; r++)
		mk_closep(&x->fd[r]);
	mk_closep(&x->null_fd);
}

/* dup2 of a descriptor onto itself would leave it close-on-exec; the link lies above 3 (see mk_spawn). */
static int give_fds(posix_spawn_file_actions_t *a, int null_fd, int link_fd)
{
	int e = posix_spawn_file_actions_adddup2(a, null_fd, STDIN_FILENO);
	e = e ? e : posix_spawn_file_actions_adddup2(a, STDERR_FILENO, STDOUT_FILENO);
	return e ? e : posix_spawn_file_actions_adddup2(a, link_fd, MK_LINK_FD);
}

/* A group of its own: what a terminal sends to the agent is the supervisor's to act on. */
static int own_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	int e = posix_spawnattr_setsigmask(attr, &none);
	e = e ? e : posix_spawnattr_setsigdefault(attr, &all);
	e = e ? e : posix_spawnattr_setpgroup(attr, 0);
	return e ? e : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

static int run(const struct mk_exes *x, enum mk_role role, int link_fd, pid_t *ret)
{
	static char lang[] = "LANG=C";
	char name[32], path[32], *argv[] = { name, NULL }, *env[] = { lang, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;

	snprintf(name, sizeof name, "%s", exe_names[role]);
	snprintf(path, sizeof path, "/proc/self/fd/%d", x->fd[role]);
	if (posix_spawn_file_actions_init(&actions))
		return ENOMEM;
	int e = posix_spawnattr_init(&attr);
	if (!e) {
		e = give_fds(&actions, x->null_fd, link_fd);
		e = e ? e : own_signals(&attr);
		e = e ? e : posix_spawn(ret, path, &actions, &attr, argv, env);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return e;
}

enum mk_err mk_spawn(const struct mk_exes *x, enum mk_role role, int link_fd, pid_t *ret, struct mk_why *why)
{
	mk_fd link = fcntl(link_fd, F_DUPFD_CLOEXEC, MK_LINK_FD + 1);
	pid_t pid = 0;
	const bool marked = link >= 0 && close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
	const int e = marked ? run(x, role, link, &pid) : errno;
	if (e)
		return mk_why_set(why, MK_SYSTEM, "cannot start %s/%s: %s", x->dir, exe_names[role], strerrordesc_np(e));
	*ret = pid;
	return MK_OK;
}

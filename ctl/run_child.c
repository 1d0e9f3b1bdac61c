/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts the program of makinictl run. The child shares this process's memory until it executes
 * (vfork), so that tokens go from locked memory straight into the new program; it gets the signal mask,
 * the file mode mask and the core limit that were there before, descriptors 0 to 2 and no other, and it is killed when
 * this process is: nobody would tell it any more that a token was revoked.
 */
#include "agent/base/secret.h"
#include "ctl/ctl.h"
#include "ctl/run.h"
#include "mk/leaf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_DEFAULT  "/usr/local/bin:/usr/bin:/bin"
#define CANNOT_RUN    126 /* as env(1) and a shell have them */
#define CANNOT_FIND   127

/* --- which program */

static int is_program(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return access(path, X_OK) == 0 ? 0 : errno;
}

static int search(struct mk_run *r, const char *word)
{
	const char *path = getenv("PATH");
	int worst = ENOENT;
	for (const char *at = path && path[0] ? path : PATH_DEFAULT; at;) {
		const int len = (int)strcspn(at, ":");
		const int n = snprintf(r->program, sizeof r->program, "%.*s%s%s", len, at, len ? "/" : "./", word);
		const int e = n > 0 && (size_t)n < sizeof r->program ? is_program(r->program) : ENAMETOOLONG;
		if (e == 0)
			return 0;
		worst = e == EACCES ? EACCES : worst;
		at = at[len] ? at + len + 1 : NULL;
	}
	return worst;
}

int mk_run_find(struct mk_run *r)
{
	const char *word = r->argv[0];
	int e = ENAMETOOLONG;
	if (!strchr(word, '/'))
		e = word[0] ? search(r, word) : ENOENT;
	else if (snprintf(r->program, sizeof r->program, "%s", word) < (int)sizeof r->program)
		e = is_program(word);
	if (e == 0)
		return MK_EXIT_DONE;
	return mk_ctl_fail(e == ENOENT ? CANNOT_FIND : CANNOT_RUN, "%s cannot be run: %s", word, strerror(e));
}

/* --- what it gets */

/* "VARIABLE=token" in locked memory; without a token just "VARIABLE", which takes away what is there. */
static bool add(struct mk_run *r, size_t i, struct mk_secret **ret)
{
	struct mk_leaf l = { 0 };
	const bool held = mk_fed_leaf(&r->feed.fed[i], "access_token", &l);
	const size_t n = strlen(r->variables[i]), cap = n + 1 + l.value.n + 1;
	if (mk_secret_new(cap, ret) != MK_OK)
		return false;
	uint8_t *p = mk_secret_buf(*ret);
	memcpy(p, r->variables[i], n);
	if (held) {
		p[n] = '=';
		memcpy(p + n + 1, l.value.p, l.value.n);
	}
	p[held ? cap - 1 : n] = '\0';
	mk_secret_set_len(*ret, cap);
	return true;
}

struct given {
	struct mk_secret *secrets[MK_STREAM_NAMES];
	char *ours[MK_STREAM_NAMES];
	char **environment;
};

static void given_done(struct given *g)
{
	free(g->environment); /* pointers only */
	for (size_t i = 0; i < MK_STREAM_NAMES; i++)
		g->secrets[i] = mk_secret_free(g->secrets[i]);
}

static bool give(struct mk_run *r, struct given *g)
{
	size_t n = 0;
	if (r->files)
		g->ours[n++] = r->dir_variable;
	for (size_t i = 0; !r->files && i < r->feed.n; i++) {
		if (!add(r, i, &g->secrets[i]))
			return false;
		g->ours[n++] = (char *)mk_secret_buf(g->secrets[i]);
	}
	g->environment = mk_ctl_environ(g->ours, n);
	return g->environment != NULL;
}

/* --- how it starts */

/* In the child, on its parent's memory: writes nothing there but *error. */
static _Noreturn void become(const struct mk_run *r, char *const *environment, pid_t parent, volatile int *error)
{
	umask(mk_ctl_umask);
	setrlimit(RLIMIT_CORE, &r->child.core);
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0ul, 0ul, 0ul) < 0 || getppid() != parent || close_range(3, ~0u, 0) < 0 ||
	    sigprocmask(SIG_SETMASK, &r->child.mask, NULL) < 0)
		*error = errno ? errno : ESRCH;
	else if (execve(r->program, r->argv, environment) < 0)
		*error = errno;
	_exit(CANNOT_RUN);
}

static pid_t start(const struct mk_run *r, char *const *environment, volatile int *error)
{
	const pid_t parent = getpid();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	const pid_t pid = vfork();
#pragma GCC diagnostic pop
	if (pid == 0)
		become(r, environment, parent, error);
	return pid;
}

int mk_child_start(struct mk_run *r)
{
	struct given g = { 0 };
	volatile int error = 0;
	pid_t pid = -1;
	if (give(r, &g)) {
		pid = start(r, g.environment, &error);
		error = pid < 0 ? errno : error;
	} else {
		error = ENOMEM;
	}
	given_done(&g);
	r->child.pid = pid > 0 ? pid : 0;
	if (error == 0)
		return MK_EXIT_DONE;
	return mk_ctl_fail(error == ENOENT ? CANNOT_FIND : CANNOT_RUN, "%s cannot be run: %s%s", r->program, strerror(error),
			   error == ENOEXEC ? " (a script begins with #! and its interpreter)" : "");
}

/* --- signals */

int mk_child_signals(struct mk_run *r)
{
	/* SIGPIPE: so that nobody who reads standard error ends it. SIGTTIN and SIGTTOU stop it as they stop the child. */
	static const int list[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP, SIGCHLD, SIGPIPE };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < MK_COUNT(list); i++)
		sigaddset(&set, list[i]);
	if (sigprocmask(SIG_BLOCK, &set, &r->child.mask) < 0 || (r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return mk_ctl_fail(MK_EXIT_FAILED, "signals: %s", strerror(errno));
	return MK_EXIT_DONE;
}

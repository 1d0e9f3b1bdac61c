/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the command of makinictl watch --exec: by /bin/sh, as its user wrote it. What happened
 * comes in the environment, never in the command's text. One runs at a time, so that it need
 * not guard against itself.
 */
#include "ctl/ctl.h"
#include "ctl/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL "/bin/sh"
#define OURS  3u /* variables */

static void only_resync(struct mk_runner *r)
{
	r->waiting[0] = (struct mk_news){ .kind = "resync" };
	r->n = 1;
}

void mk_runner_add(struct mk_runner *r, const struct mk_news *news)
{
	if (!r->command || (r->n > 0 && !r->waiting[0].connection[0]))
		return; /* a resync that waits covers what comes after it */
	if (!news->connection[0]) {
		only_resync(r);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->waiting[i].connection, news->connection) == 0) {
			if (strcmp(news->kind, "expiring") != 0) /* which says less than what waits */
				r->waiting[i] = *news;
			return;
		}
	if (r->n == MK_RUNNER_MOST)
		only_resync(r);
	else
		r->waiting[r->n++] = *news;
}

/* This process may wait for signals that it blocks; a command does not. */
static int no_signal_blocked(posix_spawnattr_t *with)
{
	sigset_t none;
	sigemptyset(&none);
	int e = posix_spawnattr_init(with);
	if (e == 0)
		e = posix_spawnattr_setsigmask(with, &none);
	return e == 0 ? posix_spawnattr_setflags(with, POSIX_SPAWN_SETSIGMASK) : e;
}

static bool begin(struct mk_runner *r, const struct mk_news *news)
{
	char event[sizeof news->kind + 16], connection[sizeof news->connection + 24], version[sizeof news->version + 16];
	char *const ours[OURS] = { event, connection, version };
	char *const argv[] = { (char *)(uintptr_t)SHELL, (char *)(uintptr_t)"-c", (char *)(uintptr_t)r->command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t with;
	pid_t pid = 0;
	snprintf(event, sizeof event, "MAKINI_EVENT=%s", news->kind);
	snprintf(connection, sizeof connection, "MAKINI_CONNECTION=%s", news->connection);
	snprintf(version, sizeof version, "MAKINI_VERSION=%s", news->version);
	char **env = mk_ctl_environ(ours, OURS);
	int e = env ? posix_spawn_file_actions_init(&files) : ENOMEM;
	if (e == 0) {
		e = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
		if (e == 0)
			e = no_signal_blocked(&with);
		if (e == 0) {
			const mode_t own_mask = umask(mk_ctl_umask);
			e = posix_spawn(&pid, SHELL, &files, &with, argv, env);
			umask(own_mask);
			posix_spawnattr_destroy(&with);
		}
		posix_spawn_file_actions_destroy(&files);
	}
	free(env);
	if (e != 0) {
		mk_ctl_fail(MK_EXIT_FAILED, SHELL " cannot be started: %s", strerror(e));
		return false;
	}
	r->pid = pid;
	return true;
}

static void tell_of_end(int status)
{
	if (WIFSIGNALED(status))
		mk_ctl_fail(MK_EXIT_FAILED, "the command was ended by signal %d", WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		mk_ctl_fail(MK_EXIT_FAILED, "the command ended with %d", WEXITSTATUS(status));
}

bool mk_runner_step(struct mk_runner *r)
{
	int status = 0;
	if (r->pid > 0 && waitpid(r->pid, &status, WNOHANG) == r->pid) {
		r->pid = 0;
		tell_of_end(status);
	}
	if (r->pid > 0 || r->n == 0)
		return true;
	const struct mk_news next = r->waiting[0];
	memmove(&r->waiting[0], &r->waiting[1], --r->n * sizeof r->waiting[0]);
	return begin(r, &next);
}

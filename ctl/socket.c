/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the socket to talk to.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RUN_DIR "/run/makini"
#define INSTANCES_MAX 32

/* from: what to say of where the path comes from. */
static int put(char path[MK_SOCKET_PATH_MAX + 1], const char *text, const char *from)
{
	if (!text[0])
		return mk_ctl_fail(MK_EXIT_USAGE, "the socket's path%s is empty", from);
	if (strlen(text) > MK_SOCKET_PATH_MAX)
		return mk_ctl_fail(MK_EXIT_USAGE, "the socket's path%s is longer than %d bytes: %s", from, MK_SOCKET_PATH_MAX, text);
	memcpy(path, text, strlen(text) + 1);
	return MK_EXIT_DONE;
}

static int of_instance(const char *env, const char *name, char path[MK_SOCKET_PATH_MAX + 1])
{
	struct mk_word word;
	if (mk_word_of(mk_span_of(env), &word) != MK_OK)
		return mk_ctl_fail(MK_EXIT_USAGE, "not the name of an environment: %s (a-z, 0-9 and -, 32 at most)", env);
	char text[sizeof RUN_DIR + MK_WORD_MAX + 64];
	snprintf(text, sizeof text, RUN_DIR "/%s/%s.sock", word.s, name);
	return put(path, text, "");
}

/* The instances that have such a socket; their number, at most INSTANCES_MAX. */
static size_t instances(const char *name, struct mk_word *found)
{
	DIR *dir = opendir(RUN_DIR);
	size_t n = 0;
	if (!dir)
		return 0;
	for (struct dirent *e = readdir(dir); e && n < INSTANCES_MAX; e = readdir(dir)) {
		char path[sizeof RUN_DIR + sizeof e->d_name + 64];
		struct stat st;
		snprintf(path, sizeof path, RUN_DIR "/%s/%s.sock", e->d_name, name);
		if (mk_word_of(mk_span_of(e->d_name), &found[n]) == MK_OK && stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
			n++;
	}
	closedir(dir);
	return n;
}

static void tell_instances(const struct mk_word *found, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "  --env %s\n", found[i].s);
}

static int only_instance(const char *name, char path[MK_SOCKET_PATH_MAX + 1])
{
	struct mk_word found[INSTANCES_MAX];
	const size_t n = instances(name, found);
	if (n == 1)
		return of_instance(found[0].s, name, path);
	if (n == 0)
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE,
				   "no %s.sock under " RUN_DIR ": is an agent running here? "
				   "(systemctl status 'makini-agent@*'; elsewhere: --socket PATH)", name);
	mk_ctl_fail(MK_EXIT_USAGE, "more than one instance runs here; name one:");
	tell_instances(found, n);
	return MK_EXIT_USAGE;
}

/* Before a call, as connect(2) says of a file only that nobody listens. */
static int look(const struct mk_target *t, const char *path, const char *from)
{
	struct mk_word found[INSTANCES_MAX];
	struct stat st;
	errno = 0;
	if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		return MK_EXIT_DONE;
	if (errno == EACCES)
		return mk_ctl_fail(MK_EXIT_DENIED, "%s%s lies in a directory that this user may not search: run as a user that may", path, from);
	if (errno != ENOENT)
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s%s is not a socket: give the path of an agent's", path, from);
	const size_t n = t->env ? instances(t->name, found) : 0;
	mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s%s is not there: is the agent running? (systemctl status 'makini-agent@*')%s", path, from,
		    n > 0 ? " These are:" : "");
	tell_instances(found, n);
	return MK_EXIT_UNAVAILABLE;
}

int mk_ctl_socket(const struct mk_target *t, char path[MK_SOCKET_PATH_MAX + 1])
{
	const char *given = strcmp(t->name, "api") == 0 ? getenv("MAKINI_AGENT_SOCKET") : NULL;
	const char *from = "";
	int rc;
	if (t->socket && t->env)
		return mk_ctl_fail(MK_EXIT_USAGE, "--socket and --env exclude each other");
	if (t->socket)
		rc = put(path, t->socket, "");
	else if (t->env)
		rc = of_instance(t->env, t->name, path);
	else if (given && given[0])
		rc = put(path, given, from = " (from MAKINI_AGENT_SOCKET)");
	else
		rc = only_instance(t->name, path);
	return rc == MK_EXIT_DONE ? look(t, path, from) : rc;
}

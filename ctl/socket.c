/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the socket to talk to.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RUN_DIR "/run/makini"
#define INSTANCES_MAX 32

static int put(char path[MK_SOCKET_PATH_MAX + 1], const char *text)
{
	const int n = snprintf(path, MK_SOCKET_PATH_MAX + 1, "%s", text);
	if (n < 0 || n > MK_SOCKET_PATH_MAX)
		return mk_ctl_fail(MK_EXIT_USAGE, "the socket's path is longer than %d bytes: %s", MK_SOCKET_PATH_MAX, text);
	return MK_EXIT_DONE;
}

static int of_instance(const char *env, const char *name, char path[MK_SOCKET_PATH_MAX + 1])
{
	struct mk_word word;
	if (mk_word_of(mk_span_of(env), &word) != MK_OK)
		return mk_ctl_fail(MK_EXIT_USAGE, "not the name of an environment: %s (a-z, 0-9 and -, 32 at most)", env);
	char text[sizeof RUN_DIR + MK_WORD_MAX + 64];
	snprintf(text, sizeof text, RUN_DIR "/%s/%s.sock", word.s, name);
	return put(path, text);
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
	fputs("makinictl: more than one instance runs here; name one with --env:\n", stderr);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "  --env %s\n", found[i].s);
	return MK_EXIT_USAGE;
}

int mk_ctl_socket(const struct mk_target *t, char path[MK_SOCKET_PATH_MAX + 1])
{
	if (t->socket && t->env)
		return mk_ctl_fail(MK_EXIT_USAGE, "--socket and --env exclude each other");
	if (t->socket)
		return put(path, t->socket);
	if (t->env)
		return of_instance(t->env, t->name, path);
	const char *given = getenv("MAKINI_AGENT_SOCKET");
	if (given && given[0] && strcmp(t->name, "api") == 0)
		return put(path, given);
	return only_instance(t->name, path);
}

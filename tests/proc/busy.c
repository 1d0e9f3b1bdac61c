/* SPDX-License-Identifier: Apache-2.0
 *
 * A service with many threads on one handle of libmakini, for test_libmakini_sanitized.py, which builds it with the library by a
 * sanitizer: four get and repeat, one watches and gets what it is told of, one opens and closes handles of its own. For each
 * line on standard input it prints what they have seen so far; at its end they end, and so does it.
 *     busy SOCKET NAME NAME [race | leak | overflow]
 * The last word plants a mistake of a caller's, which only the library's own accesses bring to light, and ends it by itself.
 */
#include "makini/client.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BURST   50   /* gets … */
#define REST    2000 /* … then so many µs: two cores are not for these alone */
#define NAMES   2
#define ROOM    64
#define TOO_FEW 8 /* bytes, of a token that has more */

static struct {
	const char *socket, *names[NAMES], *mistake;
	makini *m;
	atomic_bool over;
	atomic_ulong ok, first, repeated, revoked, away, other, wrong, told, opened;
	char shared[ROOM]; /* with "race": into which all get, and which all read */
} t;

static bool mistake(const char *which)
{
	return t.mistake && strcmp(t.mistake, which) == 0;
}

/* Tokens are tok-NAME-NUMBER. */
static bool is_of(const char *token, const char *name, const struct makini_info *info)
{
	const size_t n = strlen(name);
	return strncmp(token, "tok-", 4) == 0 && strncmp(token + 4, name, n) == 0 && token[4 + n] == '-' && strlen(token) == info->size;
}

static void count_failure(int rc)
{
	if (rc == MAKINI_EREVOKED)
		t.revoked++;
	else if (rc == MAKINI_EAGENT || rc == MAKINI_ENOTREADY || rc == MAKINI_ETIMEOUT || rc == MAKINI_EBACKEND)
		t.away++;
	else
		t.other++;
}

static void get_into(makini *m, const char *name, char *buf)
{
	struct makini_info info;
	const int rc = makini_get(m, name, buf, ROOM, &info);
	if (rc != 0) {
		count_failure(rc);
		return;
	}
	if (!mistake("overflow") && !is_of(buf, name, &info))
		t.wrong++;
	t.ok++;
	if (strcmp(name, t.names[0]) == 0)
		t.first++;
	if (info.repeated)
		t.repeated++;
}

static void *get_all_the_time(void *arg)
{
	char *own = malloc(mistake("overflow") ? TOO_FEW : ROOM);
	(void)arg;
	while (own && !t.over) {
		for (unsigned i = 0; i < BURST && !t.over; i++)
			get_into(t.m, t.names[i % NAMES], mistake("race") ? t.shared : own);
		usleep(REST);
	}
	free(own);
	return NULL;
}

static void *watch(void *arg)
{
	char name[MAKINI_NAME_MAX + 1], buf[ROOM];
	(void)arg;
	while (!t.over) {
		struct pollfd p = { .fd = makini_watch_fd(t.m), .events = POLLIN };
		int rc = p.fd;
		if (p.fd >= 0 && poll(&p, 1, 50) > 0)
			while ((rc = makini_watch_next(t.m, name)) == 1) {
				t.told++;
				get_into(t.m, name, buf);
			}
		if (rc < 0)
			count_failure(rc);
	}
	return NULL;
}

static makini *opened(void)
{
	const struct makini_options options = { .size = sizeof options, .socket = t.socket, .allow_unlocked = 1 };
	makini *m = NULL;
	const int rc = makini_open(&options, &m);
	if (rc != 0)
		count_failure(rc);
	return m;
}

static void *open_and_close(void *arg)
{
	char buf[ROOM];
	(void)arg;
	while (!t.over) {
		makini *m = opened();
		for (unsigned i = 0; m && i < 2 * NAMES; i++)
			get_into(m, t.names[i % NAMES], buf);
		t.opened += m != NULL;
		if (!mistake("leak"))
			makini_close(m);
		usleep(5 * REST);
	}
	return NULL;
}

static void say(void)
{
	printf("{\"ok\":%lu,\"first\":%lu,\"repeated\":%lu,\"revoked\":%lu,\"away\":%lu,\"other\":%lu,\"wrong\":%lu,\"told\":%lu,\"opened\":%lu}\n", t.ok, t.first,
	       t.repeated, t.revoked, t.away, t.other, t.wrong, t.told, t.opened);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	void *(*const all[])(void *) = { get_all_the_time, get_all_the_time, get_all_the_time, get_all_the_time, watch, open_and_close };
	const size_t n = sizeof all / sizeof *all;
	pthread_t threads[sizeof all / sizeof *all];
	char line[16];
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the tests also when they are killed */
	if (argc < 4)
		return 2;
	t.socket = argv[1];
	t.names[0] = argv[2];
	t.names[1] = argv[3];
	t.mistake = argv[4];
	t.m = opened();
	for (size_t i = 0; i < n; i++)
		if (!t.m || pthread_create(&threads[i], NULL, all[i], NULL) != 0)
			return 1;
	while (t.mistake && (t.ok < 2000 || t.opened < 5))
		usleep(REST);
	while (!t.mistake && fgets(line, sizeof line, stdin))
		say();
	t.over = true;
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	makini_close(t.m);
	say();
	return 0;
}

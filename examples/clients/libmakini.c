/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens from the Makini Agent in C, with libmakini.
 *
 *   libmakini get NAME     prints the token
 *   libmakini watch NAME   a line for the token, and for each one that replaces it, until it is dead
 *
 *   cc -o libmakini libmakini.c $(pkg-config --cflags --libs libmakini)
 *
 * Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable.
 */
#define _GNU_SOURCE
#include <makini/client.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int exit_code(int error)
{
	switch (error) {
	case 0: return 0;
	case MAKINI_EDENIED: return 3;
	case MAKINI_ENOTFOUND: return 4;
	case MAKINI_EREVOKED:
	case MAKINI_EEXPIRED:
	case MAKINI_EDISABLED: return 5;
	case MAKINI_EAGENT:
	case MAKINI_ETIMEOUT:
	case MAKINI_ERATE:
	case MAKINI_EBACKEND:
	case MAKINI_ENOTREADY:
	case MAKINI_EFROZEN: return 6;
	default: return 1;
	}
}

/* A real service calls the customer's system here. It asks for the token each time, and keeps none: a repeat costs nothing. */
static int use(makini *m, const char *name, bool with_name)
{
	char token[MAKINI_TOKEN_MAX + 1];
	struct makini_info info;
	const int error = makini_get(m, name, token, sizeof token, &info);
	if (error)
		fprintf(stderr, "%s: %s\n", name, makini_strerror(error));
	else if (with_name)
		printf("%s: token of %zu bytes\n", name, info.size);
	else
		printf("%s", token);
	fflush(stdout);
	explicit_bzero(token, sizeof token);
	return error;
}

static bool is_dead(int error)
{
	return exit_code(error) == 5;
}

/* What may get better by itself is tried again each second; all else is told. */
static int wait_ms(int error)
{
	return exit_code(error) == 6 ? 1000 : -1;
}

static int watch(makini *m, const char *name)
{
	struct pollfd p = { .fd = makini_watch_fd(m), .events = POLLIN };
	char changed[MAKINI_NAME_MAX + 1];
	if (p.fd < 0) {
		fprintf(stderr, "%s\n", makini_strerror(p.fd));
		return p.fd;
	}
	int last = use(m, name, true);
	while (!is_dead(last)) {
		int more;
		if (poll(&p, 1, wait_ms(last)) == 0)
			last = use(m, name, true);
		while ((more = makini_watch_next(m, changed)) == 1) /* of all names that this handle was asked for */
			last = use(m, changed, true);
		if (more < 0)
			fprintf(stderr, "%s\n", makini_strerror(more)); /* the library connects again by itself */
	}
	return last;
}

int main(int argc, char **argv)
{
	makini *m;
	const bool get = argc == 3 && strcmp(argv[1], "get") == 0;
	if (!get && (argc != 3 || strcmp(argv[1], "watch") != 0)) {
		fprintf(stderr, "usage: %s get NAME | watch NAME\n", argv[0]);
		return 2;
	}
	int error = makini_open(NULL, &m);
	if (error) {
		fprintf(stderr, "%s\n", makini_strerror(error));
		return exit_code(error);
	}
	error = get ? use(m, argv[2], false) : watch(m, argv[2]);
	makini_close(m);
	return exit_code(error);
}

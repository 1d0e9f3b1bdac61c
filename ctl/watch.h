/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of makinictl watch share: the reader of Server-Sent Events, and the one
 * command that is run for them, one at a time.
 */
#ifndef MK_CTL_WATCH_H
#define MK_CTL_WATCH_H

#include "mk/limits.h"
#include "mk/name.h"

struct mk_news {
	char kind[17];                    /* a word: "rotated" … */
	char connection[MK_NAME_MAX + 1]; /* "" : none is meant */
	char version[4 * MK_VERSION_MAX]; /* without control characters; "" : none */
};

/* A stream as it comes in, in whatever pieces. Zero it. */
struct mk_sse {
	void (*told)(void *arg, const struct mk_news *news);
	void *arg;
	char last_id[64];                 /* of what was read; "" : none yet */
	char line[2048];
	size_t n;
	char id[64], kind[17], data[1024];
};
/* False: this is no agent's stream. */
bool mk_sse_take(struct mk_sse *s, const char *p, size_t n);
void mk_sse_restart(struct mk_sse *s); /* a new connection: what was cut off is forgotten */

/* Runs `command` by /bin/sh for each news, in MAKINI_EVENT, MAKINI_CONNECTION and MAKINI_VERSION. What comes while it runs
 * waits, the last of each connection; too much of it, or a resync, becomes one resync. */
#define MK_RUNNER_MOST 64u
struct mk_runner {
	const char *command;              /* NULL: nothing is run */
	int pid;                          /* 0: none runs */
	struct mk_news waiting[MK_RUNNER_MOST];
	size_t n;
};
void mk_runner_add(struct mk_runner *r, const struct mk_news *news);
/* Looks whether it ended, and begins the next. False: it cannot be run (a message was printed). */
bool mk_runner_step(struct mk_runner *r);

#endif

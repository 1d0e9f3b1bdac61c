/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of makinictl run share: one program, started with tokens in its environment or
 * as files, and what is done with it when they change. Its tokens lie in locked memory here.
 */
#ifndef MK_CTL_RUN_H
#define MK_CTL_RUN_H

#include "ctl/feed.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

enum mk_run_what { MK_RUN_UNSET, MK_RUN_IGNORE, MK_RUN_SIGNAL, MK_RUN_RESTART, MK_RUN_END };

struct mk_run_action {
	enum mk_run_what what;
	int signo;
};

#define MK_VARIABLE_MAX 128u

struct mk_child {
	pid_t pid;          /* 0: none */
	sigset_t mask;      /* what this process got at its start, and the child gets */
	struct rlimit core;
	int64_t born;
};

struct mk_run {
	struct mk_feed feed;
	char variables[MK_STREAM_NAMES][MK_VARIABLE_MAX]; /* of feed.fed[i], without files */
	bool files;
	char dir[MK_PATH_MAX];                            /* where they are */
	char dir_variable[MK_PATH_MAX + 32];
	struct mk_run_action on_change, on_revoke;
	int64_t grace_ms;
	char **argv;                                      /* the program's; NULL-ended */
	char program[MK_PATH_MAX];

	struct mk_child child;
	int signals;                                      /* a signalfd */
	bool news, bad_news;                              /* not acted on yet: a change; one that is gone */
	const struct mk_fed *bad;                         /* the one that is gone, and the code that fits */
	int bad_code;
	bool over, respawn, leaving, from_terminal;
	int code;
	int64_t kill_at;                                  /* 0: it is not being stopped */
	int pause_ms;                                     /* how long it lives at least before it is restarted */
};

/* --- run_child.c */
/* The file to execute, or 126, 127 after a message. */
int mk_run_find(struct mk_run *r);
/* From here on signals come to r->signals. MK_EXIT_FAILED after a message. */
int mk_child_signals(struct mk_run *r);
/* Starts the program: MK_EXIT_DONE, or 126, 127 after a message. */
int mk_child_start(struct mk_run *r);

/* --- run_files.c */
/* A file system of one's own in memory; to be called before anything else. MK_EXIT_FAILED after a message. */
int mk_run_files_begin(struct mk_run *r, const char *at);
/* Brings a connection's file up to date: written, or removed where there is no token. False after a message. */
bool mk_run_files_put(const struct mk_run *r, const struct mk_fed *f);
void mk_run_files_end(const struct mk_run *r);

/* --- run_loop.c */
/* Until the program has ended for good; its exit code. */
int mk_run_loop(struct mk_run *r);
void mk_run_changed(void *run, struct mk_fed *f); /* for feed.changed */

#endif

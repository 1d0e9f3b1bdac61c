/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl's own parts: exit codes, the command table's row, options, messages.
 * Commands return an exit code; they print answers on standard output, and what went
 * wrong, with the remedy, on standard error.
 */
#ifndef MK_CTL_H
#define MK_CTL_H

#include "mk/err.h"
#include "mk/own.h"
#include "mk/why.h"

#include <stddef.h>
#include <sys/types.h>

enum mk_exit {
	MK_EXIT_DONE = 0,
	MK_EXIT_FAILED = 1,
	MK_EXIT_USAGE = 2,
	MK_EXIT_DENIED = 3,
	MK_EXIT_NOT_FOUND = 4,
	MK_EXIT_GONE = 5,        /* revoked, expired or disabled */
	MK_EXIT_UNAVAILABLE = 6,
};

struct mk_command {
	const char *name, *arguments, *brief; /* "get", "NAME", one line */
	const char *help;                     /* what it does, its options, an example */
	int (*run)(int argc, char **argv);    /* argv after the command's name */
};
extern const struct mk_command mk_commands[];
extern const size_t mk_commands_n;

/* An option: with `flag` it takes no value; else the value's pointer goes to *value. */
struct mk_option {
	const char *name; /* "--socket" */
	const char **value;
	bool *flag;
};

/* Takes the options out of argv, wherever they stand ("--x V", "--x=V"; "--" ends them), and leaves the
 * words in words[]. What it does not know it does not repeat: people paste tokens. A message and MK_EXIT_USAGE for what is unknown or incomplete; else MK_EXIT_DONE. */
int mk_ctl_options(int argc, char **argv, const struct mk_option *options, size_t n, const char **words, size_t max_words,
		   size_t *ret_words);
/* Takes an option that may come again and again, with its values, out of argv, before mk_ctl_options: each value goes to `each`, whose
 * code ends it unless it is MK_EXIT_DONE (NULL: the value is missing). */
int mk_ctl_each(int *argc, char **argv, const char *name, int (*each)(void *arg, const char *value), void *arg);

int mk_ctl_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* message, returns code */
int mk_ctl_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int mk_ctl_why(enum mk_err e, const struct mk_why *why); /* "FILE:LINE: text", returns MK_EXIT_FAILED */
/* Secrets' memory, once per process: slots as mk_secret_arena_init has them. tell: a note where it cannot be locked. */
int mk_ctl_guard(unsigned small, unsigned large, bool tell);
const char *mk_ctl_nearest(const char *word, const char *const *known, size_t n); /* NULL: none is near */

/* This process's environment with `ours` in it ("NAME=value"; just "NAME" takes one away). The list is the caller's to
 * free, its strings are not. NULL: out of memory. */
char **mk_ctl_environ(char *const *ours, size_t n);
/* Set: a message for which standard error has no room is dropped, as a revocation must not wait for who reads it. */
extern bool mk_ctl_never_waits;
bool mk_ctl_may_speak(void);
extern mode_t mk_ctl_umask; /* what it was at the start, for programs that are started from here */

int mk_ctl_main(int argc, char **argv);

/* The commands, each in its file. */
int mk_ctl_get(int argc, char **argv);
int mk_ctl_list(int argc, char **argv);
int mk_ctl_watch(int argc, char **argv);
int mk_ctl_run(int argc, char **argv);
int mk_ctl_render(int argc, char **argv);
int mk_ctl_whoami(int argc, char **argv);
int mk_ctl_status(int argc, char **argv);
int mk_ctl_health(int argc, char **argv);
int mk_ctl_separation(int argc, char **argv);
int mk_ctl_freeze(int argc, char **argv);
int mk_ctl_thaw(int argc, char **argv);
int mk_ctl_revoke(int argc, char **argv);
int mk_ctl_restore(int argc, char **argv);
int mk_ctl_approve(int argc, char **argv);
int mk_ctl_config(int argc, char **argv);
int mk_ctl_policy(int argc, char **argv);
int mk_ctl_audit(int argc, char **argv);
int mk_ctl_local(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP call to an agent over its Unix socket. The body lies in locked memory, as it
 * may be a token.
 */
#ifndef MK_CTL_CLIENT_H
#define MK_CTL_CLIENT_H

#include "agent/base/secret.h"
#include "mk/limits.h"
#include "mk/name.h"

/* Which socket: --socket, --env, MAKINI_AGENT_SOCKET (for services), or the only instance there is. */
struct mk_target {
	const char *socket, *env; /* options as given, or NULL */
	const char *name;         /* "api" or "admin" */
};

struct mk_reply {
	long status;
	struct mk_secret *body; /* owned */
};
void mk_reply_done(struct mk_reply *r);

/* MK_EXIT_DONE with an answer of any status; else the code to end with, after a message. accept NULL: JSON. */
int mk_ctl_call(const struct mk_target *t, const char *method, const char *target, const char *accept, struct mk_reply *ret);

/* The socket's path, or the code to end with, after a message. */
int mk_ctl_socket(const struct mk_target *t, char path[MK_SOCKET_PATH_MAX + 1]);

/* For an answer that is not 200: prints its problem document, returns the exit code that its status means. */
int mk_ctl_problem(const struct mk_reply *r);

/* Writes the body to standard output as it is, with a newline where `newline` says so. */
int mk_ctl_print(const struct mk_reply *r, bool newline);

/* GET target, then print the JSON (--json), or hand it to `show`. The common form of most commands. */
struct json_t;
int mk_ctl_show(const struct mk_target *t, const char *target, bool json, int (*show)(const struct json_t *root));

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP call to an agent over its Unix socket, and what its answer means. The body
 * lies in locked memory, as it may be a token. Whatever answers may be no agent at all:
 * nothing of it is taken that does not have an agent's form, and text of it is printed
 * without control characters.
 */
#ifndef MK_CTL_CLIENT_H
#define MK_CTL_CLIENT_H

#include "agent/base/secret.h"
#include "mk/limits.h"
#include "mk/name.h"

struct json_t;

/* Which socket: --socket, --env, MAKINI_AGENT_SOCKET (for services), or the only instance there is. */
struct mk_target {
	const char *socket, *env; /* options as given, or NULL */
	const char *name;         /* "api" or "admin" */
	bool secret;              /* the answer may be a token: tell when memory cannot be locked */
	bool quick;               /* for a probe: nothing that the call waits for takes long */
	const char *method;       /* NULL: GET */
	const char *body;         /* a JSON document, no secret; NULL: none */
};

struct mk_reply {
	long status;
	struct mk_secret *body; /* owned */
};
void mk_reply_done(struct mk_reply *r);

/* MK_EXIT_DONE with an answer of any status; else the code to end with, after a message. accept NULL: JSON.
 * A 200 is of the type that was asked for. */
int mk_ctl_call(const struct mk_target *t, const char *target, const char *accept, struct mk_reply *ret);

/* The socket's path, or the code to end with, after a message. */
int mk_ctl_socket(const struct mk_target *t, char path[MK_SOCKET_PATH_MAX + 1]);

/* Says that this is no agent's answer; returns the code to end with. */
int mk_ctl_stranger(void);

/* For a call that is no single answer, on a CURL of one's own: once before the first; then how it gets to the agent; and, where a
 * transfer failed, the message, which returns the code to end with. */
int mk_ctl_ready(bool secret);
int mk_ctl_ready_for(unsigned small, unsigned large, bool secret); /* with so many slots for secrets */
void mk_ctl_over(void *curl, const char *path);
int mk_ctl_failed(void *curl, int rc, const struct mk_target *t, const char *path);
/* curl's write function, into the secret that arg is; more than it holds ends the transfer. */
size_t mk_ctl_take(char *p, size_t size, size_t n, void *arg);
/* A 200 of another type than was asked for is not passed on: it would be taken for a token. */
bool mk_ctl_is_of_type(void *curl, const char *accept);

/* Puts '?' for what a terminal would act on; true where there was any. */
bool mk_ctl_blunt(char *s);

/* The body as a JSON object whose texts may be printed; the caller's, for json_decref. Else NULL. */
struct json_t *mk_ctl_object(const struct mk_reply *r);
/* A text in it, "-" where there is none. */
const char *mk_ctl_text(const struct json_t *value);
const char *mk_ctl_text_of(const struct json_t *object, const char *key);

/* For an answer that is not 200: tells its problem document (json: as it is, on standard output), returns the exit
 * code that its status means. */
int mk_ctl_problem(const struct mk_reply *r, bool json);
int mk_ctl_problem_of(const struct mk_reply *r, const char *about); /* one of several: which it is about is said first */

/* Writes the body to standard output as it is, with a newline where `newline` says so. */
int mk_ctl_print(const struct mk_reply *r, bool newline);

/* A whole command without words: GET target of "api" or "admin", then print the JSON (--json), or hand it to `show`. */
int mk_ctl_show(int argc, char **argv, const char *listener, const char *target, int (*show)(const struct json_t *root));

#endif

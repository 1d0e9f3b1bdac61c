/* SPDX-License-Identifier: Apache-2.0
 *
 * libmakini: a service's tokens from the Makini Agent, at the cost of a function call.
 *
 * The agent decides each first get by its policy and records it. The library keeps the token in locked
 * memory that is left out of core dumps, and gives it again, with no system call, only while the agent says
 * that it is still good: after a revocation, a change of policy, or a rotation that the agent has seen, the very next get asks again, and
 * an agent that died or hangs is noticed within three seconds. There is never an answer that the agent does not stand behind.
 *
 * Threads: every function may be called from any thread at any time, makini_close excepted: it is the last call. None is to be ended in
 * one of them by pthread_cancel.
 * Fork: a handle belongs to the process that opened it. In a child every call on it but makini_close gives MAKINI_EFORK, the copies
 * in its memory read as zeros, and the child opens a handle of its own.
 * Signals: not async-signal-safe. The library starts no thread, installs no handler and changes no global state.
 * It needs nothing but libc, and a kernel that the agent runs on (Linux 5.13).
 */
#ifndef MAKINI_CLIENT_H
#define MAKINI_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAKINI_NAME_MAX    63    /* characters of a connection's name */
#define MAKINI_TOKEN_MAX   16384 /* bytes of a token */
#define MAKINI_VERSION_MAX 64
#define MAKINI_TYPE_MAX    31

/* Every failure is one of these, negative. */
enum makini_error {
	MAKINI_EINVAL = -1,        /* an argument is wrong, or the name is not a connection's name */
	MAKINI_ENOMEM = -2,        /* no memory, or no descriptor */
	MAKINI_ELOCK = -3,         /* memory cannot be locked: raise RLIMIT_MEMLOCK (LimitMEMLOCK=), or see makini_options */
	MAKINI_EFORK = -4,         /* the handle is another process's: open one here */
	MAKINI_ESMALL = -5,        /* the buffer is too small; info->size says what it takes */
	MAKINI_EAGENT = -6,        /* nobody listens at the socket, or the agent left: try again */
	MAKINI_ETIMEOUT = -7,      /* the agent, or its store, did not answer in time: try again */
	MAKINI_EPROTOCOL = -8,     /* what answered is not an agent that this library understands */
	MAKINI_EUNAUTHENTICATED = -9, /* this service needs a bearer token, which only the HTTP API takes */
	MAKINI_EDENIED = -10,      /* policy does not allow it (also for a name that does not exist) */
	MAKINI_ENOTFOUND = -11,
	MAKINI_EREVOKED = -12,     /* these three will not get better by themselves */
	MAKINI_EEXPIRED = -13,
	MAKINI_EDISABLED = -14,
	MAKINI_ERATE = -15,        /* too often; info->retry_after_s says when to come again */
	MAKINI_EBACKEND = -16,     /* the store failed and no good copy is left: try again */
	MAKINI_ENOTREADY = -17,    /* the agent cannot serve just now: try again */
	MAKINI_EFROZEN = -18,      /* the security team has stopped all hand-outs */
	MAKINI_EINTERNAL = -19
};

typedef struct makini makini;

/* Zeroed: the defaults. `size` is sizeof(struct makini_options), so that later versions can add to it. */
struct makini_options {
	size_t size;
	const char *socket;    /* the service's socket, as for HTTP (".../api.sock"); NULL: MAKINI_AGENT_SOCKET, which must then be set */
	int timeout_ms;        /* of one ask; 0: 10,000 */
	int allow_unlocked;    /* not 0: where memory cannot be locked, go on without. It is still left out of dumps */
};

/* What stands beside a token, as it was handed out. Filled wherever makini_get has an answer; all zeros otherwise. */
struct makini_info {
	size_t size;                           /* bytes of the token */
	char version[MAKINI_VERSION_MAX + 1];  /* the store's id of this version, NUL-terminated */
	char token_type[MAKINI_TYPE_MAX + 1];  /* "bearer" where the store says nothing */
	int64_t expires_ms;                    /* since 1970; INT64_MIN: never, or unknown */
	uint32_t age_s;                        /* since the agent fetched it */
	uint32_t retry_after_s;                /* with MAKINI_ERATE; 0: not said */
	int stale;                             /* not 0: the store could not be reached, this is the last good value */
	int repeated;                          /* not 0: from this library's memory; no hand-out */
};

/* Opens a handle and says hello. options may be NULL. 0 and *ret, which makini_close ends; or EINVAL, ENOMEM, ELOCK, EAGENT,
 * ETIMEOUT, EPROTOCOL, EDENIED (the caller is nobody the policy knows), EUNAUTHENTICATED, ENOTREADY, EINTERNAL; then
 * *ret is NULL. */
int makini_open(const struct makini_options *options, makini **ret);

/* The current token of a connection, into buf (size bytes; MAKINI_TOKEN_MAX always does), followed by a NUL where there is room for
 * one. info may be NULL. 0, or a failure: then buf is left as it is. Blocks for as long as an ask may take (timeout_ms), and
 * not at all for a repeat. The caller wipes buf when it is done with it: explicit_bzero(3). */
int makini_get(makini *m, const char *connection, char *buf, size_t size, struct makini_info *info);

/* A descriptor that becomes readable (poll(2), level-triggered) when a token that this handle handed out may have changed, or the agent
 * left. The handle's: never read or closed by the caller, valid until makini_close. Each call gives the same one. Or a failure. */
int makini_watch_fd(makini *m);

/* Which? 1 and the name of a connection whose copy is no longer good; each is named once, until the next get of it. 0: no more, and
 * the descriptor waits again. Or a failure; MAKINI_EAGENT: the agent left, everything may have changed, and each name is told so; it is connected to again by
 * further calls, for which the descriptor is readable in time. Never blocks. */
int makini_watch_next(makini *m, char name[MAKINI_NAME_MAX + 1]);

/* Wipes all copies and ends the handle. NULL is fine. In a child after fork it frees what the child has of it. */
void makini_close(makini *m);

/* A sentence for people: what happened and what to do. Never NULL; static. */
const char *makini_strerror(int error);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The reporter's inside, private to this folder: two probes over HTTP on a socket that
 * the supervisor made. It knows figures and codes; never a token, a credential, or the
 * name of a connection or a service.
 */
#ifndef MK_REPORTER_H
#define MK_REPORTER_H

#include "agent/base/lock/lockdown.h"
#include "agent/base/loop.h"
#include "agent/ipc/ipc.h"
#include "agent/ipc/msgs.h"

struct mk_probe; /* the HTTP side */

/* Takes over fd. *reasons is what /readyz tells: enum mk_reason bits. */
mk_must mk_probe_new(struct mk_loop *l, int fd, const uint32_t *reasons, struct mk_probe **ret);
struct mk_probe *mk_probe_free(struct mk_probe *p);

struct mk_reporter {
	struct mk_loop *loop;
	struct mk_link *supervisor;
	struct mk_lockdown_report guards;
	struct mk_msg_begin begin;
	int listen_fd;        /* until the probe has it */
	struct mk_probe *probe;
	uint32_t reasons;
	uint32_t generation;  /* 0: nothing in force yet */
	int exit_code;
};

/* links.c: the supervisor's messages. */
enum mk_err mk_reporter_frame(void *arg, struct mk_frame *f);
void mk_reporter_gone(void *arg, enum mk_err e, enum mk_msg at);

#endif

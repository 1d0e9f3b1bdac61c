/* SPDX-License-Identifier: Apache-2.0
 *
 * Links between processes: SOCK_SEQPACKET pairs, one frame a packet, at most one
 * descriptor with it. The table (ipc.def) is checked before any handler runs; a frame
 * that fails it makes mk_link_recv return BAD_REQUEST, and the owner of the link drops
 * it. Frames are received straight into a secret (locked memory), as some carry one.
 */
#ifndef MK_IPC_H
#define MK_IPC_H

#include "agent/base/loop.h"
#include "agent/base/rw.h"
#include "mk/err.h"

enum mk_role { MK_ROLE_SUPERVISOR, MK_ROLE_BROKER, MK_ROLE_FETCHER, MK_ROLE_REPORTER, MK_ROLE_COUNT };
const char *mk_role_word(enum mk_role r); /* "supervisor" … */

enum mk_msg {
#define MK_MSG(name, from, to, max, fd, phase, text) MK_MSG_##name,
#include "agent/ipc/ipc.def"
#undef MK_MSG
	MK_MSG_COUNT
};

struct mk_msg_row {
	const char *name;
	unsigned from, to; /* bits 1 << enum mk_role */
	uint32_t max;
	bool fd;
	uint8_t phase; /* enum mk_phase */
	const char *text;
};
enum mk_phase { MK_PHASE_ANY, MK_PHASE_CONFIG, MK_PHASE_READY };
extern const struct mk_msg_row mk_msgs[MK_MSG_COUNT];

#define MK_FRAME_HEAD 12u           /* u16 type, u16 zero, u32 generation, u32 body length */
#define MK_FRAME_MAX  (73728u + MK_FRAME_HEAD)
#define MK_LINK_FD    3             /* a child's link to the supervisor */

struct mk_link;

struct mk_frame {
	enum mk_msg type;
	uint32_t generation;
	struct mk_span body; /* borrowed until the handler returns, then wiped */
	int fd;              /* -1, or owned by the handler, which sets it to -1 when it keeps it */
};

/* An error that the handler returns, or a frame against the table, ends the link: `gone` is called
 * once (also when the peer went away, with OK), after which the owner frees the link. */
typedef enum mk_err mk_frame_fn(void *arg, struct mk_frame *f);
typedef void mk_gone_fn(void *arg, enum mk_err e, enum mk_msg at);

/* Both ends of a new link, with send buffers that hold the largest frame. The caller closes them. */
mk_must mk_link_pair(int *ret_a, int *ret_b);

/* Takes over fd (on failure it stays the caller's) and watches it in the loop. self and peer are the roles at both ends. */
mk_must mk_link_new(struct mk_loop *l, int fd, enum mk_role self, enum mk_role peer, mk_frame_fn *on_frame,
		    mk_gone_fn *on_gone, void *arg, struct mk_link **ret);
struct mk_link *mk_link_free(struct mk_link *k); /* closes; also allowed inside its own handlers */

/* Sends one frame: queued (and wiped after sending) when the peer is slow, up to MK_LINK_QUEUE_MAX bytes;
 * beyond that NOT_READY, as when the peer has gone. fd -1 or a descriptor that stays the caller's.
 * Sending against the table is a bug. */
#define MK_LINK_QUEUE_MAX (4u * 1024 * 1024)
mk_must mk_link_send(struct mk_link *k, enum mk_msg type, struct mk_span body, int fd);

/* The generation that frames carry: set by the supervisor before CONF_BEGIN, taken from CONF_BEGIN by a child. */
void mk_link_generation(struct mk_link *k, uint32_t generation);
/* This end is ready: frames of that phase are allowed. A link to or from the supervisor does it by itself
 * when READY passes, a link between children is ready from the start; calling it again is harmless. */
void mk_link_ready(struct mk_link *k);

/* For senders of more than fits: fn is called from the loop whenever the queue has run empty. */
void mk_link_on_room(struct mk_link *k, void (*fn)(void *arg));
size_t mk_link_queued(const struct mk_link *k); /* bytes that wait */

#endif

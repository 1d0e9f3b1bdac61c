/* SPDX-License-Identifier: Apache-2.0
 *
 * One packet over a SOCK_SEQPACKET socket, with at most one descriptor, and the queue
 * of packets that a slow peer could not take yet. Private to this folder. Never
 * blocks; what was sent from the queue is wiped.
 */
#ifndef MK_IPC_PACKET_H
#define MK_IPC_PACKET_H

#include "agent/ipc/ipc.h"

struct mk_got {
	size_t n;     /* bytes; 0: the peer has gone */
	int fd;       /* -1, or the receiver's */
};

/* NOT_READY: nothing there. BAD_REQUEST: empty, cut short, or more than one descriptor (all closed). SYSTEM. */
mk_must mk_packet_recv(int sock, uint8_t *buf, size_t cap, struct mk_got *ret);

struct mk_out {
	struct mk_span head, body;
	int fd;
	bool secret; /* if it must wait, it waits in locked memory */
};
/* NOT_READY: the peer is slow. SYSTEM: it has gone, or worse. */
mk_must mk_packet_send(int sock, const struct mk_out *o);

struct mk_queued;
struct mk_queue {
	struct mk_queued *first, *last;
	size_t bytes;
};
mk_must mk_queue_add(struct mk_queue *q, const struct mk_out *o); /* copies; NOT_READY beyond its limit */
mk_must mk_queue_flush(struct mk_queue *q, int sock);             /* OK also when the peer is still slow */
void mk_queue_done(struct mk_queue *q);

#endif

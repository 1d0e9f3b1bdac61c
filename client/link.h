/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to the agent, packet by packet. Nothing here takes a lock.
 */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include <stddef.h>

#include "client/frame.h"
#include "client/handle.h"

/* Beside MAKINI_E…, of this side alone: */
enum { LINK_LOST = 1, /* the other side is gone */ LINK_NOTHING = 2 /* no packet yet */ };

struct packet {
	struct bytes bytes;
	int fd; /* the one descriptor that came with it, the receiver's to close; -1: none */
};

/* A socket path as for HTTP becomes the address of what listens beside it for this library; EINVAL. */
int link_address(const char *path, struct sockaddr_un *ret);

/* Connects until the deadline (ns of CLOCK_MONOTONIC), or without waiting (0; then ETIMEOUT where it would have to). EAGENT, EDENIED, EPROTOCOL, ENOMEM. */
int link_connect(const struct sockaddr_un *at, int64_t deadline, int *ret_fd);

/* Sends one ask, never blocking. LINK_LOST, ENOMEM. */
int link_send(int fd, enum wire_type type, uint32_t number, const struct bytes *name);

/* Receives one packet into buf, without waiting. LINK_NOTHING, LINK_LOST, ENOMEM, EPROTOCOL: too long, or more than one descriptor. */
int link_receive(int fd, unsigned char *buf, size_t size, struct packet *ret);

/* 0 when there is something to receive; ETIMEOUT. */
int link_wait(int fd, int64_t deadline);

/* fd, or another for the same in place of 0 to 2. */
int link_above_two(int fd);

/* Ends a connection, also where a child of fork holds it too. */
void link_end(int *fd);

/* Closes *fd and forgets it, in the order that a child of fork needs. */
void link_close(int *fd);

#endif

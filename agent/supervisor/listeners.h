/* SPDX-License-Identifier: Apache-2.0
 *
 * The Unix sockets that services knock at. A socket appears at its path at once and
 * ready: made under another name, with its final mode and group, then renamed. What is
 * at the path and is not a socket of this user's is never touched. A set owns its
 * descriptors; two sets (before and after a reload) may share sockets by their path.
 */
#ifndef MK_LISTENERS_H
#define MK_LISTENERS_H

#include "mk/conf.h"
#include "mk/why.h"

struct mk_listener {
	struct mk_conf_listener conf;
	int fd;
	bool client; /* the one for libmakini (SOCK_SEQPACKET), beside the one of the same name: conf.path is its own */
	bool passed; /* made by systemd: its file is not looked at, changed or removed */
	dev_t dev;  /* of the socket's file, to know it again */
	ino_t ino;
};

struct mk_listeners {
	struct mk_listener *l; /* owned */
	size_t n;
};

/* A set for conf, those for libmakini behind the others: sockets that `have` was passed under the same name are shared as they are; those that it has at the
 * same path, and that are still there, are shared with the new mode and group; others are made. BAD_REQUEST where one
 * was passed that conf does not name. Beside a listener that was passed alone, libmakini's is made where that may be, with that
 * one's mode and group, or left out with a line in the log. On failure everything is as it was. `have` may be empty. */
mk_must mk_listeners_open(const struct mk_conf *conf, const struct mk_listeners *have, struct mk_listeners *ret,
			  struct mk_why *why);

/* Closes a set and removes the files that `stay` does not have (NULL: all) and that are still ours. Where
 * `stay` has them, they get its mode and group. */
void mk_listeners_close(struct mk_listeners *gone, const struct mk_listeners *stay);

/* Callers of this listener cannot send descriptors along (EPERM), where the kernel knows how. Where it does not, none is
 * taken either: the broker reads without room for them. */
void mk_listener_refuse_descriptors(int fd);

/* The reporter's TCP socket. CONFLICT: the address is taken. */
mk_must mk_tcp_listen(const struct sockaddr_storage *addr, int *ret_fd, struct mk_why *why);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * sd_notify(3) without its library: datagrams to the socket that NOTIFY_SOCKET names,
 * nothing where there is none. Never waits: a notice that finds no room is lost, and
 * the caller is told.
 */
#ifndef MK_NOTIFY_H
#define MK_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct mk_notify {
	int fd; /* -1: nobody wants to know */
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t watchdog_us; /* 0: nobody watches */
};

/* The value of one of the variables that this process was started with; NULL: not set. */
const char *mk_variable(char *const *environment, const char *name);

void mk_notify_open(struct mk_notify *n, char *const *environment);
/* false: there was no room for it now, or nobody is there. true where nobody wants to know. */
bool mk_notify(const struct mk_notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

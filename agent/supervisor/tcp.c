/* SPDX-License-Identifier: Apache-2.0
 *
 * The reporter's TCP socket: made here, because nobody else may make one that listens.
 */
#include "agent/supervisor/listeners.h"
#include "mk/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define BACKLOG 64

static void name_of(const struct sockaddr_storage *a, char out[INET6_ADDRSTRLEN + 10])
{
	char host[INET6_ADDRSTRLEN] = "?";
	in_port_t port = 0;
	if (a->ss_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, a, sizeof in);
		inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
		port = in.sin_port;
	} else {
		struct sockaddr_in6 in;
		memcpy(&in, a, sizeof in);
		inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host);
		port = in.sin6_port;
	}
	snprintf(out, INET6_ADDRSTRLEN + 10, a->ss_family == AF_INET ? "%s:%u" : "[%s]:%u", host, ntohs(port));
}

enum mk_err mk_tcp_listen(const struct sockaddr_storage *addr, int *ret_fd, struct mk_why *why)
{
	char name[INET6_ADDRSTRLEN + 10];
	const socklen_t n = addr->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	const int on = 1;
	name_of(addr, name);
	mk_fd fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (const struct sockaddr *)addr, n) < 0 || listen(fd, BACKLOG) < 0)
		return errno == EADDRINUSE
			       ? mk_why_set(why, MK_CONFLICT, "reporter.listen: the address %s is taken; give another one, or \"none\"",
					    name)
			       : mk_why_set(why, MK_SYSTEM, "reporter.listen: cannot listen at %s: %s", name, strerrordesc_np(errno));
	*ret_fd = MK_TAKE_FD(fd);
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * SOCK_SEQPACKET, one frame a packet. A program may run with descriptors 0 to 2 closed; ours never take their place, where
 * the program's own output would go to the agent.
 */
#include "client/link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/clock.h"

#define FDS_MAX 4 /* descriptors of one packet that are looked at; the kernel closes what does not fit */

int link_address(const char *path, struct sockaddr_un *ret)
{
	static const char from[] = ".sock", to[] = ".client.sock", client[] = ".client";
	const size_t n = strnlen(path, sizeof ret->sun_path), ends = sizeof from - 1;
	const size_t stem = n - (n < ends ? n : ends);
	if (path[0] != '/' || stem == 0 || path[stem - 1] == '/' || stem + sizeof to > sizeof ret->sun_path)
		return MAKINI_EINVAL;
	if (strcmp(path + stem, from) != 0 || (stem >= sizeof client && memcmp(path + stem - (sizeof client - 1), client, sizeof client - 1) == 0))
		return MAKINI_EINVAL;
	memset(ret, 0, sizeof *ret);
	ret->sun_family = AF_UNIX;
	memcpy(ret->sun_path, path, stem);
	memcpy(ret->sun_path + stem, to, sizeof to);
	return 0;
}

void link_close(int *fd)
{
	const int over = *fd;
	*fd = -1;
	if (over >= 0)
		close(over);
}

void link_end(int *fd)
{
	if (*fd >= 0)
		shutdown(*fd, SHUT_RDWR);
	link_close(fd);
}

int link_above_two(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return moved;
}

static int connect_error(int error)
{
	switch (error) {
	case EAGAIN:
		return MAKINI_ETIMEOUT;
	case EACCES:
	case EPERM:
		return MAKINI_EDENIED;
	case EPROTOTYPE:
		return MAKINI_EPROTOCOL;
	case ENOMEM:
	case ENOBUFS:
		return MAKINI_ENOMEM;
	default:
		return MAKINI_EAGENT;
	}
}

/* A connect that finds the queue full waits for as long as a send may. */
static int connect_once(int fd, const struct sockaddr_un *at, int64_t deadline)
{
	const int64_t left = deadline - monotonic_ns();
	if (deadline != 0) {
		const int64_t us = left > 1000 ? left / 1000 : 1; /* 0 would be for ever */
		const struct timeval wait = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	}
	return connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 ? 0 : errno;
}

int link_connect(const struct sockaddr_un *at, int64_t deadline, int *ret_fd)
{
	int fd = link_above_two(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | (deadline == 0 ? SOCK_NONBLOCK : 0), 0));
	if (fd < 0)
		return MAKINI_ENOMEM;
	int error;
	while ((error = connect_once(fd, at, deadline)) == EINTR)
		;
	if (error != 0) {
		close(fd);
		return connect_error(error);
	}
	*ret_fd = fd;
	return 0;
}

int link_send(int fd, enum wire_type type, uint32_t number, const struct bytes *name)
{
	unsigned char buf[WIRE_ASK_MAX];
	const size_t n = frame_ask(buf, type, number, name);
	ssize_t sent;
	while ((sent = send(fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 && errno == EINTR)
		;
	if (sent >= 0)
		return 0;
	return errno == ENOMEM || errno == ENOBUFS ? MAKINI_ENOMEM : LINK_LOST;
}

/* The descriptors of a message: the first is kept, the others are closed. How many there were. */
static unsigned descriptors(struct msghdr *msg, int *ret_first)
{
	unsigned found = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, found++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (found == 0)
				*ret_first = fd;
			else
				close(fd);
		}
	}
	return found;
}

static int received(struct msghdr *msg, size_t n, struct packet *ret)
{
	struct packet p = { .bytes = { msg->msg_iov->iov_base, n }, .fd = -1 };
	const unsigned found = descriptors(msg, &p.fd);
	const bool cut = (msg->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	if (found <= 1 && !cut) {
		*ret = p;
		return 0;
	}
	link_close(&p.fd);
	/* no descriptor of many: this process may have no more */
	return found == 0 && (msg->msg_flags & MSG_TRUNC) == 0 ? MAKINI_ENOMEM : MAKINI_EPROTOCOL;
}

int link_receive(int fd, unsigned char *buf, size_t size, struct packet *ret)
{
	union {
		struct cmsghdr head;
		unsigned char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec part = { buf, size };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n;
	while ((n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (n > 0)
		return received(&msg, (size_t)n, ret);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return LINK_NOTHING;
	return n < 0 && (errno == ENOMEM || errno == ENOBUFS) ? MAKINI_ENOMEM : LINK_LOST;
}

int link_wait(int fd, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	for (;;) {
		const int64_t left = deadline - monotonic_ns();
		if (left <= 0)
			return MAKINI_ETIMEOUT;
		const int64_t ms = (left + NS_PER_MS - 1) / NS_PER_MS;
		const int n = poll(&p, 1, ms < INT_MAX ? (int)ms : INT_MAX);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return MAKINI_ENOMEM;
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * sendmsg and recvmsg with exactly the one descriptor that a frame may carry. What the
 * kernel hands over beyond that is closed before anything else happens.
 */
#include "agent/ipc/packet.h"
#include "mk/own.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FDS_SEEN_MAX 8 /* room for more than allowed, so that a flood is noticed; the kernel drops the rest */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDS_SEEN_MAX * sizeof(int))];
};

/* Collects the descriptors of all control messages; false where one is not about descriptors. */
static bool collect(struct msghdr *m, int fds[FDS_SEEN_MAX], size_t *n)
{
	bool good = true;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			good = false;
			continue;
		}
		const size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here && *n < FDS_SEEN_MAX; i++)
			memcpy(&fds[(*n)++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return good;
}

/* An empty packet and the end of the link read alike; but only after the end can nothing be sent. */
static bool peer_is_there(int sock)
{
	const struct msghdr nothing = { 0 };
	return sendmsg(sock, &nothing, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || (errno != EPIPE && errno != ECONNRESET);
}

/* What came, or BAD_REQUEST with all descriptors closed. */
static mk_must judge(int sock, struct msghdr *m, size_t n, struct mk_got *ret)
{
	int fds[FDS_SEEN_MAX];
	size_t n_fds = 0;
	const bool good = collect(m, fds, &n_fds);
	if (!good || n_fds > 1 || (m->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (n == 0 && n_fds == 0 && peer_is_there(sock))) {
		for (size_t i = 0; i < n_fds; i++)
			mk_close(fds[i]);
		return MK_BAD_REQUEST;
	}
	*ret = (struct mk_got){ n, n_fds == 1 ? fds[0] : -1 };
	return MK_OK;
}

enum mk_err mk_packet_recv(int sock, uint8_t *buf, size_t cap, struct mk_got *ret)
{
	union control control;
	struct iovec io = { buf, cap };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n;
	do
		n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == ECONNRESET || errno == EPIPE)) {
		*ret = (struct mk_got){ 0, -1 };
		return MK_OK;
	}
	if (n < 0)
		return errno == EAGAIN ? MK_NOT_READY : MK_SYSTEM;

	return judge(sock, &m, (size_t)n, ret);
}

enum mk_err mk_packet_send(int sock, const struct mk_out *o)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec io[2] = { { (void *)(uintptr_t)o->head.p, o->head.n }, { (void *)(uintptr_t)o->body.p, o->body.n } };
	struct msghdr m = { .msg_iov = io, .msg_iovlen = 2 };
	if (o->fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control.bytes;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &o->fd, sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return MK_OK;
	return errno == EAGAIN || errno == ENOBUFS ? MK_NOT_READY : MK_SYSTEM;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The least that a server on a Unix socket can do: epoll, read to the end of a head, write
 * the same fixed answer. The bench's measure of all others. echo SOCKET BODY-BYTES
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EVENTS 256

static char answer[65536];
static size_t answer_n;

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || chmod(path, 0666) != 0 || listen(fd, 1024) != 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* A head that ends with this read is answered; requests of the bench come whole. */
static void serve(int fd)
{
	char buf[4096];
	const ssize_t n = read(fd, buf, sizeof buf);
	if (n <= 0 && errno != EAGAIN) {
		close(fd);
		return;
	}
	if (n >= 4 && memcmp(buf + n - 4, "\r\n\r\n", 4) == 0 && write(fd, answer, answer_n) < 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event got[EVENTS], e = { .events = EPOLLIN };
	if (argc != 3)
		return 2;
	const size_t body = strtoul(argv[2], NULL, 10);
	const int n = snprintf(answer, 4096, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body);
	answer_n = (size_t)n + body;
	if (answer_n > sizeof answer)
		return 2;
	memset(answer + n, 'x', body);
	const int l = listen_at(argv[1]), ep = epoll_create1(0);
	e.data.fd = l;
	epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
	for (;;) {
		const int k = epoll_wait(ep, got, EVENTS, -1);
		for (int i = 0; i < k; i++) {
			if (got[i].data.fd != l) {
				serve(got[i].data.fd);
				continue;
			}
			e.data.fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
			if (e.data.fd >= 0)
				epoll_ctl(ep, EPOLL_CTL_ADD, e.data.fd, &e);
		}
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer's process whose /proc is a directory of the test, under a kernel that says what the test wants.
 */
#ifndef MK_TEST_PEER_KIT_H
#define MK_TEST_PEER_KIT_H

#include "agent/broker/evidence.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define CGROUP "0::/system.slice/billing.service\n"
#define STAT_HEAD "(a) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 "

static struct {
	char dir[64];
	int proc, fds[2];
} fix;

/* What the kernel says in place of the truth; the linker puts these before libc's. */
static struct {
	int no_pidfd;       /* errno of SO_PEERPIDFD; 0: the truth */
	socklen_t n;        /* its length; 0: the true one */
	bool interrupted;   /* the next read is, once */
	size_t at_a_time;   /* no read gives more; 0: all */
	ssize_t left;       /* as many bytes are read before a read fails; -1: all */
	unsigned reads_of_cgroup;
	const char *stat;   /* becomes the process's stat as its cgroup is read */
} says;

int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *n);
ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

static inline void put(pid_t pid, const char *file, const char *text, size_t n)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%d", fix.dir, pid);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/%d/%s", fix.dir, pid, file);
	mk_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
}

static inline void put_text(pid_t pid, const char *file, const char *text)
{
	put(pid, file, text, strlen(text));
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *n)
{
	if (option == SO_PEERPIDFD && says.no_pidfd) {
		errno = says.no_pidfd;
		return -1;
	}
	const int rc = __real_getsockopt(fd, level, option, value, n);
	if (option == SO_PEERPIDFD && says.n) {
		*n = says.n;
		errno = 0;
	}
	return rc;
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	char link[32], path[256] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	assert_true(readlink(link, path, sizeof path - 1) > 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	if (strstr(path, "/cgroup")) {
		says.reads_of_cgroup++;
		if (says.stat)
			put_text(getpid(), "stat", MK_TAKE(says.stat));
	}
	if (says.interrupted) {
		says.interrupted = false;
		errno = EINTR;
		return -1;
	}
	if (says.left == 0) {
		errno = EIO;
		return -1;
	}
	if (says.at_a_time && says.at_a_time < n)
		n = says.at_a_time;
	const ssize_t got = __real_read(fd, buf, says.left > 0 && (size_t)says.left < n ? (size_t)says.left : n);
	if (says.left > 0 && got > 0)
		says.left -= got;
	return got;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	assert_int_equal(timeout, 0); /* the broker has others to serve */
	return __real_poll(fds, n, timeout);
}

static inline int begin(void **state)
{
	(void)state;
	memset(&says, 0, sizeof says);
	says.left = -1;
	snprintf(fix.dir, sizeof fix.dir, "/tmp/mk-peer-XXXXXX");
	assert_non_null(mkdtemp(fix.dir));
	fix.proc = open(fix.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fix.fds), 0);
	put_text(getpid(), "cgroup", CGROUP);
	put_text(getpid(), "stat", "77 " STAT_HEAD "4711 23 24\n");
	return 0;
}

static inline int end(void **state)
{
	static const pid_t others[] = { 0, 1 };
	(void)state;
	for (size_t i = 0; i <= MK_COUNT(others); i++) {
		const pid_t pid = i < MK_COUNT(others) ? others[i] : getpid();
		char path[128];
		snprintf(path, sizeof path, "%s/%d/cgroup", fix.dir, pid);
		unlink(path);
		snprintf(path, sizeof path, "%s/%d/stat", fix.dir, pid);
		unlink(path);
		snprintf(path, sizeof path, "%s/%d", fix.dir, pid);
		rmdir(path);
	}
	close(fix.proc);
	close(fix.fds[0]);
	close(fix.fds[1]);
	return rmdir(fix.dir);
}

/* The peer of this process's own pair, as pid. */
static inline struct mk_evidence taken(pid_t pid, struct mk_peer *p)
{
	struct mk_evidence e = { .known = true, .pid = pid };
	mk_peer_take(fix.fds[0], fix.proc, &e, p);
	return e;
}

static inline bool has_pidfd(void)
{
	return mk_peer_pidfd_works(fix.fds[0]);
}

static inline uint64_t started(const char *stat)
{
	struct mk_peer p;
	says.no_pidfd = ENOPROTOOPT;
	put_text(getpid(), "stat", stat);
	const struct mk_evidence e = taken(getpid(), &p);
	assert_true(p.wanted && p.pidfd == -1);
	assert_string_equal(e.unit, p.started ? "billing.service" : "");
	assert_int_equal(mk_peer_alive(&p, fix.proc), p.started != 0);
	return p.started;
}

#endif

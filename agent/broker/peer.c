/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer's process. With a pidfd (SO_PEERPIDFD, 6.5) it cannot be mistaken for another
 * that is given its number; a kernel without one compares start times, which leaves the
 * moment between connect and accept. Its cgroup is read while it is known to live:
 * before and after, so that what was read was its own.
 */
#include "agent/broker/evidence.h"

#include "agent/base/units.h"
#include "agent/broker/cgroup.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* not in Debian 12's headers */
#endif

#define CGROUP_MAX  16384 /* bytes of /proc/PID/cgroup: a dozen lines of paths */
#define STAT_MAX    1024
#define STAT_STATE  3     /* fields of /proc/PID/stat, as proc(5) counts them */
#define STAT_START  22

int mk_proc_open(void)
{
	return open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* All of a file of a process. Empty: it is gone, hidden, or there is more than fits. */
static struct mk_span read_file(int proc_fd, pid_t pid, const char *file, char *buf, size_t cap)
{
	char path[48];
	size_t n = 0;
	snprintf(path, sizeof path, "%d/%s", pid, file);
	mk_fd fd = proc_fd < 0 ? -1 : openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && n < cap) {
		const ssize_t got = read(fd, buf + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return mk_span(buf, got == 0 ? n : 0);
		n += (size_t)got;
	}
	return mk_span(buf, 0);
}

bool mk_proc_shows_others(int proc_fd)
{
	char buf[CGROUP_MAX];
	return read_file(proc_fd, 1, "cgroup", buf, sizeof buf).n > 0;
}

/* Behind the name, which may hold anything, also ')'. */
static struct mk_span behind_name(struct mk_span stat)
{
	const uint8_t *at = stat.n ? memrchr(stat.p, ')', stat.n) : NULL;
	const size_t skip = at ? (size_t)(at - stat.p) + 2 : stat.n; /* and its blank */
	return skip < stat.n ? mk_span(stat.p + skip, stat.n - skip) : mk_span(NULL, 0);
}

/* 0: it has ended, also where nobody has waited for it yet. */
static uint64_t start_time(int proc_fd, pid_t pid)
{
	char buf[STAT_MAX];
	struct mk_span rest = behind_name(read_file(proc_fd, pid, "stat", buf, sizeof buf));
	int64_t ticks = 0;
	for (unsigned field = STAT_STATE; rest.n > 0; field++) {
		const uint8_t *blank = memchr(rest.p, ' ', rest.n);
		const struct mk_span part = mk_span(rest.p, blank ? (size_t)(blank - rest.p) : rest.n);
		if (field == STAT_STATE && (mk_span_is(part, "Z") || mk_span_is(part, "X") || mk_span_is(part, "x")))
			return 0;
		if (field == STAT_START)
			return mk_i64_of(part, &ticks) == MK_OK && ticks > 0 ? (uint64_t)ticks : 0;
		rest = blank ? mk_span(blank + 1, rest.n - part.n - 1) : mk_span(NULL, 0);
	}
	return 0;
}

static int peer_pidfd(int fd)
{
	int pidfd = -1;
	socklen_t n = sizeof pidfd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) != 0)
		return -1;
	return n == sizeof pidfd ? pidfd : -1;
}

bool mk_peer_pidfd_works(int fd)
{
	mk_fd pidfd = peer_pidfd(fd);
	return pidfd >= 0 || (errno != ENOPROTOOPT && errno != EOPNOTSUPP);
}

bool mk_peer_alive(const struct mk_peer *p, int proc_fd)
{
	if (!p->wanted)
		return true;
	if (p->pidfd < 0)
		return p->started != 0 && start_time(proc_fd, p->pid) == p->started;
	struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };
	return poll(&ended, 1, 0) == 0; /* readable from its end on, whether or not that was waited for */
}

void mk_peer_take(int fd, int proc_fd, struct mk_evidence *e, struct mk_peer *ret)
{
	struct mk_peer p = { .wanted = true, .pidfd = -1, .pid = e->pid };
	char buf[CGROUP_MAX], unit[MK_UNIT_MAX + 1] = "";
	if (e->known && e->pid > 0) {
		p.pidfd = peer_pidfd(fd);
		/* EINVAL, ESRCH: it was waited for already. Any other failure, too, leaves it without a sign of life. */
		if (p.pidfd < 0 && errno == ENOPROTOOPT)
			p.started = start_time(proc_fd, e->pid);
	}
	*ret = p;
	if (!mk_peer_alive(&p, proc_fd))
		return;
	mk_cgroup_unit(read_file(proc_fd, e->pid, "cgroup", buf, sizeof buf), unit);
	if (mk_peer_alive(&p, proc_fd))
		memcpy(e->unit, unit, sizeof unit);
}

void mk_peer_done(struct mk_peer *p)
{
	mk_close(p->pidfd);
	*p = MK_PEER_NONE;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the peer's process: its unit is read while it is known to live, and where
 * that cannot be told it has none. /proc is a directory of this test.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/evidence.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
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

static void put(pid_t pid, const char *file, const char *text, size_t n)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%d", fix.dir, pid);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/%d/%s", fix.dir, pid, file);
	mk_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
}

static void put_text(pid_t pid, const char *file, const char *text)
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

static int begin(void **state)
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

static int end(void **state)
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
static struct mk_evidence taken(pid_t pid, struct mk_peer *p)
{
	struct mk_evidence e = { .known = true, .pid = pid };
	mk_peer_take(fix.fds[0], fix.proc, &e, p);
	return e;
}

static bool has_pidfd(void)
{
	return mk_peer_pidfd_works(fix.fds[0]);
}

static void the_unit_of_a_peer_that_lives_is_its_cgroups(void **state)
{
	struct mk_peer p;
	(void)state;
	if (!has_pidfd())
		skip();
	const struct mk_evidence e = taken(getpid(), &p);
	assert_string_equal(e.unit, "billing.service");
	assert_true(p.wanted && p.pidfd >= 0 && p.started == 0);
	assert_int_equal(p.pid, getpid());
	assert_true(mk_peer_alive(&p, fix.proc));
	const int fd = p.pidfd;
	mk_peer_done(&p);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(p.pidfd, -1);
	assert_false(p.wanted);
	assert_true(mk_peer_alive(&p, fix.proc)); /* nobody asks */
}

static void the_longest_name_of_a_unit_is_read(void **state)
{
	char name[MK_UNIT_MAX + 1] = "", text[MK_UNIT_MAX + 8];
	struct mk_peer p;
	(void)state;
	memset(name, 'a', MK_UNIT_MAX);
	memcpy(name + MK_UNIT_MAX - 8, ".service", 8);
	snprintf(text, sizeof text, "0::/%s\n", name);
	put_text(getpid(), "cgroup", text);
	says.no_pidfd = ENOPROTOOPT;
	assert_string_equal(taken(getpid(), &p).unit, name);
}

/* A child connects, and lives until it is ended. Returns what was accepted of it. */
static int of_child(pid_t *child)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t n = sizeof a.sun_family; /* the kernel chooses an address */
	mk_fd listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
	n = sizeof a;
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(listen(listener, 1), 0);
	*child = fork();
	assert_true(*child >= 0);
	if (*child == 0) {
		const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&a, n) != 0)
			_exit(1);
		for (;;)
			pause();
	}
	const int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void a_peer_that_has_ended_has_no_unit(void **state)
{
	struct mk_evidence e = { .known = true };
	struct mk_peer before, after;
	siginfo_t info;
	(void)state;
	if (!has_pidfd())
		skip();
	mk_fd fd = of_child(&e.pid);
	mk_fd proc = mk_proc_open();
	mk_peer_take(fd, proc, &e, &before);
	assert_true(before.pidfd >= 0 && mk_peer_alive(&before, proc));
	assert_int_equal(kill(e.pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)e.pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(mk_peer_alive(&before, proc)); /* though nobody has waited for it yet */
	says.reads_of_cgroup = 0;
	mk_peer_take(fd, proc, &e, &after);
	assert_false(mk_peer_alive(&after, proc));
	assert_int_equal(waitpid(e.pid, NULL, 0), e.pid);
	mk_peer_done(&after);
	mk_peer_take(fd, proc, &e, &after);
	assert_false(mk_peer_alive(&after, proc));
	assert_int_equal(says.reads_of_cgroup, 0);
	mk_peer_done(&before);
	mk_peer_done(&after);
}

static uint64_t started(const char *stat)
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

static void a_kernel_without_pidfds_tells_a_process_by_its_start(void **state)
{
	struct mk_peer p;
	(void)state;
	assert_int_equal(started("77 " STAT_HEAD "4711 23 24\n"), 4711);
	assert_int_equal(started("77 " STAT_HEAD "1 23 24\n"), 1);
	assert_int_equal(started("77 " STAT_HEAD "4711"), 4711); /* as its last */
	assert_int_equal(started("77 " STAT_HEAD "5"), 5);
	says.at_a_time = 7;
	assert_int_equal(started("77 " STAT_HEAD "4711 23 24\n"), 4711);
	assert_int_equal(started("77 (a) Z 1) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n"), 4711);
	assert_string_equal(taken(getpid(), &p).unit, "billing.service");
	assert_true(mk_peer_alive(&p, fix.proc));
	put_text(getpid(), "stat", "77 " STAT_HEAD "4712 23 24\n"); /* another with its number */
	assert_false(mk_peer_alive(&p, fix.proc));
	assert_false(mk_peer_alive(&p, -1));
}

static void a_start_that_cannot_be_read_is_no_sign_of_life(void **state)
{
	static const char *const none[] = {
		"", "77", "77 (a", "77 (a)", "77 (a) ", "77 (a) S", "77 (a) S 4 5 6\n", "77 " STAT_HEAD, "77 " STAT_HEAD "x 23\n",
		"77 " STAT_HEAD "0 23\n", "77 " STAT_HEAD "-4711 23\n", "77 " STAT_HEAD " 4711\n", "S 4 5 6 7 8 9 10 11 12 13 14 15 16",
		"77 (a) Z 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n",
		"77 (a) X 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n",
		"77 (a) x 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(none); i++)
		assert_int_equal(started(none[i]), 0);
	assert_int_equal(says.reads_of_cgroup, 0);
	assert_int_equal(started("77 " STAT_HEAD "4711 23\n"), 4711);
}

static void a_process_that_ends_while_its_cgroup_is_read_has_no_unit(void **state)
{
	struct mk_peer p;
	(void)state;
	says.no_pidfd = ENOPROTOOPT;
	assert_string_equal(taken(getpid(), &p).unit, "billing.service"); /* the control */
	says.stat = "77 " STAT_HEAD "4712 23 24\n";
	assert_string_equal(taken(getpid(), &p).unit, "");
}

static void any_other_failure_for_the_pidfd_is_no_sign_of_life(void **state)
{
	static const int failures[] = { EINVAL, ESRCH, EOPNOTSUPP, EMFILE };
	struct mk_peer p;
	(void)state;
	for (size_t i = 0; i < MK_COUNT(failures); i++) {
		says.no_pidfd = failures[i];
		assert_string_equal(taken(getpid(), &p).unit, "");
		assert_true(p.wanted && p.started == 0);
		assert_false(mk_peer_alive(&p, fix.proc));
	}
	says.no_pidfd = 0;
	if (!has_pidfd())
		skip();
	says.n = sizeof(int) - 1; /* not whole */
	assert_string_equal(taken(getpid(), &p).unit, "");
	assert_false(mk_peer_alive(&p, fix.proc));
}

static void a_peer_that_is_not_known_or_of_another_pid_namespace_has_no_unit(void **state)
{
	struct mk_evidence e = { .known = false, .pid = getpid() };
	struct mk_peer p;
	(void)state;
	mk_peer_take(fix.fds[0], fix.proc, &e, &p);
	assert_string_equal(e.unit, "");
	assert_int_equal(p.pidfd, -1);
	says.no_pidfd = ENOPROTOOPT;
	for (pid_t pid = 0; pid <= 1; pid++) { /* 1 is a process like any other */
		put_text(pid, "cgroup", CGROUP);
		put_text(pid, "stat", "1 " STAT_HEAD "4711 23\n");
		assert_string_equal(taken(pid, &p).unit, pid == 1 ? "billing.service" : "");
		assert_int_equal(mk_peer_alive(&p, fix.proc), pid == 1);
	}
}

static void a_file_is_read_whole_or_not_at_all(void **state)
{
	static char much[20000];
	(void)state;
	assert_false(mk_proc_shows_others(fix.proc));
	assert_false(mk_proc_shows_others(-1));
	put_text(1, "cgroup", "");
	assert_false(mk_proc_shows_others(fix.proc));
	put_text(1, "cgroup", "0");
	assert_true(mk_proc_shows_others(fix.proc));
	memset(much, '0', sizeof much);
	put(1, "cgroup", much, 16383);
	assert_true(mk_proc_shows_others(fix.proc));
	says.interrupted = true;
	assert_true(mk_proc_shows_others(fix.proc));
	says.left = 5;
	assert_false(mk_proc_shows_others(fix.proc));
	says.left = -1;
	put(1, "cgroup", much, 16384); /* there may be more */
	assert_false(mk_proc_shows_others(fix.proc));
	put(1, "cgroup", much, sizeof much);
	says.at_a_time = 16000;
	assert_false(mk_proc_shows_others(fix.proc));
}

static void proc_is_opened_as_a_place_and_not_for_children(void **state)
{
	mk_fd proc = mk_proc_open();
	(void)state;
	assert_true(fcntl(proc, F_GETFL) & O_PATH);
	assert_true(fcntl(proc, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(faccessat(proc, "self/stat", F_OK, 0), 0);
}

static void a_kernel_without_pidfds_is_told_by_its_answer(void **state)
{
	(void)state;
	says.no_pidfd = ENOPROTOOPT;
	assert_false(has_pidfd());
	says.no_pidfd = EOPNOTSUPP;
	assert_false(has_pidfd());
	says.no_pidfd = ESRCH; /* it knows the question */
	assert_true(has_pidfd());
	says.no_pidfd = 0;
	struct mk_peer p;
	if (taken(getpid(), &p).unit[0] && p.pidfd >= 0)
		assert_true(has_pidfd());
	mk_peer_done(&p);
}

static void descriptor_0_is_one_like_any_other(void **state)
{
	struct mk_peer p;
	struct mk_evidence e = { .known = true, .pid = getpid() };
	(void)state;
	const bool pidfds = has_pidfd();
	const int kept = fcntl(0, F_DUPFD_CLOEXEC, 3);
	close(0);
	if (pidfds) {
		errno = ENOPROTOOPT; /* of another call */
		assert_true(has_pidfd());
		errno = ENOPROTOOPT;
		assert_string_equal(taken(getpid(), &p).unit, "billing.service");
		assert_int_equal(p.pidfd, 0);
		assert_int_equal(p.started, 0);
		put_text(getpid(), "stat", "");
		assert_true(mk_peer_alive(&p, fix.proc));
		mk_peer_done(&p);
		put_text(getpid(), "stat", "77 " STAT_HEAD "4711 23\n");
	}
	says.no_pidfd = ENOPROTOOPT; /* its files are opened as 0 */
	assert_string_equal(taken(getpid(), &p).unit, "billing.service");
	assert_int_equal(fcntl(fix.proc, F_DUPFD_CLOEXEC, 0), 0);
	mk_peer_take(fix.fds[0], 0, &e, &p);
	assert_string_equal(e.unit, "billing.service");
	close(0);
	if (kept >= 0) {
		assert_int_equal(dup2(kept, 0), 0);
		close(kept);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_unit_of_a_peer_that_lives_is_its_cgroups),
		TEST(the_longest_name_of_a_unit_is_read),
		TEST(a_peer_that_has_ended_has_no_unit),
		TEST(a_kernel_without_pidfds_tells_a_process_by_its_start),
		TEST(a_start_that_cannot_be_read_is_no_sign_of_life),
		TEST(a_process_that_ends_while_its_cgroup_is_read_has_no_unit),
		TEST(any_other_failure_for_the_pidfd_is_no_sign_of_life),
		TEST(a_peer_that_is_not_known_or_of_another_pid_namespace_has_no_unit),
		TEST(a_file_is_read_whole_or_not_at_all),
		TEST(proc_is_opened_as_a_place_and_not_for_children),
		TEST(a_kernel_without_pidfds_is_told_by_its_answer),
		TEST(descriptor_0_is_one_like_any_other),
	};
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}

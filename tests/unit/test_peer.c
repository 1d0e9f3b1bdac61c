/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the peer's process: its unit is read while it is known to live. /proc is a
 * directory of this test.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "peer_kit.h"

#include <sys/un.h>
#include <sys/wait.h>

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
		TEST(a_peer_that_is_not_known_or_of_another_pid_namespace_has_no_unit),
		TEST(a_file_is_read_whole_or_not_at_all),
		TEST(proc_is_opened_as_a_place_and_not_for_children),
		TEST(descriptor_0_is_one_like_any_other),
	};
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}

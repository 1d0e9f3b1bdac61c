/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about evidence: it is what the kernel says of a peer, whole, or it is nobody's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/evidence.h"
#include "mk/own.h"

#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct mk_word api = { "api" };

/* What the kernel says in place of the truth; the linker puts these before libc's. */
static struct {
	int option;         /* the one that is answered otherwise; 0: none */
	int rc;
	socklen_t n;        /* its length, where it succeeds; 0: the true one */
	const char *at_uid; /* the text of overflowuid; NULL: the true one, "": no such file */
	bool as_zero;       /* it is opened as descriptor 0 */
} says;

int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *n);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *n)
{
	const int rc = __real_getsockopt(fd, level, option, value, n);
	if (!says.option || option != says.option)
		return rc;
	if (says.n)
		*n = says.n;
	return says.rc;
}

int __wrap_open(const char *path, int flags, ...)
{
	int fds[2];
	if (!says.at_uid)
		return __real_open(path, flags);
	assert_true(flags & O_CLOEXEC);
	if (!says.at_uid[0] || strcmp(path, "/proc/sys/kernel/overflowuid") != 0 || pipe(fds) != 0)
		return -1;
	const ssize_t n = write(fds[1], says.at_uid, strlen(says.at_uid));
	close(fds[1]);
	if (n <= 0 || !says.as_zero)
		return n > 0 ? fds[0] : -1;
	assert_int_equal(dup2(fds[0], 0), 0);
	close(fds[0]);
	return 0;
}

static struct mk_evidence of_pair(void)
{
	struct mk_evidence e = { 0 };
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	mk_evidence_take(fds[0], &api, &e);
	close(fds[0]);
	close(fds[1]);
	return e;
}

static void a_peer_is_what_the_kernel_says_of_it(void **state)
{
	const struct mk_evidence e = of_pair();
	gid_t groups[MK_GROUPS_MAX];
	const int n = getgroups(MK_GROUPS_MAX, groups);
	(void)state;
	assert_true(e.known);
	assert_string_equal(e.socket.s, "api");
	assert_int_equal(e.uid, geteuid());
	assert_int_equal(e.gid, getegid());
	assert_int_equal(e.pid, getpid());
	assert_int_equal(e.n_groups, n);
	assert_memory_equal(e.groups, groups, (size_t)n * sizeof groups[0]);
}

static void what_has_no_peer_is_nobody(void **state)
{
	int fds[2];
	struct mk_evidence e;
	(void)state;
	memset(&e, 0x5a, sizeof e);
	assert_int_equal(pipe(fds), 0);
	mk_evidence_take(fds[0], &api, &e);
	assert_false(e.known);
	assert_string_equal(e.socket.s, "api");
	assert_int_equal(e.uid, 0);
	assert_int_equal(e.n_groups, 0);
	close(fds[0]);
	close(fds[1]);
}

static void assert_nobody(void)
{
	const struct mk_evidence e = of_pair();
	assert_false(e.known);
	assert_int_equal(e.uid, 0);
	assert_int_equal(e.pid, 0);
	assert_int_equal(e.n_groups, 0);
	memset(&says, 0, sizeof says);
}

static void an_answer_that_is_not_whole_is_nobodys(void **state)
{
	(void)state;
	says.option = SO_PEERCRED;
	says.rc = -1;
	assert_nobody();
	says.option = SO_PEERCRED;
	says.n = sizeof(struct ucred) - 1;
	assert_nobody();
	says.option = SO_PEERCRED;
	says.rc = 1; /* never said, and never a success */
	assert_nobody();
	says.option = SO_PEERGROUPS;
	says.rc = -1;
	assert_nobody();
	says.option = SO_PEERGROUPS;
	says.rc = 1;
	assert_nobody();
	says.option = SO_PEERGROUPS;
	says.n = MK_GROUPS_MAX * sizeof(gid_t) + 1;
	assert_nobody();
	says.option = SO_PEERGROUPS; /* the control: nothing but the length was wrong */
	says.n = MK_GROUPS_MAX * sizeof(gid_t);
	assert_true(of_pair().known);
	memset(&says, 0, sizeof says);
	assert_true(of_pair().known);
}

/* In a child that has n supplementary groups: 1 if its peer is known with all of them, 0 if it is nobody. */
static int known_with(int n)
{
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		gid_t groups[MK_GROUPS_MAX + 1];
		for (int i = 0; i < n; i++)
			groups[i] = 70000u + (gid_t)i;
		if (setgroups((size_t)n, groups) != 0)
			_exit(9);
		const struct mk_evidence e = of_pair();
		if (!e.known)
			_exit(e.uid == 0 && e.n_groups == 0 ? 0 : 8);
		_exit(e.n_groups == (size_t)n && memcmp(e.groups, groups, (size_t)n * sizeof groups[0]) == 0 ? 1 : 7);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_caller_of_more_groups_than_are_looked_at_is_nobody(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* only root sets groups */
	assert_int_equal(known_with(0), 1);
	assert_int_equal(known_with(1), 1);
	assert_int_equal(known_with(MK_GROUPS_MAX), 1);
	assert_int_equal(known_with(MK_GROUPS_MAX + 1), 0);
}

static void nobody_is_the_agent_itself_and_the_uid_that_the_kernel_shows_for_none(void **state)
{
	struct mk_nobody on_host, in_pod;
	char text[32] = "";
	(void)state;
	mk_fd fd = open("/proc/sys/kernel/overflowuid", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 1);
	mk_nobody_take(false, &on_host);
	mk_nobody_take(true, &in_pod);
	assert_int_equal(on_host.own_uid, geteuid());
	assert_int_equal(on_host.overflow_uid, strtoul(text, NULL, 10));
	assert_true(on_host.pid_required);
	assert_false(in_pod.pid_required);
}

static void what_the_kernel_shows_for_none_is_read_from_it(void **state)
{
	static const struct {
		const char *text;
		uid_t uid;
	} cases[] = { { "1234\n", 1234 }, { "7\n", 7 }, { "", 65534 }, { "many\n", 65534 }, { "\n", 65534 } };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++) {
		struct mk_nobody n;
		says.at_uid = cases[i].text;
		says.as_zero = i == 0;
		mk_nobody_take(false, &n);
		says.at_uid = NULL;
		assert_int_equal(n.overflow_uid, cases[i].uid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_is_what_the_kernel_says_of_it),
		cmocka_unit_test(what_has_no_peer_is_nobody),
		cmocka_unit_test(an_answer_that_is_not_whole_is_nobodys),
		cmocka_unit_test(a_caller_of_more_groups_than_are_looked_at_is_nobody),
		cmocka_unit_test(nobody_is_the_agent_itself_and_the_uid_that_the_kernel_shows_for_none),
		cmocka_unit_test(what_the_kernel_shows_for_none_is_read_from_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

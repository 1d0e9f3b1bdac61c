/* SPDX-License-Identifier: Apache-2.0
 *
 * libmakini in its process: what a fork, a limit of memory, a lack of descriptors and an exec leave it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "libmakini_fake.h"
#include "open_fds.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Sanitizers make mlock(2) nothing; valgrind has descriptors and limits of its own. */
#ifdef MK_SANITIZED
#define LOCKS false
#else
#define LOCKS true
#endif

static bool under_valgrind(void)
{
	return getenv("MK_VALGRIND") != NULL;
}

/* In a child: 0 where all is as it must be. */
static int in_child(makini *m, const struct copy *c, const unsigned char *in)
{
	char buf[600], name[MAKINI_NAME_MAX + 1];
	if (makini_get(m, "acme-1", buf, sizeof buf, NULL) != MAKINI_EFORK)
		return 1;
	if (makini_watch_fd(m) != MAKINI_EFORK || makini_watch_next(m, name) != MAKINI_EFORK)
		return 2;
	for (size_t i = 0; i < sizeof *c; i++)
		if (((const unsigned char *)c)[i])
			return 3;
	for (size_t i = 0; i < WIRE_ANSWER_MAX; i++)
		if (in[i])
			return 4;
	const int fd = m->link[0].fd;
	makini_close(m);
	if (fcntl(fd, F_GETFD) != -1)
		return 5;
	return 0;
}

static void a_child_of_fork_has_no_copies_and_no_use_of_the_handle(void **state)
{
	makini *m = *state;
	int status;
	fake_got(m, "acme-1", NULL);
	assert_true(makini_watch_fd(m) >= 0);
	const struct copy *copy = m->g->slab[0];
	const unsigned char *in = m->link[0].in->bytes;
	memset(m->link[0].in->bytes, 'T', 100);
	assert_true(copy->held);
	const pid_t pid = fork();
	if (pid == 0)
		_exit(in_child(m, copy, in));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	const unsigned before = gets();
	fake_got(m, "acme-1", NULL); /* nothing of it is felt here */
	assert_int_equal(gets(), before);
	fake_move(&fake, "acme-1");
	assert_int_equal(fake_got(m, "acme-1", NULL), 2);
	assert_int_equal(fake_saw(&fake, &fake.connections), 2);
}

static void a_child_opens_a_handle_of_its_own(void **state)
{
	int status;
	fake_got(*state, "acme-1", NULL);
	const pid_t pid = fork();
	if (pid == 0) {
		const struct makini_options o = { .size = sizeof o, .socket = fake.socket };
		char buf[600];
		makini *own = NULL;
		makini_close(*state);
		_exit(makini_open(&o, &own) == 0 && makini_get(own, "acme-1", buf, sizeof buf, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static unsigned long flagged(const void *p, const char *flag)
{
	char line[512];
	unsigned long from, to, found = 0;
	bool here = false;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	while (fgets(line, sizeof line, smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)p >= from && (unsigned long)p < to;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(smaps);
	return found;
}

static void copies_and_answers_lie_in_locked_memory_that_no_dump_and_no_child_gets(void **state)
{
	makini *m = *state;
	FAKE_SET(&fake, token_size, 2000);
	fake_got(m, "acme-1", NULL);
	const void *const all[] = { m->g, m->g->slab[0], m->g->slab[0]->big->bytes, m->link[0].in->bytes };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		assert_true(!LOCKS || flagged(all[i], " lo"));
		assert_true(flagged(all[i], " dd"));
		assert_true(flagged(all[i], " wf"));
	}
	assert_false(flagged(m, " wf"));
}

/* Each in a process of its own, whose limits are lowered. */
static int under_a_limit(int which, rlim_t limit, int allow_unlocked)
{
	int status;
	const pid_t pid = fork();
	if (pid == 0) {
		const struct makini_options o = { .size = sizeof o, .socket = fake.socket, .allow_unlocked = allow_unlocked };
		const struct rlimit to = { limit, limit };
		char buf[600];
		makini *m = NULL;
		if (setrlimit((__rlimit_resource_t)which, &to) != 0 || (getuid() == 0 && setresuid(65534, 65534, 65534) != 0))
			_exit(100);
		int rc = makini_open(&o, &m);
		if (rc == 0)
			rc = makini_get(m, "acme-1", buf, sizeof buf, NULL);
		makini_close(m);
		_exit(-rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void memory_that_cannot_be_locked_is_a_failure_unless_the_caller_lets_it_be(void **state)
{
	(void)state;
	if (!LOCKS)
		return;
	assert_int_equal(chmod(fake.dir, 0755), 0);
	assert_int_equal(chmod(fake.at, 0666), 0);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 0, 0), MAKINI_ELOCK);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 30000, 0), MAKINI_ELOCK);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 0, 1), 0);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 65536, 0), 0); /* what old systems give */
}

/* More than can be locked, twice: 0 when each came, and the last one that was asked for is repeated. */
static int more_than_can_be_locked(int n, size_t size)
{
	const struct makini_options o = { .size = sizeof o, .socket = fake.socket };
	const struct rlimit to = { 65536, 65536 };
	char buf[MAKINI_TOKEN_MAX + 1], name[16];
	struct makini_info info;
	makini *m = NULL;
	if (setrlimit(RLIMIT_MEMLOCK, &to) != 0 || (getuid() == 0 && setresuid(65534, 65534, 65534) != 0) || makini_open(&o, &m) != 0)
		return 1;
	for (int i = 0; i < 2 * n; i++) {
		snprintf(name, sizeof name, "n%d-1", i % n);
		for (int k = 0; k < 2; k++)
			if (makini_get(m, name, buf, sizeof buf, &info) != 0 || info.size != size || info.repeated != k)
				return 2 + k;
	}
	makini_close(m);
	return 0;
}

static void where_no_more_can_be_locked_the_oldest_make_room(void **state)
{
	static const struct {
		int n;
		size_t size;
	} some[] = { { 10, 3000 }, { 100, 500 } };
	int status;
	(void)state;
	if (!LOCKS)
		return;
	assert_int_equal(chmod(fake.dir, 0755), 0);
	assert_int_equal(chmod(fake.at, 0666), 0);
	for (size_t i = 0; i < 2; i++) {
		const unsigned before = gets();
		FAKE_SET(&fake, token_size, some[i].size);
		const pid_t pid = fork();
		if (pid == 0)
			_exit(more_than_can_be_locked(some[i].n, some[i].size));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(gets(), before + 2 * (unsigned)some[i].n);
	}
}

static void descriptors_that_ran_out_are_said(void **state)
{
	(void)state;
	if (under_valgrind())
		return;
	assert_int_equal(under_a_limit(RLIMIT_NOFILE, 0, 1), MAKINI_ENOMEM);
}

static int without_the_first_three(void)
{
	const struct makini_options o = { .size = sizeof o, .socket = fake.socket };
	makini *m = NULL;
	char buf[600];
	close(0);
	close(1);
	close(2);
	if (makini_open(&o, &m) != 0 || makini_get(m, "acme-1", buf, sizeof buf, NULL) != 0 || makini_watch_fd(m) <= 2)
		return 1;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			return 2 + fd;
	makini_close(m);
	return 0;
}

static void no_descriptor_takes_the_place_of_standard_output(void **state)
{
	int status;
	(void)state;
	const pid_t pid = fork();
	if (pid == 0)
		_exit(without_the_first_three());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void nothing_is_left_of_a_handle(void **state)
{
	unsigned before = 0;
	(void)state;
	for (int i = 0; i < 3; i++, before = before ? before : open_fds()) {
		const unsigned known = fake_saw(&fake, &fake.connections);
		makini *m = fake_open(&fake, 20000);
		assert_true(makini_watch_fd(m) > 2);
		fake_got(m, "acme-1", NULL);
		while (fake_saw(&fake, &fake.connections) < known + 2) /* both are open at its end, too */
			fake_sleep_ms(1);
		makini_close(m);
		pthread_mutex_lock(&fake.lock);
		fake_hang_up_all(&fake); /* it would close them a little later */
		pthread_mutex_unlock(&fake.lock);
	}
	assert_int_equal(open_fds(), before);
}

static void no_descriptor_outlives_exec(void **state)
{
	makini *m = *state;
	assert_true(makini_watch_fd(m) > 2);
	const int all[] = { m->link[0].fd, m->watch.fd, m->watch.timer, m->watch.epoll };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		assert_int_equal(fcntl(all[i], F_GETFD), FD_CLOEXEC);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_child_of_fork_has_no_copies_and_no_use_of_the_handle),
		CASE(a_child_opens_a_handle_of_its_own),
		CASE(copies_and_answers_lie_in_locked_memory_that_no_dump_and_no_child_gets),
		CASE(memory_that_cannot_be_locked_is_a_failure_unless_the_caller_lets_it_be),
		CASE(where_no_more_can_be_locked_the_oldest_make_room),
		CASE(descriptors_that_ran_out_are_said),
		CASE(no_descriptor_takes_the_place_of_standard_output),
		CASE(nothing_is_left_of_a_handle),
		CASE(no_descriptor_outlives_exec),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

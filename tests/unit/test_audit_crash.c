/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker killed at every call by which the log changes: before it, after it, and
 * amid a write. Whoever comes next goes on, the chain is whole, no number stands twice,
 * and every grant that was answered for is there.
 */
#include "audit_kit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>

enum moment { BEFORE, AFTER, AMID };
static long countdown; /* calls until the kill; 0: none */
static enum moment moment;
static int *answered; /* shared: grants the broker answered for */

/* These stand before libc's. */
static bool dies_now(void)
{
	return countdown > 0 && --countdown == 0;
}

#define AROUND(call)                          \
	do {                                  \
		const bool die = dies_now();  \
		if (die && moment != AFTER)   \
			_exit(0);             \
		const int rc_ = (int)(call);  \
		if (die)                      \
			_exit(0);             \
		return rc_;                   \
	} while (0)

ssize_t write(int fd, const void *p, size_t n)
{
	const bool die = dies_now();
	if (die && moment == BEFORE)
		_exit(0);
	const ssize_t rc = syscall(SYS_write, fd, p, die && moment == AMID ? n / 2 : n);
	if (die)
		_exit(0);
	return rc;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	AROUND(syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}

int unlinkat(int dir, const char *name, int flags)
{
	AROUND(syscall(SYS_unlinkat, dir, name, flags));
}

int fsync(int fd)
{
	AROUND(syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
	AROUND(syscall(SYS_fdatasync, fd));
}

#define GRANTS 75 /* two rotations, one removal */

static void scenario(struct kit *k)
{
	*answered = 0;
	for (int i = 0; i < GRANTS; i++) {
		if (kit_write(k, "acme-1") != MK_OK)
			_exit(9);
		++*answered;
	}
	kit_close(k);
}

/* How many calls the scenario makes; the child tells by what is left. */
static bool killed_at(struct kit *k, long call, enum moment when)
{
	int status;
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		countdown = call;
		moment = when;
		kit_open(k);
		scenario(k);
		_exit(3); /* not killed: it made fewer calls */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3));
	kit_pass(k, 1000);
	return WEXITSTATUS(status) == 0;
}

static void assert_whole(const struct kit *k, long call, enum moment when)
{
	const struct kit_verdict v = kit_verify(k);
	if (v.faults > 0 || v.r.verified != v.r.records)
		print_error("killed at call %ld, moment %d\n", call, (int)when);
	kit_assert_good(&v);
	if (v.r.first_seq == 1)
		assert_true(v.r.grants >= (uint64_t)*answered);
}

static void kill_everywhere(bool page_lost, enum moment when)
{
	long call = 1;
	bool killed = true;
	for (; killed; call++) {
		struct kit k;
		kit_init(&k);
		k.conf.max_size = 16384;
		k.conf.keep = 1;
		*answered = 0;
		killed = killed_at(&k, call, when);
		if (page_lost)
			kit_new_head(&k);
		kit_open(&k);
		assert_true(kit_status(&k).writable);
		assert_string_equal(kit_status(&k).alarm, "");
		assert_int_equal(kit_write(&k, "acme-2"), MK_OK);
		kit_close(&k);
		assert_whole(&k, call, when);
		kit_done(&k);
	}
	assert_true(call > GRANTS);
}

static void a_kill_before_any_call_leaves_a_whole_log(void **state)
{
	(void)state;
	kill_everywhere(false, BEFORE);
	kill_everywhere(true, BEFORE);
}

static void a_kill_after_any_call_leaves_a_whole_log(void **state)
{
	(void)state;
	kill_everywhere(false, AFTER);
	kill_everywhere(true, AFTER);
}

static void a_kill_amid_any_write_leaves_a_torn_record_that_is_vouched_for(void **state)
{
	(void)state;
	kill_everywhere(false, AMID);
	kill_everywhere(true, AMID);
}

static int setup(void **state)
{
	(void)state;
	answered = mmap(NULL, sizeof *answered, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return answered == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_before_any_call_leaves_a_whole_log),
		cmocka_unit_test(a_kill_after_any_call_leaves_a_whole_log),
		cmocka_unit_test(a_kill_amid_any_write_leaves_a_torn_record_that_is_vouched_for),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}

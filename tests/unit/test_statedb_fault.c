/* SPDX-License-Identifier: Apache-2.0
 *
 * The state database over a disk that fails, and over a process that ends, at each call in
 * turn: what was acknowledged is in force afterwards, and what is in force was asked for.
 * This executable's pwrite64 and fdatasync come before libc's for SQLite, too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/statedb.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum how { WELL, FAILS, FAILS_FROM_HERE, HALF_WRITTEN, ENDS_BEFORE, ENDS_AFTER };

static struct {
	enum how how;
	unsigned at, calls; /* the call that goes wrong, from 1; those that came */
	int error;
} disk;

static bool goes_wrong(void)
{
	disk.calls++;
	return disk.how == FAILS_FROM_HERE ? disk.calls >= disk.at : disk.how != WELL && disk.calls == disk.at;
}

static int refuse(void)
{
	errno = disk.error;
	return -1;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	const bool wrong = goes_wrong();
	if (wrong && (disk.how == FAILS || disk.how == FAILS_FROM_HERE))
		return refuse();
	if (wrong && disk.how == ENDS_BEFORE)
		_exit(9);
	const ssize_t done = syscall(SYS_pwrite64, fd, p, wrong && disk.how == HALF_WRITTEN ? n / 2 : n, at);
	if (wrong)
		_exit(9);
	return done;
}

int fdatasync(int fd)
{
	const bool wrong = goes_wrong();
	if (wrong && (disk.how == FAILS || disk.how == FAILS_FROM_HERE))
		return refuse();
	if (wrong && disk.how != ENDS_AFTER)
		_exit(9);
	const int rc = (int)syscall(SYS_fdatasync, fd);
	if (wrong)
		_exit(9);
	return rc;
}

static char dir[64];
static const struct mk_word production = { "production" };
static const struct mk_frozen ordered = { .on = true, .at_ms = 1000, .by = { "first" }, .uid = 7, .reason = "INC-1" };

static void remove_all(void)
{
	char path[96];
	static const char *const names[] = { "state.db", "state.db-wal" };
	for (size_t i = 0; i < MK_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static int set_up(void **state)
{
	(void)state;
	disk.how = WELL;
	snprintf(dir, sizeof dir, "/tmp/makini-statedb-XXXXXX");
	umask(077);
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	remove_all();
	return 0;
}

static struct mk_statedb *opened(void)
{
	struct mk_statedb *db = NULL;
	struct mk_why why = { 0 };
	const enum mk_err e = mk_statedb_open(dir, &production, &db, &why);
	if (e != MK_OK)
		print_error("%s\n", why.text);
	assert_int_equal(e, MK_OK);
	return db;
}

static struct mk_proposal waiting(void)
{
	struct mk_proposal p = { .id = "0123456789abcdef", .action = MK_ACTION_THAW, .detail = "x", .by = { "first" }, .uid = 7,
				 .at_ms = 1000, .expires_ms = 2000 };
	memset(p.digest, 'd', MK_PROPOSAL_DIGEST);
	return p;
}

/* ---- the acts, and whether they are in force ---- */

static enum mk_err do_freeze(struct mk_statedb *db)
{
	return mk_statedb_freeze(db, &ordered);
}

static bool is_frozen(struct mk_statedb *db)
{
	struct mk_frozen f;
	assert_int_equal(mk_statedb_frozen(db, &f), MK_OK);
	if (f.on)
		assert_string_equal(f.reason, "INC-1"); /* all of it, or nothing */
	return f.on;
}

static enum mk_err do_thaw(struct mk_statedb *db)
{
	return mk_statedb_thaw(db);
}

static bool is_thawed(struct mk_statedb *db)
{
	return !is_frozen(db);
}

static enum mk_err do_propose(struct mk_statedb *db)
{
	const struct mk_proposal p = waiting();
	return mk_statedb_propose(db, &p);
}

static bool is_proposed(struct mk_statedb *db)
{
	struct mk_proposal p;
	const enum mk_err e = mk_statedb_proposal(db, "0123456789abcdef", &p);
	assert_true(e == MK_OK || e == MK_NOT_FOUND);
	return e == MK_OK;
}

static enum mk_err do_drop(struct mk_statedb *db)
{
	return mk_statedb_drop(db, "0123456789abcdef");
}

static bool is_dropped(struct mk_statedb *db)
{
	return !is_proposed(db);
}

static const struct act {
	const char *name;
	enum mk_err (*before)(struct mk_statedb *db); /* NULL: nothing */
	enum mk_err (*now)(struct mk_statedb *db);
	bool (*in_force)(struct mk_statedb *db);
} acts[] = {
	{ "freeze", NULL, do_freeze, is_frozen },
	{ "thaw", do_freeze, do_thaw, is_thawed },
	{ "propose", NULL, do_propose, is_proposed },
	{ "approve", do_propose, do_drop, is_dropped },
};

static struct mk_statedb *ready_for(const struct act *a)
{
	assert_int_equal(set_up(NULL), 0);
	struct mk_statedb *db = opened();
	if (a->before)
		assert_int_equal(a->before(db), MK_OK);
	assert_false(a->in_force(db));
	return db;
}

/* Each call of each act, until one needs fewer. */
static unsigned fail_each(const struct act *a, enum how how, int error)
{
	for (unsigned at = 1;; at++) {
		struct mk_statedb *db = ready_for(a);
		disk.how = how;
		disk.at = at;
		disk.calls = 0;
		disk.error = error;
		const enum mk_err e = a->now(db);
		const bool reached = disk.calls >= at;
		disk.how = WELL;
		if (e != MK_OK) {
			assert_int_equal(e, MK_SYSTEM);
			assert_false(a->in_force(db));
			assert_string_not_equal(mk_statedb_fault(db), "not an error");
		} else {
			assert_true(a->in_force(db));
		}
		if (reached) /* the next try, on a disk that is well again */
			assert_int_equal(e == MK_OK ? MK_OK : a->now(db), MK_OK);
		assert_true(a->in_force(db));
		const uint64_t generation = mk_statedb_generation(db);
		mk_statedb_free(db);
		db = opened();
		assert_true(a->in_force(db));
		assert_int_equal(mk_statedb_generation(db), generation);
		mk_statedb_free(db);
		remove_all();
		if (!reached)
			return at - 1;
	}
}

static void a_disk_that_fails_at_any_call_leaves_the_old_state_and_takes_the_next_try(void **state)
{
	(void)state;
	tear_down(NULL);
	for (size_t i = 0; i < MK_COUNT(acts); i++) {
		assert_true(fail_each(&acts[i], FAILS, EIO) >= 3); /* it is these calls that SQLite makes */
		assert_true(fail_each(&acts[i], FAILS_FROM_HERE, ENOSPC) >= 3);
	}
	set_up(NULL);
}

/* In a child that ends at that call; true while the call was reached. */
static bool end_at(const struct act *a, enum how how, unsigned at)
{
	int status = 0, told[2];
	char word = 0;
	mk_statedb_free(ready_for(a));
	assert_int_equal(pipe(told), 0);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct mk_statedb *db = NULL;
		struct mk_why why = { 0 };
		if (mk_statedb_open(dir, &production, &db, &why) != MK_OK)
			_exit(1);
		disk.how = how;
		disk.at = at;
		disk.calls = 0;
		if (a->now(db) == MK_OK && write(told[1], "y", 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(told[1]);
	const bool acknowledged = read(told[0], &word, 1) == 1;
	close(told[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
	struct mk_statedb *db = opened(); /* whatever was left */
	if (acknowledged)
		assert_true(a->in_force(db));
	mk_statedb_free(db);
	remove_all();
	return WEXITSTATUS(status) == 9;
}

static void a_process_that_ends_at_any_call_leaves_what_it_acknowledged(void **state)
{
	static const enum how hows[] = { ENDS_BEFORE, HALF_WRITTEN, ENDS_AFTER };
	(void)state;
	tear_down(NULL);
	for (size_t i = 0; i < MK_COUNT(acts) * MK_COUNT(hows); i++) {
		unsigned at = 1;
		while (end_at(&acts[i / MK_COUNT(hows)], hows[i % MK_COUNT(hows)], at))
			at++;
		assert_true(at > 3);
	}
	set_up(NULL);
}

static void a_full_disk_at_the_start_is_named(void **state)
{
	struct mk_statedb *db = NULL;
	struct mk_why why = { 0 };
	(void)state;
	mk_statedb_free(opened());
	disk.how = FAILS_FROM_HERE;
	disk.at = 1;
	disk.calls = 0;
	disk.error = ENOSPC;
	const enum mk_err e = mk_statedb_open(dir, &production, &db, &why);
	disk.how = WELL;
	assert_int_equal(e, MK_SYSTEM);
	assert_null(db);
	if (!strstr(why.text, "full"))
		fail_msg("it says: %s", why.text);
	mk_statedb_free(opened());
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_that_fails_at_any_call_leaves_the_old_state_and_takes_the_next_try),
		TEST(a_process_that_ends_at_any_call_leaves_what_it_acknowledged),
		TEST(a_full_disk_at_the_start_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

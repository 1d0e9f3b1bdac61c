/* SPDX-License-Identifier: Apache-2.0
 *
 * The state database: bound to its environment, one transaction a change, refused when it
 * is not ours, damaged, or held by another.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/statedb.h"
#include "agent/broker/wall.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], file[96];
static const struct mk_word production = { "production" }, development = { "development" };

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/makini-statedb-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof file, "%s/state.db", dir);
	umask(077);
	return 0;
}

static int tear_down(void **state)
{
	char wal[128];
	(void)state;
	snprintf(wal, sizeof wal, "%s-wal", file);
	unlink(wal);
	unlink(file);
	rmdir(dir);
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

static struct mk_proposal proposal(const char *id, uid_t uid, int64_t at_ms)
{
	struct mk_proposal p = { .action = MK_ACTION_THAW, .detail = "thaw", .by = { "secteam" }, .uid = uid, .at_ms = at_ms,
				 .expires_ms = at_ms + 1000 };
	snprintf(p.id, sizeof p.id, "%s", id);
	memset(p.digest, 'd', MK_PROPOSAL_DIGEST);
	return p;
}

static void a_freeze_outlives_the_process(void **state)
{
	struct mk_frozen f = { .on = true, .at_ms = 1234, .by = { "secteam" }, .uid = 7, .reason = "INC-1: \"x\" \xc3\xa4" }, got;
	struct mk_statedb *db = opened();
	(void)state;
	assert_int_equal(mk_statedb_frozen(db, &got), MK_OK);
	assert_false(got.on);
	assert_int_equal(mk_statedb_freeze(db, &f), MK_OK);
	mk_statedb_free(db);
	db = opened();
	assert_int_equal(mk_statedb_frozen(db, &got), MK_OK);
	assert_true(got.on);
	assert_int_equal(got.at_ms, 1234);
	assert_int_equal(got.uid, 7);
	assert_string_equal(got.by.s, "secteam");
	assert_string_equal(got.reason, f.reason);
	assert_int_equal(mk_statedb_thaw(db), MK_OK);
	mk_statedb_free(db);
	db = opened();
	assert_int_equal(mk_statedb_frozen(db, &got), MK_OK);
	assert_false(got.on);
	mk_statedb_free(db);
}

static void each_change_moves_the_generation_on(void **state)
{
	struct mk_frozen f = { .on = true, .by = { "a" } };
	struct mk_statedb *db = opened();
	(void)state;
	const uint64_t before = mk_statedb_generation(db);
	assert_int_equal(mk_statedb_freeze(db, &f), MK_OK);
	assert_int_equal(mk_statedb_generation(db), before + 1);
	struct mk_proposal p = proposal("0123456789abcdef", 1, 1000), all[MK_PROPOSALS_MAX];
	assert_int_equal(mk_statedb_propose(db, &p), MK_OK);
	assert_int_equal(mk_statedb_generation(db), before + 2);
	size_t n = 0;
	assert_int_equal(mk_statedb_proposals(db, 1500, all, &n), MK_OK);
	assert_int_equal(mk_statedb_generation(db), before + 2); /* a look is no change */
	mk_statedb_free(db);
	db = opened();
	assert_int_equal(mk_statedb_generation(db), before + 2); /* nor is a start: an old copy must not catch up by being started */
	assert_int_equal(mk_statedb_catch_up(db, before + 1), MK_OK);
	assert_int_equal(mk_statedb_generation(db), before + 2);
	assert_int_equal(mk_statedb_catch_up(db, before + 9), MK_OK);
	mk_statedb_free(db);
	db = opened();
	assert_int_equal(mk_statedb_generation(db), before + 9);
	mk_statedb_free(db);
}

static void the_newest_time_is_kept_and_is_no_change(void **state)
{
	struct mk_statedb *db = opened();
	struct mk_wall_saved saved = { .boot_id = "a-boot", .newest = { INT64_C(1798761600000), 5 }, .before = { 1, 2 }, .jumped_ms = 3,
				       .handed = true }, got = { .jumped_ms = 7 };
	(void)state;
	const uint64_t before = mk_statedb_generation(db);
	assert_int_equal(mk_statedb_newest(db, &got), MK_NOT_FOUND);
	assert_int_equal(got.jumped_ms, 7);
	assert_int_equal(mk_statedb_set_newest(db, &saved), MK_OK);
	saved.newest.wall_ms++;
	assert_int_equal(mk_statedb_set_newest(db, &saved), MK_OK);
	mk_statedb_free(db);
	db = opened();
	assert_int_equal(mk_statedb_newest(db, &got), MK_OK);
	assert_string_equal(got.boot_id, "a-boot");
	assert_true(got.newest.wall_ms == INT64_C(1798761600001) && got.newest.boot_ms == 5 && got.before.wall_ms == 1 &&
		    got.before.boot_ms == 2 && got.jumped_ms == 3 && got.handed);
	assert_int_equal(mk_statedb_generation(db), before); /* the audit log names generations: time alone makes none */
	mk_statedb_free(db);
}

static void a_proposal_is_kept_until_it_is_over(void **state)
{
	struct mk_proposal p = proposal("0123456789abcdef", 1, 1000000), got, all[MK_PROPOSALS_MAX];
	struct mk_statedb *db = opened();
	size_t n = 0;
	(void)state;
	assert_int_equal(mk_statedb_proposal(db, p.id, &got), MK_NOT_FOUND);
	assert_int_equal(mk_statedb_propose(db, &p), MK_OK);
	assert_int_equal(mk_statedb_proposal(db, p.id, &got), MK_OK);
	assert_int_equal(got.action, MK_ACTION_THAW);
	assert_string_equal(got.digest, p.digest);
	assert_string_equal(got.detail, "thaw");
	assert_int_equal(mk_statedb_proposals(db, 1000999, all, &n), MK_OK);
	assert_int_equal(n, 1);
	assert_int_equal(mk_statedb_proposals(db, 1001000, all, &n), MK_OK);
	assert_int_equal(n, 0);
	assert_int_equal(mk_statedb_proposal(db, p.id, &got), MK_NOT_FOUND);
	mk_statedb_free(db);
}

static void a_clock_set_back_ends_a_proposal(void **state)
{
	struct mk_proposal p = proposal("0123456789abcdef", 1, 1000000), all[MK_PROPOSALS_MAX];
	struct mk_statedb *db = opened();
	size_t n = 0;
	(void)state;
	assert_int_equal(mk_statedb_propose(db, &p), MK_OK);
	assert_int_equal(mk_statedb_proposals(db, 1000000 - 59000, all, &n), MK_OK);
	assert_int_equal(n, 1);
	assert_int_equal(mk_statedb_proposals(db, 1000000 - 61000, all, &n), MK_OK);
	assert_int_equal(n, 0);
	mk_statedb_free(db);
}

static void a_proposal_is_dropped_once(void **state)
{
	struct mk_proposal p = proposal("0123456789abcdef", 1, 1000);
	struct mk_statedb *db = opened();
	(void)state;
	assert_int_equal(mk_statedb_propose(db, &p), MK_OK);
	assert_int_equal(mk_statedb_drop(db, p.id), MK_OK);
	const uint64_t after = mk_statedb_generation(db);
	assert_int_equal(mk_statedb_drop(db, p.id), MK_NOT_FOUND);
	assert_int_equal(mk_statedb_generation(db), after);
	mk_statedb_free(db);
}

static void nobody_fills_the_list_of_proposals(void **state)
{
	struct mk_statedb *db = opened();
	char id[17];
	(void)state;
	for (unsigned i = 0; i < MK_PROPOSALS_MAX; i++) {
		snprintf(id, sizeof id, "%016x", i);
		struct mk_proposal p = proposal(id, i / MK_PROPOSALS_PER_UID, 1000);
		assert_int_equal(mk_statedb_propose(db, &p), MK_OK);
		if (i == MK_PROPOSALS_PER_UID - 1) {
			p = proposal("ffffffffffffffff", 0, 1000);
			assert_int_equal(mk_statedb_propose(db, &p), MK_RATE_LIMITED);
		}
	}
	struct mk_proposal p = proposal("ffffffffffffffff", 99, 1000);
	assert_int_equal(mk_statedb_propose(db, &p), MK_RATE_LIMITED);
	p.at_ms += 1000; /* the others are over, though nobody looked */
	p.expires_ms += 1000;
	assert_int_equal(mk_statedb_propose(db, &p), MK_OK);
	mk_statedb_free(db);
}

static void another_environments_database_is_refused(void **state)
{
	struct mk_statedb *db = opened();
	struct mk_why why = { 0 };
	(void)state;
	mk_statedb_free(db);
	db = NULL;
	assert_int_equal(mk_statedb_open(dir, &development, &db, &why), MK_CONFLICT);
	assert_null(db);
	assert_non_null(strstr(why.text, "production"));
	assert_non_null(strstr(why.text, "state_dir"));
	mk_statedb_free(opened()); /* it is as it was */
}

static void write_file(const char *bytes, size_t n, mode_t mode)
{
	const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void refused(enum mk_err want, const char *text)
{
	struct mk_statedb *db = NULL;
	struct mk_why why = { 0 };
	assert_int_equal(mk_statedb_open(dir, &production, &db, &why), want);
	if (!strstr(why.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, why.text);
}

static void what_is_no_database_of_ours_is_refused_with_the_remedy(void **state)
{
	char junk[4096];
	(void)state;
	memset(junk, 'j', sizeof junk);
	write_file(junk, sizeof junk, 0600);
	refused(MK_BAD_REQUEST, "restore it from a backup");
}

static void a_damaged_page_is_refused(void **state)
{
	struct mk_frozen f = { .on = true, .by = { "a" } };
	struct mk_statedb *db = opened();
	char junk[512];
	(void)state;
	assert_int_equal(mk_statedb_freeze(db, &f), MK_OK);
	mk_statedb_free(db); /* all of it is in the file now, and in the log still */
	char wal[128];
	snprintf(wal, sizeof wal, "%s-wal", file);
	assert_int_equal(unlink(wal), 0);
	memset(junk, 0x5a, sizeof junk);
	const int fd = open(file, O_WRONLY);
	for (off_t at = 4096; at < lseek(fd, 0, SEEK_END); at += 4096)
		assert_int_equal(pwrite(fd, junk, sizeof junk, at), (ssize_t)sizeof junk);
	close(fd);
	refused(MK_BAD_REQUEST, "damaged");
}

static void a_file_that_others_can_read_or_a_link_is_refused(void **state)
{
	char other[96];
	(void)state;
	mk_statedb_free(opened());
	assert_int_equal(chmod(file, 0644), 0);
	refused(MK_DENIED, "state.db");
	assert_int_equal(chmod(file, 0600), 0);
	snprintf(other, sizeof other, "%s/other.db", dir);
	assert_int_equal(rename(file, other), 0);
	assert_int_equal(symlink("other.db", file), 0);
	struct mk_statedb *db = NULL;
	struct mk_why why = { 0 };
	assert_int_not_equal(mk_statedb_open(dir, &production, &db, &why), MK_OK);
	assert_int_equal(unlink(other), 0);
}

/* In a child each, as a lock of this process would let this process in. */
static void two_processes_do_not_share_it(void **state)
{
	struct mk_statedb *db = opened();
	int status = 0;
	(void)state;
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct mk_statedb *second = NULL;
		struct mk_why why = { 0 };
		const enum mk_err e = mk_statedb_open(dir, &production, &second, &why);
		_exit(e == MK_CONFLICT && strstr(why.text, "another process") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	mk_statedb_free(db);
	mk_statedb_free(opened());
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_freeze_outlives_the_process),
		TEST(each_change_moves_the_generation_on),
		TEST(the_newest_time_is_kept_and_is_no_change),
		TEST(a_proposal_is_kept_until_it_is_over),
		TEST(a_clock_set_back_ends_a_proposal),
		TEST(a_proposal_is_dropped_once),
		TEST(nobody_fills_the_list_of_proposals),
		TEST(another_environments_database_is_refused),
		TEST(what_is_no_database_of_ours_is_refused_with_the_remedy),
		TEST(a_damaged_page_is_refused),
		TEST(a_file_that_others_can_read_or_a_link_is_refused),
		TEST(two_processes_do_not_share_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

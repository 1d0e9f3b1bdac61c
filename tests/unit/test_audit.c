/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log in good days: what is written verifies, segments follow each other, no text
 * breaks a line, and one process alone writes a file that can be trusted.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit_kit.h"

#include <sys/file.h>

static void what_is_written_verifies(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	three_grants(k);
	assert_int_equal(kit_status(k).seq, 4);
	assert_int_equal(kit_status(k).grants, 3);
	assert_true(kit_status(k).writable);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.records, 5);
	assert_int_equal(v.r.first_seq, 1);
	assert_int_equal(v.r.last_seq, 5);
	assert_int_equal(v.r.grants, 3);
	assert_int_equal(v.r.starts, 1);
	assert_true(v.r.closed);
	assert_int_equal(v.notes, 0);
	assert_string_equal(v.r.environment.s, "production");
}

static void the_file_is_for_its_owner_only(void **state)
{
	struct kit *k = *state;
	struct stat st;
	umask(0);
	kit_open(k);
	assert_int_equal(stat(k->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	umask(022);
}

static void idle_time_is_recorded_every_ten_seconds(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	for (int i = 0; i < 4 * 35; i++) {
		kit_tick(k, 250);
	}
	assert_int_equal(kit_count(k->file, "\"event\":\"epoch\""), 3);
	(void)kit_good(k);
}

static void the_chain_goes_on_over_segments(void **state)
{
	struct kit *k = *state;
	struct stat st;
	k->conf.max_size = 16384;
	k->conf.keep = 2;
	kit_open(k);
	for (int i = 0; i < 300; i++)
		assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.rotations, 3); /* the one in the live file and two kept */
	assert_true(v.r.first_seq > 1);
	assert_non_null(strstr(v.all_notes, "were removed by `keep`, as recorded"));
	unsigned kept = 0;
	DIR *d = opendir(k->dir);
	for (struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, "audit.jsonl.", 12) != 0)
			continue;
		kept++;
		assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
		assert_true(st.st_size <= 16384);
	}
	closedir(d);
	assert_int_equal(kept, 2);
}

static void a_kill_amid_a_rotation_loses_nothing(void **state)
{
	struct kit *k = *state;
	char aside[160];
	snprintf(aside, sizeof aside, "%s.%020d", k->file, 1);
	kit_killed(k, three_grants);
	assert_int_equal(rename(k->file, aside), 0); /* set aside, the new one not yet made */
	kit_killed(k, three_grants);
	struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
	assert_int_equal(v.r.restarts, 1);
	snprintf(aside, sizeof aside, "%s.%020d", k->file, 5);
	assert_int_equal(rename(k->file, aside), 0);
	kit_spill(k->file, "", 0); /* made, and its opening record not yet written */
	kit_open(k);
	assert_string_equal(kit_status(k).alarm, "");
	kit_close(k);
	v = kit_verify(k);
	kit_assert_good(&v);
	assert_int_equal(v.r.last_seq, 10);
}

static void no_text_of_a_caller_breaks_a_line(void **state)
{
	struct kit *k = *state;
	char nasty[4097];
	for (size_t i = 0; i < sizeof nasty - 1; i++)
		nasty[i] = (char)(1 + i % 255);
	nasty[sizeof nasty - 1] = '\0';
	struct mk_account account; /* checked where it comes from: its alphabet needs no escape */
	memset(&account, 'a', sizeof account);
	account.ns[sizeof account.ns - 1] = account.name[sizeof account.name - 1] = '\0';
	const struct mk_audit_rec rec = { .event = "deny", .account = &account, .service = nasty, .listener = nasty, .peer = true, .uid = UINT32_MAX,
					  .gid = UINT32_MAX, .pid = INT32_MAX, .action = nasty, .connection = nasty,
					  .version = nasty, .state = nasty, .reason = nasty, .rule_line = INT64_MAX / 10,
					  .count = INT64_MAX / 10, .detail = nasty };
	kit_open(k);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mk_audit_write(k->a, &rec), MK_OK);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.records, 5);
	assert_int_equal(kit_count(k->file, "\"account\":\"aaaa"), 3);
}

static void two_writers_of_one_file_are_refused(void **state)
{
	struct kit *k = *state;
	struct mk_audit *second = NULL;
	struct mk_why why;
	kit_open(k);
	assert_int_equal(mk_audit_open(&k->conf, &k->env, -1, &second, &why), MK_CONFLICT);
	assert_non_null(strstr(why.text, "another process"));
	assert_null(second);
}

static void hold_the_file(struct kit *k, int held)
{
	const int fd = open(k->file, O_RDWR | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || write(held, "x", 1) != 1)
		_exit(1);
	usleep(300000);
	_exit(0);
}

/* The broker of a killed agent may be ending just now. */
static void a_writer_that_is_just_ending_is_waited_for(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	kit_close(k);
	int held[2], status = 0;
	char c;
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		hold_the_file(k, held[1]);
	close(held[1]);
	assert_int_equal(read(held[0], &c, 1), 1);
	kit_open(k);
	assert_true(kit_status(k).writable);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(held[0]);
}

static void refused_because(struct kit *k, enum mk_err want, const char *text)
{
	struct mk_audit *a = NULL;
	struct mk_why why;
	assert_int_equal(mk_audit_open(&k->conf, &k->env, k->head, &a, &why), want);
	assert_non_null(strstr(why.text, text));
	assert_null(a);
}

static void files_that_cannot_be_trusted_are_refused(void **state)
{
	struct kit *k = *state;
	assert_int_equal(symlink("/etc/passwd", k->file), 0);
	refused_because(k, MK_BAD_REQUEST, "symbolic link");
	unlink(k->file);
	assert_int_equal(mkfifo(k->file, 0600), 0);
	refused_because(k, MK_BAD_REQUEST, "not a regular file");
	unlink(k->file);
	kit_spill(k->file, "", 0);
	assert_int_equal(chmod(k->file, 0622), 0);
	refused_because(k, MK_DENIED, "can be written by others");
	unlink(k->file);
	assert_int_equal(chmod(k->dir, 0777), 0);
	refused_because(k, MK_DENIED, "directory can be written by others");
	assert_int_equal(chmod(k->dir, 0700), 0);
	snprintf(k->conf.file, sizeof k->conf.file, "%s/none/audit.jsonl", k->dir);
	refused_because(k, MK_DENIED, "install -d");
	snprintf(k->conf.file, sizeof k->conf.file, "%s", k->file);
	kit_open(k); /* the control */
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		CLAIM(what_is_written_verifies),
		CLAIM(the_file_is_for_its_owner_only),
		CLAIM(idle_time_is_recorded_every_ten_seconds),
		CLAIM(the_chain_goes_on_over_segments),
		CLAIM(a_kill_amid_a_rotation_loses_nothing),
		CLAIM(no_text_of_a_caller_breaks_a_line),
		CLAIM(two_writers_of_one_file_are_refused),
		CLAIM(a_writer_that_is_just_ending_is_waited_for),
		CLAIM(files_that_cannot_be_trusted_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

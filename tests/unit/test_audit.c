/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log in good days: what is written verifies, parts and segments follow each
 * other over restarts, kills and rotations, and what the head page knows is used.
 */
#include "audit_kit.h"

#include <sys/file.h>

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof *k);
	kit_init(k);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	kit_done(*state);
	free(*state);
	return 0;
}

static void three_grants(struct kit *k)
{
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	kit_pass(k, 5);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_int_equal(kit_write(k, "acme-3"), MK_OK);
}

static void what_is_written_verifies(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	three_grants(k);
	assert_int_equal(kit_status(k).seq, 4);
	assert_int_equal(kit_status(k).grants, 3);
	assert_true(kit_status(k).writable);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
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

static void a_restart_goes_on_and_proves_its_link(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	three_grants(k);
	kit_close(k);
	kit_open(k);
	three_grants(k);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
	assert_int_equal(v.r.records, 10);
	assert_int_equal(v.r.starts, 1);
	assert_int_equal(v.r.restarts, 1);
	assert_int_equal(v.notes, 0);
	assert_int_equal(kit_count(k->file, "\"ended\":\"closed\""), 1);
	assert_int_equal(kit_count(k->file, "\"link\":\""), 1);
}

static void a_killed_broker_leaves_a_whole_chain(void **state)
{
	struct kit *k = *state;
	kit_killed(k, three_grants);
	kit_killed(k, three_grants);
	kit_open(k);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
	assert_int_equal(v.r.records, 10);
	assert_int_equal(v.r.restarts, 2);
	assert_int_equal(v.notes, 2); /* two parts without a closing record */
	assert_int_equal(kit_count(k->file, "\"ended\":\"crash\""), 2);
}

static void an_agent_start_goes_on_after_the_last_line(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	three_grants(k);
	kit_close(k);
	kit_new_head(k);
	kit_open(k);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
	assert_int_equal(v.r.starts, 2);
	assert_int_equal(v.r.last_seq, 7);
}

static void told(struct kit *k, uint64_t generation)
{
	kit_open(k);
	mk_audit_state(k->a, generation);
	kit_close(k);
	kit_new_head(k);
}

static void the_newest_generation_is_known_at_the_next_start(void **state)
{
	struct kit *k = *state;
	told(k, 8);
	told(k, 9);
	kit_open(k);
	assert_int_equal(kit_status(k).state_found, 9);
	three_grants(k);
	mk_audit_state(k->a, 3);
	kit_close(k);
	kit_new_head(k);
	kit_open(k);
	assert_int_equal(kit_status(k).state_found, 9); /* what an older database says hides nothing */
	kit_close(k);
}

static void the_time_of_the_last_record_is_known_at_the_next_start(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	assert_int_equal(kit_status(k).newest_ms, MK_TIME_NONE);
	k->wall += 5000;
	const int64_t last = k->wall;
	kit_close(k);
	kit_new_head(k);
	k->wall -= 1000000;
	kit_open(k);
	assert_int_equal(kit_status(k).newest_ms, last); /* not the opening record's own */
	three_grants(k);
	assert_int_equal(kit_status(k).newest_ms, last);
	kit_close(k);
}

static void a_database_that_fell_back_is_noted(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	mk_audit_state(k->a, 9);
	const struct kit_verdict before = kit_verify(k);
	assert_null(strstr(before.all_notes, "state database"));
	mk_audit_state(k->a, 3);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v); /* the log is as it was written: it is the database that is not */
	assert_non_null(strstr(v.all_notes, "fell from generation 9 to 3"));
}

static void what_an_empty_log_tells_of_the_database_is_nothing(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	assert_int_equal(kit_status(k).state_found, 0);
	kit_close(k);
}

/* The page says more than the file: the last record was cut off while no broker ran. */
static void a_cut_between_two_brokers_raises_the_alarm(void **state)
{
	struct kit *k = *state;
	static char buf[KIT_BYTES_MAX];
	kit_killed(k, three_grants);
	size_t n = kit_read(k->file, buf, sizeof buf) - 1;
	while (buf[n - 1] != '\n')
		n--;
	kit_spill(k->file, buf, n);
	kit_open(k);
	assert_string_equal(kit_status(k).alarm, "audit_mismatch");
	assert_int_equal(kit_status(k).seq, 6); /* 4 was the head; 5 opens, 6 is the alarm */
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	assert_int_equal(v.first.fault, MK_FAULT_CUT);
	assert_int_equal(v.first.seq, 5);
	assert_non_null(strstr(v.all_notes, "\"mismatch\""));
	assert_int_equal(v.faults, 1); /* the rest is verified, its link across the cut included */
	assert_int_equal(v.r.verified, v.r.records);
}

static void an_edit_between_two_brokers_raises_the_alarm(void **state)
{
	struct kit *k = *state;
	static char buf[KIT_BYTES_MAX];
	kit_killed(k, three_grants);
	const size_t n = kit_read(k->file, buf, sizeof buf);
	buf[n - 5] = buf[n - 5] == '0' ? '1' : '0'; /* in the last mac */
	kit_spill(k->file, buf, n);
	kit_open(k);
	assert_string_equal(kit_status(k).alarm, "audit_mismatch");
}

static void a_removed_log_between_two_brokers_raises_the_alarm(void **state)
{
	struct kit *k = *state;
	kit_killed(k, three_grants);
	unlink(k->file);
	kit_open(k);
	assert_string_equal(kit_status(k).alarm, "audit_mismatch");
	assert_int_equal(kit_status(k).seq, 6);
}

/* The kill fell between the write and the commit: the page still has the record before. */
static void set_committed_back(const struct kit *k)
{
	struct page { /* as head.h: layout, then committed and pending */
		uint32_t layout, pad;
		struct mk_head committed, pending;
	} p, before;
	static char buf[KIT_BYTES_MAX];
	struct mk_line l;
	assert_int_equal(pread(k->head, &p, sizeof p, 0), (ssize_t)sizeof p);
	before = p;
	size_t end = kit_read(k->file, buf, sizeof buf) - 1, start;
	while (buf[end - 1] != '\n') /* the line before the last */
		end--;
	end--;
	for (start = end; start > 0 && buf[start - 1] != '\n';)
		start--;
	assert_true(mk_line_parse(mk_span(buf + start, end - start), &l));
	p.committed.seq = l.seq;
	memcpy(p.committed.mac, l.mac, sizeof l.mac);
	memset(p.committed.link, 0, sizeof p.committed.link);
	assert_int_equal(before.pending.seq, l.seq + 1);
	assert_int_equal(pwrite(k->head, &p, sizeof p, 0), (ssize_t)sizeof p);
}

static void a_kill_between_write_and_commit_is_no_mismatch(void **state)
{
	struct kit *k = *state;
	kit_killed(k, three_grants);
	set_committed_back(k);
	kit_open(k);
	assert_string_equal(kit_status(k).alarm, "");
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
	assert_int_equal(v.r.last_seq, 6);
}

static void a_kill_between_pending_and_write_is_no_mismatch(void **state)
{
	struct kit *k = *state;
	static char buf[KIT_BYTES_MAX];
	kit_killed(k, three_grants);
	set_committed_back(k); /* the link of committed is lost by this, so the verifier may say so; the broker must not */
	size_t n = kit_read(k->file, buf, sizeof buf) - 1;
	while (buf[n - 1] != '\n')
		n--;
	kit_spill(k->file, buf, n);
	kit_open(k);
	assert_string_equal(kit_status(k).alarm, "");
	assert_int_equal(kit_status(k).seq, 4); /* 3 was the last; the number 4 was never on disk */
}

static void torn_tail(struct kit *k, const char *tail)
{
	kit_open(k);
	three_grants(k);
	kit_close(k);
	kit_new_head(k); /* a power cut takes the page too */
	kit_append(k->file, tail);
	kit_open(k);
	kit_close(k);
}

static void a_torn_last_line_is_kept_and_vouched_for(void **state)
{
	struct kit *k = *state;
	torn_tail(k, "{\"seq\":6,\"time\":\"2025-");
	struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
	assert_int_equal(v.r.last_seq, 7);
	assert_non_null(strstr(v.all_notes, "22 bytes of a torn record"));
	char aside[160];
	snprintf(aside, sizeof aside, "%s.%020d", k->file, 1);
	assert_int_equal(kit_count(aside, "{\"seq\":6,"), 1); /* nothing was deleted */
	kit_append(aside, "x");
	v = kit_verify(k);
	assert_int_equal(v.first.fault, MK_FAULT_CUT);
	assert_int_equal(v.first.line, 6);
}

static void foreign_lines_at_the_end_are_an_alarm(void **state)
{
	struct kit *k = *state;
	torn_tail(k, "somebody was here\n");
	assert_int_equal(kit_count(k->file, "audit_damaged"), 1);
	const struct kit_verdict v = kit_verify(k);
	assert_int_equal(v.first.fault, MK_FAULT_FORM);
	assert_int_equal(v.first.line, 6);
}

/* A torn write is never as long as a record: what is longer was put there. */
static void a_long_piece_at_the_end_is_not_taken_for_a_torn_record(void **state)
{
	struct kit *k = *state;
	static char piece[MK_RECORD_MAX + 1];
	memset(piece, 'x', sizeof piece - 1);
	torn_tail(k, piece);
	assert_int_equal(kit_count(k->file, "audit_damaged"), 1);
	const struct kit_verdict v = kit_verify(k);
	assert_int_equal(v.first.fault, MK_FAULT_CUT);
}

static void idle_time_is_recorded_every_ten_seconds(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	for (int i = 0; i < 4 * 35; i++) {
		kit_pass(k, 250);
		mk_audit_tick(k->a);
	}
	assert_int_equal(kit_count(k->file, "\"event\":\"epoch\""), 3);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
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
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
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
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
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
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CLAIM(what_is_written_verifies),
		CLAIM(the_file_is_for_its_owner_only),
		CLAIM(the_newest_generation_is_known_at_the_next_start),
		CLAIM(the_time_of_the_last_record_is_known_at_the_next_start),
		CLAIM(a_database_that_fell_back_is_noted),
		CLAIM(what_an_empty_log_tells_of_the_database_is_nothing),
		CLAIM(a_restart_goes_on_and_proves_its_link),
		CLAIM(a_killed_broker_leaves_a_whole_chain),
		CLAIM(an_agent_start_goes_on_after_the_last_line),
		CLAIM(a_cut_between_two_brokers_raises_the_alarm),
		CLAIM(an_edit_between_two_brokers_raises_the_alarm),
		CLAIM(a_removed_log_between_two_brokers_raises_the_alarm),
		CLAIM(a_kill_between_write_and_commit_is_no_mismatch),
		CLAIM(a_kill_between_pending_and_write_is_no_mismatch),
		CLAIM(a_torn_last_line_is_kept_and_vouched_for),
		CLAIM(foreign_lines_at_the_end_are_an_alarm),
		CLAIM(a_long_piece_at_the_end_is_not_taken_for_a_torn_record),
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

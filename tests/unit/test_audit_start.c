/* SPDX-License-Identifier: Apache-2.0
 *
 * An audit log that is opened again, after a stop, a kill or a hand at its file: parts follow
 * each other, and what the head page knows is used.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit_kit.h"

static void a_restart_goes_on_and_proves_its_link(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	three_grants(k);
	kit_close(k);
	kit_open(k);
	three_grants(k);
	const struct kit_verdict v = kit_good(k);
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
	const struct kit_verdict v = kit_good(k);
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
	const struct kit_verdict v = kit_good(k);
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
	const struct kit_verdict v = kit_good(k);
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

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

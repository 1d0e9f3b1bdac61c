/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log's file in the hands of others while the agent runs: removed, moved,
 * replaced, cut, written to. The log goes on at once in a new segment, the chain
 * unbroken, with an alarm; what was done to the old one, the verifier finds.
 */
#include "audit_kit.h"

static off_t size_of(const char *file)
{
	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	return st.st_size;
}

static void a_removed_file_is_made_anew_at_once(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	unlink(k->file);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_string_equal(kit_status(k).alarm, "audit_gone");
	assert_int_equal(kit_count(k->file, "acme-2"), 1);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	assert_int_equal(v.faults, 0); /* what is here is whole, and says that something is not */
	assert_int_equal(v.r.first_seq, 3);
	assert_non_null(strstr(v.all_notes, "\"gone\""));
	assert_non_null(strstr(v.all_notes, "begins at record 3"));
}

static void a_moved_file_is_noticed_at_once(void **state)
{
	struct kit *k = *state;
	char moved[160];
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	snprintf(moved, sizeof moved, "%s.0moved", k->file);
	assert_int_equal(rename(k->file, moved), 0);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	kit_close(k);
	struct kit_verdict v;
	const struct mk_verify_conf conf = kit_verify_conf(k, &v);
	const char *files[] = { moved, k->file, NULL };
	kit_verify_files(&conf, &v, files);
	kit_assert_good(&v);
	assert_int_equal(v.r.first_seq, 1);
	assert_int_equal(v.r.recoveries, 1);
}

static void a_turn_looks_once_and_the_next_turn_again(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	mk_audit_turn(k->a, true);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	unlink(k->file);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_string_equal(kit_status(k).alarm, ""); /* it was not looked at again */
	mk_audit_turn(k->a, false);
	assert_int_equal(kit_write(k, "acme-3"), MK_OK);
	assert_string_equal(kit_status(k).alarm, "audit_gone");
	unlink(k->file);
	mk_audit_turn(k->a, true);
	assert_int_equal(kit_write(k, "acme-4"), MK_OK);
	assert_int_equal(kit_count(k->file, "acme-4"), 1);
	mk_audit_turn(k->a, false);
}

static void what_happens_to_the_file_is_noticed_when_idle_too(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	kit_append(k->file, "x");
	mk_audit_tick(k->a);
	assert_string_equal(kit_status(k).alarm, "audit_foreign");
	unlink(k->file);
	mk_audit_tick(k->a);
	assert_string_equal(kit_status(k).alarm, "audit_gone");
	assert_int_equal(truncate(k->file, 3), 0);
	mk_audit_tick(k->a);
	assert_string_equal(kit_status(k).alarm, "audit_cut");
	assert_true(kit_status(k).writable);
}

static void a_foreign_file_in_its_place_is_kept_and_replaced(void **state)
{
	struct kit *k = *state;
	char other[160];
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	snprintf(other, sizeof other, "%s.tmp", k->file);
	kit_spill(other, "not the log\n", 12);
	assert_int_equal(rename(other, k->file), 0);
	mk_audit_tick(k->a);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_int_equal(kit_count(k->file, "not the log"), 0);
	snprintf(other, sizeof other, "%s.%020d.0", k->file, 3);
	assert_int_equal(kit_count(other, "not the log"), 1);
}

static void bytes_of_others_are_an_alarm_and_a_fault(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	kit_append(k->file, "{\"seq\":3}\n");
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_string_equal(kit_status(k).alarm, "audit_foreign");
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	assert_int_equal(v.first.fault, MK_FAULT_FORM);
	assert_int_equal(v.first.line, 3);
	assert_int_equal(v.faults, 1);
	assert_int_equal(v.r.verified, v.r.records - 1);
}

static void a_file_cut_under_the_agent_is_an_alarm_and_a_fault(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	const off_t keep = size_of(k->file);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_int_equal(truncate(k->file, keep), 0);
	assert_int_equal(kit_write(k, "acme-3"), MK_OK);
	assert_string_equal(kit_status(k).alarm, "audit_cut");
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	assert_int_equal(v.first.fault, MK_FAULT_CUT);
	assert_int_equal(v.first.seq, 4);
	assert_non_null(strstr(v.first.text, "records 2 to 3"));
	assert_int_equal(v.faults, 1);
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		CLAIM(a_removed_file_is_made_anew_at_once),
		CLAIM(a_moved_file_is_noticed_at_once),
		CLAIM(a_turn_looks_once_and_the_next_turn_again),
		CLAIM(what_happens_to_the_file_is_noticed_when_idle_too),
		CLAIM(a_foreign_file_in_its_place_is_kept_and_replaced),
		CLAIM(bytes_of_others_are_an_alarm_and_a_fault),
		CLAIM(a_file_cut_under_the_agent_is_an_alarm_and_a_fault),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

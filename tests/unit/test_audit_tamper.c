/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way to change a log that was written: each bit flipped, each record dropped, doubled,
 * swapped, each byte cut off. The verifier finds it and says in which line.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit_tamper_kit.h"

static void the_untouched_log_is_good(void **state)
{
	(void)state;
	const struct kit_verdict v = kit_verify_bytes(&kit, whole, whole_n);
	kit_assert_good(&v);
	assert_int_equal(v.notes, 0);
	assert_int_equal(v.r.records, 8);
}

static void every_flipped_bit_is_found_where_it_is(void **state)
{
	(void)state;
	for (size_t line = 0; line < n_lines; line++) {
		for (size_t at = begins[line]; at < begins[line + 1]; at++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				whole[at] = (char)(whole[at] ^ 1 << bit);
				const struct kit_verdict v = kit_verify_bytes(&kit, whole, whole_n);
				whole[at] = (char)(whole[at] ^ 1 << bit);
				assert_true(v.faults > 0);
				if (v.first.line != line + 1)
					print_error("byte %zu bit %u: line %lu\n", at, bit, v.first.line);
				assert_int_equal(v.first.line, line + 1);
			}
		}
	}
}

static void every_dropped_record_is_found(void **state)
{
	(void)state;
	for (size_t drop = 0; drop < n_lines; drop++) {
		size_t order[LINES_MAX], n = 0;
		for (size_t i = 0; i < n_lines; i++)
			if (i != drop)
				order[n++] = i;
		const struct kit_verdict v = verdict_of(order, n);
		if (drop == n_lines - 1) { /* an end like any other: only a known head tells (see below) */
			assert_int_equal(v.faults, 0);
			assert_non_null(strstr(v.all_notes, "no closing record"));
			continue;
		}
		assert_true(v.faults > 0);
		assert_int_equal(v.first.fault, MK_FAULT_CUT);
		assert_int_equal(v.first.line, drop + 1);
	}
}

static void every_doubled_record_is_found(void **state)
{
	(void)state;
	for (size_t twice = 0; twice < n_lines; twice++) {
		size_t order[LINES_MAX], n = 0;
		for (size_t i = 0; i < n_lines; i++) {
			order[n++] = i;
			if (i == twice)
				order[n++] = i;
		}
		const struct kit_verdict v = verdict_of(order, n);
		assert_true(v.faults > 0);
		assert_true(v.first.fault == MK_FAULT_REPEATED || v.first.fault == MK_FAULT_INSERTED);
		assert_int_equal(v.first.line, twice + 2);
	}
}

static void every_pair_of_swapped_records_is_found(void **state)
{
	(void)state;
	for (size_t swap = 0; swap + 1 < n_lines; swap++) {
		size_t order[LINES_MAX];
		for (size_t i = 0; i < n_lines; i++)
			order[i] = i;
		order[swap] = swap + 1;
		order[swap + 1] = swap;
		const struct kit_verdict v = verdict_of(order, n_lines);
		assert_true(v.faults > 0);
		assert_int_equal(v.first.line, swap + 1);
		if (swap > 0)
			assert_int_equal(v.first.fault, MK_FAULT_SWAPPED);
	}
}

/* At a border of records the log is a shorter log: a note, and a fault for who knows a newer head. */
static void every_cut_is_found(void **state)
{
	(void)state;
	struct mk_line last;
	assert_true(mk_line_parse(mk_span(whole + begins[n_lines - 1], line_n(n_lines - 1) - 1), &last));
	for (size_t n = 1; n < whole_n; n++) {
		struct kit_verdict v = kit_verify_bytes(&kit, whole, n);
		if (whole[n - 1] != '\n') {
			assert_int_equal(v.faults, 1);
			assert_int_equal(v.first.fault, MK_FAULT_CUT);
			continue;
		}
		assert_int_equal(v.faults, 0);
		struct mk_verify_conf conf = kit_verify_conf(&kit, &v);
		struct mk_verify *verify;
		conf.expects = true;
		conf.expect_seq = last.seq;
		memcpy(conf.expect_mac, last.mac, sizeof last.mac);
		assert_int_equal(mk_verify_new(&conf, &verify), MK_OK);
		mk_verify_file(verify, "memory");
		mk_verify_bytes(verify, mk_span(whole, n));
		mk_verify_end(verify, &v.r);
		mk_verify_free(verify);
		assert_int_equal(v.faults, 1);
		assert_int_equal(v.first.fault, MK_FAULT_HEAD);
	}
}

static void an_expected_head_that_is_there_is_met(void **state)
{
	(void)state;
	struct kit_verdict v;
	struct mk_line l;
	const char *files[] = { kit.file, NULL };
	struct mk_verify_conf conf = kit_verify_conf(&kit, &v);
	assert_true(mk_line_parse(mk_span(whole + begins[2], line_n(2) - 1), &l));
	conf.expects = true;
	conf.expect_seq = l.seq;
	memcpy(conf.expect_mac, l.mac, sizeof l.mac);
	kit_verify_files(&conf, &v, files);
	kit_assert_good(&v);
	conf.expect_mac[0] ^= 1;
	kit_verify_files(&conf, &v, files);
	assert_int_equal(v.first.fault, MK_FAULT_HEAD);
	assert_int_equal(v.first.line, 3);
}

static void without_a_key_order_and_form_are_still_checked(void **state)
{
	(void)state;
	struct kit_verdict v;
	const char *files[] = { kit.file, NULL };
	struct mk_verify_conf conf = kit_verify_conf(&kit, &v);
	conf.auditor_key = NULL;
	kit_verify_files(&conf, &v, files);
	assert_int_equal(v.faults, 0);
	assert_int_equal(v.r.verified, 0);
	assert_int_equal(v.r.records, 8);
}

static void any_piece_size_gives_the_same_verdict(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 400; piece += 7) {
		struct kit_verdict v;
		struct mk_verify *verify;
		const struct mk_verify_conf conf = kit_verify_conf(&kit, &v);
		assert_int_equal(mk_verify_new(&conf, &verify), MK_OK);
		mk_verify_file(verify, "memory");
		for (size_t at = 0; at < whole_n; at += piece)
			mk_verify_bytes(verify, mk_span(whole + at, whole_n - at < piece ? whole_n - at : piece));
		mk_verify_end(verify, &v.r);
		mk_verify_free(verify);
		kit_assert_good(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_untouched_log_is_good),
		cmocka_unit_test(every_flipped_bit_is_found_where_it_is),
		cmocka_unit_test(every_dropped_record_is_found),
		cmocka_unit_test(every_doubled_record_is_found),
		cmocka_unit_test(every_pair_of_swapped_records_is_found),
		cmocka_unit_test(every_cut_is_found),
		cmocka_unit_test(an_expected_head_that_is_there_is_met),
		cmocka_unit_test(without_a_key_order_and_form_are_still_checked),
		cmocka_unit_test(any_piece_size_gives_the_same_verdict),
	};
	return cmocka_run_group_tests(tests, setup_log, remove_log);
}

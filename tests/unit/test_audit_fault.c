/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log in bad days: no space, a file limit, read-only. Nothing half written stays
 * unsaid, nothing is written twice, no record is lost silently, and it heals by itself, also
 * when idle.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit_fault_kit.h"

#include <sys/mount.h>

static void a_short_write_leaves_nothing_and_refuses(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	for (rlim_t more = 0; more < 200; more += 33) {
		const off_t before = size_of(k->file);
		const uint64_t seq = kit_status(k).seq;
		limit((rlim_t)before + more);
		assert_int_equal(kit_write(k, "acme-2"), MK_AUDIT);
		assert_int_equal(size_of(k->file), before);
		assert_int_equal(kit_status(k).seq, seq);
		assert_false(kit_status(k).writable);
		assert_string_equal(kit_status(k).fault, "no_space");
		limit(RLIM_INFINITY);
		assert_int_equal(kit_write(k, "acme-3"), MK_AUDIT); /* until the tick has healed it */
		kit_tick(k, 1000);
		assert_true(kit_status(k).writable);
		assert_string_equal(kit_status(k).alarm, "audit_resumed");
		assert_int_equal(kit_write(k, "acme-4"), MK_OK);
	}
	assert_int_equal(kit_count(k->file, "acme-2"), 0);
	assert_int_equal(kit_count(k->file, "\"reason\":\"audit_resumed\",\"count\":2"), 7);
	(void)kit_good(k);
}

static void it_heals_when_idle_and_backs_off_to_a_second(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	limit((rlim_t)size_of(k->file));
	kit_tick(k, 10000); /* the epoch record fails */
	assert_false(kit_status(k).writable);
	for (int i = 0; i < 20; i++) {
		kit_tick(k, 250);
	}
	assert_false(kit_status(k).writable);
	limit(RLIM_INFINITY);
	for (int i = 0; i < 4; i++) {
		kit_tick(k, 250);
	}
	assert_true(kit_status(k).writable);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.alarms, 1);
}

static void denials_of_a_bad_time_are_written_later(void **state)
{
	struct kit *k = *state;
	const struct mk_audit_rec rec = { .event = "deny", .peer = true, .uid = 5, .listener = "api", .connection = "acme-9" };
	kit_open(k);
	limit((rlim_t)size_of(k->file));
	for (int i = 0; i < 50; i++)
		assert_int_equal(mk_audit_deny(k->a, &rec), MK_AUDIT);
	limit(RLIM_INFINITY);
	kit_tick(k, 2000);
	assert_int_equal(kit_count(k->file, "\"count\":50"), 1);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.denials, 50);
}

static void a_file_that_cannot_be_made_anew_fails_closed_and_heals(void **state)
{
	struct kit *k = *state;
	char away[160];
	snprintf(away, sizeof away, "%s.away", k->dir);
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	unlink(k->file);
	limit(0); /* nothing can be written anywhere */
	assert_int_equal(kit_write(k, "acme-2"), MK_AUDIT);
	assert_int_equal(access(k->file, F_OK), -1); /* the file in which no record stands went away again */
	assert_int_equal(kit_write(k, "acme-3"), MK_AUDIT);
	limit(RLIM_INFINITY);
	kit_tick(k, 1000);
	assert_int_equal(kit_write(k, "acme-4"), MK_OK);
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	assert_int_equal(v.faults, 0);
	assert_int_equal(v.r.alarms, 2); /* gone, resumed */
}

static void it_opens_on_a_full_disk_and_heals(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	kit_close(k);
	limit((rlim_t)size_of(k->file) + 10);
	kit_open(k);
	assert_false(kit_status(k).writable);
	assert_int_equal(kit_write(k, "acme-1"), MK_AUDIT);
	mk_audit_tick(k->a);
	limit(RLIM_INFINITY);
	kit_tick(k, 1000);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.restarts, 1);
}

static void a_log_whose_first_line_is_damaged_is_never_removed(void **state)
{
	struct kit *k = *state;
	static char log[KIT_BYTES_MAX];
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	kit_close(k);
	const size_t n = kit_read(k->file, log, sizeof log);
	log[0] = 'x';
	kit_spill(k->file, log, n);
	limit((rlim_t)n + 10); /* the opening record fails */
	kit_open(k);
	assert_false(kit_status(k).writable);
	assert_int_equal(size_of(k->file), n);
	limit(RLIM_INFINITY);
	kit_tick(k, 1000);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_int_equal(kit_count(k->file, "acme-1"), 1);
}

/* In a fault nobody looks at each record; what happened meanwhile is seen before the next one is written. */
static void what_happens_to_the_file_in_a_fault_is_noticed(void **state)
{
	struct kit *k = *state;
	static const char *const alarms[] = { "audit_gone", "audit_cut", "audit_foreign" };
	kit_open(k);
	for (size_t i = 0; i < MK_COUNT(alarms); i++) {
		assert_int_equal(kit_write(k, "acme-1"), MK_OK);
		const off_t size = size_of(k->file);
		limit((rlim_t)size);
		assert_int_equal(kit_write(k, "acme-2"), MK_AUDIT);
		limit(RLIM_INFINITY);
		if (i == 0)
			assert_int_equal(unlink(k->file), 0);
		else if (i == 1)
			assert_int_equal(truncate(k->file, size - 40), 0);
		else
			kit_append(k->file, "x\n");
		kit_tick(k, 1000);
		assert_true(kit_status(k).writable);
		assert_int_equal(kit_count(k->file, "\"event\":\"open\""), 1); /* a new segment: nothing went behind that end */
		assert_int_equal(kit_count(k->file, alarms[i]), 1);
		assert_int_equal(kit_count(k->file, "audit_resumed"), 1);
	}
}

static void a_half_record_that_stays_is_vouched_for(void **state)
{
	struct kit *k = *state;
	char aside[160];
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	limit((rlim_t)size_of(k->file) + 40);
	fail_ftruncate = EIO;
	assert_int_equal(kit_write(k, "acme-2"), MK_AUDIT);
	fail_ftruncate = 0;
	limit(RLIM_INFINITY);
	kit_tick(k, 1000);
	assert_int_equal(kit_write(k, "acme-3"), MK_OK);
	const struct kit_verdict v = kit_good(k);
	assert_non_null(strstr(v.all_notes, "40 bytes of a torn record"));
	snprintf(aside, sizeof aside, "%s.%020d", k->file, 1);
	assert_int_equal(kit_count(aside, "\n{\"seq\":3,"), 1);
}

static void a_half_opening_record_that_stays_is_vouched_for(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	kit_close(k);
	kit_new_head(k);
	limit((rlim_t)size_of(k->file) + 40);
	fail_ftruncate = EIO;
	kit_open(k);
	fail_ftruncate = 0;
	limit(RLIM_INFINITY);
	kit_tick(k, 1000);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.starts, 2); /* it has no link to show, and does not claim one */
}

/* A tiny file system of its own, where this may be mounted. */
static bool mount_tiny(const char *dir)
{
	return geteuid() == 0 && mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700") == 0;
}

static void a_full_disk_is_said_before_it_is_full(void **state)
{
	(void)state;
	struct kit k;
	char dir[] = "/tmp/mk-audit-fs-XXXXXX", filler[64];
	assert_non_null(mkdtemp(dir));
	if (!mount_tiny(dir)) {
		rmdir(dir);
		skip();
	}
	kit_init_at(&k, dir);
	kit_open(&k);
	assert_int_equal(mk_audit_start_sync(k.a), MK_OK);
	assert_int_equal(kit_write(&k, "acme-1"), MK_OK);
	snprintf(filler, sizeof filler, "%s/filler", dir);
	static const char zeros[220 * 1024];
	kit_spill(filler, zeros, sizeof zeros);
	mk_audit_tick(k.a);
	assert_string_equal(kit_status(&k).fault, "no_space");
	assert_int_equal(kit_count(k.file, "audit_full"), 1);
	assert_int_equal(kit_write(&k, "acme-2"), MK_AUDIT);
	unlink(filler);
	kit_pass(&k, 1000);
	mk_audit_tick(k.a);
	assert_int_equal(kit_write(&k, "acme-3"), MK_OK);
	assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, "size=256k,mode=0700"), -1); /* busy: a writer is there */
	kit_close(&k);
	struct kit_verdict v = kit_verify(&k);
	kit_assert_good(&v);
	assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, "size=256k,mode=0700"), 0);
	kit_open(&k);
	assert_string_equal(kit_status(&k).fault, "read_only");
	assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT, "size=256k,mode=0700"), 0);
	kit_pass(&k, 1000);
	mk_audit_tick(k.a);
	assert_int_equal(kit_write(&k, "acme-4"), MK_OK);
	kit_close(&k);
	v = kit_verify(&k);
	kit_assert_good(&v);
	assert_int_equal(v.r.restarts, 1);
	kit_done(&k);
	umount(dir);
	rmdir(dir);
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, kit_setup, heal)
	const struct CMUnitTest tests[] = {
		CLAIM(a_short_write_leaves_nothing_and_refuses),
		CLAIM(it_heals_when_idle_and_backs_off_to_a_second),
		CLAIM(denials_of_a_bad_time_are_written_later),
		CLAIM(a_file_that_cannot_be_made_anew_fails_closed_and_heals),
		CLAIM(it_opens_on_a_full_disk_and_heals),
		CLAIM(a_log_whose_first_line_is_damaged_is_never_removed),
		CLAIM(what_happens_to_the_file_in_a_fault_is_noticed),
		CLAIM(a_half_record_that_stays_is_vouched_for),
		CLAIM(a_half_opening_record_that_stays_is_vouched_for),
		cmocka_unit_test(a_full_disk_is_said_before_it_is_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

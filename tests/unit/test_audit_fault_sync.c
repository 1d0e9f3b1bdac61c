/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log where syncs and rotations fail: an alarm and a new segment, no disk filled with
 * them, and no answer in between.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit_fault_kit.h"

static void a_sync_that_fails_at_a_rotation_is_an_alarm(void **state)
{
	struct kit *k = *state;
	k->conf.max_size = 16384;
	kit_open(k);
	while (size_of(k->file) + 4096 <= 16384)
		assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	fail_fdatasync = EIO; /* that of the old segment */
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_string_equal(kit_status(k).alarm, "audit_sync");
	assert_int_equal(kit_count(k->file, "audit_sync"), 1);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.rotations, 1);
}

static unsigned files_in(const char *dir)
{
	unsigned n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Each try begins a segment, as a descriptor whose sync failed is never trusted again. */
static void a_disk_that_never_syncs_is_not_filled_with_segments(void **state)
{
	struct kit *k = *state;
	const struct mk_audit_rec rec = kit_grant("acme-1");
	kit_open(k);
	never_syncs = true;
	for (int i = 0; i < 4 * 600; i++) { /* ten minutes */
		assert_int_equal(mk_audit_write_synced(k->a, &rec), MK_AUDIT);
		kit_tick(k, 250);
	}
	assert_true(files_in(k->dir) < 25);
	never_syncs = false;
	kit_tick(k, 60000);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	(void)kit_good(k);
}

static void a_rotation_that_fails_fails_closed_and_heals(void **state)
{
	struct kit *k = *state;
	k->conf.max_size = 16384;
	kit_open(k);
	while (size_of(k->file) + 4096 <= 16384)
		assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	limit(100); /* the closing record fails, then also the opening one */
	assert_int_equal(kit_write(k, "acme-2"), MK_AUDIT);
	limit(RLIM_INFINITY);
	kit_tick(k, 1000);
	assert_int_equal(kit_write(k, "acme-3"), MK_OK);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.rotations, 1);
}

static void a_failed_sync_is_an_alarm_and_a_new_segment(void **state)
{
	struct kit *k = *state;
	const struct mk_audit_rec rec = kit_grant("acme-2");
	kit_open(k);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	fail_fdatasync = EIO;
	assert_int_equal(mk_audit_write_synced(k->a, &rec), MK_AUDIT);
	assert_string_equal(kit_status(k).alarm, "audit_sync");
	assert_true(kit_status(k).writable);
	assert_int_equal(mk_audit_write_synced(k->a, &rec), MK_OK);
	const struct kit_verdict v = kit_good(k);
	assert_int_equal(v.r.recoveries, 1);
}

static void a_failed_group_sync_is_an_alarm_and_a_new_segment(void **state)
{
	struct kit *k = *state;
	kit_open(k);
	assert_int_equal(mk_audit_start_sync(k->a), MK_OK);
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	fail_fdatasync = EIO; /* of the thread's next one */
	for (int i = 0; i < 3000 && strcmp(kit_status(k).alarm, "audit_sync") != 0; i++) {
		usleep(10000);
		assert_int_equal(kit_write(k, "acme-2"), MK_OK); /* the first one that finds it failed begins the new segment */
	}
	assert_string_equal(kit_status(k).alarm, "audit_sync");
	assert_int_equal(kit_count(k->file, "acme-1"), 0); /* the new segment */
	assert_int_equal(kit_count(k->file, "acme-2"), 1);
	(void)kit_good(k);
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, kit_setup, heal)
	const struct CMUnitTest tests[] = {
		CLAIM(a_sync_that_fails_at_a_rotation_is_an_alarm),
		CLAIM(a_disk_that_never_syncs_is_not_filled_with_segments),
		CLAIM(a_rotation_that_fails_fails_closed_and_heals),
		CLAIM(a_failed_sync_is_an_alarm_and_a_new_segment),
		CLAIM(a_failed_group_sync_is_an_alarm_and_a_new_segment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A log of two parts that was written once, to be changed in every way.
 */
#ifndef MK_TEST_AUDIT_TAMPER_KIT_H
#define MK_TEST_AUDIT_TAMPER_KIT_H

#include "audit_kit.h"

#define LINES_MAX 32

/* A small log of two parts, closed, with all kinds of records; the lines' borders too. */
static char whole[KIT_BYTES_MAX];
static size_t whole_n, n_lines, begins[LINES_MAX + 1];
static struct kit kit;

static inline int setup_log(void **state)
{
	(void)state;
	const struct mk_audit_rec deny = { .event = "deny", .listener = "api", .peer = true, .uid = 1002, .connection = "acme-2",
					   .action = "get", .reason = "denied" };
	const struct mk_audit_rec admin = { .event = "admin", .service = "secteam", .listener = "admin", .peer = true,
					    .action = "status", .reason = "ok" };
	kit_init(&kit);
	kit_open(&kit);
	assert_int_equal(kit_write(&kit, "acme-1"), MK_OK);
	assert_int_equal(mk_audit_deny(kit.a, &deny), MK_OK);
	kit_close(&kit);
	kit_open(&kit);
	assert_int_equal(kit_write(&kit, "acme-1"), MK_OK);
	assert_int_equal(mk_audit_write_synced(kit.a, &admin), MK_OK);
	kit_close(&kit);
	whole_n = kit_read(kit.file, whole, sizeof whole);
	n_lines = 0;
	begins[0] = 0;
	for (size_t i = 0; i < whole_n; i++)
		if (whole[i] == '\n')
			begins[++n_lines] = i + 1;
	assert_int_equal(n_lines, 8);
	return 0;
}

static inline int remove_log(void **state)
{
	(void)state;
	kit_done(&kit);
	return 0;
}

static inline size_t line_n(size_t i)
{
	return begins[i + 1] - begins[i];
}

static inline struct kit_verdict verdict_of(const size_t *order, size_t n)
{
	static char buf[KIT_BYTES_MAX];
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(buf + len, whole + begins[order[i]], line_n(order[i]));
		len += line_n(order[i]);
	}
	return kit_verify_bytes(&kit, buf, len);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Records that were not written there: of old parts, of other keys, of other environments, and
 * whole logs that somebody else made. The verifier says which part of it is nobody's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit_tamper_kit.h"

static void an_old_record_put_in_again_is_found(void **state)
{
	(void)state;
	const size_t order[] = { 0, 1, 2, 3, 4, 5, 1, 6, 7 };
	const struct kit_verdict v = verdict_of(order, MK_COUNT(order));
	assert_int_equal(v.first.fault, MK_FAULT_REPEATED);
	assert_int_equal(v.first.line, 7);
	assert_int_equal(v.faults, 1);
	assert_int_equal(v.r.verified, 8);
}

static void an_old_part_replayed_behind_the_log_is_found(void **state)
{
	(void)state;
	const size_t order[] = { 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3 };
	const struct kit_verdict v = verdict_of(order, MK_COUNT(order));
	assert_int_equal(v.first.fault, MK_FAULT_REPEATED);
	assert_int_equal(v.first.line, 9);
	assert_int_equal(v.r.verified, 8);
}

/* A thief of the running broker has K(i): what came before he cannot write anew. */
static void a_record_made_with_a_later_key_is_found(void **state)
{
	(void)state;
	static char forged[KIT_BYTES_MAX];
	struct mk_chain chain;
	struct mk_line open, l;
	struct mk_span sealed;
	uint8_t box[80], seed[32], mac[32];
	size_t n;
	assert_true(mk_line_parse(mk_span(whole, line_n(0) - 1), &open));
	assert_true(mk_line_field(&open, "key", &sealed));
	assert_int_equal(sodium_base642bin(box, sizeof box, (const char *)sealed.p, sealed.n, NULL, &n, NULL,
					   sodium_base64_VARIANT_ORIGINAL), 0);
	assert_int_equal(crypto_box_seal_open(seed, box, sizeof box, kit.pk, kit.sk), 0);
	assert_true(mk_line_parse(mk_span(whole + begins[1], line_n(1) - 1), &l));
	for (unsigned steps = 0; steps < 4; steps++) { /* the key of record 2 is one step on; 0, 2 and 3 are others */
		uint8_t in[32 + MK_RECORD_MAX];
		char hex[65];
		mk_chain_first(&chain, seed, "production");
		for (unsigned i = 0; i < steps; i++) {
			mk_chain_look(&chain);
			mk_chain_move(&chain);
		}
		memcpy(forged, whole, whole_n);
		char *name = strstr(forged + begins[1], "acme-1");
		assert_non_null(name);
		name[5] = '9';
		memcpy(in, open.mac, 32);
		memcpy(in + 32, forged + begins[1], l.body.n);
		mk_chain_mac(&chain, mk_span(in, 32 + l.body.n), mac);
		mk_chain_hex(mac, hex);
		memcpy(forged + begins[1] + l.body.n + 8, hex, 64);
		const struct kit_verdict v = kit_verify_bytes(&kit, forged, whole_n);
		assert_true(v.faults > 0);
		assert_int_equal(v.first.fault, MK_FAULT_EDITED);
		/* with the right key the forgery shows only in the record after it: the control */
		assert_int_equal(v.first.line, steps == 1 ? 3 : 2);
	}
}

static void a_log_of_another_environment_is_found(void **state)
{
	(void)state;
	static char other[KIT_BYTES_MAX];
	struct kit k;
	struct kit_verdict v;
	kit_init(&k);
	strcpy(k.env.s, "developing"); /* as long as production */
	kit_open(&k);
	assert_int_equal(kit_write(&k, "acme-1"), MK_OK);
	kit_close(&k);
	const size_t n = kit_read(k.file, other, sizeof other);
	kit_done(&k);
	v = kit_verify_bytes(&k, other, n);
	kit_assert_good(&v); /* of its own it is good … */
	struct mk_verify_conf conf = kit_verify_conf(&k, &v);
	struct mk_verify *verify;
	strcpy(conf.environment.s, "production");
	assert_int_equal(mk_verify_new(&conf, &verify), MK_OK);
	mk_verify_file(verify, "memory");
	mk_verify_bytes(verify, mk_span(other, n));
	mk_verify_end(verify, &v.r);
	mk_verify_free(verify);
	assert_int_equal(v.first.fault, MK_FAULT_ENVIRONMENT); /* … and not production's */
	for (char *p; (p = memmem(other, n, "developing", 10));)
		memcpy(p, "production", 10);
	v = kit_verify_bytes(&k, other, n);
	assert_int_equal(v.first.fault, MK_FAULT_EDITED); /* relabelled: its key does not fit */
	assert_int_equal(v.first.line, 1);
}

static void another_auditors_log_cannot_be_verified(void **state)
{
	(void)state;
	struct kit k = kit;
	const uint8_t seed[32] = { 8 };
	crypto_box_seed_keypair(k.pk, k.sk, seed);
	const struct kit_verdict v = kit_verify_bytes(&k, whole, whole_n);
	assert_int_equal(v.first.fault, MK_FAULT_KEY);
	assert_int_equal(v.r.verified, 0);
}

/* Anybody can seal a seed to the auditor; but a part that claims to go on from a broker must prove it. */
static void a_forged_part_behind_a_cut_is_unlinked(void **state)
{
	(void)state;
	static char forged[KIT_BYTES_MAX];
	struct mk_line before;
	struct mk_chain chain;
	uint8_t box[80], seed[32] = { 99 }, mac[32], in[32 + MK_RECORD_MAX];
	char sealed[128], body[MK_RECORD_MAX], hex[65], link_hex[65];
	assert_true(mk_line_parse(mk_span(whole + begins[1], line_n(1) - 1), &before));
	crypto_box_seal(box, seed, 32, kit.pk); /* the forger's own seed */
	sodium_bin2base64(sealed, sizeof sealed, box, sizeof box, sodium_base64_VARIANT_ORIGINAL);
	mk_chain_hex(before.mac, hex);
	memset(mac, 3, sizeof mac);
	mk_chain_hex(mac, link_hex);
	for (int start = 0; start < 2; start++) {
		const int body_n = snprintf(body, sizeof body,
			"{\"seq\":3,\"time\":\"2025-11-24T16:00:00.000Z\",\"mono\":%lld,\"env\":\"production\",\"event\":\"open\","
			"\"why\":\"%s\",\"format\":1,\"boot\":\"x\",\"prev_seq\":2,\"prev_mac\":\"%s\",\"ended\":\"crash\",\"key\":\"%s\""
			"%s%s%s", (long long)before.mono, start ? "start" : "restart", hex, sealed, start ? "" : ",\"link\":\"",
			start ? "" : link_hex, start ? "" : "\"");
		mk_chain_first(&chain, seed, "production");
		memcpy(in, before.mac, 32);
		memcpy(in + 32, body, (size_t)body_n);
		mk_chain_mac(&chain, mk_span(in, 32 + (size_t)body_n), mac);
		mk_chain_hex(mac, link_hex);
		memcpy(forged, whole, begins[2]);
		const size_t n = begins[2] + (size_t)snprintf(forged + begins[2], 2048, "%s,\"mac\":\"%s\"}\n", body, link_hex);
		const struct kit_verdict v = kit_verify_bytes(&kit, forged, n);
		if (!start) {
			assert_int_equal(v.first.fault, MK_FAULT_UNLINKED);
			assert_int_equal(v.first.line, 3);
		} else { /* what stays possible, as documented: a forged start after a cut. It is counted; a known head finds it */
			assert_int_equal(v.faults, 0);
			assert_int_equal(v.r.starts, 2);
		}
	}
}

/* What no chain can prevent, as the documents say: with the public key alone, a whole history of one's own. */
static void a_whole_forged_log_is_found_by_a_known_head_only(void **state)
{
	(void)state;
	struct kit forger;
	struct kit_verdict v;
	struct mk_line last;
	assert_true(mk_line_parse(mk_span(whole + begins[n_lines - 1], line_n(n_lines - 1) - 1), &last));
	kit_init(&forger);
	for (int part = 0; part < 2; part++) {
		kit_open(&forger);
		for (int i = 0; i < 2; i++)
			assert_int_equal(kit_write(&forger, "acme-9"), MK_OK);
		kit_close(&forger);
	}
	const char *files[] = { forger.file, NULL };
	struct mk_verify_conf conf = kit_verify_conf(&kit, &v);
	kit_verify_files(&conf, &v, files);
	kit_assert_good(&v);
	assert_int_equal(v.r.last_seq, last.seq);
	conf = kit_verify_conf(&kit, &v);
	conf.expects = true;
	conf.expect_seq = last.seq;
	memcpy(conf.expect_mac, last.mac, MK_CHAIN_MAC);
	kit_verify_files(&conf, &v, files);
	assert_int_equal(v.first.fault, MK_FAULT_HEAD);
	kit_done(&forger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_old_record_put_in_again_is_found),
		cmocka_unit_test(an_old_part_replayed_behind_the_log_is_found),
		cmocka_unit_test(a_record_made_with_a_later_key_is_found),
		cmocka_unit_test(a_log_of_another_environment_is_found),
		cmocka_unit_test(another_auditors_log_cannot_be_verified),
		cmocka_unit_test(a_forged_part_behind_a_cut_is_unlinked),
		cmocka_unit_test(a_whole_forged_log_is_found_by_a_known_head_only),
	};
	return cmocka_run_group_tests(tests, setup_log, remove_log);
}

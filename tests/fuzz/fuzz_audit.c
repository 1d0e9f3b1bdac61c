/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log's readers: scanner and verifier, with and without the auditor's key.
 * The first byte chooses key and piece size; a NUL byte begins another segment. The corpus
 * holds true logs of the fixed key below. Cut into pieces differently, the verdict is
 * the same; and no log without a fault holds a record that is not proven.
 */
#include "agent/audit/line.h"
#include "agent/audit/verify.h"
#include "agent/base/clock.h"

#include <sodium.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void on_finding(void *arg, const struct mk_finding *f)
{
	size_t *chars = arg;
	for (const char *c = f->text; *c; c++, (*chars)++)
		mk_assert(*c >= 0x20 && *c < 0x7f);
}

static struct mk_verify_report verify(const uint8_t *auditor_key, size_t piece, const uint8_t *p, size_t n)
{
	size_t chars = 0;
	struct mk_verify *v = NULL;
	struct mk_verify_report r;
	const struct mk_verify_conf conf = { .auditor_key = auditor_key, .expects = true, .expect_seq = 3,
					     .now_ms = MK_TIME_NONE, .tell = on_finding, .arg = &chars };
	if (mk_verify_new(&conf, &v) != MK_OK)
		abort();
	mk_verify_file(v, "0");
	while (n > 0) {
		size_t take = n < piece ? n : piece;
		const uint8_t *nul = memchr(p, 0, take);
		if (nul)
			take = (size_t)(nul - p);
		mk_verify_bytes(v, mk_span(p, take));
		if (nul) {
			mk_verify_file(v, "next");
			take++;
		}
		p += take;
		n -= take;
	}
	mk_verify_end(v, &r);
	mk_verify_free(v);
	return r;
}

static void scan(const uint8_t *p, size_t n)
{
	struct mk_line l;
	struct mk_span key, value;
	bool is_text;
	const uint8_t *end = memchr(p, '\n', n);
	if (!mk_line_parse(mk_span(p, end ? (size_t)(end - p) : n), &l))
		return;
	mk_assert(l.seq > 0 && l.body.n < n && l.env.n <= MK_WORD_MAX);
	for (struct mk_span rest = l.fields; rest.n > 0;)
		mk_assert(mk_line_next(&rest, &key, &value, &is_text));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static uint8_t pk[32], sk[32];
	const uint8_t seed[32] = { 7 };
	if (n < 2 || sodium_init() < 0)
		return 0;
	crypto_box_seed_keypair(pk, sk, seed);
	const uint8_t *auditor_key = p[0] & 1 ? sk : NULL;
	const size_t piece = (size_t)(p[0] >> 1) + 1;
	scan(p + 1, n - 1);
	const struct mk_verify_report a = verify(auditor_key, piece, p + 1, n - 1);
	const struct mk_verify_report b = verify(auditor_key, n, p + 1, n - 1);
	mk_assert(a.faults == b.faults && a.notes == b.notes && a.records == b.records && a.verified == b.verified);
	mk_assert(a.verified <= a.records);
	mk_assert(a.faults > 0 || !auditor_key || a.verified == a.records);
	return 0;
}

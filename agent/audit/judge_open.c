/* SPDX-License-Identifier: Apache-2.0
 *
 * Judging the record that opens a part: that it follows the part before (by number,
 * by mac and, but for a start, by key), that it is for this auditor, and that it tells
 * the truth about what was torn.
 */
#include "agent/audit/judge.h"

#include "agent/base/secret.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#define FORMAT 1
#define SEALED_LEN (crypto_box_SEALBYTES + 32)

struct opening {
	struct mk_span why, ended, boot, key;
	uint64_t format, prev_seq;
	uint8_t prev_mac[MK_CHAIN_MAC];
	bool linked, proves_nothing; /* has a link; is a start */
	uint8_t link[MK_CHAIN_MAC];
};

static bool read_opening(const struct mk_line *l, struct opening *o)
{
	memset(o, 0, sizeof *o);
	const bool whole = mk_line_field(l, "why", &o->why) && mk_line_number(l, "format", &o->format) &&
			   mk_line_field(l, "boot", &o->boot) && mk_line_number(l, "prev_seq", &o->prev_seq) &&
			   mk_line_mac(l, "prev_mac", o->prev_mac) && mk_line_field(l, "ended", &o->ended) &&
			   mk_line_field(l, "key", &o->key);
	o->linked = mk_line_mac(l, "link", o->link);
	o->proves_nothing = mk_span_is(o->why, "start");
	return whole && o->format == FORMAT && (o->linked || o->proves_nothing);
}

static void count_part(struct mk_verify *v, const struct opening *o)
{
	if (mk_span_is(o->why, "start"))
		v->r.starts++;
	else if (mk_span_is(o->why, "restart"))
		v->r.restarts++;
	else if (mk_span_is(o->why, "rotate"))
		v->r.rotations++;
	else
		v->r.recoveries++;
}

/* Half a record stands before: only what this part vouches for is all right. */
static void check_torn(struct mk_judged *j, const struct opening *o)
{
	struct mk_torn *t = &j->v->torn;
	uint64_t bytes = 0;
	uint8_t hash[MK_CHAIN_MAC] = { 0 };
	const bool said = mk_span_is(o->ended, "torn") && mk_line_number(&j->l, "torn_bytes", &bytes) &&
			  mk_line_mac(&j->l, "torn_hash", hash);
	const bool same = said && bytes == t->n && memcmp(hash, t->hash, sizeof hash) == 0;
	if (t->n > 0 && !same)
		mk_verify_fault(j->v, t->place, 0, MK_FAULT_CUT, "the file ends within a record, and the next part does not say so");
	else if (t->n > 0)
		mk_verify_note(j->v, t->place, 0, "%" PRIu64 " bytes of a torn record, as the next part says", t->n);
	else if (said && bytes > 0 && j->v->any)
		mk_judge_fault(j, MK_FAULT_CUT, "the torn record that this part tells of is not there");
	t->n = 0;
}

/* Tells of what the agent itself found wrong with the part before, and of an end without a closing record. */
static void tell_ended(struct mk_judged *j, const struct opening *o)
{
	struct mk_verify *v = j->v;
	static const char *const quiet[] = { "none", "closed", "crash", "torn" };
	for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
		if (mk_span_is(o->ended, quiet[i])) {
			if (v->any && !v->closed)
				mk_verify_note(v, j->h->place, j->l.seq,
					       "the part before has no closing record (a crash): up to ten seconds may be missing");
			return;
		}
	mk_verify_note(v, j->h->place, j->l.seq, "the agent says of the part before: \"%.*s\"", (int)o->ended.n,
		       (const char *)o->ended.p);
}

static bool same_mac(const struct mk_verify *v, const uint8_t mac[MK_CHAIN_MAC])
{
	return memcmp(v->prev, mac, MK_CHAIN_MAC) == 0 || (v->has_alt && memcmp(v->alt, mac, MK_CHAIN_MAC) == 0);
}

/* By number and mac. False: it is no part of this chain. */
static bool follows(struct mk_judged *j, const struct opening *o)
{
	struct mk_verify *v = j->v;
	if (j->l.seq != o->prev_seq + 1)
		mk_judge_fault(j, MK_FAULT_EDITED, "the number of the record is not the one behind prev_seq");
	if (!v->any)
		v->r.last_seq = o->prev_seq; /* the first part that is here */
	else if (o->prev_seq == v->r.last_seq && !v->blind && !same_mac(v, o->prev_mac))
		mk_judge_fault(j, MK_FAULT_EDITED, "prev_mac is not the mac of the record before");
	return mk_judge_order(j);
}

/* By key: who opened this part knew the chain after the record before. */
static void check_link(struct mk_judged *j, const struct opening *o)
{
	uint8_t link[MK_CHAIN_MAC];
	if (o->proves_nothing || !j->v->any || !j->v->keyed || o->key.n > 160)
		return;
	mk_chain_link(j->v->link, o->key, link);
	if (memcmp(link, o->link, sizeof link) != 0)
		mk_judge_fault(j, MK_FAULT_UNLINKED, "the part was not opened by who wrote the one before");
}

/* The seed out of its box. */
static bool unseal(struct mk_verify *v, const struct opening *o)
{
	uint8_t sealed[SEALED_LEN], seed[32];
	size_t n;
	if (sodium_base642bin(sealed, sizeof sealed, (const char *)o->key.p, o->key.n, NULL, &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0 || n != sizeof sealed)
		return false;
	if (crypto_box_seal_open(seed, sealed, sizeof sealed, v->auditor_public, v->conf.auditor_key) != 0)
		return false;
	mk_chain_first(&v->chain, seed, v->r.environment.s);
	mk_wipe(seed, sizeof seed);
	return true;
}

static void begin_key(struct mk_judged *j, const struct opening *o)
{
	struct mk_verify *v = j->v;
	uint8_t mac[MK_CHAIN_MAC];
	v->has_alt = false;
	v->keyed = v->conf.auditor_key && unseal(v, o);
	if (!v->conf.auditor_key)
		return;
	if (!v->keyed) {
		mk_judge_fault(j, MK_FAULT_KEY,
			       "the part's key is not sealed to this auditor's key, or was changed: it cannot be verified");
		return;
	}
	if (mk_judge_mac(v, &j->l, o->prev_mac, mac)) {
		v->r.verified++;
		return;
	}
	memcpy(v->alt, mac, MK_CHAIN_MAC);
	v->has_alt = true;
	mk_judge_fault(j, MK_FAULT_EDITED, "the record is not the one that was written: its mac does not fit");
}

static void same_boot(struct mk_judged *j, const struct opening *o)
{
	struct mk_verify *v = j->v;
	const bool same = o->boot.n == strlen(v->boot) && memcmp(o->boot.p, v->boot, o->boot.n) == 0;
	if (!same) {
		v->mono = 0;
		snprintf(v->boot, sizeof v->boot, "%.*s", (int)(o->boot.n < sizeof v->boot ? o->boot.n : 0),
			 (const char *)o->boot.p);
	}
	mk_judge_clock(j);
}

void mk_judge_open(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	struct opening o;
	if (!read_opening(&j->l, &o)) {
		mk_judge_fault(j, MK_FAULT_FORM, "the opening record lacks a field, or is of a format this verifier does not know");
		v->blind = true;
		v->keyed = false;
		return;
	}
	mk_judge_environment(j);
	check_torn(j, &o);
	if (!follows(j, &o))
		return;
	check_link(j, &o);
	tell_ended(j, &o);
	begin_key(j, &o);
	same_boot(j, &o);
	count_part(v, &o);
	mk_judge_step(j);
}

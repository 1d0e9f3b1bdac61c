/* SPDX-License-Identifier: Apache-2.0
 *
 * Judging one record after the other: order, environment, clock, mac. What opens a
 * part is in judge_open.c. After a fault it goes on as well as the rest allows; the
 * first fault is what counts, the further ones may follow from it.
 */
#include "agent/audit/judge.h"

#include "agent/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define LATE_MS 15000 /* an agent that runs writes every ten seconds */

void mk_judge_fault(struct mk_judged *j, enum mk_fault fault, const char *text)
{
	if (!j->v->line_faulted)
		mk_verify_fault(j->v, j->h->place, j->l.seq, fault, "%s", text);
	j->v->line_faulted = true;
}

/* Seq of the line behind; 0: none that can be read. */
static uint64_t next_seq(const struct mk_judged *j)
{
	struct mk_line l;
	if (!j->next || j->next->over || !mk_line_parse(mk_span(j->next->buf, j->next->n), &l))
		return 0;
	return l.seq;
}

bool mk_judge_order(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	const uint64_t want = v->r.last_seq + 1, seq = j->l.seq;
	char text[96];
	if (seq == want)
		return true;
	const uint64_t next = next_seq(j);
	if (next == want + 1 && seq != next) {
		mk_judge_fault(j, MK_FAULT_EDITED, "the number of the record is not the one that was written");
		j->l.seq = want; /* it stands in the right place */
		return true;
	}
	if (seq > want && next == want) {
		mk_judge_fault(j, MK_FAULT_SWAPPED, "the record stands before the one that was written before it");
		return false;
	}
	if (seq < want) {
		mk_judge_fault(j, MK_FAULT_REPEATED, "a record of this number was there already: doubled or replayed");
		return false;
	}
	snprintf(text, sizeof text, "records %" PRIu64 " to %" PRIu64 " are missing before it", want, seq - 1);
	mk_judge_fault(j, MK_FAULT_CUT, text);
	mk_judge_skip(v, seq - want);
	v->blind = true;
	return true;
}

/* The key moves by n records that are not here. */
void mk_judge_skip(struct mk_verify *v, uint64_t n)
{
	if (!v->keyed)
		return;
	if (n > v->budget) {
		v->keyed = false;
		return;
	}
	v->budget -= n;
	for (; n > 0; n--) {
		mk_chain_look(&v->chain);
		memcpy(v->link, v->chain.next + 32, sizeof v->link);
		mk_chain_move(&v->chain);
	}
}

bool mk_judge_mac(const struct mk_verify *v, const struct mk_line *l, const uint8_t prev[MK_CHAIN_MAC],
		  uint8_t ret[MK_CHAIN_MAC])
{
	uint8_t in[MK_CHAIN_MAC + MK_RECORD_MAX];
	memcpy(in, prev, MK_CHAIN_MAC);
	memcpy(in + MK_CHAIN_MAC, l->body.p, l->body.n);
	mk_chain_mac(&v->chain, mk_span(in, MK_CHAIN_MAC + l->body.n), ret);
	return memcmp(ret, l->mac, MK_CHAIN_MAC) == 0;
}

void mk_judge_environment(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	struct mk_word *env = &v->r.environment;
	if (!env->s[0] && v->conf.environment.s[0])
		*env = v->conf.environment;
	if (!env->s[0])
		memcpy(env->s, j->l.env.p, j->l.env.n);
	if (!mk_span_is(j->l.env, env->s))
		mk_judge_fault(j, MK_FAULT_ENVIRONMENT, "the record names another environment");
}

void mk_judge_clock(struct mk_judged *j)
{
	if (j->l.mono < j->v->mono)
		mk_judge_fault(j, MK_FAULT_TIME, "the boot clock ran backwards since the record before");
	j->v->mono = j->l.mono;
}

static void count(struct mk_verify *v, const struct mk_line *l)
{
	uint64_t n = 1;
	if (mk_span_is(l->event, "grant"))
		v->r.grants++;
	if (mk_span_is(l->event, "alarm"))
		v->r.alarms++;
	if (mk_span_is(l->event, "prune") && mk_line_number(l, "last", &n))
		v->pruned_last = n;
	n = 1;
	if (mk_span_is(l->event, "deny")) {
		mk_ignore(mk_line_number(l, "count", &n) ? MK_OK : MK_NOT_FOUND, "one where there is no count");
		v->r.denials += n;
	}
}

/* No fault of the log: it shows one of the database. */
static void look_at_state(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	uint64_t state = 0;
	if (!mk_line_state(&j->l, &state) || state == 0)
		return;
	if (state < v->state)
		mk_verify_note(v, j->h->place, j->l.seq, "the state database fell from generation %" PRIu64 " to %" PRIu64
			       ": an older one was put in its place, or a new one; was a freeze lost?", v->state, state);
	v->state = state;
}

static void look_at_expected(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	if (!v->conf.expects || j->l.seq != v->conf.expect_seq)
		return;
	v->expect_met = true;
	if (memcmp(v->conf.expect_mac, j->l.mac, MK_CHAIN_MAC) != 0)
		mk_judge_fault(j, MK_FAULT_HEAD, "the expected record has another mac: the log was rewritten from here or before");
}

/* The record takes its place: the next one follows it. */
void mk_judge_step(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	if (!v->any || v->r.first_seq == 0) {
		v->r.first_seq = j->l.seq;
		snprintf(v->r.first_time, sizeof v->r.first_time, "%.*s", (int)j->l.time.n, (const char *)j->l.time.p);
	}
	v->any = true;
	look_at_expected(j);
	snprintf(v->r.last_time, sizeof v->r.last_time, "%.*s", (int)j->l.time.n, (const char *)j->l.time.p);
	v->r.last_seq = j->l.seq;
	memcpy(v->prev, j->l.mac, MK_CHAIN_MAC);
	v->closed = mk_span_is(j->l.event, "close");
	v->blind = false;
	count(v, &j->l);
	look_at_state(j);
	mk_judge_skip(v, 1);
	if (v->keyed)
		v->budget++; /* a record that is here costs nothing */
}

static void check_mac(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	uint8_t mac[MK_CHAIN_MAC];
	const bool had_alt = v->has_alt;
	v->has_alt = false;
	if (!v->keyed || v->blind)
		return;
	if (mk_judge_mac(v, &j->l, v->prev, mac) || (had_alt && mk_judge_mac(v, &j->l, v->alt, mac))) {
		v->r.verified++;
		return;
	}
	memcpy(v->alt, mac, MK_CHAIN_MAC);
	v->has_alt = true;
	if (next_seq(j) == j->l.seq)
		mk_judge_fault(j, MK_FAULT_INSERTED, "the record was not written by the agent; the true one of its number follows");
	else
		mk_judge_fault(j, MK_FAULT_EDITED, "the record is not the one that was written: its mac does not fit");
}

static void judge_record(struct mk_judged *j)
{
	struct mk_verify *v = j->v;
	if (!v->any) {
		mk_judge_fault(j, MK_FAULT_CUT, "the log does not begin with an opening record");
		v->r.last_seq = j->l.seq - 1;
		v->blind = true;
	} else if (j->h->first) {
		mk_judge_fault(j, MK_FAULT_CUT, "the file does not begin with an opening record");
	}
	if (v->torn.n > 0)
		mk_verify_fault(v, v->torn.place, 0, MK_FAULT_CUT, "the file ends within a record");
	v->torn.n = 0;
	mk_judge_environment(j);
	if (!mk_judge_order(j))
		return;
	if (v->closed)
		mk_judge_fault(j, MK_FAULT_INSERTED, "a record after the closing one that does not open a part");
	check_mac(j);
	mk_judge_clock(j);
	mk_judge_step(j);
}

void mk_judge_line(struct mk_verify *v, const struct mk_held *h, const struct mk_held *next)
{
	struct mk_judged j = { .v = v, .h = h, .next = next };
	v->line_faulted = false;
	v->r.records++;
	if (h->over || !mk_line_parse(mk_span(h->buf, h->n), &j.l))
		mk_judge_fault(&j, MK_FAULT_FORM, "the line is no record as the agent writes them");
	else if (mk_span_is(j.l.event, "open"))
		mk_judge_open(&j);
	else
		judge_record(&j);
	if (h->torn.n > 0)
		v->torn = h->torn;
}

static void end_expected(struct mk_verify *v)
{
	const struct mk_place none = { "", 0 };
	if (!v->conf.expects || v->expect_met)
		return;
	if (v->r.last_seq < v->conf.expect_seq)
		mk_verify_fault(v, none, v->conf.expect_seq, MK_FAULT_HEAD,
				"the log ends at record %" PRIu64 ", before the expected one: cut or rolled back", v->r.last_seq);
	else if (v->r.first_seq > v->conf.expect_seq)
		mk_verify_fault(v, none, v->conf.expect_seq, MK_FAULT_HEAD,
				"the expected record is older than the first one here; name the older segments too");
	else
		mk_verify_fault(v, none, v->conf.expect_seq, MK_FAULT_HEAD, "the expected record is missing");
}

static void end_open(struct mk_verify *v)
{
	int64_t last;
	if (!v->any || v->closed)
		return;
	mk_verify_note(v, v->at, v->r.last_seq,
		       "no closing record: the agent still runs, or up to ten seconds before its crash or a cut may be missing");
	const struct mk_span time = mk_span_of(v->r.last_time);
	if (v->conf.now_ms != MK_TIME_NONE && mk_rfc3339_parse(time, &last) == MK_OK && v->conf.now_ms - last > LATE_MS)
		mk_verify_note(v, v->at, v->r.last_seq,
			       "the last record is %" PRId64 " s old; an agent that runs writes one every ten",
			       (v->conf.now_ms - last) / 1000);
}

static void end_first(struct mk_verify *v)
{
	const struct mk_place none = { "", 0 };
	if (!v->any || v->r.first_seq <= 1)
		return;
	const bool pruned = v->pruned_last + 1 >= v->r.first_seq;
	if (v->conf.whole && !pruned)
		mk_verify_fault(v, none, v->r.first_seq, MK_FAULT_CUT,
				"the records before it are missing, and no record says that `keep` removed them");
	else
		mk_verify_note(v, none, v->r.first_seq, "begins at record %" PRIu64 "; the older ones %s", v->r.first_seq,
			       pruned ? "were removed by `keep`, as recorded" : "were not named");
}

void mk_judge_end(struct mk_verify *v)
{
	if (v->torn.n > 0)
		mk_verify_fault(v, v->torn.place, 0, MK_FAULT_CUT, "the file ends within a record");
	end_first(v);
	end_expected(v);
	end_open(v);
	if (v->any)
		mk_chain_hex(v->prev, v->r.head);
	v->r.closed = v->closed;
}

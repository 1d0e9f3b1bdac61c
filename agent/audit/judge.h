/* SPDX-License-Identifier: Apache-2.0
 *
 * One line under judgement, and what judge.c and judge_open.c share.
 */
#ifndef MK_AUDIT_JUDGE_H
#define MK_AUDIT_JUDGE_H

#include "agent/audit/verifier.h"

struct mk_judged {
	struct mk_verify *v;
	const struct mk_held *h, *next; /* next NULL: none */
	struct mk_line l;
};

void mk_judge_open(struct mk_judged *j);

void mk_judge_fault(struct mk_judged *j, enum mk_fault fault, const char *text); /* one a line */
bool mk_judge_order(struct mk_judged *j); /* false: it does not take part in the chain */
void mk_judge_skip(struct mk_verify *v, uint64_t n);
bool mk_judge_mac(const struct mk_verify *v, const struct mk_line *l, const uint8_t prev[MK_CHAIN_MAC],
		  uint8_t ret[MK_CHAIN_MAC]);
void mk_judge_environment(struct mk_judged *j);
void mk_judge_clock(struct mk_judged *j);
void mk_judge_step(struct mk_judged *j);

#endif

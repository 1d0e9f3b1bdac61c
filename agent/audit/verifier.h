/* SPDX-License-Identifier: Apache-2.0
 *
 * The verifier as its own two files see it: verify.c cuts bytes into lines, judge.c
 * judges a line with the one behind it in view.
 */
#ifndef MK_AUDIT_VERIFIER_H
#define MK_AUDIT_VERIFIER_H

#include "agent/audit/line.h"
#include "agent/audit/verify.h"

#define MK_TORN_MAX 65536 /* a longer piece without a newline is never a torn record */

struct mk_place {
	const char *file;
	unsigned long line;
};

/* Bytes behind the last newline of a file. */
struct mk_torn {
	uint64_t n;
	uint8_t hash[MK_CHAIN_MAC];
	struct mk_place place;
};

struct mk_held {
	uint8_t buf[MK_RECORD_MAX];
	size_t n;
	bool over;              /* longer than any record */
	bool first;             /* of its file */
	struct mk_place place;
	struct mk_torn torn;    /* behind it */
};

struct mk_verify {
	struct mk_verify_conf conf;
	uint8_t auditor_public[32];
	struct mk_verify_report r;

	/* verify.c: the line being read, and the one that waits for its neighbour */
	struct mk_place at;
	uint8_t buf[MK_TORN_MAX];
	size_t n;
	bool over, first;
	struct mk_held held;
	bool has_held;

	/* judge.c: what is known up to the last record */
	bool any;               /* a record was seen */
	bool keyed;             /* chain and link are those of the position */
	bool blind;             /* the mac before is not known */
	bool closed;
	bool line_faulted;      /* one fault a line */
	struct mk_chain chain;  /* of the next record */
	uint8_t link[MK_CHAIN_MAC];
	uint8_t prev[MK_CHAIN_MAC], alt[MK_CHAIN_MAC]; /* the mac as it stands, and as it should be where that differs */
	bool has_alt;
	uint64_t budget;        /* steps of the key still made over gaps */
	char boot[64];
	int64_t mono;
	struct mk_torn torn;
	uint64_t pruned_last;
	uint64_t state;         /* mk_audit_state, as told last */
	bool expect_met;
};

void mk_judge_line(struct mk_verify *v, const struct mk_held *h, const struct mk_held *next); /* next NULL: none */
void mk_judge_end(struct mk_verify *v);

void mk_verify_fault(struct mk_verify *v, struct mk_place at, uint64_t seq, enum mk_fault fault, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void mk_verify_note(struct mk_verify *v, struct mk_place at, uint64_t seq, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif

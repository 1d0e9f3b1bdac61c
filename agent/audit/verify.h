/* SPDX-License-Identifier: Apache-2.0
 *
 * The verifier: fed with the bytes of segments in order, it tells each fault with its
 * place, and goes on where it can. Pure: no file, clock or log. With the auditor's
 * secret key it proves that every record is as it was written; without it only form
 * and order are looked at, which anybody can forge.
 */
#ifndef MK_AUDIT_VERIFY_H
#define MK_AUDIT_VERIFY_H

#include "agent/audit/chain.h"
#include "mk/err.h"
#include "mk/name.h"

#define MK_FAULT_LIST(X) /* name, word */                                                              \
	X(FORM, "malformed")            /* bytes that are no record */                                 \
	X(EDITED, "edited")             /* the mac does not fit */                                     \
	X(CUT, "cut")                   /* records are missing, or half of one */                      \
	X(INSERTED, "inserted")         /* a record more than were written */                          \
	X(REPEATED, "repeated")         /* a record that was there already: doubled or replayed */     \
	X(SWAPPED, "swapped")           /* two neighbours changed places */                            \
	X(UNLINKED, "unlinked")         /* a part that does not come from who wrote the one before */  \
	X(KEY, "unknown_key")           /* sealed to another auditor's key */                          \
	X(ENVIRONMENT, "foreign_environment")                                                          \
	X(TIME, "time")                 /* the boot clock runs backwards */                            \
	X(HEAD, "other_head")           /* a record known from elsewhere is not here */

enum mk_fault {
#define MK_FAULT_ENUM_(name, word) MK_FAULT_##name,
	MK_FAULT_LIST(MK_FAULT_ENUM_)
#undef MK_FAULT_ENUM_
	MK_FAULT_COUNT
};
const char *mk_fault_word(enum mk_fault f);

struct mk_finding {
	bool note;          /* worth knowing, no fault; `fault` is not meant */
	enum mk_fault fault;
	const char *file;   /* as given to mk_verify_file; "" where none is meant */
	unsigned long line;
	uint64_t seq;       /* 0: not known */
	char text[256];     /* one sentence, printable ASCII */
};

struct mk_verify_conf {
	const uint8_t *auditor_key;  /* X25519 secret key, 32 bytes, borrowed; NULL: form and order only */
	struct mk_word environment;  /* "": that of the first record */
	bool whole;                  /* these are all segments there are: older records must have been removed on record */
	bool expects;                /* a head known from elsewhere must be in the log */
	uint64_t expect_seq;
	uint8_t expect_mac[MK_CHAIN_MAC];
	int64_t now_ms;              /* wall clock, for the age of the last record; MK_TIME_NONE: not looked at */
	void (*tell)(void *arg, const struct mk_finding *f);
	void *arg;
};

struct mk_verify_report {
	uint64_t records, verified;   /* seen; proven by their mac */
	uint64_t faults, notes;
	uint64_t first_seq, last_seq;
	char head[MK_CHAIN_HEX + 1];  /* of the last record */
	char first_time[32], last_time[32];
	struct mk_word environment;
	uint64_t starts, restarts, rotations, recoveries;
	uint64_t grants, denials, alarms;
	bool closed;                  /* ends with a closing record */
};

struct mk_verify;

mk_must mk_verify_new(const struct mk_verify_conf *conf, struct mk_verify **ret);
void mk_verify_file(struct mk_verify *v, const char *name);    /* a segment begins; borrowed to the end */
void mk_verify_bytes(struct mk_verify *v, struct mk_span bytes); /* any piece of it */
void mk_verify_end(struct mk_verify *v, struct mk_verify_report *ret); /* once, after the last */
struct mk_verify *mk_verify_free(struct mk_verify *v);

#endif

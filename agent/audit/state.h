/* SPDX-License-Identifier: Apache-2.0
 *
 * The open log as its own files see it. audit.c is its face; part.c writes records and
 * begins parts; heal.c notices what is wrong and puts it right.
 *
 * A part is a run of records from an `open` record, with a seed of its own; a segment
 * is a file of one or more parts.
 */
#ifndef MK_AUDIT_STATE_H
#define MK_AUDIT_STATE_H

#include "agent/audit/audit.h"
#include "agent/audit/deny.h"
#include "agent/audit/head.h"
#include "agent/audit/segment.h"
#include "agent/audit/sync.h"
#include "agent/base/guarded.h"
#include "agent/base/jw.h"

#define MK_BOOT_ID_MAX 36

/* A part that is to begin. Words are fixed texts. */
struct mk_begin {
	bool meant;            /* one is to begin */
	bool aside;            /* in a file of its own: what stands at the path moves away */
	const char *why;       /* "start" "restart" "rotate" "recover" */
	const char *ended;     /* how the one before ended */
	uint64_t torn;         /* "torn": the bytes behind its last newline */
	uint8_t torn_hash[MK_CHAIN_MAC];
};

struct mk_audit {
	uint8_t recipient[32];
	uint64_t max_size;
	uint32_t keep;
	struct mk_word environment;
	char boot[MK_BOOT_ID_MAX + 1];

	struct mk_segment segment;
	struct mk_guarded *key;     /* struct mk_chain */
	struct mk_head_page *page;
	struct mk_head head;        /* of the last record */
	struct mk_sync *sync;       /* NULL: not started */
	struct mk_deny *deny;

	bool in_turn, looked;       /* looked: at the file, in this turn */
	bool adopted;               /* the file's end is known */
	struct mk_begin begin;
	const char *alarm_due;      /* code to be written; NULL: none */
	const char *fault;          /* "" when writable */
	int64_t retry_ms, backoff_ms;
	bool replaced;              /* another directory stands where the log's was */
	bool resumed_due;           /* a fault began and its end is not recorded yet */
	uint64_t refused_now;       /* records refused in this fault */

	const char *alarm;          /* the newest code written */
	uint64_t grants, denials, refused, free_bytes;
	uint64_t state;             /* mk_audit_state */
	uint64_t state_found;       /* the newest that the log named when it was opened */
	int64_t newest_ms;          /* of its last record then, or MK_TIME_NONE */
	int64_t epoch_ms;           /* when the next epoch record is due */
	uint8_t line[MK_CHAIN_MAC + MK_RECORD_MAX]; /* the previous mac, the record */
};

/* part.c. Errors are MK_SYSTEM with errno; nothing moved then. */
struct mk_jw mk_part_record(struct mk_audit *a, const char *event); /* a body to be filled … */
mk_must mk_part_put(struct mk_audit *a, struct mk_jw *w);           /* … and written */
mk_must mk_part_put_rec(struct mk_audit *a, const struct mk_audit_rec *rec);
mk_must mk_part_begin(struct mk_audit *a);  /* what a->begin says */
mk_must mk_part_rotate(struct mk_audit *a);
void mk_part_put_state(struct mk_audit *a, struct mk_jw *w); /* the newest generation that is known */
mk_must mk_part_put_close(struct mk_audit *a, const char *why);

/* heal.c */
mk_must mk_heal_adopt(struct mk_audit *a, struct mk_why *why);
mk_must mk_heal_settle(struct mk_audit *a); /* all that is due before the next record; MK_AUDIT with a->fault set */
mk_must mk_heal_ready(struct mk_audit *a);  /* before each record: MK_AUDIT where none can be written */
void mk_heal_look(struct mk_audit *a);      /* at the path and the free space */
void mk_heal_retry(struct mk_audit *a);     /* in a fault, when it is time */
enum mk_err mk_heal_fail(struct mk_audit *a, int error); /* a fault begins or goes on; returns MK_AUDIT */
void mk_heal_renew(struct mk_audit *a, const char *ended, const char *alarm); /* a new segment is to begin */

#endif

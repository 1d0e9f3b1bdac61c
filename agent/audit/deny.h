/* SPDX-License-Identifier: Apache-2.0
 *
 * Denials counted per caller, so that nobody can fill the disk by being refused: the
 * first of a caller is due at once, those of the next second become one record. The
 * table is bounded; callers beyond it share one row. Holds counts until they are
 * written, however long the log cannot be. No clock, no I/O.
 */
#ifndef MK_AUDIT_DENY_H
#define MK_AUDIT_DENY_H

#include "agent/audit/audit.h"

struct mk_deny;
struct mk_deny_row;

mk_must mk_deny_new(struct mk_deny **ret);
struct mk_deny *mk_deny_free(struct mk_deny *d);

/* Counts one denial (rec->count of them). Its row when it is due at once, else NULL. */
struct mk_deny_row *mk_deny_count(struct mk_deny *d, const struct mk_audit_rec *rec, int64_t now_ms);
/* A row whose second is over and that has something to write; with `all` one whose second is not over too. NULL: none. */
struct mk_deny_row *mk_deny_due(struct mk_deny *d, int64_t now_ms, bool all);

/* What to write for a row: borrows it. */
struct mk_audit_rec mk_deny_rec(const struct mk_deny_row *row);
void mk_deny_written(struct mk_deny_row *row, int64_t now_ms);

#endif

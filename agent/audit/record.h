/* SPDX-License-Identifier: Apache-2.0
 *
 * A record's body in the making: head and fields through the JSON writer, every text
 * cut so that one record always fits. The mac is put on by part.c.
 */
#ifndef MK_AUDIT_RECORD_H
#define MK_AUDIT_RECORD_H

#include "agent/audit/audit.h"
#include "agent/base/jw.h"

void mk_record_begin(struct mk_jw *w, uint64_t seq, const struct mk_word *environment, const char *event);
/* Nothing where s is NULL or ""; else at most `limit` bytes of text as written, cut where it is longer. */
void mk_record_text(struct mk_jw *w, const char *key, const char *s, size_t limit);
void mk_record_fields(struct mk_jw *w, const struct mk_audit_rec *rec);

#endif

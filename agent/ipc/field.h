/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields that several messages share, private to this folder. Readers set the sticky
 * fault where a value is out of its range, so that a message's read function stays one
 * list of fields with mk_rd_end as its only verdict.
 */
#ifndef MK_IPC_FIELD_H
#define MK_IPC_FIELD_H

#include "agent/base/rw.h"
#include "agent/ipc/msg_endpoint.h"
#include "agent/ipc/msgs.h"

#define MK_SPAN_MS_MAX (INT64_C(100) * 366 * 24 * 3600 * 1000) /* no configured time is longer */

static inline void mk_rd_need(struct mk_rd *r, bool holds)
{
	r->bad = r->bad || !holds;
}

static inline struct mk_word mk_rd_some_word(struct mk_rd *r)
{
	const struct mk_word w = mk_rd_word(r);
	mk_rd_need(r, w.s[0] != '\0');
	return w;
}

static inline int64_t mk_rd_ms(struct mk_rd *r)
{
	const int64_t ms = mk_rd_i64(r);
	mk_rd_need(r, ms >= 0 && ms <= MK_SPAN_MS_MAX);
	return ms;
}

/* An absolute path or "". */
static inline void mk_rd_path(struct mk_rd *r, char *buf, size_t cap)
{
	mk_rd_str(r, buf, cap);
	mk_rd_need(r, r->bad || buf[0] == '\0' || buf[0] == '/');
}

/* A store's version id or "": visible ASCII that needs no escape in JSON or in an entity tag. */
static inline void mk_rd_version(struct mk_rd *r, char buf[MK_VERSION_MAX + 1])
{
	mk_rd_str(r, buf, MK_VERSION_MAX + 1);
	for (const char *p = buf; !r->bad && *p; p++)
		mk_rd_need(r, *p > 0x20 && *p < 0x7f && *p != '"' && *p != '\\');
}

static inline struct mk_ref mk_rd_ref(struct mk_rd *r)
{
	const uint32_t slot = mk_rd_u32(r);
	return (struct mk_ref){ slot, mk_rd_u32(r) };
}

static inline void mk_wr_ref(struct mk_wr *w, struct mk_ref ref)
{
	mk_wr_u32(w, ref.slot);
	mk_wr_u32(w, ref.gen);
}

static inline enum mk_err mk_rd_err(struct mk_rd *r)
{
	const uint8_t e = mk_rd_u8(r);
	mk_rd_need(r, mk_err_known(e));
	return (enum mk_err)e;
}

static inline void mk_wr_err(struct mk_wr *w, enum mk_err e)
{
	mk_wr_u8(w, (uint8_t)e);
}

/* A text of ours for people (msg_endpoint.c): cut to MK_FAULT_MAX, printable ASCII. */
void mk_wr_fault(struct mk_wr *w, const char *fault);
void mk_rd_fault(struct mk_rd *r, char fault[MK_FAULT_MAX]);

#endif

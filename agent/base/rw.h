/* SPDX-License-Identifier: Apache-2.0
 *
 * Reader and writer of bounded binary input and output, little endian, with a sticky
 * fault: after the first bad read everything reads as zero, and mk_rd_end tells
 * whether all was well and all bytes were consumed. Neither allocates; spans that a
 * reader returns borrow its input.
 */
#ifndef MK_RW_H
#define MK_RW_H

#include "mk/err.h"
#include "mk/name.h"
#include "mk/span.h"

struct mk_rd {
	const uint8_t *p;
	size_t n;
	bool bad;
};

struct mk_wr {
	uint8_t *p;
	size_t cap, len;
	bool bad; /* did not fit, or a field out of its range */
};

struct mk_rd mk_rd_of(struct mk_span in);
uint8_t mk_rd_u8(struct mk_rd *r);
uint16_t mk_rd_u16(struct mk_rd *r);
uint32_t mk_rd_u32(struct mk_rd *r);
uint64_t mk_rd_u64(struct mk_rd *r);
int64_t mk_rd_i64(struct mk_rd *r);
bool mk_rd_bool(struct mk_rd *r);                      /* 0 or 1, else bad */
uint8_t mk_rd_below(struct mk_rd *r, uint8_t limit);   /* a u8 smaller than limit, else bad */
struct mk_span mk_rd_bytes(struct mk_rd *r, size_t n); /* exactly n */
struct mk_span mk_rd_var(struct mk_rd *r, size_t max); /* u32 length, then the bytes; bad when longer than max */
void mk_rd_str(struct mk_rd *r, char *buf, size_t cap); /* as mk_rd_var; no NUL inside; NUL-terminated in buf */
struct mk_name mk_rd_name(struct mk_rd *r);            /* one name; a bad one sets r->bad */
struct mk_word mk_rd_word(struct mk_rd *r);            /* one word, or an empty one */
struct mk_span mk_rd_rest(struct mk_rd *r);            /* all that is left */
mk_must mk_rd_end(const struct mk_rd *r);              /* BAD_REQUEST: short, long or bad */

struct mk_wr mk_wr_of(void *buf, size_t cap);
void mk_wr_u8(struct mk_wr *w, uint8_t v);
void mk_wr_u16(struct mk_wr *w, uint16_t v);
void mk_wr_u32(struct mk_wr *w, uint32_t v);
void mk_wr_u64(struct mk_wr *w, uint64_t v);
void mk_wr_i64(struct mk_wr *w, int64_t v);
void mk_wr_bool(struct mk_wr *w, bool v);
void mk_wr_bytes(struct mk_wr *w, struct mk_span s);
void mk_wr_var(struct mk_wr *w, struct mk_span s);
void mk_wr_str(struct mk_wr *w, const char *s);
void mk_wr_name(struct mk_wr *w, const struct mk_name *name);
void mk_wr_word(struct mk_wr *w, const struct mk_word *word);
mk_must mk_wr_end(const struct mk_wr *w, size_t *ret_len); /* TOO_LARGE where something did not fit */

#endif

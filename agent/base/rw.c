/* SPDX-License-Identifier: Apache-2.0
 *
 * Reader and writer of binary messages: append-only, bounded, little endian whatever
 * the machine is. The fault sticks: a caller writes or reads all fields in a row and
 * asks once, at the end.
 */
#include "agent/base/rw.h"

struct mk_rd mk_rd_of(struct mk_span in)
{
	return (struct mk_rd){ .p = in.p, .n = in.n };
}

static void rd_fail(struct mk_rd *r)
{
	r->bad = true;
	r->n = 0;
}

struct mk_span mk_rd_bytes(struct mk_rd *r, size_t n)
{
	if (r->bad || n > r->n) {
		rd_fail(r);
		return (struct mk_span){ 0 };
	}
	const struct mk_span s = { r->p, n };
	if (n > 0)
		r->p += n;
	r->n -= n;
	return s;
}

static uint64_t rd_le(struct mk_rd *r, size_t n)
{
	const struct mk_span s = mk_rd_bytes(r, n);
	uint64_t v = 0;
	for (size_t i = 0; i < s.n; i++)
		v |= (uint64_t)s.p[i] << (8 * i);
	return v;
}

uint8_t mk_rd_u8(struct mk_rd *r)
{
	return (uint8_t)rd_le(r, 1);
}

uint16_t mk_rd_u16(struct mk_rd *r)
{
	return (uint16_t)rd_le(r, 2);
}

uint32_t mk_rd_u32(struct mk_rd *r)
{
	return (uint32_t)rd_le(r, 4);
}

uint64_t mk_rd_u64(struct mk_rd *r)
{
	return rd_le(r, 8);
}

int64_t mk_rd_i64(struct mk_rd *r)
{
	return (int64_t)rd_le(r, 8);
}

bool mk_rd_bool(struct mk_rd *r)
{
	return mk_rd_below(r, 2) == 1;
}

uint8_t mk_rd_below(struct mk_rd *r, uint8_t limit)
{
	const uint8_t v = mk_rd_u8(r);
	if (v < limit)
		return v;
	rd_fail(r);
	return 0;
}

struct mk_span mk_rd_var(struct mk_rd *r, size_t max)
{
	const uint32_t n = mk_rd_u32(r);
	if (n > max)
		rd_fail(r);
	return mk_rd_bytes(r, n);
}

void mk_rd_str(struct mk_rd *r, char *buf, size_t cap)
{
	mk_assert(cap > 0);
	memset(buf, 0, cap);
	const struct mk_span s = mk_rd_var(r, cap - 1);
	if (s.n == 0)
		return;
	if (memchr(s.p, 0, s.n))
		rd_fail(r);
	else
		memcpy(buf, s.p, s.n);
}

struct mk_name mk_rd_name(struct mk_rd *r)
{
	struct mk_name name = { 0 };
	if (mk_name_of(mk_rd_bytes(r, mk_rd_u8(r)), &name) != MK_OK)
		rd_fail(r);
	return name;
}

struct mk_word mk_rd_word(struct mk_rd *r)
{
	struct mk_word word = { 0 };
	const struct mk_span s = mk_rd_bytes(r, mk_rd_u8(r));
	if (s.n > 0 && mk_word_of(s, &word) != MK_OK)
		rd_fail(r);
	return word;
}

struct mk_span mk_rd_rest(struct mk_rd *r)
{
	return mk_rd_bytes(r, r->n);
}

mk_must mk_rd_end(const struct mk_rd *r)
{
	return r->bad || r->n > 0 ? MK_BAD_REQUEST : MK_OK;
}

struct mk_wr mk_wr_of(void *buf, size_t cap)
{
	return (struct mk_wr){ .p = buf, .cap = cap };
}

void mk_wr_bytes(struct mk_wr *w, struct mk_span s)
{
	if (w->bad || s.n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	if (s.n > 0)
		memcpy(w->p + w->len, s.p, s.n);
	w->len += s.n;
}

static void wr_le(struct mk_wr *w, uint64_t v, size_t n)
{
	uint8_t b[8];
	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	mk_wr_bytes(w, mk_span(b, n));
}

void mk_wr_u8(struct mk_wr *w, uint8_t v)
{
	wr_le(w, v, 1);
}

void mk_wr_u16(struct mk_wr *w, uint16_t v)
{
	wr_le(w, v, 2);
}

void mk_wr_u32(struct mk_wr *w, uint32_t v)
{
	wr_le(w, v, 4);
}

void mk_wr_u64(struct mk_wr *w, uint64_t v)
{
	wr_le(w, v, 8);
}

void mk_wr_i64(struct mk_wr *w, int64_t v)
{
	wr_le(w, (uint64_t)v, 8);
}

void mk_wr_bool(struct mk_wr *w, bool v)
{
	wr_le(w, v, 1);
}

void mk_wr_var(struct mk_wr *w, struct mk_span s)
{
	if (s.n > UINT32_MAX)
		w->bad = true;
	mk_wr_u32(w, (uint32_t)s.n);
	mk_wr_bytes(w, s);
}

void mk_wr_str(struct mk_wr *w, const char *s)
{
	mk_wr_var(w, mk_span_of(s));
}

/* u8 length, then the bytes; a reader takes no empty name, so none is written. */
void mk_wr_name(struct mk_wr *w, const struct mk_name *name)
{
	const size_t n = strnlen(name->s, MK_NAME_MAX);
	if (n == 0)
		w->bad = true;
	mk_wr_u8(w, (uint8_t)n);
	mk_wr_bytes(w, mk_span(name->s, n));
}

void mk_wr_word(struct mk_wr *w, const struct mk_word *word)
{
	const size_t n = strnlen(word->s, MK_WORD_MAX);
	mk_wr_u8(w, (uint8_t)n);
	mk_wr_bytes(w, mk_span(word->s, n));
}

mk_must mk_wr_end(const struct mk_wr *w, size_t *ret_len)
{
	if (w->bad)
		return MK_TOO_LARGE;
	*ret_len = w->len;
	return MK_OK;
}

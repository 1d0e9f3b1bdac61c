/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of the embedded store's file: 56 plain bytes, canonical (one way to write
 * each head), bounded in what they may ask of a reader.
 */
#include "agent/base/rw.h"
#include "backends/local_seal.h"

#define MAGIC "MKLOCAL1"
#define CIPHER_XCHACHA20POLY1305 1

void mk_local_head_write(const struct mk_local_head *head, uint32_t index_size, uint8_t out[MK_LOCAL_HEAD_BYTES])
{
	struct mk_wr w = mk_wr_of(out, MK_LOCAL_HEAD_BYTES);
	size_t n = 0;
	mk_wr_bytes(&w, mk_span_of(MAGIC));
	mk_wr_u8(&w, (uint8_t)head->kdf);
	mk_wr_u8(&w, CIPHER_XCHACHA20POLY1305);
	mk_wr_u16(&w, 0);
	mk_wr_u32(&w, head->ops);
	mk_wr_u32(&w, head->mem_kib);
	mk_wr_bytes(&w, mk_span(head->salt, sizeof head->salt));
	mk_wr_bytes(&w, mk_span(head->store, sizeof head->store));
	mk_wr_u32(&w, index_size);
	mk_assert(mk_wr_end(&w, &n) == MK_OK && n == MK_LOCAL_HEAD_BYTES);
}

static bool kdf_ok(const struct mk_local_head *h)
{
	static const uint8_t zero[sizeof h->salt];
	switch (h->kdf) {
	case MK_LOCAL_KDF_KEY:
		return h->ops == 0 && h->mem_kib == 0 && memcmp(h->salt, zero, sizeof zero) == 0;
	case MK_LOCAL_KDF_ARGON2ID:
		return h->ops >= 1 && h->ops <= MK_LOCAL_OPS_MAX && h->mem_kib >= MK_LOCAL_MEM_KIB_MIN &&
		       h->mem_kib <= MK_LOCAL_MEM_KIB_MAX;
	}
	return false;
}

static void rd_into(struct mk_rd *r, uint8_t *to, size_t n)
{
	const struct mk_span s = mk_rd_bytes(r, n);
	if (s.p && s.n == n)
		memcpy(to, s.p, n);
}

enum mk_err mk_local_head_parse(struct mk_span file, struct mk_local_head *ret, uint32_t *ret_index_size)
{
	struct mk_rd r = mk_rd_of(mk_span(file.p, file.n < MK_LOCAL_HEAD_BYTES ? file.n : MK_LOCAL_HEAD_BYTES));
	struct mk_local_head h = { 0 };
	const bool ours = mk_span_is(mk_rd_bytes(&r, sizeof MAGIC - 1), MAGIC);
	h.kdf = (enum mk_local_kdf)mk_rd_u8(&r);
	const bool cipher = mk_rd_u8(&r) == CIPHER_XCHACHA20POLY1305;
	const bool zero = mk_rd_u16(&r) == 0;
	h.ops = mk_rd_u32(&r);
	h.mem_kib = mk_rd_u32(&r);
	rd_into(&r, h.salt, sizeof h.salt);
	rd_into(&r, h.store, sizeof h.store);
	const uint32_t index_size = mk_rd_u32(&r);
	MK_TRY(mk_rd_end(&r));
	if (!ours || !cipher || !zero || !kdf_ok(&h))
		return MK_BAD_REQUEST;
	*ret = h;
	*ret_index_size = index_size;
	return MK_OK;
}

enum mk_err mk_local_head_read(struct mk_span file, struct mk_local_head *ret)
{
	uint32_t index_size;
	return mk_local_head_parse(file, ret, &index_size);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * One version of one secret: FETCH_BEGIN asks, FETCH_DONE answers. The only message
 * that carries a secret: what is read borrows the frame's locked memory.
 */
#include "agent/ipc/field.h"

void mk_msg_fetch_write(struct mk_wr *w, const struct mk_msg_fetch *m)
{
	mk_wr_ref(w, m->ref);
	mk_wr_u8(w, m->backend);
	mk_wr_name(w, &m->name);
	mk_wr_bool(w, m->previous);
}

enum mk_err mk_msg_fetch_read(struct mk_span body, struct mk_msg_fetch *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_fetch m = { .ref = mk_rd_ref(&r) };
	m.backend = mk_rd_below(&r, MK_BACKENDS_MAX);
	m.name = mk_rd_name(&r);
	m.previous = mk_rd_bool(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

static void wr_meta(struct mk_wr *w, const struct mk_meta *m)
{
	mk_wr_str(w, m->version);
	mk_wr_i64(w, m->created_ms);
	mk_wr_bool(w, m->disabled);
	w->bad = w->bad || m->n_tags > MK_TAGS_MAX;
	mk_wr_u8(w, (uint8_t)m->n_tags);
	for (size_t i = 0; i < m->n_tags && !w->bad; i++) {
		mk_wr_str(w, m->tags[i].key);
		mk_wr_str(w, m->tags[i].value);
	}
}

static void rd_meta(struct mk_rd *r, struct mk_meta *ret)
{
	mk_rd_version(r, ret->version);
	mk_rd_need(r, ret->version[0] != '\0');
	ret->created_ms = mk_rd_i64(r);
	ret->disabled = mk_rd_bool(r);
	const size_t n = mk_rd_below(r, MK_TAGS_MAX + 1);
	for (size_t i = 0; i < n && !r->bad; i++) {
		mk_rd_str(r, ret->tags[i].key, sizeof ret->tags[i].key);
		mk_rd_str(r, ret->tags[i].value, sizeof ret->tags[i].value);
	}
	ret->n_tags = n;
}

void mk_msg_fetched_write(struct mk_wr *w, const struct mk_msg_fetched *m)
{
	mk_wr_ref(w, m->ref);
	mk_wr_err(w, m->err);
	if (m->err != MK_OK)
		return;
	wr_meta(w, &m->meta);
	mk_wr_bytes(w, m->leaves);
}

enum mk_err mk_msg_fetched_read(struct mk_span body, struct mk_msg_fetched *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_fetched m = { .ref = mk_rd_ref(&r) };
	m.err = mk_rd_err(&r);
	if (!r.bad && m.err == MK_OK) {
		rd_meta(&r, &m.meta);
		m.leaves = mk_rd_rest(&r);
	}
	MK_TRY(mk_rd_end(&r));
	if (m.err == MK_OK)
		MK_TRY(mk_leaves_check(m.leaves));
	*ret = m;
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The names in one backend, a page at a time: LIST_BEGIN asks, LIST_DONE answers.
 */
#include "agent/ipc/field.h"

void mk_msg_list_write(struct mk_wr *w, const struct mk_msg_list *m)
{
	mk_wr_ref(w, m->ref);
	mk_wr_u8(w, m->backend);
	mk_wr_bool(w, m->after.s[0] != '\0');
	if (m->after.s[0])
		mk_wr_name(w, &m->after);
}

enum mk_err mk_msg_list_read(struct mk_span body, struct mk_msg_list *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_list m = { .ref = mk_rd_ref(&r) };
	m.backend = mk_rd_below(&r, MK_BACKENDS_MAX);
	if (mk_rd_bool(&r))
		m.after = mk_rd_name(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_listed_write(struct mk_wr *w, const struct mk_msg_listed *m)
{
	mk_wr_ref(w, m->ref);
	mk_wr_err(w, m->err);
	if (m->err != MK_OK)
		return;
	mk_wr_bool(w, m->more);
	w->bad = w->bad || m->n > MK_LIST_PAGE_MAX;
	mk_wr_u16(w, (uint16_t)m->n);
	for (size_t i = 0; i < m->n && !w->bad; i++) {
		mk_wr_name(w, &m->items[i].name);
		mk_wr_str(w, m->items[i].version);
	}
}

/* Ascending order is what lets the broker go on after the last name and never in circles. */
static void rd_items(struct mk_rd *r, size_t n, struct mk_listed *items)
{
	for (size_t i = 0; i < n && !r->bad; i++) {
		items[i].name = mk_rd_name(r);
		mk_rd_version(r, items[i].version);
		mk_rd_need(r, i == 0 || strcmp(items[i - 1].name.s, items[i].name.s) < 0);
	}
}

enum mk_err mk_msg_listed_read(struct mk_span body, struct mk_msg_listed *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_listed m = { .ref = mk_rd_ref(&r), .items = ret->items };
	m.err = mk_rd_err(&r);
	if (!r.bad && m.err == MK_OK) {
		m.more = mk_rd_bool(&r);
		m.n = mk_rd_u16(&r);
		mk_rd_need(&r, m.n <= MK_LIST_PAGE_MAX && (m.n > 0 || !m.more));
		rd_items(&r, m.n, m.items);
	}
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A change in a store: WRITE_BEGIN asks, WRITE_DONE answers. Only the two verbs that a
 * revocation and its undoing need can be asked for; values never go this way.
 */
#include "agent/ipc/msg_write.h"

#include "agent/ipc/field.h"

void mk_msg_write_write(struct mk_wr *w, const struct mk_msg_write *m)
{
	mk_wr_ref(w, m->ref);
	mk_wr_u8(w, m->backend);
	w->bad = w->bad || (m->verb != MK_VERB_DISABLE && m->verb != MK_VERB_ENABLE);
	mk_wr_bool(w, m->verb == MK_VERB_ENABLE);
	mk_wr_name(w, &m->name);
	mk_wr_str(w, m->version);
}

enum mk_err mk_msg_write_read(struct mk_span body, struct mk_msg_write *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_write m = { .ref = mk_rd_ref(&r) };
	m.backend = mk_rd_below(&r, MK_BACKENDS_MAX);
	m.verb = mk_rd_bool(&r) ? MK_VERB_ENABLE : MK_VERB_DISABLE;
	m.name = mk_rd_name(&r);
	mk_rd_version(&r, m.version);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_written_write(struct mk_wr *w, const struct mk_msg_written *m)
{
	mk_wr_ref(w, m->ref);
	mk_wr_err(w, m->err);
	mk_wr_bool(w, m->already);
	mk_wr_bool(w, m->unsure);
	mk_wr_str(w, m->version);
	mk_wr_fault(w, m->fault);
}

enum mk_err mk_msg_written_read(struct mk_span body, struct mk_msg_written *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_written m = { .ref = mk_rd_ref(&r) };
	m.err = mk_rd_err(&r);
	m.already = mk_rd_bool(&r);
	m.unsure = mk_rd_bool(&r);
	mk_rd_version(&r, m.version);
	mk_rd_fault(&r, m.fault);
	mk_rd_need(&r, m.err != MK_OK || m.fault[0] == '\0');
	mk_rd_need(&r, m.err == MK_OK ? !m.unsure : !m.already);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

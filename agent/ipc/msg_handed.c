/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes with a descriptor that is handed over: LISTENER, STORE_WATCH, PEER.
 */
#include "agent/ipc/field.h"
#include "agent/ipc/ipc.h"

void mk_msg_listener_write(struct mk_wr *w, const struct mk_msg_listener *m)
{
	mk_wr_word(w, &m->name);
	mk_wr_bool(w, m->client);
}

enum mk_err mk_msg_listener_read(struct mk_span body, struct mk_msg_listener *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_listener m = { .name = mk_rd_some_word(&r) };
	m.client = mk_rd_bool(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_watch_write(struct mk_wr *w, const struct mk_msg_watch *m)
{
	mk_wr_u8(w, m->index);
	mk_wr_str(w, m->file);
}

enum mk_err mk_msg_watch_read(struct mk_span body, struct mk_msg_watch *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_watch m = { .index = mk_rd_below(&r, MK_BACKENDS_MAX) };
	mk_rd_str(&r, m.file, sizeof m.file);
	mk_rd_need(&r, m.file[0] != '\0' && !strchr(m.file, '/'));
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_peer_write(struct mk_wr *w, const struct mk_msg_peer *m)
{
	mk_wr_u8(w, m->role);
}

enum mk_err mk_msg_peer_read(struct mk_span body, struct mk_msg_peer *ret)
{
	struct mk_rd r = mk_rd_of(body);
	const struct mk_msg_peer m = { .role = mk_rd_below(&r, MK_ROLE_COUNT) };
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * How a process fares: READY, REFUSED and RELOAD_DONE, HEALTH and HEALTH_SHOW,
 * ROLE_STATE.
 */
#include "agent/ipc/field.h"
#include "agent/ipc/ipc.h"

static void wr_guards(struct mk_wr *w, const uint8_t guards[MK_GUARDS_MAX], uint8_t abi)
{
	mk_wr_bytes(w, mk_span(guards, MK_GUARDS_MAX));
	mk_wr_u8(w, abi);
}

static void rd_guards(struct mk_rd *r, uint8_t guards[MK_GUARDS_MAX], uint8_t *abi)
{
	for (size_t i = 0; i < MK_GUARDS_MAX; i++)
		guards[i] = mk_rd_below(r, MK_GUARD_STATES);
	*abi = mk_rd_u8(r);
}

void mk_msg_ready_write(struct mk_wr *w, const struct mk_msg_ready *m)
{
	mk_wr_u32(w, m->generation);
	wr_guards(w, m->guards, m->landlock_abi);
}

enum mk_err mk_msg_ready_read(struct mk_span body, struct mk_msg_ready *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_ready m = { .generation = mk_rd_u32(&r) };
	rd_guards(&r, m.guards, &m.landlock_abi);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_result_write(struct mk_wr *w, const struct mk_msg_result *m)
{
	mk_wr_u32(w, m->n);
	mk_wr_u32(w, m->generation);
	mk_wr_err(w, m->err);
	mk_wr_str(w, m->text);
}

enum mk_err mk_msg_result_read(struct mk_span body, struct mk_msg_result *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_result m = { .n = mk_rd_u32(&r) };
	m.generation = mk_rd_u32(&r);
	m.err = mk_rd_err(&r);
	mk_rd_str(&r, m.text, sizeof m.text);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_health_write(struct mk_wr *w, const struct mk_msg_health *m)
{
	mk_wr_u32(w, m->reasons);
}

enum mk_err mk_msg_health_read(struct mk_span body, struct mk_msg_health *ret)
{
	struct mk_rd r = mk_rd_of(body);
	const struct mk_msg_health m = { .reasons = mk_rd_u32(&r) };
	mk_rd_need(&r, m.reasons >> MK_REASON_COUNT == 0);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_role_write(struct mk_wr *w, const struct mk_msg_role *m)
{
	mk_wr_u8(w, m->role);
	mk_wr_u32(w, m->pid);
	mk_wr_u32(w, m->restarts);
	mk_wr_i64(w, m->since_ms);
	wr_guards(w, m->guards, m->landlock_abi);
}

enum mk_err mk_msg_role_read(struct mk_span body, struct mk_msg_role *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_role m = { .role = mk_rd_below(&r, MK_ROLE_COUNT) };
	m.pid = mk_rd_u32(&r);
	mk_rd_need(&r, m.pid <= INT32_MAX);
	m.restarts = mk_rd_u32(&r);
	m.since_ms = mk_rd_i64(&r);
	rd_guards(&r, m.guards, &m.landlock_abi);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * ENDPOINT_STATE: how one backend fares, as its fetcher says. A fetcher that lies can lie
 * about itself only: numbers within bounds, words of closed lists, one short printable text.
 */
#include "agent/ipc/msg_endpoint.h"

#include "agent/base/clock.h"
#include "agent/ipc/field.h"

#include <string.h>

#define CALLS_MAX  (1000u * 1000 * 1000)
#define MOMENT_MAX INT64_C(253402300799999) /* the last of year 9999 */

static bool printable(char c)
{
	return c >= 0x20 && c < 0x7f;
}

void mk_wr_fault(struct mk_wr *w, const char *fault)
{
	char text[MK_FAULT_MAX] = "";
	for (size_t i = 0; i + 1 < sizeof text && fault[i]; i++)
		text[i] = printable(fault[i]) ? fault[i] : '?';
	mk_wr_str(w, text);
}

void mk_rd_fault(struct mk_rd *r, char fault[MK_FAULT_MAX])
{
	mk_rd_str(r, fault, MK_FAULT_MAX);
	for (const char *p = fault; !r->bad && *p; p++)
		mk_rd_need(r, printable(*p));
}

static int64_t rd_moment(struct mk_rd *r)
{
	const int64_t ms = mk_rd_i64(r);
	mk_rd_need(r, ms == MK_TIME_NONE || (ms >= 0 && ms <= MOMENT_MAX));
	return ms;
}

static uint32_t rd_count(struct mk_rd *r)
{
	const uint32_t n = mk_rd_u32(r);
	mk_rd_need(r, n <= CALLS_MAX);
	return n;
}

void mk_msg_endpoint_write(struct mk_wr *w, const struct mk_msg_endpoint *m)
{
	mk_wr_u8(w, m->backend);
	mk_wr_u8(w, (uint8_t)m->circuit);
	mk_wr_i64(w, m->pause_ms);
	mk_wr_err(w, m->err);
	mk_wr_i64(w, m->err_at_ms);
	mk_wr_fault(w, m->fault);
	mk_wr_i64(w, m->ok_at_ms);
	mk_wr_u32(w, m->calls_hour);
	mk_wr_u32(w, m->waiting);
	mk_wr_u8(w, (uint8_t)m->login);
	mk_wr_i64(w, m->login_until_ms);
	mk_wr_i64(w, m->login_every_ms);
	mk_wr_bool(w, m->unwrap_failed);
}

enum mk_err mk_msg_endpoint_read(struct mk_span body, struct mk_msg_endpoint *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_endpoint m = { .backend = mk_rd_below(&r, MK_BACKENDS_MAX) };
	m.circuit = (enum mk_circuit)mk_rd_below(&r, MK_CIRCUIT_COUNT);
	m.pause_ms = mk_rd_ms(&r);
	m.err = mk_rd_err(&r);
	m.err_at_ms = rd_moment(&r);
	mk_rd_fault(&r, m.fault);
	mk_rd_need(&r, m.err != MK_OK ? m.err_at_ms != MK_TIME_NONE : m.err_at_ms == MK_TIME_NONE && m.fault[0] == '\0');
	m.ok_at_ms = rd_moment(&r);
	m.calls_hour = rd_count(&r);
	m.waiting = rd_count(&r);
	m.login = (enum mk_login_now)mk_rd_below(&r, MK_LOGIN_COUNT);
	m.login_until_ms = rd_moment(&r);
	m.login_every_ms = mk_rd_ms(&r);
	m.unwrap_failed = mk_rd_bool(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

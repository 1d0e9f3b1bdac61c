/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/tokens: names and states, never values.
 */
#include "agent/base/clock.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"

#include <stdlib.h>

#define FRAME_MAX 128
#define ITEM_MAX  (160 + MK_NAME_MAX + 6 * MK_VERSION_MAX) /* each byte of a version may need six */

static void write_item(struct mk_jw *w, const struct mk_list_item *i)
{
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "connection", i->name.s);
	if (i->version[0])
		mk_jw_kstr(w, "version", i->version);
	else
		mk_jw_knull(w, "version");
	mk_jw_kstr(w, "state", mk_state_word(i->state));
	mk_jw_ktime(w, "expires_at", i->expires_ms);
	mk_jw_close(w, '}');
}

static enum MHD_Result answer(struct mk_conn *c, const struct mk_list_item *items, size_t n, bool more)
{
	struct mk_doc d = mk_doc_of(FRAME_MAX + n * ITEM_MAX);
	mk_jw_open(&d.w, '{');
	mk_jw_key(&d.w, "tokens");
	mk_jw_open(&d.w, '[');
	for (size_t i = 0; i < n; i++)
		write_item(&d.w, &items[i]);
	mk_jw_close(&d.w, ']');
	if (more && n > 0)
		mk_jw_kstr(&d.w, "next", items[n - 1].name.s);
	else
		mk_jw_knull(&d.w, "next");
	mk_jw_close(&d.w, '}');
	return mk_reply_doc(c, 200, "application/json", &d);
}

enum MHD_Result mk_route_list(struct mk_conn *c)
{
	struct mk_list_item *items = calloc(c->uri.limit, sizeof *items);
	unsigned retry_after_s = 0;
	size_t n = 0;
	bool more = false;
	enum mk_err e = MK_NO_MEMORY;
	if (items)
		e = mk_gate_list(c->http->broker, &c->caller, &c->uri.after, c->uri.limit, &c->waiter, items, &n, &more,
				 &retry_after_s);
	enum MHD_Result done;
	if (e != MK_OK)
		done = mk_reply_err(c, e, retry_after_s);
	else if (c->waiter.waiting)
		done = mk_conn_suspend(c);
	else
		done = answer(c, items, n, more);
	free(items);
	return done;
}

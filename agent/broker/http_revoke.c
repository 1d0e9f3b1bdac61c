/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/revocations and DELETE /v1/revocations/{connection}. All that a POST names is
 * revoked, or nothing. The answer comes when it is done, with the time of each step.
 */
#include "agent/broker/acts_revoke.h"
#include "agent/broker/http_acts.h"
#include "agent/broker/http_body.h"
#include "agent/broker/http_in_store.h"
#include "agent/broker/http_reply.h"
#include "mk/own.h"

#define ANSWER_MAX (1024 + MK_REVOKE_MAX * 512 + MK_IN_STORE_ANSWER)

static void write_one(struct mk_jw *w, const struct mk_revoke *r, size_t i, const struct mk_acted *acted)
{
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "connection", r->names[i].s);
	mk_jw_ktime(w, "at", r->at_ms);
	mk_jw_knum(w, "aborted", r->aborted[i]);
	mk_jw_knum(w, "values", r->values[i]);
	if (r->listed[i] == MK_LISTED_UNKNOWN)
		mk_jw_kstr(w, "listed", NULL);
	else
		mk_jw_kbool(w, "listed", r->listed[i] == MK_LISTED_YES);
	mk_jw_key(w, "steps");
	mk_jw_open(w, '{');
	for (unsigned s = 0; s < MK_REVOKED_STEPS; s++)
		mk_jw_knum(w, mk_revoke_step_words[s], r->steps[s]);
	mk_jw_close(w, '}');
	if (acted)
		mk_acted_write(w, acted, i);
	mk_jw_close(w, '}');
}

static enum MHD_Result answer(struct mk_conn *c, const struct mk_revoke *r)
{
	struct mk_doc d = mk_doc_of(ANSWER_MAX);
	mk_jw_open(&d.w, '{');
	mk_jw_key(&d.w, "revoked");
	mk_jw_open(&d.w, '[');
	for (size_t i = 0; i < r->n; i++)
		write_one(&d.w, r, i, c->acted);
	mk_jw_close(&d.w, ']');
	mk_jw_close(&d.w, '}');
	return mk_reply_doc(c, 200, "application/json", &d);
}

static enum MHD_Result answer_acted(struct mk_conn *c)
{
	return answer(c, &c->acted->revoke);
}

/* It is revoked, and so it stays: now the stores. */
static enum MHD_Result revoked(struct mk_conn *c, const struct mk_revoke *r)
{
	if (!c->acted)
		return answer(c, r);
	c->acted->revoke = *r;
	c->acted->revoke.names = c->acted->names;
	c->acted->revoke.reason = "";
	return mk_acted_begin(c, answer_acted);
}

enum MHD_Result mk_route_revoke(struct mk_conn *c)
{
	struct mk_name names[MK_REVOKE_MAX];
	char reason[MK_REASON_TEXT_MAX + 1] = "";
	struct mk_revoke r = { .names = names, .reason = reason };
	const struct mk_body_text texts[] = { { "reason", reason, sizeof reason, .required = false } };
	bool in_store = false;
	const struct mk_body_names of = { .names = names, .max = MK_REVOKE_MAX, .ret_n = &r.n, .in_store = &in_store };
	enum MHD_Result denied;
	if (c->acted) /* its stores have been asked */
		return answer_acted(c);
	if (!mk_route_might(c, MK_ACTION_REVOKE, &denied))
		return denied;
	const enum mk_hint bad = mk_body_read_names(c, texts, MK_COUNT(texts), &of);
	if (bad != MK_HINT_NONE)
		return mk_reply_refused(c, bad, NULL);
	if (in_store && !mk_acted_new(c, MK_VERB_DISABLE, names, r.n, &denied))
		return denied;
	const enum mk_err e = mk_act_revoke(c->http->broker, &c->caller, &r);
	if (e == MK_NO_MEMORY)
		return mk_reply_hint(c, MK_HINT_REVOKED_NO_ROOM);
	if (e == MK_AUDIT || e == MK_SYSTEM)
		return mk_reply_hint(c, e == MK_AUDIT ? MK_HINT_REVOKED_NOT_RECORDED : MK_HINT_REVOKED_NOT_KEPT);
	return e == MK_OK ? revoked(c, &r) : mk_reply_err(c, e, 0);
}

/* ---- restore ---- */

static enum MHD_Result answer_restored(struct mk_conn *c)
{
	struct mk_doc d = mk_doc_of(1024 + MK_IN_STORE_ANSWER);
	mk_jw_open(&d.w, '{');
	mk_jw_kstr(&d.w, "restored", c->uri.name.s);
	mk_jw_kbool(&d.w, "values_too", c->uri.values_too);
	if (c->acted)
		mk_acted_write(&d.w, c->acted, 0);
	mk_jw_close(&d.w, '}');
	return mk_reply_doc(c, 200, "application/json", &d);
}

enum MHD_Result mk_route_restore_now(struct mk_conn *c)
{
	const struct mk_restore r = { c->uri.name, c->uri.values_too, c->uri.in_store };
	enum MHD_Result refused;
	if (c->acted) /* its stores have been asked */
		return answer_restored(c);
	if (r.in_store && !mk_acted_new(c, MK_VERB_ENABLE, &r.name, 1, &refused))
		return refused;
	const enum mk_err e = mk_act_restore(c->http->broker, &r);
	if (e == MK_NOT_FOUND && !r.in_store) /* else it is the stores' part that is done again */
		return mk_reply_hint(c, MK_HINT_NOT_REVOKED);
	if (e != MK_OK && e != MK_NOT_FOUND)
		return mk_reply_not_done(c, e);
	return c->acted ? mk_acted_begin(c, answer_restored) : answer_restored(c);
}

enum MHD_Result mk_route_restore(struct mk_conn *c)
{
	const struct mk_restore r = { c->uri.name, c->uri.values_too, c->uri.in_store };
	char detail[MK_RESTORE_TEXT];
	enum MHD_Result answered;
	mk_restore_text(&r, detail);
	const struct mk_act act = { .action = MK_ACTION_RESTORE, .about = &r.name, .detail = detail };
	return c->acted || mk_route_begin(c, &act, &answered) ? mk_route_restore_now(c) : answered;
}

bool mk_route_restore_approved(struct mk_conn *c, const char *detail)
{
	struct mk_restore r;
	if (mk_restore_of_text(detail, &r) != MK_OK)
		return false;
	c->uri.name = r.name;
	c->uri.values_too = r.values_too;
	c->uri.in_store = r.in_store;
	return true;
}

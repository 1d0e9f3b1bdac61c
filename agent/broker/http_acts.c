/* SPDX-License-Identifier: Apache-2.0
 *
 * /v1/freeze and /v1/approvals/ID. What takes a second person is answered with 202, and done
 * when the approval comes.
 */
#include "agent/broker/acts.h"
#include "agent/broker/http_acts.h"
#include "agent/broker/http_body.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"

#include "mk/own.h"

#define ANSWER_MAX 2048

static enum MHD_Result answer_frozen(struct mk_conn *c)
{
	struct mk_doc d = mk_doc_of(ANSWER_MAX);
	mk_jw_open(&d.w, '{');
	mk_frozen_write(&d.w, mk_act_frozen(c->http->broker));
	mk_jw_close(&d.w, '}');
	return mk_reply_doc(c, 200, "application/json", &d);
}

void mk_frozen_write(struct mk_jw *w, const struct mk_frozen *f)
{
	mk_jw_kbool(w, "frozen", f->on);
	if (!f->on)
		return;
	mk_jw_ktime(w, "at", f->at_ms);
	mk_jw_kstr(w, "by", f->by.s);
	mk_jw_knum(w, "uid", f->uid);
	mk_jw_kstr(w, "reason", f->reason);
}

/* The denial, recorded as such. */
static bool denied(struct mk_conn *c, enum mk_action action, enum MHD_Result *ret)
{
	const enum mk_err e = mk_gate_admin(c->http->broker, &c->caller, action);
	*ret = mk_reply_err(c, e == MK_OK ? MK_DENIED : e, 0);
	return false;
}

bool mk_route_may(struct mk_conn *c, enum mk_action action, enum MHD_Result *ret)
{
	return mk_gate_would(c->http->broker, &c->caller, action) || denied(c, action, ret);
}

bool mk_route_might(struct mk_conn *c, enum mk_action action, enum MHD_Result *ret)
{
	return mk_gate_might(c->http->broker, &c->caller, action) || denied(c, action, ret);
}

enum MHD_Result mk_route_freeze(struct mk_conn *c)
{
	enum MHD_Result denied;
	if (!mk_route_may(c, MK_ACTION_FREEZE, &denied))
		return denied;
	char reason[MK_REASON_TEXT_MAX + 1] = "";
	const struct mk_body_text texts[] = { { "reason", reason, sizeof reason, .required = false } };
	/* A reason that cannot be read is no reason to let the doors stand open. */
	const enum mk_hint bad = mk_body_read(c, texts, MK_COUNT(texts));
	const enum mk_err e = mk_act_freeze(c->http->broker, &c->caller, bad == MK_HINT_NONE ? reason : "");
	if (e == MK_AUDIT || e == MK_SYSTEM)
		return mk_reply_hint(c, e == MK_AUDIT ? MK_HINT_NOT_RECORDED : MK_HINT_NOT_KEPT);
	return e == MK_OK ? answer_frozen(c) : mk_reply_err(c, e, 0);
}

enum MHD_Result mk_reply_not_done(struct mk_conn *c, enum mk_err e)
{
	if (e == MK_CONFLICT)
		return mk_reply_hint(c, MK_HINT_PROPOSALS);
	return e == MK_SYSTEM ? mk_reply_hint(c, MK_HINT_STATE) : mk_reply_err(c, e, 0);
}

static enum MHD_Result proposed(struct mk_conn *c, const struct mk_proposal *p)
{
	struct mk_doc d = mk_doc_of(ANSWER_MAX);
	mk_jw_open(&d.w, '{');
	mk_jw_kstr(&d.w, "approval", p->id);
	mk_jw_kstr(&d.w, "digest", p->digest);
	mk_jw_ktime(&d.w, "expires_at", p->expires_ms);
	mk_jw_close(&d.w, '}');
	return mk_reply_doc(c, 202, "application/json", &d);
}

bool mk_route_begin(struct mk_conn *c, const struct mk_act *act, enum MHD_Result *ret)
{
	struct mk_proposal p;
	bool waits = false;
	const enum mk_err e = mk_act_begin(c->http->broker, &c->caller, act, &p, &waits);
	if (e == MK_OK && !waits)
		return true;
	*ret = e == MK_OK ? proposed(c, &p) : mk_reply_not_done(c, e);
	return false;
}

static enum MHD_Result thaw(struct mk_conn *c)
{
	const enum mk_err e = mk_act_thaw(c->http->broker);
	return e == MK_OK ? answer_frozen(c) : mk_reply_not_done(c, e);
}

enum MHD_Result mk_route_thaw(struct mk_conn *c)
{
	enum MHD_Result answered;
	const struct mk_act act = { .action = MK_ACTION_THAW, .detail = "thaw" };
	return mk_route_begin(c, &act, &answered) ? thaw(c) : answered;
}

static enum MHD_Result not_approved(struct mk_conn *c, enum mk_err e, enum mk_approval why)
{
	static const enum mk_hint hints[] = {
		[MK_APPROVAL_OK] = MK_HINT_INTERNAL,
		[MK_APPROVAL_SAME_PERSON] = MK_HINT_SAME_PERSON,
		[MK_APPROVAL_DIGEST] = MK_HINT_DIGEST,
		[MK_APPROVAL_WITHDRAWN] = MK_HINT_WITHDRAWN,
		[MK_APPROVAL_OVERTAKEN] = MK_HINT_OVERTAKEN,
	};
	if (e == MK_NOT_FOUND)
		return mk_reply_hint(c, MK_HINT_PROPOSAL);
	return e == MK_CONFLICT ? mk_reply_hint(c, hints[why]) : mk_reply_not_done(c, e);
}

enum MHD_Result mk_route_approve(struct mk_conn *c)
{
	static mk_route_fn *const acts[MK_ACTION_COUNT] = { [MK_ACTION_THAW] = thaw, [MK_ACTION_RELOAD] = mk_route_reload_now,
							     [MK_ACTION_RESTORE] = mk_route_restore_now };
	char digest[MK_PROPOSAL_DIGEST + 1] = "";
	const struct mk_body_text texts[] = { { "digest", digest, sizeof digest, .required = true } };
	enum mk_approval why = MK_APPROVAL_OK;
	struct mk_proposal p;
	enum MHD_Result denied;
	if (c->reloaded) /* the approved reload has ended */
		return mk_route_reload_now(c);
	if (c->acted)    /* the approved restore's stores have been asked */
		return mk_route_restore_now(c);
	if (!mk_route_may(c, MK_ACTION_APPROVE, &denied))
		return denied;
	const enum mk_hint bad = mk_body_read(c, texts, MK_COUNT(texts));
	if (bad != MK_HINT_NONE)
		return mk_reply_refused(c, bad, NULL);
	const enum mk_err e = mk_act_approve(c->http->broker, &c->caller, c->uri.id, digest, &p, &why);
	if (e != MK_OK)
		return not_approved(c, e, why);
	if (p.action == MK_ACTION_RESTORE && !mk_route_restore_approved(c, p.detail))
		return mk_reply_err(c, MK_BUG, 0);
	return acts[p.action] ? acts[p.action](c) : mk_reply_err(c, MK_BUG, 0);
}

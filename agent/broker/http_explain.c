/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/policy/explain, for those whom policy grants `explain`: {"as", "action", "connection"},
 * decided by the policy in force, with the tags that the store told. Nothing is handed out.
 */
#include "agent/broker/http_acts.h"
#include "agent/broker/http_body.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"
#include "mk/own.h"
#include "policy/explain.h"

#define ANSWER_MAX 16384

struct question {
	uint32_t service;
	enum mk_action action;
	struct mk_name name; /* "": the instance */
};

static enum mk_hint read_question(struct mk_conn *c, struct question *q)
{
	char as[MK_WORD_MAX + 1] = "", action[16] = "get", name[MK_NAME_MAX + 1] = "";
	const struct mk_body_text texts[] = { { "as", as, sizeof as, .required = true },
					      { "action", action, sizeof action, .required = false },
					      { "connection", name, sizeof name, .required = false } };
	struct mk_word word;
	const enum mk_hint bad = mk_body_read(c, texts, MK_COUNT(texts));
	if (bad != MK_HINT_NONE)
		return bad;
	if (mk_action_of(mk_span_of(action), &q->action) != MK_OK || (name[0] && mk_name_of(mk_span_of(name), &q->name) != MK_OK))
		return MK_HINT_JSON;
	q->service = mk_word_of(mk_span_of(as), &word) == MK_OK ? mk_policy_service_of(mk_gate_policy(c->http->broker), &word) : MK_NO_SERVICE;
	return q->service == MK_NO_SERVICE ? MK_HINT_SERVICE : MK_HINT_NONE;
}

enum MHD_Result mk_route_explain(struct mk_conn *c)
{
	struct question q = { .service = MK_NO_SERVICE };
	enum MHD_Result denied;
	struct mk_explained e;
	if (!mk_route_may(c, MK_ACTION_EXPLAIN, &denied))
		return denied;
	const enum mk_hint bad = read_question(c, &q);
	if (bad != MK_HINT_NONE)
		return mk_reply_refused(c, bad, NULL);
	const enum mk_err recorded = mk_gate_admin(c->http->broker, &c->caller, MK_ACTION_EXPLAIN);
	if (recorded != MK_OK)
		return mk_reply_err(c, recorded, 0);
	const struct mk_policy *p = mk_gate_policy(c->http->broker);
	const struct mk_subject instance = { .name = NULL };
	const struct mk_subject about = q.name.s[0] ? mk_gate_subject(c->http->broker, &q.name) : instance;
	struct mk_doc d = mk_doc_of(ANSWER_MAX);
	mk_policy_explain(p, q.service, q.action, &about, &e);
	mk_explain_json(p, &e, "policy.conf", &d.w);
	return mk_reply_doc(c, 200, "application/json", &d);
}

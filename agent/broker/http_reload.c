/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/reload, for those whom policy grants `reload`: asks the supervisor and answers
 * when it is done. The one problem document whose detail is not a fixed text: it names
 * the line of the configuration that is wrong, for the administrator who asked.
 */
#include "agent/broker/http_acts.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"

#include <stdlib.h>

#define ANSWER_MAX (1024 + 6 * sizeof((struct mk_msg_result *)0)->text)

static void on_done(struct mk_reload *r, const struct mk_msg_result *how)
{
	struct mk_conn *c = (struct mk_conn *)(void *)((char *)r - offsetof(struct mk_conn, reload));
	c->reloading = false;
	c->reloaded = malloc(sizeof *c->reloaded);
	if (c->reloaded)
		*c->reloaded = *how;
	else
		mk_conn_end(c); /* it happened, but there is no room to say how */
	mk_conn_resume(c);
}

/* "/etc/makini/production/agent.conf:12: …" loses its directories. */
static struct mk_span without_directory(const char *text)
{
	const size_t n = strlen(text), head = strcspn(text, ": ");
	size_t at = 0;
	for (size_t i = 0; text[0] == '/' && i < head; i++)
		if (text[i] == '/')
			at = i + 1;
	return mk_span(text + at, n - at);
}

static enum MHD_Result answer(struct mk_conn *c, const struct mk_msg_result *how)
{
	struct mk_doc d = mk_doc_of(ANSWER_MAX);
	mk_jw_open(&d.w, '{');
	if (how->err == MK_OK)
		mk_jw_knum(&d.w, "generation", how->generation);
	else
		mk_problem_write(&d.w, MK_HINT_RELOAD, without_directory(how->text));
	mk_jw_close(&d.w, '}');
	return how->err == MK_OK ? mk_reply_doc(c, 200, "application/json", &d) :
				   mk_reply_doc(c, 409, MK_PROBLEM_TYPE, &d);
}

enum MHD_Result mk_route_reload_now(struct mk_conn *c)
{
	if (c->reloaded)
		return answer(c, c->reloaded);
	c->reload.done = on_done;
	const enum mk_err e = mk_broker_reload(c->http->broker, &c->reload);
	if (e != MK_OK)
		return mk_reply_err(c, e, 1);
	c->reloading = true;
	return mk_conn_suspend(c);
}

enum MHD_Result mk_route_reload(struct mk_conn *c)
{
	enum MHD_Result answered;
	const struct mk_act act = { .action = MK_ACTION_RELOAD, .detail = "reload" };
	if (c->reloaded || mk_route_begin(c, &act, &answered))
		return mk_route_reload_now(c);
	return answered;
}

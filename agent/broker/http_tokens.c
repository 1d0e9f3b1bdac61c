/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/tokens/{connection}. The body is written straight into locked memory; the
 * store's leaves are wiped as soon as it is.
 */
#include "agent/base/clock.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"
#include "mk/own.h"

#include <inttypes.h>
#include <stdio.h>

static mk_must write_json(const struct mk_conn *c, const struct mk_answer *a, struct mk_secret *body)
{
	size_t n = 0;
	struct mk_jw w = mk_jw_of(mk_secret_buf(body), mk_secret_cap(body));
	mk_jw_open(&w, '{');
	mk_jw_kstr(&w, "connection", c->uri.name.s);
	mk_jw_kstr(&w, "environment", mk_broker_environment(c->http->broker)->s);
	if (a->has_token) {
		mk_jw_kspan(&w, "access_token", a->token);
		mk_jw_kstr(&w, "token_type", a->token_type);
	}
	mk_jw_kstr(&w, "version", a->version);
	mk_jw_kstr(&w, "state", mk_state_word(a->state));
	mk_jw_ktime(&w, "expires_at", a->expires_ms);
	mk_jw_knum(&w, "age", a->age_s);
	mk_jw_kbool(&w, "stale", a->stale);
	mk_jw_key(&w, "fields");
	mk_jw_open(&w, '{');
	mk_jw_close(&w, '}');
	mk_jw_close(&w, '}');
	MK_TRY(mk_jw_end(&w, &n));
	mk_secret_set_len(body, n);
	return MK_OK;
}

/* What the gate took as room is enough. */
_Static_assert(MK_ANSWER_FRAME > 320 + MK_NAME_MAX + MK_WORD_MAX + 31 + MK_VERSION_MAX, "the frame fits");

static mk_must write_text(const struct mk_answer *a, struct mk_secret *body)
{
	if (a->token.n > mk_secret_cap(body))
		return MK_BUG;
	memcpy(mk_secret_buf(body), a->token.p, a->token.n);
	mk_secret_set_len(body, a->token.n);
	return MK_OK;
}

static const char *cache_word(enum mk_cache how)
{
	switch (how) {
	case MK_CACHE_HIT:
		return "hit";
	case MK_CACHE_MISS:
		return "miss";
	case MK_CACHE_STALE:
		return "stale";
	}
	return "miss";
}

static enum MHD_Result reply(struct mk_conn *c, const struct mk_answer *a, const char *type, struct MHD_Response *r)
{
	char etag[MK_ETAG_MAX + 2], age[24];
	snprintf(etag, sizeof etag, "\"%s\"", a->etag);
	snprintf(age, sizeof age, "%" PRId64, a->age_s);
	const struct mk_header headers[] = {
		{ "ETag", etag }, { "Age", age }, { "X-Cache", cache_word(a->cache) }, { "Vary", "Accept" }, { NULL, NULL },
	};
	return mk_reply(c, a->not_modified ? 304 : 200, type, r, headers);
}

static enum MHD_Result answer(struct mk_conn *c, struct mk_answer *a)
{
	if (a->not_modified)
		return reply(c, a, NULL, mk_body_text(mk_span("", 0)));
	const bool plain = mk_accept_plain(mk_route_header(c, "Accept"));
	c->carries = a->has_token;
	c->large = mk_secret_cap(a->room) > MK_SECRET_SMALL;
	const enum mk_err e = plain ? write_text(a, a->room) : write_json(c, a, a->room);
	mk_secret_free(MK_TAKE(a->leaves));
	if (e != MK_OK)
		return mk_reply_err(c, MK_BUG, 0);
	return reply(c, a, plain ? "text/plain; charset=utf-8" : "application/json", mk_body_secret(MK_TAKE(a->room)));
}

enum MHD_Result mk_route_token(struct mk_conn *c)
{
	const struct mk_ask ask = {
		.name = c->uri.name, .previous = c->uri.previous, .waited = c->waited,
		.bare = mk_accept_plain(mk_route_header(c, "Accept")), .max_age_ms = c->uri.max_age_ms,
		.not_version = c->uri.not_version[0] ? c->uri.not_version : NULL,
		.if_none_match = mk_route_header(c, "If-None-Match"), .wait_ms = c->uri.wait_ms,
	};
	if (ask.wait_ms > 0 && ask.if_none_match.n == 0)
		return mk_reply_refused(c, MK_HINT_WAIT_ALONE, NULL);
	struct mk_answer a = { 0 };
	unsigned retry_after_s = 0;
	const enum mk_err e = mk_gate_get(c->http->broker, &c->caller, &ask, &c->waiter, &a, &retry_after_s);
	if (e != MK_OK)
		return mk_reply_err(c, e, retry_after_s);
	if (c->waiter.waiting)
		return MHD_YES; /* suspended when libmicrohttpd comes again */
	const enum MHD_Result done = answer(c, &a);
	mk_answer_done(&a);
	return done;
}

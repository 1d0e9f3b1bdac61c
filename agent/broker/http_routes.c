/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request to its handler: head, path, method, in this order, each refusal with the
 * same answer for every caller. libmicrohttpd calls when the head is there, when the request
 * is complete, and again after each suspension.
 */
#include "agent/broker/http_routes.h"

#include "agent/broker/bearer.h"
#include "agent/broker/http_reply.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

static const struct mk_route routes[] = {
	{ MK_RES_TOKEN,    "GET",    true,  false, false, mk_route_token, true },
	{ MK_RES_TOKENS,   "GET",    true,  false, false, mk_route_list, false },
	{ MK_RES_WATCH,    "GET",    true,  false, false, mk_route_watch, false },
	{ MK_RES_WHOAMI,   "GET",    true,  true,  false, mk_route_whoami, false },
	{ MK_RES_HEALTH,   "GET",    true,  true,  false, mk_route_health, false },
	{ MK_RES_STATUS,   "GET",    false, true,  false, mk_route_status, false },
	{ MK_RES_RELOAD,   "POST",   false, true,  false, mk_route_reload, false },
	{ MK_RES_FREEZE,   "POST",   false, true,  true,  mk_route_freeze, false },
	{ MK_RES_FREEZE,   "DELETE", false, true,  false, mk_route_thaw, false },
	{ MK_RES_APPROVAL, "POST",   false, true,  true,  mk_route_approve, false },
	{ MK_RES_REVOCATIONS, "POST", false, true,  true,  mk_route_revoke, false },
	{ MK_RES_REVOCATION, "DELETE", false, true, false, mk_route_restore, false },
	{ MK_RES_EXPLAIN,  "POST",   false, true,  true,  mk_route_explain, false },
	{ MK_RES_FINGERPRINTS, "POST", false, true, true,  mk_route_fingerprints, false },
};

void mk_route_woken(struct mk_waiter *w)
{
	struct mk_conn *c = (struct mk_conn *)(void *)((char *)w - offsetof(struct mk_conn, waiter));
	c->waited = true;
	mk_conn_wake(c);
}

struct mk_span mk_route_header(struct mk_conn *c, const char *name)
{
	const char *value = NULL;
	size_t n = 0;
	const enum MHD_Result found = MHD_lookup_connection_value_n(c->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &n);
	return found == MHD_YES && value ? mk_span(value, n) : mk_span(NULL, 0);
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value,
				 size_t value_n)
{
	(void)kind;
	mk_head_take(cls, mk_span(key, key_n), mk_span(value, value ? value_n : 0));
	return MHD_YES;
}

/* Would the answer's head find room beside this one? Then libmicrohttpd could not send what the gate gave. */
static bool too_long(const struct mk_conn *c, const struct mk_head *head)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	return !i || i->header_size + ((size_t)head->fields + c->uri.names) * MK_FIELD_BYTES > MK_POOL_BYTES - MK_ANSWER_HEAD;
}

static bool is_here(const struct mk_conn *c, const struct mk_route *r)
{
	return r->resource == c->uri.resource && (c->server->admin ? r->admin : r->service);
}

static const struct mk_route *find(const struct mk_conn *c, const char *method)
{
	for (size_t i = 0; i < MK_COUNT(routes); i++)
		if (is_here(c, &routes[i]) && strcmp(method, routes[i].method) == 0)
			return &routes[i];
	return NULL;
}

static enum mk_hint make_room(struct mk_conn *c, size_t n)
{
	c->body = malloc(n + 1);
	c->body_cap = c->body ? n : 0;
	return c->body ? MK_HINT_NONE : MK_HINT_NO_MEMORY;
}

static enum MHD_Result take_body(struct mk_conn *c, const char *p, size_t *n)
{
	if (*n > c->body_cap - c->body_n)
		return MHD_NO;
	memcpy(c->body + c->body_n, p, *n);
	c->body_n += *n;
	*n = 0;
	return MHD_YES;
}

/* What is wrong with the head, whatever the resource. A body that was announced is never read. */
static enum mk_hint check_head(struct mk_conn *c, const char *method, const char *version)
{
	struct mk_head head = { 0 };
	const struct mk_route *r = find(c, method);
	const bool takes_body = r && r->body && c->uri.bad == MK_HINT_NONE;
	MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, on_header, &head);
	c->ends = (head.body > 0 && !takes_body) || head.bad != MK_HINT_NONE;
	const bool newer = strcmp(version, "HTTP/1.1") == 0;
	if (!newer && strcmp(version, "HTTP/1.0") != 0)
		return MK_HINT_HTTP_VERSION;
	if (head.bad != MK_HINT_NONE)
		return head.bad;
	if (too_long(c, &head))
		return MK_HINT_HEAD_SIZE;
	if (newer && head.hosts == 0)
		return MK_HINT_HOST;
	if (head.body > MK_REQ_BODY_MAX)
		return MK_HINT_BODY_SIZE;
	if (head.body > 0 && !takes_body)
		return MK_HINT_BODY;
	return head.body > 0 ? make_room(c, (size_t)head.body) : c->uri.bad;
}

/* "POST, DELETE" */
static void methods_of(const struct mk_conn *c, char buf[32])
{
	size_t n = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < MK_COUNT(routes); i++)
		if (is_here(c, &routes[i]) && n < 24)
			n += (size_t)snprintf(buf + n, 32 - n, "%s%s", n ? ", " : "", routes[i].method);
}

/* The head is there. Only what ends the connection anyway is answered now: libmicrohttpd closes after
 * an answer that was given before it says that the request is complete. */
static enum MHD_Result look_at_head(struct mk_conn *c, const char *method, const char *version)
{
	c->looked = true;
	c->bad = check_head(c, method, version);
	c->ends = c->ends || mk_hint_ends(c->bad);
	return c->ends ? mk_reply_refused(c, c->bad, NULL) : MHD_YES;
}

enum MHD_Result mk_route_decide(struct mk_conn *c)
{
	if (c->uid->answers >= MK_UNREAD_PER_UID && !c->again)
		return mk_reply_refused(c, MK_HINT_UNREAD, NULL);
	c->again = true;
	return c->route->handle(c);
}

/* Decides it now, or when all that came with it are there. */
static enum MHD_Result go_on(struct mk_conn *c)
{
	if (mk_turn_under_way(c))
		return mk_turn_answer(c);
	if (!c->route->together)
		return mk_route_decide(c);
	mk_turn_ask(c);
	return MHD_YES;
}

/* These tell who they are taken for also those who are nobody. */
static bool is_for_all(const struct mk_route *r)
{
	return r->resource == MK_RES_WHOAMI || r->resource == MK_RES_HEALTH;
}

/* Before any decision: whose account the request is of. */
static bool knows_account(struct mk_conn *c, const struct mk_route *r, enum MHD_Result *ret)
{
	const enum mk_err e = mk_bearer_take(c->http->broker, &c->caller, mk_route_header(c, "Authorization"), &c->seen);
	if (e == MK_OK || is_for_all(r))
		return true;
	*ret = e == MK_UNAUTHENTICATED ? mk_reply_refused(c, MK_HINT_BEARER, NULL) : mk_reply_err(c, e, 0);
	return false;
}

static enum MHD_Result dispatch(struct mk_conn *c, const char *method)
{
	const struct mk_route *r = find(c, method);
	char allow[32];
	if (c->bad != MK_HINT_NONE)
		return mk_reply_refused(c, c->bad, NULL);
	methods_of(c, allow);
	if (!r)
		return mk_reply_refused(c, allow[0] ? MK_HINT_METHOD : MK_HINT_PATH, allow[0] ? allow : NULL);
	enum MHD_Result refused;
	if (!knows_account(c, r, &refused))
		return refused;
	c->route = r;
	c->waiter.woken = mk_route_woken;
	return go_on(c);
}

/* Who connected has ended: whoever holds the connection now is not who the evidence is of. */
static enum MHD_Result left_behind(struct mk_conn *c)
{
	c->ends = true;
	mk_gate_refused(c->http->broker, &c->caller, MK_DENIED);
	return mk_reply_err(c, MK_DENIED, 0);
}

enum MHD_Result mk_route_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
				const char *version, const char *body, size_t *body_n, void **request)
{
	struct mk_conn *c = *request;
	(void)cls;
	(void)mhd;
	(void)url;
	if (!c || c->gone || !c->uid)
		return MHD_NO;
	if (!c->looked)
		return *body_n > 0 ? MHD_NO : look_at_head(c, method, version);
	if (*body_n > 0)
		return take_body(c, body, body_n);
	if (!mk_peer_alive(&c->peer, mk_broker_proc(c->http->broker)))
		return left_behind(c);
	return c->route ? go_on(c) : dispatch(c, method);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * From a body and a status to libmicrohttpd's response, in one place: what every answer
 * has, and how many of a caller's answers may lie unread.
 */
#include "agent/broker/http_reply.h"

#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

static void free_secret(void *cls)
{
	mk_secret_free(cls);
}

struct MHD_Response *mk_body_secret(struct mk_secret *s)
{
	const struct mk_span b = mk_secret_span(s);
	struct MHD_Response *r = MHD_create_response_from_buffer_with_free_callback_cls(b.n, mk_secret_buf(s), free_secret, s);
	if (!r)
		mk_secret_free(s);
	return r;
}

struct MHD_Response *mk_body_heap(char *p, size_t n)
{
	struct MHD_Response *r = MHD_create_response_from_buffer_with_free_callback_cls(n, p, free, p);
	if (!r)
		free(p);
	return r;
}

struct MHD_Response *mk_body_text(struct mk_span forever)
{
	return MHD_create_response_from_buffer(forever.n, (void *)(uintptr_t)forever.p, MHD_RESPMEM_PERSISTENT);
}

static bool add(struct MHD_Response *r, const char *name, const char *value)
{
	return MHD_add_response_header(r, name, value) == MHD_YES;
}

static bool add_all(struct MHD_Response *r, const struct mk_header *h)
{
	for (; h && h->name; h++)
		if (!add(r, h->name, h->value))
			return false;
	return true;
}

enum MHD_Result mk_reply(struct mk_conn *c, unsigned status, const char *type, struct MHD_Response *r,
			 const struct mk_header *headers)
{
	if (!r)
		return MHD_NO;
	const bool ends = c->ends || c->http->draining;
	enum MHD_Result done = MHD_NO;
	if (add(r, "Cache-Control", "no-store") && (!type || add(r, "Content-Type", type)) &&
	    (!ends || add(r, "Connection", "close")) && add_all(r, headers))
		done = c->deciding ? MHD_YES : MHD_queue_response(c->mhd, status, r);
	if (c->deciding && done == MHD_YES) {
		c->answer = r;
		c->status = status;
	} else {
		MHD_destroy_response(r);
	}
	if (done == MHD_YES) {
		mk_conn_enter(c, MK_AT_WRITE);
		c->unread = c->large ? MK_UNREAD_LARGE : 1;
		c->uid->answers += c->unread;
	}
	return done;
}

static enum MHD_Result problem(struct mk_conn *c, enum mk_hint h, const struct mk_header *headers)
{
	c->ends = c->ends || mk_hint_ends(h);
	return mk_reply(c, (unsigned)mk_err_http(mk_hint_err(h)), MK_PROBLEM_TYPE, mk_body_text(mk_problem_text(h)), headers);
}

/* The one header that goes with a refusal. */
static struct mk_header challenge(enum mk_err e, const char *allow)
{
	if (allow)
		return (struct mk_header){ "Allow", allow };
	if (e == MK_RATE_LIMITED)
		return (struct mk_header){ "Retry-After", "1" };
	return (struct mk_header){ e == MK_UNAUTHENTICATED ? "WWW-Authenticate" : NULL, "Bearer" };
}

enum MHD_Result mk_reply_refused(struct mk_conn *c, enum mk_hint h, const char *allow)
{
	const enum mk_err e = mk_hint_err(h);
	const struct mk_header headers[] = { challenge(e, allow), { NULL, NULL } };
	mk_gate_refused(c->http->broker, &c->caller, e);
	return problem(c, h, headers);
}

enum MHD_Result mk_reply_hint(struct mk_conn *c, enum mk_hint h)
{
	return problem(c, h, NULL);
}

/* Who is refused for the clock's sake is told so. */
static enum mk_hint hint_of(const struct mk_conn *c, enum mk_err e)
{
	return e == MK_EXPIRED && mk_gate_clock_in_doubt(c->http->broker) ? MK_HINT_EXPIRED_CLOCK : mk_hint_of(e);
}

enum MHD_Result mk_reply_err(struct mk_conn *c, enum mk_err e, unsigned retry_after_s)
{
	char seconds[16];
	if (e == MK_RATE_LIMITED && retry_after_s == 0)
		retry_after_s = 1; /* not a rate, but too many that wait: soon */
	snprintf(seconds, sizeof seconds, "%u", retry_after_s);
	const struct mk_header headers[] = { { retry_after_s ? "Retry-After" : NULL, seconds }, { NULL, NULL } };
	return problem(c, hint_of(c, e), headers);
}

struct mk_doc mk_doc_of(size_t cap)
{
	char *p = malloc(cap);
	return (struct mk_doc){ .w = mk_jw_of(p, p ? cap : 0), .p = p };
}

enum MHD_Result mk_reply_doc(struct mk_conn *c, unsigned status, const char *type, struct mk_doc *d)
{
	size_t n = 0;
	char *p = MK_TAKE(d->p);
	if (!p)
		return mk_reply_err(c, MK_NO_MEMORY, 0);
	if (mk_jw_end(&d->w, &n) != MK_OK) {
		free(p);
		return mk_reply_err(c, MK_BUG, 0);
	}
	char *fit = realloc(p, n ? n : 1); /* a document that waits for its reader takes no more than it needs */
	return mk_reply(c, status, type, mk_body_heap(fit ? fit : p, n), NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of `vault` and its logins: a script of requests that must come, in this
 * order, and of what is answered; and a runner that plays an operation against it.
 */
#ifndef MK_TEST_VAULT_WORLD_H
#define MK_TEST_VAULT_WORLD_H

#include "agent/base/secret.h"
#include "mk/backend.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

struct turn {
	const char *want;       /* "GET https://…", "LIST …", "POST …" or "FILE /path" */
	long status;            /* of HTTP */
	const char *body;       /* of the answer */
	enum mk_err err;
	const char *wants_body; /* "": whatever; NULL: none */
	const char *token;      /* X-Vault-Token; NULL: none */
};

struct world {
	struct mk_conf_backend conf;
	const struct turn *turns;
	size_t n, at;
	void *keep;
	struct mk_secret *credential;
	struct mk_op op;
	struct mk_login_op login;
	struct mk_listed listed[MK_LIST_PAGE_MAX];
	bool once;              /* the last request's */
	/* of the next operation */
	const char *expect;
	bool pending;
	const struct mk_secret *value;
};

static inline const char *header_of(const struct mk_req *req, const char *name, char buf[512])
{
	for (size_t i = 0; i < req->n_headers; i++) {
		const struct mk_req_header *h = &req->headers[i];
		if (strcmp(h->name, name) != 0)
			continue;
		const struct mk_span s = h->secret ? mk_secret_span(h->secret) : mk_span("", 0);
		snprintf(buf, 512, "%s%.*s", h->value, (int)s.n, (const char *)s.p);
		return buf;
	}
	return NULL;
}

static inline void check_request(const struct world *w, const struct mk_req *req, const struct turn *t)
{
	static const char *const methods[] = { "", "GET", "LIST", "POST", "PUT", "PATCH", "DELETE" };
	char got[4096], token[512], ns[512];
	if (req->kind == MK_REQ_FILE) {
		snprintf(got, sizeof got, "FILE %s", req->path);
		assert_string_equal(got, t->want);
		assert_true(req->private_file && req->max > 0);
		return;
	}
	snprintf(got, sizeof got, "%s %s", methods[req->method], req->url);
	assert_string_equal(got, t->want);
	assert_int_equal(req->kind, MK_REQ_HTTP);
	assert_true(req->max > 0 && req->max <= MK_SECRET_LARGE);
	assert_string_equal(header_of(req, "X-Vault-Request", token), "true");
	const char *has = header_of(req, "X-Vault-Token", token);
	if (t->token)
		assert_string_equal(has ? has : "(none)", t->token);
	else
		assert_null(has);
	if (w->conf.ns[0] && !strstr(req->url, "sys/health"))
		assert_string_equal(header_of(req, "X-Vault-Namespace", ns), w->conf.ns);
	if (!t->wants_body)
		assert_null(req->body);
	else if (t->wants_body[0])
		assert_true(mk_span_is(mk_secret_span(req->body), t->wants_body));
}

static inline struct mk_res reply(struct world *w, const struct mk_req *req)
{
	if (w->at == w->n)
		fail_msg("one request too many: %s", req->kind == MK_REQ_FILE ? req->path : req->url);
	const struct turn *t = &w->turns[w->at++];
	check_request(w, req, t);
	w->once = req->once;
	return (struct mk_res){ .err = t->err, .status = t->status, .body = mk_span_of(t->body && t->err == MK_OK ? t->body : "") };
}

static inline void op_free(struct world *w)
{
	const struct mk_backend *b = mk_backend_of("vault");
	if (w->op.state && b->done)
		b->done(&w->op);
	free(w->op.state);
	mk_secret_free(w->op.leaves);
	w->op = (struct mk_op){ 0 };
}

/* Runs an operation to its end. The whole script must have been played. */
static inline enum mk_step run_op(struct world *w, enum mk_verb verb, const char *name, bool previous, const struct turn *turns, size_t n)
{
	const struct mk_backend *b = mk_backend_of("vault");
	struct mk_res res = { .err = MK_OK };
	enum mk_step s = MK_STEP_SEND;
	op_free(w);
	w->turns = turns;
	w->n = n;
	w->at = 0;
	w->op = (struct mk_op){ .verb = verb, .conf = &w->conf, .keep = w->keep, .previous = previous, .listed = w->listed,
				.credential = w->credential, .pending = w->pending, .value = w->value,
				.wall_ms = INT64_C(1798761600000) };
	snprintf(w->op.name.s, sizeof w->op.name.s, "%s", name);
	snprintf(w->op.expect, sizeof w->op.expect, "%s", w->expect ? w->expect : "");
	w->op.state = calloc(1, b->state_size);
	for (bool first = true; s == MK_STEP_SEND; first = false) {
		struct mk_req req = { 0 };
		s = b->step(&w->op, first ? NULL : &res, &req);
		if (s != MK_STEP_SEND)
			continue;
		assert_int_equal(req.once, req.method == MK_HTTP_POST || req.method == MK_HTTP_DELETE);
		res = reply(w, &req);
	}
	assert_int_equal(w->at, n);
	return s;
}

static inline void login_free(struct world *w, const struct mk_login *m)
{
	if (w->login.state)
		m->done(&w->login);
	free(w->login.state);
	mk_secret_free(w->login.credential);
	w->login = (struct mk_login_op){ 0 };
}

/* The same for a login by conf.auth.method; the caller frees it with login_free. */
static inline enum mk_step run_login(struct world *w, bool renew, const struct turn *turns, size_t n)
{
	const struct mk_login *m = mk_login_of(w->conf.auth.method);
	struct mk_res res = { .err = MK_OK };
	enum mk_step s = MK_STEP_SEND;
	assert_non_null(m);
	login_free(w, m);
	w->turns = turns;
	w->n = n;
	w->at = 0;
	w->login = (struct mk_login_op){ .conf = &w->conf, .renew = renew, .old = renew ? w->credential : NULL, .keep = w->keep };
	w->login.state = calloc(1, m->state_size);
	for (bool first = true; s == MK_STEP_SEND; first = false) {
		struct mk_req req = { 0 };
		s = m->step(&w->login, first ? NULL : &res, &req);
		if (s == MK_STEP_SEND)
			res = reply(w, &req);
	}
	assert_int_equal(w->at, n);
	return s;
}

/* A KV 2 store with a credential, for setup and teardown of a test about operations. */
static inline void vault_begin(struct world *w)
{
	memset(w, 0, sizeof *w);
	w->conf = (struct mk_conf_backend){ .type = "vault", .address = "https://vault.example:8200", .mount = "secret",
					    .path = "makini/{connection}", .kv = 2 };
	w->keep = calloc(1, mk_backend_of("vault")->keep_size);
	assert_int_equal(mk_secret_copy(mk_span_of("s.token"), &w->credential), MK_OK);
}

static inline int vault_end(struct world *w)
{
	op_free(w);
	mk_backend_of("vault")->forget(w->keep);
	free(w->keep);
	mk_secret_free(w->credential);
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static inline int arena(void **state)
{
	bool locked;
	(void)state;
	return mk_secret_arena_init(64, 8, &locked) == MK_OK ? 0 : -1;
}

#endif

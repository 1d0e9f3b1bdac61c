/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared part of the logins. A token goes from the answer into a secret at once;
 * what jansson made of it is freed, and so wiped, before the step returns.
 */
#include "backends/login_common.h"

#include "backends/json.h"
#include "mk/own.h"

#define TTL_MAX_S (INT64_C(100) * 366 * 24 * 3600)
enum { R_ASKED = 1 };

static enum mk_step no_memory(struct mk_login_op *op)
{
	return mk_login_fail(op, MK_NO_MEMORY, mk_vault_no_memory);
}

enum mk_step mk_login_ask_file(struct mk_login_op *op, const char *path, unsigned next, struct mk_req *out)
{
	struct mk_login_state *s = op->state;
	s->at = next;
	*out = (struct mk_req){ .kind = MK_REQ_FILE, .path = path, .max = MK_LOGIN_FILE_MAX, .private_file = true };
	return MK_STEP_SEND;
}

static const char *file_fault(enum mk_err e, const struct mk_login_file *texts)
{
	if (e == MK_NOT_FOUND)
		return texts->missing;
	if (e == MK_DENIED || e == MK_BAD_REQUEST)
		return texts->refused;
	return e == MK_TOO_LARGE ? texts->bad : texts->unread;
}

bool mk_login_take_file(struct mk_login_op *op, const struct mk_res *res, const struct mk_login_file *texts, struct mk_secret **ret)
{
	struct mk_span text = res->body;
	*ret = mk_secret_free(*ret);
	if (res->err == MK_NO_MEMORY)
		return no_memory(op) == MK_STEP_DONE;
	if (res->err != MK_OK)
		return mk_login_fail(op, MK_BACKEND, file_fault(res->err, texts)) == MK_STEP_DONE;
	if (!mk_header_line(&text))
		return mk_login_fail(op, MK_BACKEND, texts->bad) == MK_STEP_DONE;
	return mk_secret_copy(text, ret) == MK_OK || no_memory(op) == MK_STEP_DONE;
}

static enum mk_step call_url(struct mk_login_op *op, struct mk_url *u, const struct mk_secret *credential, struct mk_req *out)
{
	const struct mk_login_state *s = op->state;
	if (mk_url_end(u) != MK_OK)
		return mk_login_fail(op, MK_BACKEND, "the login's path does not fit: shorten auth.mount");
	mk_vault_request(op->conf, s->url, credential, out);
	return MK_STEP_SEND;
}

enum mk_step mk_login_call(struct mk_login_op *op, const char *path, const struct mk_secret *credential, unsigned next,
			   struct mk_req *out)
{
	struct mk_login_state *s = op->state;
	struct mk_url u = mk_vault_url(op->conf, s->url);
	mk_url_path(&u, path);
	s->at = next;
	return call_url(op, &u, credential, out);
}

enum mk_err mk_login_open(struct mk_login_state *s, size_t cap, struct mk_jw *ret)
{
	s->body = mk_secret_free(s->body);
	MK_TRY(mk_secret_new(cap, &s->body));
	*ret = mk_jw_of(mk_secret_buf(s->body), cap);
	mk_jw_open(ret, '{');
	return MK_OK;
}

enum mk_step mk_login_post(struct mk_login_op *op, struct mk_jw *w, unsigned next, struct mk_req *out)
{
	struct mk_login_state *s = op->state;
	struct mk_url u = mk_vault_url(op->conf, s->url);
	size_t n = 0;
	mk_jw_close(w, '}');
	if (mk_jw_end(w, &n) != MK_OK)
		return mk_login_fail(op, MK_BUG, "the login does not fit");
	mk_secret_set_len(s->body, n);
	mk_url_path(&u, "auth");
	mk_url_path(&u, op->conf->auth.mount);
	mk_url_path(&u, "login");
	s->at = next;
	const enum mk_step step = call_url(op, &u, NULL, out);
	out->method = MK_HTTP_POST;
	out->body = s->body;
	return step;
}

bool mk_login_answered(struct mk_login_op *op, const struct mk_res *res, const char *refused)
{
	const char *fault = NULL;
	enum mk_err e = MK_BACKEND;
	if (res->err == MK_OK && res->status == 200)
		return true;
	if (res->err != MK_OK)
		e = mk_vault_no_answer(res->err, &fault);
	else
		fault = res->status == 400 || res->status == 403 ? refused : mk_vault_status_fault(res->status);
	return mk_login_fail(op, e, fault) == MK_STEP_DONE;
}

static mk_must read_auth(json_t *auth, struct mk_login_op *op, struct mk_secret **ret)
{
	int64_t ttl_s = -1;
	bool renewable = false;
	json_t *t = mk_json_string(auth, "client_token");
	struct mk_span text = t ? mk_json_text(t) : mk_span("", 0);
	MK_TRY(mk_json_int(auth, "lease_duration", &ttl_s));
	MK_TRY(mk_json_bool(auth, "renewable", &renewable));
	if (ttl_s < 0 || ttl_s > TTL_MAX_S || !mk_header_line(&text) || text.n > MK_LOGIN_FILE_MAX)
		return MK_BAD_REQUEST;
	MK_TRY(mk_secret_copy(text, ret));
	op->ttl_ms = ttl_s * 1000;
	op->renewable = renewable;
	return MK_OK;
}

static enum mk_step read_answer(struct mk_login_op *op, struct mk_span body, struct mk_secret **ret)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	enum mk_err e = mk_json_parse(body, &root);
	if (e == MK_OK)
		e = read_auth(mk_json_object(root, "auth"), op, ret);
	if (e == MK_NO_MEMORY)
		return no_memory(op);
	return e == MK_OK ? MK_STEP_DONE : mk_login_fail(op, MK_BACKEND, mk_vault_wrong_answer);
}

enum mk_step mk_login_read(struct mk_login_op *op, const struct mk_res *res, const char *refused)
{
	return mk_login_answered(op, res, refused) ? read_answer(op, res->body, &op->credential) : MK_STEP_FAIL;
}

static enum mk_step read_renewal(struct mk_login_op *op, const struct mk_res *res)
{
	mk_auto(mk_secret_freep) struct mk_secret *same = NULL;
	if (res->err == MK_OK && res->status >= 400 && res->status < 500 && res->status != 429)
		return mk_login_fail(op, MK_DENIED, "the store does not extend the credential: a fresh login is needed");
	return mk_login_answered(op, res, NULL) ? read_answer(op, res->body, &same) : MK_STEP_FAIL;
}

enum mk_step mk_login_renew(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	const struct mk_login_state *s = op->state;
	if (s->at == R_ASKED)
		return read_renewal(op, res);
	if (!op->old)
		return mk_login_fail(op, MK_DENIED, "there is no credential to extend");
	const enum mk_step step = mk_login_call(op, "auth/token/renew-self", op->old, R_ASKED, out);
	out->method = MK_HTTP_POST;
	return step;
}

void mk_login_state_done(struct mk_login_op *op)
{
	struct mk_login_state *s = op->state;
	s->body = mk_secret_free(s->body);
	s->text = mk_secret_free(s->text);
}

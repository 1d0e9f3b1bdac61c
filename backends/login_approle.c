/* SPDX-License-Identifier: Apache-2.0
 *
 * The `approle` login: a role id and a secret id, each from its file. With `wrapped` the
 * second file holds a wrapping token, which opens once: what was in it is kept for later
 * logins until the file holds another one. A token that does not open was opened by
 * somebody else, or came too late: an alarm.
 */
#include "backends/json.h"
#include "backends/login_common.h"
#include "mk/own.h"

enum { A_START, A_ROLE_ID, A_SECRET_ID, A_UNWRAP, A_LOGIN };

struct approle {
	struct mk_login_state common; /* first; its text is the secret id */
	struct mk_secret *role_id, *wrapping;
};

struct approle_keep {
	struct mk_secret *wrapping, *secret_id;
};

static const struct mk_login_file role_id_file = MK_LOGIN_FILE("role_id_file");
static const struct mk_login_file secret_id_file = MK_LOGIN_FILE("secret_id_file");
static const char refused[] = "the store refuses role id and secret id: put a fresh secret id into secret_id_file";
static const char not_opened[] = "the wrapping token of secret_id_file does not open: it has expired, or was opened before, by "
				 "somebody else or by this agent before it was restarted; find out which, and put a fresh one there";

static mk_must unwrapped(struct mk_span body, struct mk_secret **ret)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	MK_TRY(mk_json_parse(body, &root));
	json_t *id = mk_json_string(mk_json_object(root, "data"), "secret_id");
	if (!id || mk_json_text(id).n == 0 || mk_json_text(id).n > MK_LOGIN_FILE_MAX)
		return MK_BAD_REQUEST;
	return mk_secret_copy(mk_json_text(id), ret);
}

static enum mk_step post(struct mk_login_op *op, struct mk_req *out)
{
	struct approle *a = op->state;
	const struct mk_span role_id = mk_secret_span(a->role_id), secret_id = mk_secret_span(a->common.text);
	struct mk_jw w;
	const enum mk_err e = mk_login_open(&a->common, 2 * (role_id.n + secret_id.n) + 64, &w);
	if (e != MK_OK)
		return mk_login_fail(op, e, mk_vault_no_memory);
	mk_jw_kspan(&w, "role_id", role_id);
	mk_jw_kspan(&w, "secret_id", secret_id);
	return mk_login_post(op, &w, A_LOGIN, out);
}

static enum mk_step unwrap(struct mk_login_op *op, struct mk_req *out)
{
	struct approle *a = op->state;
	const struct approle_keep *keep = op->keep;
	a->wrapping = MK_TAKE(a->common.text);
	if (keep->wrapping && mk_secret_same(keep->wrapping, a->wrapping)) {
		if (mk_secret_copy(mk_secret_span(keep->secret_id), &a->common.text) != MK_OK)
			return mk_login_fail(op, MK_NO_MEMORY, mk_vault_no_memory);
		return post(op, out);
	}
	const enum mk_step s = mk_login_call(op, "sys/wrapping/unwrap", a->wrapping, A_UNWRAP, out);
	out->method = MK_HTTP_POST;
	out->once = true;
	return s;
}

static void forget(void *p)
{
	struct approle_keep *keep = p;
	keep->wrapping = mk_secret_free(keep->wrapping);
	keep->secret_id = mk_secret_free(keep->secret_id);
}

static enum mk_step read_unwrapped(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct approle *a = op->state;
	struct approle_keep *keep = op->keep;
	op->alarm = res->err == MK_OK && res->status >= 400 && res->status < 500 && res->status != 429;
	if (op->alarm)
		return mk_login_fail(op, MK_BACKEND, not_opened);
	if (!mk_login_answered(op, res, not_opened))
		return MK_STEP_FAIL;
	forget(keep);
	enum mk_err e = unwrapped(res->body, &keep->secret_id);
	if (e == MK_OK)
		e = mk_secret_copy(mk_secret_span(keep->secret_id), &a->common.text);
	op->alarm = e == MK_BAD_REQUEST;
	if (e != MK_OK)
		return mk_login_fail(op, op->alarm ? MK_BACKEND : e, op->alarm ? not_opened : mk_vault_no_memory);
	keep->wrapping = MK_TAKE(a->wrapping);
	return post(op, out);
}

static enum mk_step on_secret_id(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct approle *a = op->state;
	if (!mk_login_take_file(op, res, &secret_id_file, &a->common.text))
		return MK_STEP_FAIL;
	return op->conf->auth.wrapped ? unwrap(op, out) : post(op, out);
}

static enum mk_step step(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct approle *a = op->state;
	if (op->renew)
		return mk_login_renew(op, res, out);
	switch (a->common.at) {
	case A_START:
		return mk_login_ask_file(op, op->conf->auth.role_id_file, A_ROLE_ID, out);
	case A_ROLE_ID:
		if (!mk_login_take_file(op, res, &role_id_file, &a->role_id))
			return MK_STEP_FAIL;
		return mk_login_ask_file(op, op->conf->auth.secret_id_file, A_SECRET_ID, out);
	case A_SECRET_ID:
		return on_secret_id(op, res, out);
	case A_UNWRAP:
		return read_unwrapped(op, res, out);
	default:
		return mk_login_read(op, res, refused);
	}
}

static void done(struct mk_login_op *op)
{
	struct approle *a = op->state;
	mk_login_state_done(op);
	a->role_id = mk_secret_free(a->role_id);
	a->wrapping = mk_secret_free(a->wrapping);
}

extern const struct mk_login mk_login_approle;
const struct mk_login mk_login_approle = {
	.name = "approle", .state_size = sizeof(struct approle), .keep_size = sizeof(struct approle_keep),
	.step = step, .done = done, .forget = forget,
};

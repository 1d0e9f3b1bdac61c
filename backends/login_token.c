/* SPDX-License-Identifier: Apache-2.0
 *
 * The `token` login: the file's token is the credential. The store is asked how long it lives.
 */
#include "backends/json.h"
#include "backends/login_common.h"
#include "mk/own.h"

enum { T_START, T_FILE, T_LOOKUP };

static const struct mk_login_file file = MK_LOGIN_FILE("token_file");
static const char refused[] = "the store refuses the token of token_file (403): put a valid one there that may look itself up";

static mk_must read_lookup(struct mk_span body, struct mk_login_op *op)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	int64_t ttl_s = -1;
	bool renewable = false;
	MK_TRY(mk_json_parse(body, &root));
	json_t *data = mk_json_object(root, "data");
	MK_TRY(mk_json_int(data, "ttl", &ttl_s));
	if (json_object_get(data, "renewable")) /* a batch token's answer may lack it */
		MK_TRY(mk_json_bool(data, "renewable", &renewable));
	if (ttl_s < 0 || ttl_s > INT32_MAX)
		return MK_BAD_REQUEST;
	op->ttl_ms = ttl_s * 1000;
	op->renewable = renewable;
	return MK_OK;
}

static enum mk_step read_answer(struct mk_login_op *op, const struct mk_res *res)
{
	struct mk_login_state *s = op->state;
	if (!mk_login_answered(op, res, refused))
		return MK_STEP_FAIL;
	const enum mk_err e = read_lookup(res->body, op);
	if (e != MK_OK)
		return mk_login_fail(op, e == MK_NO_MEMORY ? e : MK_BACKEND, e == MK_NO_MEMORY ? mk_vault_no_memory : mk_vault_wrong_answer);
	op->credential = MK_TAKE(s->text);
	return MK_STEP_DONE;
}

static enum mk_step step(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct mk_login_state *s = op->state;
	if (op->renew)
		return mk_login_renew(op, res, out);
	switch (s->at) {
	case T_START:
		return mk_login_ask_file(op, op->conf->auth.token_file, T_FILE, out);
	case T_FILE:
		if (!mk_login_take_file(op, res, &file, &s->text))
			return MK_STEP_FAIL;
		return mk_login_call(op, "auth/token/lookup-self", s->text, T_LOOKUP, out);
	default:
		return read_answer(op, res);
	}
}

extern const struct mk_login mk_login_token;
const struct mk_login mk_login_token = {
	.name = "token", .state_size = sizeof(struct mk_login_state), .step = step, .done = mk_login_state_done,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * The `jwt` login: a role, and the token that an identity provider put into a file. The
 * `kubernetes` login sends the same.
 */
#include "backends/login_common.h"

enum { J_START, J_FILE, J_LOGIN };

static const struct mk_login_file file = MK_LOGIN_FILE("jwt_file");
static const char refused[] = "the store refuses role and token of jwt_file: check the role, its audience and subject there, and that "
			      "the token is fresh";

static enum mk_step post(struct mk_login_op *op, struct mk_req *out)
{
	struct mk_login_state *s = op->state;
	const struct mk_span jwt = mk_secret_span(s->text);
	struct mk_jw w;
	const enum mk_err e = mk_login_open(s, 2 * (jwt.n + sizeof op->conf->auth.role) + 32, &w);
	if (e != MK_OK)
		return mk_login_fail(op, e, mk_vault_no_memory);
	mk_jw_kstr(&w, "role", op->conf->auth.role);
	mk_jw_kspan(&w, "jwt", jwt);
	return mk_login_post(op, &w, J_LOGIN, out);
}

enum mk_step mk_login_by_jwt(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct mk_login_state *s = op->state;
	if (op->renew)
		return mk_login_renew(op, res, out);
	switch (s->at) {
	case J_START:
		return mk_login_ask_file(op, op->conf->auth.jwt_file, J_FILE, out);
	case J_FILE:
		return mk_login_take_file(op, res, &file, &s->text) ? post(op, out) : MK_STEP_FAIL;
	default:
		return mk_login_read(op, res, refused);
	}
}

extern const struct mk_login mk_login_jwt;
const struct mk_login mk_login_jwt = {
	.name = "jwt", .state_size = sizeof(struct mk_login_state), .step = mk_login_by_jwt, .done = mk_login_state_done,
};

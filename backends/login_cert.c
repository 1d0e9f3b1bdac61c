/* SPDX-License-Identifier: Apache-2.0
 *
 * The `cert` login: the client certificate of the TLS connection is the credential; the
 * request only names the role, where one is configured.
 */
#include "backends/login_common.h"

enum { C_START, C_LOGIN };

static const char refused[] = "the store refuses the client certificate: check cert_file, its issuer and role there, and that it has "
			      "not expired";

static enum mk_step post(struct mk_login_op *op, struct mk_req *out)
{
	struct mk_jw w;
	const enum mk_err e = mk_login_open(op->state, 2 * sizeof op->conf->auth.role + 32, &w);
	if (e != MK_OK)
		return mk_login_fail(op, e, mk_vault_no_memory);
	if (op->conf->auth.role[0])
		mk_jw_kstr(&w, "name", op->conf->auth.role);
	return mk_login_post(op, &w, C_LOGIN, out);
}

static enum mk_step step(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	const struct mk_login_state *s = op->state;
	if (op->renew)
		return mk_login_renew(op, res, out);
	return s->at == C_START ? post(op, out) : mk_login_read(op, res, refused);
}

extern const struct mk_login mk_login_cert;
const struct mk_login mk_login_cert = {
	.name = "cert", .state_size = sizeof(struct mk_login_state), .step = step, .done = mk_login_state_done,
};

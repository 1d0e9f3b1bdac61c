/* SPDX-License-Identifier: Apache-2.0
 *
 * The backends and the login methods. Another store is one more file, which defines
 * mk_backend_NAME, and one more line here; another login the same.
 */
#include "mk/backend.h"

#define BACKENDS(X) \
	X(local)    \
	X(vault)

#define LOGINS(X)     \
	X(token)      \
	X(approle)    \
	X(kubernetes) \
	X(jwt)        \
	X(cert)

#define DECLARE(name) extern const struct mk_backend mk_backend_##name;
#define ROW(name) &mk_backend_##name,
#define DECLARE_LOGIN(name) extern const struct mk_login mk_login_##name;
#define LOGIN_ROW(name) &mk_login_##name,

BACKENDS(DECLARE)
LOGINS(DECLARE_LOGIN)

const struct mk_backend *const mk_backends[] = { BACKENDS(ROW) NULL };
const struct mk_login *const mk_logins[] = { LOGINS(LOGIN_ROW) NULL };

const struct mk_backend *mk_backend_of(const char *type)
{
	for (const struct mk_backend *const *b = mk_backends; *b; b++)
		if (strcmp((*b)->name, type) == 0)
			return *b;
	return NULL;
}

const struct mk_login *mk_login_of(const char *method)
{
	for (const struct mk_login *const *l = mk_logins; *l; l++)
		if (strcmp((*l)->name, method) == 0)
			return *l;
	return NULL;
}

enum mk_step mk_step_fail(struct mk_op *op, enum mk_err e, const char *fault)
{
	op->err = e;
	op->fault = fault;
	return MK_STEP_FAIL;
}

enum mk_step mk_login_fail(struct mk_login_op *op, enum mk_err e, const char *fault)
{
	op->err = e;
	op->fault = fault;
	return MK_STEP_FAIL;
}

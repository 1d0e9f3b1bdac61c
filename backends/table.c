/* SPDX-License-Identifier: Apache-2.0
 *
 * The backends, by mk/backends.def, and the login methods. Another login is one more file,
 * which defines mk_login_NAME, and one more line here.
 */
#include "mk/backend.h"

#define LOGINS(X)     \
	X(token)      \
	X(approle)    \
	X(kubernetes) \
	X(jwt)        \
	X(cert)

#define DECLARE_LOGIN(name) extern const struct mk_login mk_login_##name;
#define LOGIN_ROW(name) &mk_login_##name,

#define MK_BACKEND(name, keys) extern const struct mk_backend mk_backend_##name;
#include "mk/backends.def"
#undef MK_BACKEND

LOGINS(DECLARE_LOGIN)

const struct mk_backend *const mk_backends[] = {
#define MK_BACKEND(name, keys) &mk_backend_##name,
#include "mk/backends.def"
#undef MK_BACKEND
	NULL
};
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * The backends. Another store is one more file, which defines mk_backend_NAME, and one
 * more line here.
 */
#include "mk/backend.h"

#define BACKENDS(X) \
	X(local)

#define DECLARE(name) extern const struct mk_backend mk_backend_##name;
#define ROW(name) &mk_backend_##name,

BACKENDS(DECLARE)

const struct mk_backend *const mk_backends[] = { BACKENDS(ROW) NULL };

const struct mk_backend *mk_backend_of(const char *type)
{
	for (const struct mk_backend *const *b = mk_backends; *b; b++)
		if (strcmp((*b)->name, type) == 0)
			return *b;
	return NULL;
}

enum mk_step mk_step_fail(struct mk_op *op, enum mk_err e, const char *fault)
{
	op->err = e;
	op->fault = fault;
	return MK_STEP_FAIL;
}

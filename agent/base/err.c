/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of errors as tables, and what happens when an assertion fails. No error
 * text here ever holds input.
 */
#include "mk/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct row {
	const char *word;
	int http;
	bool retry;
};

static const struct row rows[MK_ERR_COUNT_] = {
#define ROW(name, status, again, text) [MK_##name] = { (text), (status), (again) },
	MK_ERR_LIST(ROW)
#undef ROW
};

/* A number that is not of the list is a bug of ours, and is answered as one. */
static const struct row *row_of(enum mk_err e)
{
	return mk_err_known((unsigned)e) ? &rows[e] : &rows[MK_BUG];
}

const char *mk_err_word(enum mk_err e)
{
	return row_of(e)->word;
}

int mk_err_http(enum mk_err e)
{
	return row_of(e)->http;
}

bool mk_err_retry(enum mk_err e)
{
	return row_of(e)->retry;
}

bool mk_err_known(unsigned n)
{
	return n < MK_ERR_COUNT_;
}

_Noreturn void mk_assert_fail(const char *what, const char *file, int line)
{
	char text[256];
	int n = snprintf(text, sizeof text, "makini: assertion failed: %s (%s:%d)\n", what, file, line);
	if (n > (int)sizeof text - 1)
		n = (int)sizeof text - 1;
	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0) {
		/* nobody to tell */
	}
	abort();
}

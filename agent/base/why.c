/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills in an explanation. What does not fit is cut; an explanation that was there
 * before is dropped, so that the last one set is the one that is told.
 */
#include "mk/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_text(struct mk_why *why, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void set_text(struct mk_why *why, const char *fmt, va_list ap)
{
	if (vsnprintf(why->text, sizeof why->text, fmt, ap) < 0)
		why->text[0] = '\0';
}

enum mk_err mk_why_set(struct mk_why *why, enum mk_err e, const char *fmt, ...)
{
	if (!why)
		return e;
	va_list ap;
	va_start(ap, fmt);
	set_text(why, fmt, ap);
	va_end(ap);
	why->file[0] = '\0';
	why->line = 0;
	return e;
}

/* `file` may be why->file itself. */
enum mk_err mk_why_at(struct mk_why *why, enum mk_err e, const char *file, unsigned line, const char *fmt, ...)
{
	if (!why)
		return e;
	va_list ap;
	va_start(ap, fmt);
	set_text(why, fmt, ap);
	va_end(ap);
	const size_t n = strnlen(file, sizeof why->file - 1);
	memmove(why->file, file, n);
	why->file[n] = '\0';
	why->line = line;
	return e;
}

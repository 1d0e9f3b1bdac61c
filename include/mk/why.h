/* SPDX-License-Identifier: Apache-2.0
 *
 * The explanation that goes with an error at an edge where people write text
 * (configuration, policy, command line). Never carries a secret.
 */
#ifndef MK_WHY_H
#define MK_WHY_H

#include "mk/err.h"

#define MK_WHY_TEXT_MAX 512
#define MK_WHY_FILE_MAX 256

struct mk_why {
	char file[MK_WHY_FILE_MAX]; /* "" where no file is meant */
	unsigned line;              /* 0 where no line is meant */
	char text[MK_WHY_TEXT_MAX]; /* what is wrong, and the remedy */
};

/* Sets the text (and drops what was there); returns e, so that it can be returned. NULL why is fine. */
enum mk_err mk_why_set(struct mk_why *why, enum mk_err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
enum mk_err mk_why_at(struct mk_why *why, enum mk_err e, const char *file, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A look at a configuration's text before libconfig sees it, because libconfig 1.5
 * would open @include files, read 4294967297 as 1, cut a string at "\x00", join two
 * strings that lack a comma, and take an unclosed comment for the end of the file.
 * All of these are refused here, with their line. What is handed on has its comments
 * blanked out, so that both scanners must agree on what is code.
 */
#ifndef MK_CONF_TEXT_H
#define MK_CONF_TEXT_H

#include "mk/span.h"
#include "mk/why.h"

#define MK_CONF_TEXT_MAX (1u << 20) /* bytes of one configuration file */

struct mk_text {
	char *clean;         /* owned; as long as the input, comments are blanks, NUL at the end */
	unsigned *lines;     /* owned; the line of each string, in the order of the text */
	size_t n_lines;
};

mk_must mk_text_scan(struct mk_span in, const char *file, struct mk_text *ret, struct mk_why *why);
void mk_text_done(struct mk_text *t);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF.
 */
#ifndef MK_UTF8_H
#define MK_UTF8_H

#include "mk/span.h"

/* The length, 1 to 4, of the character that text begins with; 0 where it begins with none. */
size_t mk_utf8_len(struct mk_span text);

/* All of text is UTF-8 without U+0000. */
bool mk_utf8_ok(struct mk_span text);

#endif

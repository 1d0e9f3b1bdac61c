/* SPDX-License-Identifier: Apache-2.0
 *
 * A secret's JSON text as a leaf list (mk/leaf.h). The root is an object. Strings stay
 * as they are, whatever characters they hold: who serves them decides. An integer of 64
 * bits keeps its digits; a larger one is refused; other numbers are written in the
 * shortest form that reads back as the same double (1.50 becomes 1.5, 1e3 becomes 1000).
 * unflatten.h is the way back.
 */
#ifndef MK_FLATTEN_H
#define MK_FLATTEN_H

#include "mk/err.h"
#include "mk/span.h"

struct mk_secret;

/* BAD_REQUEST: not JSON, no object, a key twice, NUL, bad UTF-8, too deep; TOO_LARGE: leaves, bytes or a pointer beyond
 * mk/limits.h; NO_MEMORY. *ret is the caller's. The JSON library's own copies lie in the heap until it frees them. */
mk_must mk_flatten(struct mk_span json, struct mk_secret **ret);

#endif

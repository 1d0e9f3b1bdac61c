/* SPDX-License-Identifier: Apache-2.0
 *
 * A leaf list as the JSON text that it was made from: flatten.h's way back. Flattened
 * again it is the same list, to the byte. The text is written straight into a JSON
 * writer, which lies in locked memory; no JSON library sees it.
 */
#ifndef MK_UNFLATTEN_H
#define MK_UNFLATTEN_H

#include "agent/base/jw.h"

/* Writes one value, an object. BAD_REQUEST: no list that mk_flatten could have made: leaves of one branch that do not
 * stand together, an array with gaps. What does not fit shows at mk_jw_end. The list was checked (mk_leaves_check). */
mk_must mk_unflatten(struct mk_span list, struct mk_jw *w);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a store said it does not have, remembered for a short time, so that asking for it
 * over and over does not reach the store. Bounded; what is pushed out is asked for again.
 * All of it is forgotten as soon as a store is known to have changed.
 */
#ifndef MK_MISSING_H
#define MK_MISSING_H

#include "mk/err.h"
#include "mk/name.h"

#include <stdint.h>

#define MK_MISSING_MS 5000 /* or the ttl, where that is less */

struct mk_missing;
mk_must mk_missing_new(struct mk_missing **ret);
struct mk_missing *mk_missing_free(struct mk_missing *m);

void mk_missing_add(struct mk_missing *m, const struct mk_name *name, bool previous, int64_t boot_ms);
void mk_missing_drop(struct mk_missing *m, const struct mk_name *name, bool previous); /* it is there after all */
void mk_missing_clear(struct mk_missing *m);
/* Did a store say so less than age_ms ago? */
bool mk_missing_known(const struct mk_missing *m, const struct mk_name *name, bool previous, int64_t boot_ms, int64_t age_ms);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * One page for keys: memfd_secret(2) where the kernel has it (its descriptor is closed
 * after the mapping), else a locked page that is PROT_NONE at rest. Not inherited by
 * forks, never dumped, surrounded by guard pages. At most 4,096 bytes.
 */
#ifndef MK_GUARDED_H
#define MK_GUARDED_H

#include "mk/err.h"

#include <stddef.h>
#include <stdint.h>

struct mk_guarded;

enum mk_guarded_kind { MK_GUARDED_SECRETMEM = 1, MK_GUARDED_LOCKED, MK_GUARDED_UNLOCKED };

mk_must mk_guarded_new(size_t n, struct mk_guarded **ret);
struct mk_guarded *mk_guarded_free(struct mk_guarded *g); /* wipes */
enum mk_guarded_kind mk_guarded_kind(const struct mk_guarded *g);

/* Between open and close the bytes can be read and written; close is cheap on secretmem. Does not nest. */
uint8_t *mk_guarded_open(struct mk_guarded *g);
void mk_guarded_close(struct mk_guarded *g);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for tokens: anonymous mappings that are locked, left out of core dumps and zeros in a child of fork.
 */
#ifndef CLIENT_MEMORY_H
#define CLIENT_MEMORY_H

#include "client/handle.h"

/* At least n zero bytes, in the handle's list. ENOMEM, ELOCK, or EINTERNAL: the kernel has no MADV_WIPEONFORK.
 * The handle's lock is held, or nobody else knows the handle. */
int memory_new(makini *m, size_t n, struct map **ret);

/* Wipes and gives back one of them; NULL is fine. As above. */
void memory_free(makini *m, struct map *map);

/* All of them. A child has nothing to wipe. */
void memory_free_all(makini *m, bool wipe);

#endif

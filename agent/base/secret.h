/* SPDX-License-Identifier: Apache-2.0
 *
 * The one type that holds a secret's plain bytes. A secret lives in one arena per
 * process: reserved once, locked (mlock2 on fault) and verified by the `lo` and `dd`
 * flags of /proc/self/smaps, excluded from dumps, wiped in forks. mk_secret_free
 * wipes. A secret cannot be logged, and is compared in constant time only.
 * Single-threaded: only the process's loop may use it.
 */
#ifndef MK_SECRET_H
#define MK_SECRET_H

#include "mk/err.h"
#include "mk/own.h"
#include "mk/span.h"

struct mk_secret; /* opaque: capacity and length, bytes behind */

/* Reserves and locks the arena: `small` slots of MK_SECRET_SMALL bytes and `large`
 * ones of MK_SECRET_LARGE. Once per process, before lock-down. ret_locked tells
 * whether the lock could be verified. NO_MEMORY where not even the mapping works. */
mk_must mk_secret_arena_init(unsigned small, unsigned large, bool *ret_locked);

#define MK_SECRET_SMALL 4096u  /* capacity of a small slot: a token of 3 KiB and its answer */
#define MK_SECRET_LARGE 81920u /* capacity of a large slot: a 64 KiB secret and its answer's frame */

/* An empty secret that can hold cap bytes, and not one more. NO_MEMORY when the arena is used up, TOO_LARGE beyond a large slot. */
mk_must mk_secret_new(size_t cap, struct mk_secret **ret);
mk_must mk_secret_copy(struct mk_span bytes, struct mk_secret **ret);
struct mk_secret *mk_secret_free(struct mk_secret *s); /* wipes; NULL is fine; returns NULL */
void mk_secret_freep(struct mk_secret **s);

size_t mk_secret_cap(const struct mk_secret *s);
uint8_t *mk_secret_buf(struct mk_secret *s);                   /* to be filled in place, then mk_secret_set_len */
void mk_secret_set_len(struct mk_secret *s, size_t n);         /* asserts n <= cap */
struct mk_span mk_secret_span(const struct mk_secret *s);      /* borrowed until freed */
bool mk_secret_same(const struct mk_secret *a, const struct mk_secret *b); /* constant time for equal lengths */

/* Slots in use, for status and for tests of leaks. */
unsigned mk_secret_in_use(void);

void mk_wipe(void *p, size_t n);   /* never optimised away */
void mk_wipe_stack(void);          /* overwrites the stack below the caller (16 KiB) */

void mk_log_secret(const struct mk_secret *s) __attribute__((error("secrets are not logged")));

#endif

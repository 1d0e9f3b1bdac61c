/* SPDX-License-Identifier: Apache-2.0
 *
 * Which values are held under which names, as numbers: a value's mark is a keyed hash of it,
 * a name's number a keyed hash of the name (SipHash-2-4, under keys of this process), so
 * that one value under two names is seen at once and nothing is compared or kept in plain. A
 * value may be held twice under one name (current and previous).
 */
#ifndef MK_MARKS_H
#define MK_MARKS_H

#include "mk/err.h"

#include <stddef.h>
#include <stdint.h>

struct mk_mark {
	uint64_t value, name; /* value: odd; 0: an empty place */
};
struct mk_marks { /* zeroed: none */
	struct mk_mark *all;  /* owned; open addressing, a power of two of places */
	size_t places, n;
};
void mk_marks_done(struct mk_marks *m);

mk_must mk_marks_room(struct mk_marks *m, size_t more);        /* for so many more; NO_MEMORY: nothing changed */
void mk_marks_add(struct mk_marks *m, struct mk_mark mark);    /* there is room */
void mk_marks_drop(struct mk_marks *m, struct mk_mark mark);   /* one of them, where there is one */
/* Is that value held under another name? */
bool mk_marks_twice(const struct mk_marks *m, struct mk_mark mark);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A secret as a flat list: each leaf of its JSON as pointer (RFC 6901), type, text.
 * This is what a backend hands over, what the store seals, and what the default
 * record and later mappings read. Wire form, repeated to the end of the buffer:
 *
 *     u16 pointer length | pointer | u8 type | u32 value length | value      (little endian)
 *
 * Values are UTF-8 text: a string's bytes, a number as it was written, "true",
 * "false", "" for null, for the empty object and for an array. An array is a leaf of its
 * own, and its items follow it as leaves: so [] and {}, and [x] and {"0":x}, differ, and
 * the JSON can be made again (backends/unflatten.h). At most MK_LEAVES_MAX
 * leaves and MK_SECRET_MAX bytes, no pointer twice. Leaves borrow the buffer, which
 * is secret: it lies in locked memory (secret.h).
 */
#ifndef MK_LEAF_H
#define MK_LEAF_H

#include "mk/err.h"
#include "mk/span.h"

enum mk_leaf_type { MK_LEAF_STRING = 1, MK_LEAF_NUMBER, MK_LEAF_BOOL, MK_LEAF_NULL, MK_LEAF_EMPTY, MK_LEAF_ARRAY };

struct mk_leaf {
	struct mk_span pointer;
	enum mk_leaf_type type;
	struct mk_span value;
};

/* Checks the whole list: form, limits, doubles. BAD_REQUEST where it does not hold. */
mk_must mk_leaves_check(struct mk_span list);

/* Walks a list that was checked: *at starts at 0; false at the end. */
bool mk_leaves_next(struct mk_span list, size_t *at, struct mk_leaf *ret);

/* NOT_FOUND where no leaf has that pointer. */
mk_must mk_leaves_find(struct mk_span list, const char *pointer, struct mk_leaf *ret);

/* Appends one leaf at buf[*len], within cap; TOO_LARGE where it does not fit. */
mk_must mk_leaves_add(uint8_t *buf, size_t cap, size_t *len, const struct mk_leaf *leaf);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Names with a closed alphabet, made at the edge and then trusted.
 * mk_name: a connection, [a-z0-9][a-z0-9-]{0,62} without "--".
 * mk_word: an environment, service, listener or backend: the same alphabet, 32 at most.
 * Both are NUL-terminated inside the struct and zero-filled behind, so that two equal
 * names are equal bytes. An empty s means "none".
 */
#ifndef MK_NAME_H
#define MK_NAME_H

#include "mk/err.h"
#include "mk/span.h"

#define MK_NAME_MAX 63
#define MK_WORD_MAX 32

struct mk_name {
	char s[MK_NAME_MAX + 1];
};

struct mk_word {
	char s[MK_WORD_MAX + 1];
};

/* BAD_REQUEST where the text is not a name. */
mk_must mk_name_of(struct mk_span text, struct mk_name *ret);
mk_must mk_word_of(struct mk_span text, struct mk_word *ret);

static inline bool mk_name_eq(const struct mk_name *a, const struct mk_name *b)
{
	return memcmp(a->s, b->s, sizeof a->s) == 0;
}

static inline bool mk_word_eq(const struct mk_word *a, const struct mk_word *b)
{
	return memcmp(a->s, b->s, sizeof a->s) == 0;
}

#endif

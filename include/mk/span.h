/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed bytes with their length. Input is never taken for a C string.
 */
#ifndef MK_SPAN_H
#define MK_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mk_span {
	const uint8_t *p;
	size_t n;
};

static inline struct mk_span mk_span(const void *p, size_t n)
{
	return (struct mk_span){ p, n };
}

/* For literals and strings of our own, never for input. */
static inline struct mk_span mk_span_of(const char *s)
{
	return (struct mk_span){ (const uint8_t *)s, strlen(s) };
}

/* Not for secrets: not constant time. */
static inline bool mk_span_eq(struct mk_span a, struct mk_span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool mk_span_is(struct mk_span a, const char *s)
{
	return mk_span_eq(a, mk_span_of(s));
}

#endif

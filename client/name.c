/* SPDX-License-Identifier: Apache-2.0
 *
 * Measured and hashed at each get; its letters are looked at only when it is not known yet, as what is known was good.
 */
#include "client/name.h"

#include <string.h>

/* Eight letters a step: one by one would be a third of a repeat's cost. It only spreads names over a table. */
struct name name_of(const char *text)
{
	const size_t n = strnlen(text, MAKINI_NAME_MAX + 1);
	uint64_t hash = n, part;
	size_t at = 0;
	for (; at + sizeof part <= n; at += sizeof part) {
		memcpy(&part, text + at, sizeof part);
		hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
	}
	for (part = 0; at < n; at++)
		part = part << 8 | (unsigned char)text[at];
	hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
	return (struct name){ text, n, (uint32_t)(hash >> 32) };
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_is_good(const struct name *name)
{
	if (name->n == 0 || name->n > MAKINI_NAME_MAX || !is_alnum(name->s[0]))
		return false;
	for (size_t i = 1; i < name->n; i++)
		if (!is_alnum(name->s[i]) && (name->s[i] != '-' || name->s[i - 1] == '-'))
			return false;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpful words for an error: the nearest of the names that would have been right, and
 * the user's own text in a form that is safe to print. Never allocates.
 */
#include "agent/conf/keys.h"

#include <stdio.h>

#define WORD_MAX 32u /* longer ones are not compared */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters must be put in, taken out, changed, or swapped with their neighbour. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned row[3][WORD_MAX + 1] = { { 0 } };
	for (size_t j = 0; j <= m; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *now = row[i % 3];
		const unsigned *above = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			now[j] = least(least(above[j] + 1, now[j - 1] + 1), above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

const char *mk_hint(const char *wrong, const char *const *words, size_t n, char buf[MK_HINT_MAX])
{
	const size_t len = strnlen(wrong, WORD_MAX + 1);
	unsigned best = len < 3 ? 2 : (unsigned)(len / 3 + 2); /* must be nearer than this */
	buf[0] = '\0';
	for (size_t i = 0; i < n && len <= WORD_MAX; i++) {
		const size_t m = strnlen(words[i], WORD_MAX + 1);
		const unsigned d = m <= WORD_MAX ? distance(wrong, len, words[i], m) : best;
		if (d >= best)
			continue;
		best = d;
		snprintf(buf, MK_HINT_MAX, " (did you mean \"%s\"?)", words[i]);
	}
	return buf;
}

const char *mk_words_joined(const char *const *words, size_t n, char *buf, size_t cap)
{
	size_t len = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const int k = snprintf(buf + len, cap - len, "%s%s", i ? ", " : "", words[i]);
		if (k < 0 || (size_t)k >= cap - len) {
			buf[len] = '\0';
			break;
		}
		len += (size_t)k;
	}
	return buf;
}

const char *mk_shown(const char *text, char buf[MK_SHOWN_MAX])
{
	size_t i = 0;
	for (; text[i] && i < MK_SHOWN_MAX - 4; i++)
		buf[i] = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f ? text[i] : '?';
	if (text[i])
		for (const size_t end = i + 3; i < end; i++)
			buf[i] = '.';
	buf[i] = '\0';
	return buf;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Connection patterns. A pattern is a small automaton in one machine word: bit j of the
 * state says "the first j literals have been matched", so each character of the name
 * costs the same few instructions, whatever the pattern. Nothing here backtracks.
 */
#include "policy/index.h"
#include "policy/policy.h"

#define ALPHABET 37 /* a-z, 0-9, '-' */

static int letter(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= '0' && c <= '9')
		return 26 + (c - '0');
	return c == '-' ? 36 : -1;
}

/* What can never match a name, or says a thing twice, is refused: it is a slip of the pen. */
mk_must mk_pattern_of(struct mk_span text, struct mk_pattern *ret)
{
	if (text.n == 0 || text.n > MK_PATTERN_MAX || text.p[0] == '-')
		return MK_BAD_REQUEST;
	for (size_t i = 0; i < text.n; i++) {
		const char c = (char)text.p[i];
		if (c != '*' && letter(c) < 0)
			return MK_BAD_REQUEST;
		if (i > 0 && (c == '*' || c == '-') && text.p[i - 1] == text.p[i])
			return MK_BAD_REQUEST; /* "**" is "*"; no name has "--" */
	}
	*ret = (struct mk_pattern){ 0 };
	memcpy(ret->s, text.p, text.n);
	return MK_OK;
}

/* A star of the text is a letter that no literal is, and so only a star of the pattern covers it. */
bool mk_pattern_covers_(const struct mk_pattern *p, const char *text, size_t n)
{
	uint64_t next[ALPHABET + 1] = { 0 }; /* bit j: this letter is literal j */
	uint64_t stays = 0;                  /* bit j: a star stands before literal j */
	unsigned literals = 0;               /* at most 63, so that the accepting bit fits */
	for (size_t i = 0; i < MK_PATTERN_MAX && p->s[i]; i++) {
		const int c = letter(p->s[i]);
		if (p->s[i] == '*')
			stays |= UINT64_C(1) << literals;
		else if (c < 0)
			return false;
		else
			next[c] |= UINT64_C(1) << literals++;
	}
	uint64_t at = 1;
	for (size_t i = 0; i < n; i++) {
		const int c = text[i] == '*' ? ALPHABET : letter(text[i]);
		if (c < 0)
			return false;
		at = ((at & next[c]) << 1) | (at & stays);
	}
	return n > 0 && (at >> literals & 1);
}

bool mk_pattern_match(const struct mk_pattern *p, const struct mk_name *name)
{
	const size_t n = strnlen(name->s, MK_NAME_MAX);
	return !memchr(name->s, '*', n) && mk_pattern_covers_(p, name->s, n);
}

struct mk_literal mk_literal_of(const struct mk_pattern *p)
{
	const size_t n = strnlen(p->s, MK_PATTERN_MAX);
	const char *first = memchr(p->s, '*', n);
	if (!first)
		return (struct mk_literal){ MK_SHAPE_EXACT, p->s, (uint8_t)n };
	const size_t head = (size_t)(first - p->s);
	if (head + 1 == n)
		return (struct mk_literal){ MK_SHAPE_HEAD, p->s, (uint8_t)head };
	if (head == 0 && !memchr(p->s + 1, '*', n - 1))
		return (struct mk_literal){ MK_SHAPE_TAIL, p->s + 1, (uint8_t)(n - 1) };
	return (struct mk_literal){ MK_SHAPE_MIXED, p->s, (uint8_t)head };
}

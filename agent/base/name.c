/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place where text becomes a name. Whatever is not in the closed alphabet is
 * refused, never mapped: no case folding, no percent decoding, no Unicode.
 */
#include "mk/name.h"

static bool is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* "--" is kept free for names that the agent itself derives ("NAME--pending"). */
static bool is_name(struct mk_span text, size_t max)
{
	if (text.n == 0 || text.n > max || !is_alnum(text.p[0]))
		return false;
	for (size_t i = 1; i < text.n; i++) {
		const bool dash = text.p[i] == '-';
		if (!dash && !is_alnum(text.p[i]))
			return false;
		if (dash && text.p[i - 1] == '-')
			return false;
	}
	return true;
}

mk_must mk_name_of(struct mk_span text, struct mk_name *ret)
{
	if (!is_name(text, MK_NAME_MAX))
		return MK_BAD_REQUEST;
	memset(ret, 0, sizeof *ret);
	memcpy(ret->s, text.p, text.n);
	return MK_OK;
}

mk_must mk_word_of(struct mk_span text, struct mk_word *ret)
{
	if (!is_name(text, MK_WORD_MAX))
		return MK_BAD_REQUEST;
	memset(ret, 0, sizeof *ret);
	memcpy(ret->s, text.p, text.n);
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What answers libmakini may be anybody. The first byte chooses what was asked; an answer that is taken lies wholly within
 * what came, holds to every limit of the public header, and is taken for no other ask.
 */
#include <stdbool.h>
#include <string.h>

#include "client/frame.h"
#include "mk/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool within(struct bytes part, const uint8_t *p, size_t n)
{
	return part.n == 0 || (part.p >= p && part.p + part.n <= p + n);
}

static bool is_text(struct bytes b, size_t max)
{
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] < 0x20 || b.p[i] == 0x7f)
			return false;
	return b.n <= max;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct answer a, other;
	uint32_t number;
	if (n == 0)
		return 0;
	const enum wire_type type = (enum wire_type)(1 + p[0] % 4);
	p++, n--;
	number = n >= 8 ? (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24 : 0;
	if (frame_answer((struct bytes){ p, n }, type, number, &a) != 0)
		return 0;
	mk_assert(n >= 8 && n <= WIRE_ANSWER_MAX && p[0] == WIRE_VERSION && p[1] == type);
	mk_assert(a.status <= 0 && a.status >= MAKINI_EINTERNAL);
	mk_assert(within(a.version, p, n) && within(a.type, p, n) && within(a.value, p, n));
	mk_assert(is_text(a.version, MAKINI_VERSION_MAX) && is_text(a.type, MAKINI_TYPE_MAX) && a.value.n <= MAKINI_TOKEN_MAX);
	mk_assert(a.index < WIRE_WORDS && a.words <= WIRE_WORDS && (type != WIRE_HELLO || a.status != 0 || a.words > 0));
	mk_assert(frame_answer((struct bytes){ p, n }, type, number + 1, &other) != 0);
	mk_assert(frame_answer((struct bytes){ p, n }, type % 4 + 1, number, &other) != 0);
	mk_assert(frame_answer((struct bytes){ p, n - 1 }, type, number, &other) != 0);
	return 0;
}

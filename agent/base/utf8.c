/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict UTF-8, by the table of well-formed byte sequences (Unicode 15, table 3-7):
 * only the second byte's range depends on the first.
 */
#include "agent/base/utf8.h"

static const struct {
	uint8_t first, last;       /* lead bytes of this row */
	uint8_t n;                 /* length of the sequence */
	uint8_t second_min, second_max;
} leads[] = {
	{ 0x00, 0x7f, 1, 0, 0 },       { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
	{ 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static bool tail_ok(struct mk_span text, size_t n, uint8_t min, uint8_t max)
{
	if (text.n < n)
		return false;
	if (n > 1 && (text.p[1] < min || text.p[1] > max))
		return false;
	for (size_t i = 2; i < n; i++)
		if ((text.p[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t mk_utf8_len(struct mk_span text)
{
	if (text.n == 0)
		return 0;
	for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++)
		if (text.p[0] >= leads[i].first && text.p[0] <= leads[i].last)
			return tail_ok(text, leads[i].n, leads[i].second_min, leads[i].second_max) ? leads[i].n : 0;
	return 0;
}

bool mk_utf8_ok(struct mk_span text)
{
	for (size_t at = 0; at < text.n;) {
		const size_t n = mk_utf8_len(mk_span(text.p + at, text.n - at));
		if (n == 0 || text.p[at] == 0)
			return false;
		at += n;
	}
	return true;
}

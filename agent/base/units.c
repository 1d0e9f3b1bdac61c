/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers with units. Written by hand instead of by strtoll, which takes blanks, signs
 * and trailing text; every step is checked for overflow.
 */
#include "agent/base/units.h"
#include "mk/own.h"

#define RATE_MAX_PER_HOUR (1000000ull * 3600)

struct unit {
	const char *word;
	uint64_t factor;
};

/* Takes the leading digits off text. */
static mk_must take_digits(struct mk_span *text, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;
	for (; i < text->n && text->p[i] >= '0' && text->p[i] <= '9'; i++)
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(text->p[i] - '0'), &v))
			return MK_BAD_REQUEST;
	if (i == 0)
		return MK_BAD_REQUEST;
	*text = mk_span(text->p + i, text->n - i);
	*ret = v;
	return MK_OK;
}

static mk_must with_unit(struct mk_span text, const struct unit *units, size_t n, uint64_t *ret)
{
	uint64_t v;
	MK_TRY(take_digits(&text, &v));
	for (size_t i = 0; i < n; i++) {
		if (!mk_span_is(text, units[i].word))
			continue;
		if (__builtin_mul_overflow(v, units[i].factor, &v))
			return MK_BAD_REQUEST;
		*ret = v;
		return MK_OK;
	}
	return MK_BAD_REQUEST;
}

mk_must mk_duration_of(struct mk_span text, int64_t *ret_ms)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	uint64_t v;
	MK_TRY(with_unit(text, units, MK_COUNT(units), &v));
	if (v > INT64_MAX)
		return MK_BAD_REQUEST;
	*ret_ms = (int64_t)v;
	return MK_OK;
}

mk_must mk_size_of(struct mk_span text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "B", 1 }, { "KB", 1u << 10 }, { "MB", 1u << 20 }, { "GB", 1u << 30 },
	};
	return with_unit(text, units, MK_COUNT(units), ret_bytes);
}

mk_must mk_rate_of(struct mk_span text, uint32_t *ret_per_hour)
{
	static const struct unit units[] = { { "/s", 3600 }, { "/m", 60 }, { "/h", 1 } };
	uint64_t v;
	MK_TRY(with_unit(text, units, MK_COUNT(units), &v));
	if (v == 0 || v > RATE_MAX_PER_HOUR)
		return MK_BAD_REQUEST;
	*ret_per_hour = (uint32_t)v;
	return MK_OK;
}
_Static_assert(RATE_MAX_PER_HOUR <= UINT32_MAX, "the greatest rate fits");

mk_must mk_percent_of(struct mk_span text, uint8_t *ret)
{
	static const struct unit units[] = { { "%", 1 } };
	uint64_t v;
	MK_TRY(with_unit(text, units, MK_COUNT(units), &v));
	if (v > 100)
		return MK_BAD_REQUEST;
	*ret = (uint8_t)v;
	return MK_OK;
}

mk_must mk_u32_of(struct mk_span text, uint32_t *ret)
{
	uint64_t v;
	MK_TRY(take_digits(&text, &v));
	if (text.n > 0 || v > UINT32_MAX)
		return MK_BAD_REQUEST;
	*ret = (uint32_t)v;
	return MK_OK;
}

mk_must mk_i64_of(struct mk_span text, int64_t *ret)
{
	const bool minus = text.n > 0 && text.p[0] == '-';
	if (minus)
		text = mk_span(text.p + 1, text.n - 1);
	uint64_t v;
	MK_TRY(take_digits(&text, &v));
	if (text.n > 0 || v > (uint64_t)INT64_MAX + minus)
		return MK_BAD_REQUEST;
	*ret = minus ? (int64_t)(0 - v) : (int64_t)v;
	return MK_OK;
}

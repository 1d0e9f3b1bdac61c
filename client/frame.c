/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader whose fault sticks: after the first read that does not fit all others give zero, and one test at the end tells
 * whether the frame was good and ended where it must.
 */
#include "client/frame.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

struct reader {
	const unsigned char *p;
	size_t n;
	bool bad;
};

static struct bytes take(struct reader *r, size_t n)
{
	if (r->bad || n > r->n) {
		r->bad = true;
		return (struct bytes){ NULL, 0 };
	}
	const struct bytes b = { r->p, n };
	r->p += n;
	r->n -= n;
	return b;
}

static uint64_t number_of(struct reader *r, unsigned size)
{
	const struct bytes b = take(r, size);
	uint64_t v = 0;
	for (size_t i = b.n; i > 0; i--)
		v = v << 8 | b.p[i - 1];
	return v;
}

static uint8_t u8(struct reader *r)
{
	return (uint8_t)number_of(r, 1);
}

static uint16_t u16(struct reader *r)
{
	return (uint16_t)number_of(r, 2);
}

static uint32_t u32(struct reader *r)
{
	return (uint32_t)number_of(r, 4);
}

static int64_t i64(struct reader *r)
{
	const uint64_t v = number_of(r, 8);
	return v <= INT64_MAX ? (int64_t)v : -(int64_t)(UINT64_MAX - v) - 1;
}

static struct bytes at_most(struct reader *r, size_t n, size_t max)
{
	r->bad |= n > max;
	return take(r, n);
}

/* Text that becomes a C string. */
static struct bytes text(struct reader *r, size_t max)
{
	const struct bytes b = at_most(r, u8(r), max);
	for (size_t i = 0; i < b.n; i++)
		r->bad |= b.p[i] < 0x20 || b.p[i] == 0x7f;
	return b;
}

/* What an agent may say to an ask. That a buffer is small or memory cannot be locked is this side's own to say. */
static bool is_status(uint16_t status)
{
	static const uint32_t may = 1u << -MAKINI_EINVAL | 1u << -MAKINI_ENOMEM | 1u << -MAKINI_ETIMEOUT | 1u << -MAKINI_EPROTOCOL |
	                            1u << -MAKINI_EUNAUTHENTICATED | 1u << -MAKINI_EDENIED | 1u << -MAKINI_ENOTFOUND | 1u << -MAKINI_EREVOKED |
	                            1u << -MAKINI_EEXPIRED | 1u << -MAKINI_EDISABLED | 1u << -MAKINI_ERATE | 1u << -MAKINI_EBACKEND |
	                            1u << -MAKINI_ENOTREADY | 1u << -MAKINI_EFROZEN | 1u << -MAKINI_EINTERNAL;
	return status < 32 && (may >> status & 1) != 0;
}

static void read_hello(struct reader *r, struct answer *a)
{
	a->words = u32(r);
	text(r, MAKINI_NAME_MAX); /* the environment is for people who watch the wire */
	r->bad |= a->words == 0 || a->words > WIRE_WORDS;
}

static void read_get(struct reader *r, struct answer *a)
{
	a->index = u32(r);
	a->word = number_of(r, 8);
	a->good_until = i64(r);
	a->expires_ms = i64(r);
	a->age_s = u32(r);
	const uint8_t flags = u8(r);
	a->stale = (flags & WIRE_STALE) != 0;
	r->bad |= (flags & ~WIRE_STALE) != 0 || a->index >= WIRE_WORDS;
	a->version = text(r, MAKINI_VERSION_MAX);
	a->type = text(r, MAKINI_TYPE_MAX);
	a->value = at_most(r, u16(r), MAKINI_TOKEN_MAX);
}

static void read_head(struct reader *r, enum wire_type type, uint32_t number, struct answer *a)
{
	r->bad |= u8(r) != WIRE_VERSION;
	r->bad |= u8(r) != type;
	const uint16_t status = u16(r);
	r->bad |= u32(r) != number;
	if (status == 0)
		return;
	r->bad |= !is_status(status) || type == WIRE_CHANGED;
	a->status = -(int)status;
	a->retry_after_s = u32(r);
}

int frame_answer(struct bytes in, enum wire_type type, uint32_t number, struct answer *ret)
{
	struct reader r = { in.p, in.n, false };
	struct answer a = { .status = 0 };
	read_head(&r, type, number, &a);
	if (a.status == 0 && type == WIRE_HELLO)
		read_hello(&r, &a);
	if (a.status == 0 && type == WIRE_GET)
		read_get(&r, &a);
	if (r.bad || r.n != 0)
		return MAKINI_EPROTOCOL;
	*ret = a;
	return 0;
}

size_t frame_ask(unsigned char *buf, enum wire_type type, uint32_t number, const struct bytes *name)
{
	const unsigned char head[] = { WIRE_VERSION, (unsigned char)type, 0, 0, (unsigned char)number, (unsigned char)(number >> 8),
		                       (unsigned char)(number >> 16), (unsigned char)(number >> 24) };
	memcpy(buf, head, sizeof head);
	if (!name)
		return sizeof head;
	buf[sizeof head] = (unsigned char)name->n;
	memcpy(buf + sizeof head + 1, name->p, name->n);
	return sizeof head + 1 + name->n;
}

_Static_assert(8 + 1 + MAKINI_NAME_MAX <= WIRE_ASK_MAX, "an ask fits");
_Static_assert(8 + 4 + 8 + 8 + 8 + 4 + 1 + 1 + MAKINI_VERSION_MAX + 1 + MAKINI_TYPE_MAX + 2 + MAKINI_TOKEN_MAX <= WIRE_ANSWER_MAX, "so does an answer");

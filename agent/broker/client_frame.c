/* SPDX-License-Identifier: Apache-2.0
 *
 * One reader for all asks, and the answers' writers.
 */
#include "agent/broker/client_frame.h"

#include "makini/client.h"
#include "mk/own.h"

static const uint16_t statuses[MK_ERR_COUNT_] = {
	[MK_BAD_REQUEST] = -MAKINI_EINVAL,     [MK_UNAUTHENTICATED] = -MAKINI_EUNAUTHENTICATED,
	[MK_DENIED] = -MAKINI_EDENIED,	       [MK_NOT_FOUND] = -MAKINI_ENOTFOUND,
	[MK_REVOKED] = -MAKINI_EREVOKED,       [MK_EXPIRED] = -MAKINI_EEXPIRED,
	[MK_DISABLED] = -MAKINI_EDISABLED,     [MK_RATE_LIMITED] = -MAKINI_ERATE,
	[MK_BACKEND] = -MAKINI_EBACKEND,       [MK_NOT_READY] = -MAKINI_ENOTREADY,
	[MK_NO_MEMORY] = -MAKINI_ENOTREADY,    [MK_AUDIT] = -MAKINI_ENOTREADY,
	[MK_FROZEN] = -MAKINI_EFROZEN,	       [MK_TIMEOUT] = -MAKINI_ETIMEOUT,
};

uint16_t mk_client_status(enum mk_err e)
{
	if (e == MK_OK)
		return 0;
	return e < MK_ERR_COUNT_ && statuses[e] ? statuses[e] : (uint16_t)-MAKINI_EINTERNAL;
}

mk_must mk_client_ask_read(struct mk_span frame, struct mk_client_ask *ret)
{
	struct mk_rd r = mk_rd_of(frame);
	const uint8_t version = mk_rd_u8(&r), type = mk_rd_u8(&r);
	const uint16_t zero = mk_rd_u16(&r);
	struct mk_client_ask a = { .number = mk_rd_u32(&r) };
	if (version != WIRE_VERSION || zero != 0 || (type != WIRE_HELLO && type != WIRE_GET && type != WIRE_WATCH))
		return MK_BAD_REQUEST;
	a.type = (enum wire_type)type;
	if (a.type == WIRE_GET)
		a.name = mk_rd_name(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = a;
	return MK_OK;
}

static void head(struct mk_wr *w, enum wire_type type, uint32_t number, enum mk_err e)
{
	mk_wr_u8(w, WIRE_VERSION);
	mk_wr_u8(w, (uint8_t)type);
	mk_wr_u16(w, mk_client_status(e));
	mk_wr_u32(w, number);
}

void mk_client_write(struct mk_wr *w, enum wire_type type, uint32_t number, enum mk_err e, uint32_t retry_after_s)
{
	head(w, type, number, e);
	if (e != MK_OK)
		mk_wr_u32(w, retry_after_s);
}

static void text(struct mk_wr *w, const char *s)
{
	const size_t n = strlen(s);
	mk_wr_u8(w, (uint8_t)n);
	mk_wr_bytes(w, mk_span(s, n));
}

void mk_client_write_hello(struct mk_wr *w, uint32_t number, const struct mk_word *environment)
{
	head(w, WIRE_HELLO, number, MK_OK);
	mk_wr_u32(w, WIRE_WORDS);
	text(w, environment->s);
}

/* What the gate took as room is enough. */
_Static_assert(MK_ANSWER_FRAME > 64 + MK_VERSION_MAX + 32, "the frame fits");
_Static_assert(WIRE_ANSWER_MAX >= 64 + MK_VERSION_MAX + 32 + MK_TOKEN_MAX, "the client's room is enough");
_Static_assert(MAKINI_TOKEN_MAX == MK_TOKEN_MAX && MAKINI_VERSION_MAX == MK_VERSION_MAX && MAKINI_NAME_MAX == MK_NAME_MAX, "the same limits");

void mk_client_write_token(struct mk_wr *w, uint32_t number, const struct mk_page_word *word, int64_t until_ms, const struct mk_answer *a)
{
	const int64_t age_s = a->age_s < 0 ? 0 : a->age_s;
	head(w, WIRE_GET, number, MK_OK);
	mk_wr_u32(w, word->index);
	mk_wr_u64(w, word->value);
	mk_wr_i64(w, until_ms * INT64_C(1000000));
	mk_wr_i64(w, a->expires_ms);
	mk_wr_u32(w, age_s < UINT32_MAX ? (uint32_t)age_s : UINT32_MAX);
	mk_wr_u8(w, a->stale ? WIRE_STALE : 0);
	text(w, a->version);
	text(w, a->token_type);
	mk_wr_u16(w, (uint16_t)a->token.n);
	mk_wr_bytes(w, a->token);
}

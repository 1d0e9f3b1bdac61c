/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the default record from a leaf list. Touches no global and copies no token.
 */
#include "agent/broker/record.h"

#include "agent/base/clock.h"
#include "mk/own.h"

#define RELATIVE_BELOW INT64_C(100000000)       /* seconds: 3 years; as Unix time it is March 1973 */
#define SECONDS_BELOW  INT64_C(100000000000)    /* the year 5138; as milliseconds it is March 1973 */
#define MILLIS_BELOW   INT64_C(100000000000000)

static enum mk_err fail(const char **fault, const char *text)
{
	if (fault)
		*fault = text;
	return MK_BACKEND;
}

/* False where the field is not there, or null. */
static bool field(struct mk_span leaves, const char *pointer, struct mk_leaf *ret)
{
	return mk_leaves_find(leaves, pointer, ret) == MK_OK && ret->type != MK_LEAF_NULL;
}

static bool has_control(struct mk_span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
		if (s.p[i] == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0) /* U+0080 to U+009F */
			return true;
	}
	return false;
}

/* Without control characters, which are refused, only these two are escaped, and by one character. */
static uint32_t as_json(struct mk_span token)
{
	uint32_t n = 0;
	for (size_t i = 0; i < token.n; i++)
		n += token.p[i] == '"' || token.p[i] == '\\' ? 2 : 1;
	return n;
}

static bool token_leaf(struct mk_span leaves, struct mk_leaf *ret)
{
	return field(leaves, "/access_token", ret) || field(leaves, "/token", ret);
}

static mk_must read_token(struct mk_span leaves, struct mk_record *r, const char **fault)
{
	struct mk_leaf leaf;
	if (!token_leaf(leaves, &leaf))
		return fail(fault, "the secret has neither access_token nor token");
	if (leaf.type != MK_LEAF_STRING)
		return fail(fault, "access_token is not a string");
	if (leaf.value.n == 0 || leaf.value.n > MK_TOKEN_MAX)
		return fail(fault, "access_token is empty or longer than 16,384 bytes");
	if (has_control(leaf.value))
		return fail(fault, "access_token has control characters");
	r->token = leaf.value;
	r->token_room = as_json(leaf.value);
	return MK_OK;
}

static bool is_word(struct mk_span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '\\')
			return false;
	return s.n > 0 && s.n <= MK_TOKEN_TYPE_MAX;
}

static mk_must read_type(struct mk_span leaves, struct mk_record *r, const char **fault)
{
	struct mk_span type = mk_span_of("bearer");
	struct mk_leaf leaf;
	if (field(leaves, "/token_type", &leaf)) {
		if (leaf.type != MK_LEAF_STRING || !is_word(leaf.value))
			return fail(fault, "token_type is not a word of at most 31 characters");
		type = leaf.value;
	}
	memcpy(r->token_type, type.p, type.n);
	r->token_type[type.n] = '\0';
	return MK_OK;
}

/* Digits, and perhaps a fraction, which is cut. No sign, no exponent. */
static bool digits(struct mk_span s, int64_t *ret)
{
	int64_t n = 0;
	size_t i = 0;
	for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
		if (n >= MILLIS_BELOW)
			return false;
		n = n * 10 + (s.p[i] - '0');
	}
	if (i == 0)
		return false;
	if (i < s.n) {
		if (s.p[i] != '.' || i + 1 == s.n)
			return false;
		for (i++; i < s.n; i++)
			if (s.p[i] < '0' || s.p[i] > '9')
				return false;
	}
	*ret = n;
	return true;
}

static mk_must by_size(int64_t n, int64_t since_ms, int64_t *ret)
{
	if (n < RELATIVE_BELOW)
		*ret = since_ms + n * 1000;
	else if (n < SECONDS_BELOW)
		*ret = n * 1000;
	else if (n < MILLIS_BELOW)
		*ret = n;
	else
		return MK_BAD_REQUEST;
	return MK_OK;
}

static mk_must moment(const struct mk_leaf *leaf, int64_t since_ms, int64_t *ret)
{
	int64_t n = 0;
	if (leaf->type != MK_LEAF_NUMBER && leaf->type != MK_LEAF_STRING)
		return MK_BAD_REQUEST;
	if (digits(leaf->value, &n))
		return by_size(n, since_ms, ret);
	return leaf->type == MK_LEAF_STRING ? mk_rfc3339_parse(leaf->value, ret) : MK_BAD_REQUEST;
}

static mk_must read_expiry(struct mk_span leaves, int64_t since_ms, struct mk_record *r, const char **fault)
{
	static const struct {
		const char *pointer, *fault;
	} fields[] = {
		{ "/expires_at", "expires_at is not a time" }, { "/expires_in", "expires_in is not a time" },
		{ "/expires", "expires is not a time" },       { "/expiry", "expiry is not a time" },
		{ "/expiration", "expiration is not a time" },
	};
	r->expires_ms = MK_TIME_NONE;
	for (size_t i = 0; i < MK_COUNT(fields); i++) {
		struct mk_leaf leaf;
		if (field(leaves, fields[i].pointer, &leaf))
			return moment(&leaf, since_ms, &r->expires_ms) == MK_OK ? MK_OK : fail(fault, fields[i].fault);
	}
	return MK_OK;
}

mk_must mk_record_token(struct mk_span leaves, struct mk_span *ret)
{
	struct mk_leaf leaf;
	if (!token_leaf(leaves, &leaf))
		return MK_NOT_FOUND;
	*ret = leaf.value;
	return MK_OK;
}

mk_must mk_record_of(struct mk_span leaves, int64_t since_ms, struct mk_record *ret, const char **fault)
{
	struct mk_record r = { 0 };
	MK_TRY(read_token(leaves, &r, fault));
	MK_TRY(read_type(leaves, &r, fault));
	MK_TRY(read_expiry(leaves, since_ms, &r, fault));
	*ret = r;
	return MK_OK;
}

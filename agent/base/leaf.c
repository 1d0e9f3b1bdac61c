/* SPDX-License-Identifier: Apache-2.0
 *
 * The leaf list: written by the side that parsed the store's JSON, checked whole by the
 * side that keeps it. All lengths are checked against what is there before they are
 * used; walking needs no allocation.
 */
#include "mk/leaf.h"

#include "agent/base/rw.h"
#include "agent/base/utf8.h"
#include "mk/limits.h"

/* Reads one leaf at *at, for its form only. */
static bool leaf_at(struct mk_span list, size_t *at, struct mk_leaf *ret)
{
	if (*at >= list.n)
		return false;
	struct mk_rd r = mk_rd_of(mk_span(list.p + *at, list.n - *at));
	struct mk_leaf leaf;
	leaf.pointer = mk_rd_bytes(&r, mk_rd_u16(&r));
	leaf.type = (enum mk_leaf_type)mk_rd_below(&r, MK_LEAF_ARRAY + 1);
	leaf.value = mk_rd_var(&r, MK_SECRET_MAX);
	if (r.bad || leaf.type < MK_LEAF_STRING)
		return false;
	*at = list.n - r.n;
	*ret = leaf;
	return true;
}

/* RFC 6901: "" or a row of "/" and text in which "~" is only the head of "~0" and "~1". */
static bool pointer_ok(struct mk_span p)
{
	if (p.n > MK_POINTER_MAX || (p.n > 0 && p.p[0] != '/') || !mk_utf8_ok(p))
		return false;
	for (size_t i = 0; i < p.n; i++)
		if (p.p[i] == '~' && (i + 1 == p.n || (p.p[i + 1] != '0' && p.p[i + 1] != '1')))
			return false;
	return true;
}

static size_t digits(struct mk_span s, size_t at)
{
	size_t n = 0;
	while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
		n++;
	return n;
}

static bool at_is(struct mk_span s, size_t at, const char *set)
{
	return at < s.n && s.p[at] != '\0' && strchr(set, s.p[at]);
}

/* RFC 8259, section 6. */
static bool number_ok(struct mk_span s)
{
	size_t at = at_is(s, 0, "-") ? 1 : 0;
	const size_t whole = digits(s, at);
	if (whole == 0 || (whole > 1 && s.p[at] == '0'))
		return false;
	at += whole;
	if (at_is(s, at, ".")) {
		const size_t part = digits(s, at + 1);
		if (part == 0)
			return false;
		at += 1 + part;
	}
	if (at_is(s, at, "eE")) {
		at += at_is(s, at + 1, "+-") ? 2 : 1;
		const size_t power = digits(s, at);
		if (power == 0)
			return false;
		at += power;
	}
	return at == s.n;
}

static bool value_ok(const struct mk_leaf *leaf)
{
	switch (leaf->type) {
	case MK_LEAF_STRING:
		return mk_utf8_ok(leaf->value);
	case MK_LEAF_NUMBER:
		return number_ok(leaf->value);
	case MK_LEAF_BOOL:
		return mk_span_is(leaf->value, "true") || mk_span_is(leaf->value, "false");
	case MK_LEAF_NULL:
	case MK_LEAF_EMPTY:
	case MK_LEAF_ARRAY:
		return leaf->value.n == 0;
	}
	return false;
}

static bool seen_before(const struct mk_span *pointers, size_t n, struct mk_span p)
{
	for (size_t i = 0; i < n; i++)
		if (mk_span_eq(pointers[i], p))
			return true;
	return false;
}

mk_must mk_leaves_check(struct mk_span list)
{
	struct mk_span pointers[MK_LEAVES_MAX];
	struct mk_leaf leaf;
	size_t n = 0, at = 0;
	if (list.n > MK_SECRET_MAX)
		return MK_BAD_REQUEST;
	while (leaf_at(list, &at, &leaf)) {
		if (n == MK_LEAVES_MAX || !pointer_ok(leaf.pointer) || !value_ok(&leaf) ||
		    seen_before(pointers, n, leaf.pointer))
			return MK_BAD_REQUEST;
		pointers[n++] = leaf.pointer;
	}
	return at == list.n ? MK_OK : MK_BAD_REQUEST;
}

bool mk_leaves_next(struct mk_span list, size_t *at, struct mk_leaf *ret)
{
	return leaf_at(list, at, ret);
}

mk_must mk_leaves_find(struct mk_span list, const char *pointer, struct mk_leaf *ret)
{
	const struct mk_span wanted = mk_span_of(pointer);
	struct mk_leaf leaf;
	for (size_t at = 0; leaf_at(list, &at, &leaf);) {
		if (!mk_span_eq(leaf.pointer, wanted))
			continue;
		*ret = leaf;
		return MK_OK;
	}
	return MK_NOT_FOUND;
}

mk_must mk_leaves_add(uint8_t *buf, size_t cap, size_t *len, const struct mk_leaf *leaf)
{
	mk_assert(*len <= cap);
	if (leaf->pointer.n > MK_POINTER_MAX)
		return MK_TOO_LARGE;
	struct mk_wr w = mk_wr_of(buf + *len, cap - *len);
	mk_wr_u16(&w, (uint16_t)leaf->pointer.n);
	mk_wr_bytes(&w, leaf->pointer);
	mk_wr_u8(&w, (uint8_t)leaf->type);
	mk_wr_var(&w, leaf->value);
	size_t n;
	MK_TRY(mk_wr_end(&w, &n));
	*len += n;
	return MK_OK;
}

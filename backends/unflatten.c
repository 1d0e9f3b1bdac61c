/* SPDX-License-Identifier: Apache-2.0
 *
 * Goes through the leaves with the row of objects and arrays that are open around the
 * last one. Each leaf closes those that it does not lie in, opens those between, and is
 * written. A branch that was closed does not open again, which a look back at the leaves
 * before tells: no key is written twice.
 */
#include "backends/unflatten.h"

#include "agent/base/secret.h"
#include "mk/leaf.h"
#include "mk/limits.h"

#include <stdio.h>

struct branch {
	struct mk_span pointer;
	bool array;
	size_t items; /* of an array, so far */
};

struct out {
	struct mk_jw *w;
	struct mk_span list;
	size_t at;                          /* where the leaf that is written starts */
	struct branch open[MK_DEPTH_MAX];   /* the root first */
	size_t depth;
	char key[MK_POINTER_MAX];
};

/* Is it `outer` itself, or below it? */
static bool within(struct mk_span outer, struct mk_span pointer)
{
	return pointer.n >= outer.n && (outer.n == 0 || memcmp(pointer.p, outer.p, outer.n) == 0) &&
	       (pointer.n == outer.n || pointer.p[outer.n] == '/');
}

/* Was anything written at or below it by an earlier leaf? */
static bool was_there(const struct out *o, struct mk_span pointer)
{
	struct mk_leaf before;
	for (size_t at = 0; at < o->at && mk_leaves_next(o->list, &at, &before);)
		if (within(pointer, before.pointer))
			return true;
	return false;
}

/* RFC 6901 backwards. */
static struct mk_span unescape(struct out *o, struct mk_span part)
{
	size_t n = 0;
	for (size_t i = 0; i < part.n; i++) {
		const bool escaped = part.p[i] == '~' && i + 1 < part.n;
		o->key[n++] = !escaped ? (char)part.p[i] : part.p[++i] == '0' ? '~' : '/';
	}
	return mk_span(o->key, n);
}

/* The key, or the place in the array, of what stands at `pointer` in the innermost open branch. */
static mk_must key(struct out *o, struct mk_span pointer)
{
	struct branch *in = &o->open[o->depth - 1];
	const struct mk_span part = mk_span(pointer.p + in->pointer.n + 1, pointer.n - in->pointer.n - 1);
	char number[24];
	if (was_there(o, pointer))
		return MK_BAD_REQUEST;
	if (!in->array) {
		mk_jw_name(o->w, unescape(o, part));
		return MK_OK;
	}
	snprintf(number, sizeof number, "%zu", in->items++);
	return mk_span_is(part, number) ? MK_OK : MK_BAD_REQUEST;
}

static mk_must open_branch(struct out *o, struct mk_span pointer, bool array)
{
	if (o->depth == MK_DEPTH_MAX)
		return MK_BAD_REQUEST;
	mk_jw_open(o->w, array ? '[' : '{');
	o->open[o->depth++] = (struct branch){ .pointer = pointer, .array = array };
	return MK_OK;
}

static void close_branch(struct out *o)
{
	mk_jw_close(o->w, o->open[--o->depth].array ? ']' : '}');
}

/* The objects between the innermost open branch and the leaf; they have no leaf of their own. */
static mk_must open_to(struct out *o, struct mk_span pointer)
{
	for (size_t n = o->open[o->depth - 1].pointer.n + 1; n < pointer.n; n++) {
		if (pointer.p[n] != '/')
			continue;
		MK_TRY(key(o, mk_span(pointer.p, n)));
		MK_TRY(open_branch(o, mk_span(pointer.p, n), false));
	}
	return MK_OK;
}

static mk_must value(struct out *o, const struct mk_leaf *leaf)
{
	switch (leaf->type) {
	case MK_LEAF_STRING:
		mk_jw_str(o->w, leaf->value);
		return MK_OK;
	case MK_LEAF_NUMBER:
	case MK_LEAF_BOOL:
		mk_jw_word(o->w, leaf->value);
		return MK_OK;
	case MK_LEAF_NULL:
		mk_jw_null(o->w);
		return MK_OK;
	case MK_LEAF_EMPTY:
		MK_TRY(open_branch(o, leaf->pointer, false));
		close_branch(o);
		return MK_OK;
	case MK_LEAF_ARRAY:
		return open_branch(o, leaf->pointer, true);
	}
	return MK_BAD_REQUEST;
}

static mk_must put(struct out *o, const struct mk_leaf *leaf)
{
	if (leaf->pointer.n == 0)
		return MK_BAD_REQUEST;
	while (!within(o->open[o->depth - 1].pointer, leaf->pointer) || o->open[o->depth - 1].pointer.n == leaf->pointer.n)
		close_branch(o); /* never the root: every other pointer lies in it */
	MK_TRY(open_to(o, leaf->pointer));
	MK_TRY(key(o, leaf->pointer));
	return value(o, leaf);
}

static mk_must put_all(struct out *o)
{
	struct mk_leaf leaf;
	size_t next = 0;
	if (!mk_leaves_next(o->list, &next, &leaf))
		return MK_BAD_REQUEST;
	MK_TRY(open_branch(o, mk_span(NULL, 0), false));
	if (leaf.pointer.n > 0 || leaf.type != MK_LEAF_EMPTY) { /* else it is {} and has no other leaf */
		next = 0;
		while (o->at = next, mk_leaves_next(o->list, &next, &leaf))
			MK_TRY(put(o, &leaf));
	}
	while (o->depth > 0)
		close_branch(o);
	return next == o->list.n ? MK_OK : MK_BAD_REQUEST;
}

enum mk_err mk_unflatten(struct mk_span list, struct mk_jw *w)
{
	struct out o = { .w = w, .list = list };
	const enum mk_err e = put_all(&o);
	mk_wipe(o.key, sizeof o.key);
	mk_wipe_stack();
	return e;
}

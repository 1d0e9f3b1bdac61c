/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks what jansson parsed, in the document's order, and writes one leaf for each end
 * of a branch and for each array. jansson's strings lie in the heap until they are freed: the executables
 * that see tokens are linked with a free that wipes.
 */
#include "backends/flatten.h"

#include "agent/base/secret.h"
#include "backends/json.h"
#include "mk/leaf.h"
#include "mk/limits.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX 32 /* a double in 17 digits, or an int64_t */

struct walk {
	struct mk_secret *out;
	size_t len, leaves;
	char pointer[MK_POINTER_MAX];
	size_t pointer_len;
	unsigned depth;
};

static mk_must flatten(struct walk *w, json_t *v);

static mk_must leaf(struct walk *w, enum mk_leaf_type type, const char *s, size_t n)
{
	const struct mk_leaf l = { mk_span(w->pointer, w->pointer_len), type, mk_span(s, n) };
	if (++w->leaves > MK_LEAVES_MAX)
		return MK_TOO_LARGE;
	return mk_leaves_add(mk_secret_buf(w->out), MK_SECRET_MAX, &w->len, &l);
}

static mk_must integer(struct walk *w, json_t *v)
{
	char s[NUMBER_MAX];
	const int n = snprintf(s, sizeof s, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	return leaf(w, MK_LEAF_NUMBER, s, (size_t)n);
}

/* 15 digits suffice for what people write, 17 for every double. Zero has no sign, as an integer has none. */
static mk_must real(struct walk *w, json_t *v)
{
	char s[NUMBER_MAX];
	if (json_real_value(v) == 0)
		return leaf(w, MK_LEAF_NUMBER, "0", 1);
	int n = 0;
	for (int digits = 15; digits <= 17; digits++) {
		n = snprintf(s, sizeof s, "%.*g", digits, json_real_value(v));
		if (strtod(s, NULL) == json_real_value(v))
			break;
	}
	return leaf(w, MK_LEAF_NUMBER, s, (size_t)n);
}

/* RFC 6901: "~" and "/" inside a key are written "~0" and "~1". */
static mk_must pointer_add(struct walk *w, const char *key, size_t n)
{
	char *const end = w->pointer + sizeof w->pointer;
	char *p = w->pointer + w->pointer_len;
	if (p == end)
		return MK_TOO_LARGE;
	*p++ = '/';
	for (size_t i = 0; i < n; i++) {
		const bool special = key[i] == '~' || key[i] == '/';
		if (end - p < (special ? 2 : 1))
			return MK_TOO_LARGE;
		*p++ = special ? '~' : key[i];
		if (special)
			*p++ = key[i] == '~' ? '0' : '1';
	}
	w->pointer_len = (size_t)(p - w->pointer);
	return MK_OK;
}

static mk_must child(struct walk *w, const char *key, size_t n, json_t *v)
{
	const size_t before = w->pointer_len;
	MK_TRY(pointer_add(w, key, n));
	MK_TRY(flatten(w, v));
	w->pointer_len = before;
	return MK_OK;
}

static mk_must object(struct walk *w, json_t *v)
{
	const char *key;
	json_t *item;
	if (json_object_size(v) == 0)
		return leaf(w, MK_LEAF_EMPTY, "", 0);
	json_object_foreach(v, key, item)
		MK_TRY(child(w, key, strlen(key), item));
	return MK_OK;
}

static mk_must array(struct walk *w, json_t *v)
{
	char key[NUMBER_MAX];
	size_t i;
	json_t *item;
	MK_TRY(leaf(w, MK_LEAF_ARRAY, "", 0));
	json_array_foreach(v, i, item)
		MK_TRY(child(w, key, (size_t)snprintf(key, sizeof key, "%zu", i), item));
	return MK_OK;
}

static mk_must branch(struct walk *w, json_t *v)
{
	if (w->depth == MK_DEPTH_MAX)
		return MK_BAD_REQUEST;
	w->depth++;
	MK_TRY(json_is_object(v) ? object(w, v) : array(w, v));
	w->depth--;
	return MK_OK;
}

static mk_must flatten(struct walk *w, json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return branch(w, v);
	case JSON_STRING:
		return leaf(w, MK_LEAF_STRING, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		return integer(w, v);
	case JSON_REAL:
		return real(w, v);
	case JSON_TRUE:
		return leaf(w, MK_LEAF_BOOL, "true", 4);
	case JSON_FALSE:
		return leaf(w, MK_LEAF_BOOL, "false", 5);
	case JSON_NULL:
		return leaf(w, MK_LEAF_NULL, "", 0);
	}
	return MK_BUG;
}

/* A small list leaves the large slot to others. */
static mk_must fit(struct mk_secret **whole, size_t n, struct mk_secret **ret)
{
	mk_secret_set_len(*whole, n);
	if (n > MK_SECRET_SMALL) {
		*ret = MK_TAKE(*whole);
		return MK_OK;
	}
	return mk_secret_copy(mk_secret_span(*whole), ret);
}

enum mk_err mk_flatten_value(json_t *object_value, struct mk_secret **ret)
{
	mk_auto(mk_secret_freep) struct mk_secret *whole = NULL;
	MK_TRY(mk_secret_new(MK_SECRET_MAX, &whole));
	struct walk w = { .out = whole };
	const enum mk_err e = flatten(&w, object_value);
	mk_wipe(w.pointer, sizeof w.pointer);
	mk_wipe_stack();
	MK_TRY(e);
	return fit(&whole, w.len, ret);
}

enum mk_err mk_flatten(struct mk_span text, struct mk_secret **ret)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	MK_TRY(mk_json_parse(text, &root));
	return mk_flatten_value(root, ret);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A body by the table of what its call knows.
 */
#include "agent/broker/http_body.h"

#include "mk/own.h"

#include <jansson.h>

static void json_freep(json_t **j)
{
	json_decref(*j);
}

static bool take(const json_t *value, const struct mk_body_text *t)
{
	const char *s = json_string_value(value);
	const size_t n = json_string_length(value);
	if (!s || n >= t->cap)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	memcpy(t->to, s, n + 1);
	return true;
}

static const struct mk_body_text *row_of(const struct mk_body_text *texts, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(texts[i].key, key) == 0)
			return &texts[i];
	return NULL;
}

static bool has_required(json_t *root, const struct mk_body_text *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (texts[i].required && !json_object_get(root, texts[i].key))
			return false;
	return true;
}

static json_t *parse(const struct mk_conn *c)
{
	return c->body_n ? json_loadb(c->body, c->body_n, JSON_REJECT_DUPLICATES, NULL) : json_object();
}

static enum mk_hint read_texts(json_t *root, const struct mk_body_text *texts, size_t n)
{
	const char *key;
	json_t *value;
	if (!json_is_object(root) || !has_required(root, texts, n))
		return MK_HINT_JSON;
	json_object_foreach(root, key, value) {
		const struct mk_body_text *t = row_of(texts, n, key);
		if (!t || !take(value, t))
			return MK_HINT_JSON;
	}
	return MK_HINT_NONE;
}

enum mk_hint mk_body_read(const struct mk_conn *c, const struct mk_body_text *texts, size_t n)
{
	mk_auto(json_freep) json_t *root = parse(c);
	return read_texts(root, texts, n);
}

static bool take_name(const json_t *value, const struct mk_body_names *of)
{
	struct mk_name name;
	const char *s = json_string_value(value);
	if (!s || *of->ret_n == of->max || mk_name_of(mk_span((const uint8_t *)s, json_string_length(value)), &name) != MK_OK)
		return false;
	for (size_t i = 0; i < *of->ret_n; i++)
		if (mk_name_eq(&of->names[i], &name))
			return false;
	of->names[(*of->ret_n)++] = name;
	return true;
}

/* Takes them out of the object. */
static bool take_names(json_t *root, const struct mk_body_names *of)
{
	json_t *one = json_object_get(root, "connection"), *all = json_object_get(root, "connections"), *item;
	size_t i;
	*of->ret_n = 0;
	if ((one && all) || (all && !json_is_array(all)) || (one && !take_name(one, of)))
		return false;
	json_array_foreach(all, i, item)
		if (!take_name(item, of))
			return false;
	json_object_del(root, "connection");
	json_object_del(root, "connections");
	return *of->ret_n > 0;
}

/* As well. */
static bool take_in_store(json_t *root, const struct mk_body_names *of)
{
	const json_t *flag = json_object_get(root, "in_store");
	if (!flag)
		return true;
	if (!json_is_boolean(flag))
		return false;
	*of->in_store = json_is_true(flag);
	json_object_del(root, "in_store");
	return true;
}

enum mk_hint mk_body_read_names(const struct mk_conn *c, const struct mk_body_text *texts, size_t n, const struct mk_body_names *of)
{
	mk_auto(json_freep) json_t *root = parse(c);
	if (!json_is_object(root))
		return MK_HINT_JSON;
	if (!take_in_store(root, of))
		return MK_HINT_IN_STORE;
	return take_names(root, of) ? read_texts(root, texts, n) : MK_HINT_NAMES;
}

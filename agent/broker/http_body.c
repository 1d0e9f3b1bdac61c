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

enum mk_hint mk_body_read(const struct mk_conn *c, const struct mk_body_text *texts, size_t n)
{
	mk_auto(json_freep) json_t *root = c->body_n ? json_loadb(c->body, c->body_n, JSON_REJECT_DUPLICATES, NULL) : json_object();
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * jansson, with its hash seeded by libsodium and its error texts wiped.
 */
#include "backends/json.h"

#include "agent/base/secret.h"

#include <sodium.h>

enum mk_err mk_json_parse(struct mk_span text, json_t **ret)
{
	json_error_t error;
	if (sodium_init() < 0)
		return MK_SYSTEM;
	json_object_seed((size_t)randombytes_random() | 1); /* its own way opens /dev/urandom, out of reach after lock-down */
	json_t *root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &error);
	const bool memory = !root && json_error_code(&error) == json_error_out_of_memory;
	mk_wipe(&error, sizeof error); /* its text quotes the input */
	mk_wipe_stack();
	if (memory)
		return MK_NO_MEMORY;
	if (!json_is_object(root)) {
		json_decref(root);
		return MK_BAD_REQUEST;
	}
	*ret = root;
	return MK_OK;
}

void mk_json_freep(json_t **v)
{
	json_decref(*v);
	*v = NULL;
}

static json_t *member(json_t *v, const char *key, json_type type)
{
	json_t *m = json_object_get(v, key);
	return m && json_typeof(m) == type ? m : NULL;
}

json_t *mk_json_object(json_t *v, const char *key)
{
	return member(v, key, JSON_OBJECT);
}

json_t *mk_json_array(json_t *v, const char *key)
{
	return member(v, key, JSON_ARRAY);
}

json_t *mk_json_string(json_t *v, const char *key)
{
	return member(v, key, JSON_STRING);
}

enum mk_err mk_json_int(json_t *v, const char *key, int64_t *ret)
{
	const json_t *m = member(v, key, JSON_INTEGER);
	if (!m)
		return MK_BAD_REQUEST;
	*ret = json_integer_value(m);
	return MK_OK;
}

enum mk_err mk_json_bool(json_t *v, const char *key, bool *ret)
{
	const json_t *m = json_object_get(v, key);
	if (!json_is_boolean(m))
		return MK_BAD_REQUEST;
	*ret = json_is_true(m);
	return MK_OK;
}

struct mk_span mk_json_text(json_t *string)
{
	return mk_span(json_string_value(string), json_string_length(string));
}

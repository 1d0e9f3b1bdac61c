/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a store's answer: parsed once, strictly, then taken field by field; what is
 * missing or of another type is an error, never a default. jansson's copies lie in the
 * heap until json_decref, which wipes where mkwipe is linked in.
 */
#ifndef MK_BACKEND_JSON_H
#define MK_BACKEND_JSON_H

#include "mk/err.h"
#include "mk/span.h"

#include <jansson.h>

struct mk_secret;

/* One JSON object, whole. BAD_REQUEST: not JSON, no object, a key twice, NUL, bad UTF-8, a number too large. */
mk_must mk_json_parse(struct mk_span text, json_t **ret);
void mk_json_freep(json_t **v);

/* A member of an object; NULL where v is no object, or has no such member of that type. Borrowed. */
json_t *mk_json_object(json_t *v, const char *key);
json_t *mk_json_array(json_t *v, const char *key);
json_t *mk_json_string(json_t *v, const char *key);
mk_must mk_json_int(json_t *v, const char *key, int64_t *ret);
mk_must mk_json_bool(json_t *v, const char *key, bool *ret);
struct mk_span mk_json_text(json_t *string);

/* As mk_flatten, of what was parsed. */
mk_must mk_flatten_value(json_t *object, struct mk_secret **ret);

#endif

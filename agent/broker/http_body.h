/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of an administrator's request: one flat JSON object of texts. It is parsed only
 * after policy has let its sender through, and holds no secret.
 */
#ifndef MK_HTTP_BODY_H
#define MK_HTTP_BODY_H

#include "agent/broker/http_conn.h"

struct mk_body_text {
	const char *key;
	char *to;       /* untouched where the key is not there */
	size_t cap;
	bool required;
};
/* NONE, or JSON: no object, an unknown key, a double, a text that is too long or has control characters. No body is an empty object. */
enum mk_hint mk_body_read(const struct mk_conn *c, const struct mk_body_text *texts, size_t n);

/* The same, with connections: one text `connection`, or a list `connections`, each once; at least one. */
struct mk_body_names {
	struct mk_name *names;
	size_t max, *ret_n;
	bool *in_store; /* the key in_store, true or false; untouched where it is not there */
};
/* Also NAMES, and IN_STORE where in_store is something else. */
enum mk_hint mk_body_read_names(const struct mk_conn *c, const struct mk_body_text *texts, size_t n, const struct mk_body_names *of);

#endif

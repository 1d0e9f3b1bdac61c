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

#endif

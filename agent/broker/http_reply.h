/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers. A body is either locked memory (a secret, wiped when libmicrohttpd is done
 * with it), heap memory for what is no secret, or text that lives for ever; none is
 * copied. Headers never carry a secret. A NULL body, or a header that finds no memory,
 * closes the connection instead of answering half.
 */
#ifndef MK_HTTP_REPLY_H
#define MK_HTTP_REPLY_H

#include "agent/broker/http_conn.h"

/* Each takes over what it is given, also when it fails (NULL). */
struct MHD_Response *mk_body_secret(struct mk_secret *s);
struct MHD_Response *mk_body_heap(char *p, size_t n);
struct MHD_Response *mk_body_text(struct mk_span forever);

struct mk_header {
	const char *name, *value;
};

/* Hands the answer over, with Cache-Control: no-store, Content-Type where type is not NULL, and the
 * headers up to the one without a name (NULL: none). Takes over r. For the handler's return. */
enum MHD_Result mk_reply(struct mk_conn *c, unsigned status, const char *type, struct MHD_Response *r,
			 const struct mk_header *headers);

/* A problem document, and a record of the refusal where the request never reached the gate. */
enum MHD_Result mk_reply_refused(struct mk_conn *c, enum mk_hint h, const char *allow);
/* The same for what is decided, and recorded, already. */
enum MHD_Result mk_reply_hint(struct mk_conn *c, enum mk_hint h);
/* An error of the gate, which has its record already. */
enum MHD_Result mk_reply_err(struct mk_conn *c, enum mk_err e, unsigned retry_after_s);

/* A JSON document that is no secret: a writer into fresh heap memory, then the answer. */
struct mk_doc {
	struct mk_jw w;
	char *p; /* NULL: no memory */
};
struct mk_doc mk_doc_of(size_t cap);
enum MHD_Result mk_reply_doc(struct mk_conn *c, unsigned status, const char *type, struct mk_doc *d); /* frees d's memory */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * An administrator's act that is done, while its stores are asked: what the answer will say
 * of the act, and the stores' part. It is its connection's (http_conn.h), which waits
 * meanwhile; when that goes away the stores are asked all the same.
 */
#ifndef MK_HTTP_IN_STORE_H
#define MK_HTTP_IN_STORE_H

#include "agent/broker/acts_revoke.h"
#include "agent/broker/http_conn.h"
#include "agent/broker/in_store.h"

#define MK_IN_STORE_ANSWER (1024 + MK_IN_STORE_MOST * 768) /* bytes of what it adds to an answer */

struct mk_acted {
	struct mk_revoke revoke;   /* of DISABLE; its names are those below, without a reason */
	struct mk_restore restore; /* of ENABLE */
	struct mk_name names[MK_REVOKE_MAX];
	struct mk_in_store *work;  /* owned */
};

/* Before the act. False: *ret is the answer. */
bool mk_acted_new(struct mk_conn *c, enum mk_verb verb, const struct mk_name *names, size_t n, enum MHD_Result *ret);
/* After it: asks the stores; `answer` is called now, or by way of the handler, which finds c->acted when it is called again. */
enum MHD_Result mk_acted_begin(struct mk_conn *c, enum MHD_Result (*answer)(struct mk_conn *c));
/* "in_store" and "in_store_done" of one name, into an open object. */
void mk_acted_write(struct mk_jw *w, const struct mk_acted *a, size_t name);
/* mk_acted_free: http_acts.h */

#endif

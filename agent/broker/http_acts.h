/* SPDX-License-Identifier: Apache-2.0
 *
 * What the calls of administrators share.
 */
#ifndef MK_HTTP_ACTS_H
#define MK_HTTP_ACTS_H

#include "agent/broker/acts.h"
#include "agent/broker/http_routes.h"

/* May it be done now? Else *ret is the handler's return: it was answered with an error, or with 202. */
bool mk_route_begin(struct mk_conn *c, const struct mk_act *act, enum MHD_Result *ret);
/* CONFLICT of mk_act_begin, and SYSTEM, say what they mean. */
enum MHD_Result mk_reply_not_done(struct mk_conn *c, enum mk_err e);
/* "frozen" and, when it is, the other members, into an open object. */
void mk_frozen_write(struct mk_jw *w, const struct mk_frozen *f);

/* Before a body is read: false for whom policy would not let through; *ret is the answer, which is recorded. */
bool mk_route_may(struct mk_conn *c, enum mk_action action, enum MHD_Result *ret);
/* The same for an action on connections that only the body names. */
bool mk_route_might(struct mk_conn *c, enum mk_action action, enum MHD_Result *ret);

mk_route_fn mk_route_restore_now; /* what c->uri says */
bool mk_route_restore_approved(struct mk_conn *c, const char *detail); /* makes it say that; false: that is no restore */
mk_route_fn mk_route_reload_now; /* for a caller that was let through */

/* http_in_store.c: also while its stores are asked, who go on. NULL is fine. */
struct mk_acted *mk_acted_free(struct mk_acted *a);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the calls of administrators share.
 */
#ifndef MK_HTTP_ACTS_H
#define MK_HTTP_ACTS_H

#include "agent/broker/acts.h"
#include "agent/broker/http_routes.h"

/* May it be done now? Else *ret is the handler's return: it was answered with an error, or with 202. */
bool mk_route_begin(struct mk_conn *c, enum mk_action action, const char *detail, enum MHD_Result *ret);
/* "frozen" and, when it is, the other members, into an open object. */
void mk_frozen_write(struct mk_jw *w, const struct mk_frozen *f);

/* Before a body is read: false for whom policy would not let through; *ret is the answer, which is recorded. */
bool mk_route_may(struct mk_conn *c, enum mk_action action, enum MHD_Result *ret);

mk_route_fn mk_route_reload_now; /* for a caller that was let through */

#endif

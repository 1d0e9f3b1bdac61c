/* SPDX-License-Identifier: Apache-2.0
 *
 * The service API and the admin API over libmicrohttpd: one daemon per listener, their
 * epoll descriptors nested in the broker's loop. Takes evidence at accept, holds every
 * limit that a caller could press on, turns gate answers into HTTP (RFC 9110, RFC 9457).
 */
#ifndef MK_HTTP_H
#define MK_HTTP_H

#include "agent/broker/broker.h"

mk_must mk_http_new(struct mk_broker *b, struct mk_http **ret);
struct mk_http *mk_http_free(struct mk_http *h);

/* Takes over a listening descriptor (name "admin" serves the admin API). A name that is there already
 * gets the new descriptor; its connections go on. */
mk_must mk_http_listen(struct mk_http *h, const struct mk_word *name, int fd);
/* After a reload: listeners whose name is not in names[] stop, their connections are closed. */
void mk_http_keep(struct mk_http *h, const struct mk_word *names, size_t n);
/* The policy or the limits changed: callers are looked up again at their next request. */
void mk_http_reconfigured(struct mk_http *h);

/* No new connections; true when the last answer has left. */
bool mk_http_drain(struct mk_http *h);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The service API and the admin API over libmicrohttpd: one daemon per listener, their
 * epoll descriptors nested in the broker's loop. Takes evidence at accept, holds every
 * limit that a caller could press on, turns gate answers into HTTP (RFC 9110, RFC 9457).
 */
#ifndef MK_HTTP_H
#define MK_HTTP_H

#include "agent/broker/broker.h"
#include "agent/broker/evidence.h"
#include "agent/broker/http_uids.h"

mk_must mk_http_new(struct mk_broker *b, struct mk_http **ret);
struct mk_http *mk_http_free(struct mk_http *h);

/* Takes over a listening descriptor (name "admin" serves the admin API). A name that is there already
 * gets the new descriptor; its connections go on. */
mk_must mk_http_listen(struct mk_http *h, const struct mk_word *name, int fd);
/* After a reload: listeners whose name is not in names[] stop, their connections are closed. */
void mk_http_keep(struct mk_http *h, const struct mk_word *names, size_t n);
/* The policy or the limits changed: callers are looked up again at their next request. */
void mk_http_reconfigured(struct mk_http *h);

/* A connection beside HTTP, libmakini's: it counts together with those of HTTP. NOT_READY: all are taken; RATE_LIMITED: its uid has
 * too many; NO_MEMORY. fd: the connection's; pidfd: its peer's process is one more descriptor. */
struct mk_http_guest {
	struct mk_uid *uid; /* NULL: it does not count */
	bool pidfd;
};
mk_must mk_http_guest_enter(struct mk_http *h, int fd, const struct mk_evidence *e, bool pidfd, struct mk_http_guest *ret);
void mk_http_guest_leave(struct mk_http *h, struct mk_http_guest *g);
/* Is a service told by its unit at that listener? */
bool mk_http_told_by_unit(const struct mk_broker *b, const struct mk_word *listener);

/* Cuts off every answer that carries this connection's token and has not wholly left; how many. */
uint32_t mk_http_abort(struct mk_http *h, const struct mk_name *name);

/* No new connections; true when the last answer has left. */
bool mk_http_drain(struct mk_http *h);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of the service API and of the admin API. A handler answers, or suspends the
 * connection and is then called again from its start.
 */
#ifndef MK_HTTP_ROUTES_H
#define MK_HTTP_ROUTES_H

#include "agent/broker/http_conn.h"

typedef enum MHD_Result mk_route_fn(struct mk_conn *c);

struct mk_route {
	enum mk_resource resource;
	const char *method;
	bool service, admin; /* the kinds of listener that have it */
	bool body;           /* may have one */
	mk_route_fn *handle;
	bool together;       /* decided with all that came in the same turn (http_turn.c) */
};

/* Decides a request whose route is known. */
enum MHD_Result mk_route_decide(struct mk_conn *c);

mk_route_fn mk_route_token, mk_route_list, mk_route_watch, mk_route_whoami, mk_route_health, mk_route_status, mk_route_reload, mk_route_freeze, mk_route_thaw,
	mk_route_approve, mk_route_fingerprints, mk_route_revoke, mk_route_restore,
	mk_route_explain;

/* For a request that waits at the gate: wakes the connection. */
void mk_route_woken(struct mk_waiter *w);
/* A request header's value, empty where there is none; borrowed until the request ends. */
struct mk_span mk_route_header(struct mk_conn *c, const char *name);

#endif

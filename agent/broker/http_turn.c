/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns. libmicrohttpd reads all requests that are there before one of them is decided, and sends
 * all their answers after: who waits for many answers is woken once, and what must be newer
 * than each request (a store's file, the audit log's) is looked at once for all of them.
 * An answer is handed over only after the gate gave it, which is after its record is written.
 */
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"
#include "mk/own.h"

#define TURN_MOST  32u /* decided before the first of them is sent … */
#define TURN_LARGE 4u  /* … of which so many may take a large slot of locked memory */

void mk_turn_ask(struct mk_conn *c)
{
	struct mk_server *s = c->server;
	c->asked = true;
	c->asked_next = NULL;
	*(s->asked ? &s->asked_last->asked_next : &s->asked) = c;
	s->asked_last = c;
}

static struct mk_conn *take_first(struct mk_server *s)
{
	struct mk_conn *c = s->asked;
	s->asked = c->asked_next;
	c->asked = false;
	return c;
}

static void unlink_asked(struct mk_conn *c)
{
	struct mk_server *s = c->server;
	struct mk_conn *before = NULL;
	for (struct mk_conn *at = s->asked; at != c; at = at->asked_next)
		before = at;
	*(before ? &before->asked_next : &s->asked) = c->asked_next;
	if (s->asked_last == c)
		s->asked_last = before;
	c->asked = false;
}

void mk_turn_forget(struct mk_conn *c)
{
	if (c->asked)
		unlink_asked(c);
	if (c->answer)
		MHD_destroy_response(MK_TAKE(c->answer));
	c->dropped = false;
}

static void decide(struct mk_conn *c)
{
	c->deciding = true;
	c->dropped = c->gone || mk_route_decide(c) != MHD_YES;
	c->deciding = false;
}

/* A uid at its limit of unread answers ends the turn: those of this turn may be read at once. */
bool mk_turn_decide(struct mk_server *s)
{
	unsigned n = 0, large = 0;
	if (!s->asked)
		return false;
	mk_gate_turn(s->http->broker, true);
	while (s->asked && n < TURN_MOST && large < TURN_LARGE && (n == 0 || s->asked->uid->answers < MK_UNREAD_PER_UID)) {
		struct mk_conn *c = take_first(s);
		decide(c);
		large += c->large;
		n++;
	}
	mk_gate_turn(s->http->broker, false);
	return true;
}

bool mk_turn_under_way(const struct mk_conn *c)
{
	return c->asked || c->answer || c->dropped || c->waiter.waiting;
}

enum MHD_Result mk_turn_answer(struct mk_conn *c)
{
	if (c->asked)
		return MHD_YES;
	if (c->dropped)
		return MHD_NO;
	if (c->waiter.waiting)
		return mk_conn_suspend(c);
	struct MHD_Response *r = MK_TAKE(c->answer);
	const enum MHD_Result done = MHD_queue_response(c->mhd, c->status, r);
	MHD_destroy_response(r);
	return done;
}

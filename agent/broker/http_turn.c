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
/* Who asks on a thousand connections waits behind himself, not others behind him: the first few of each uid go before what
 * one uid has beyond that, and of that comes one in four all the same, so that it comes. */
#define SOON_PER_UID 4u
#define LATE_EACH    4u

void mk_turn_ask(struct mk_conn *c)
{
	c->asked_late = c->uid->asked++ >= SOON_PER_UID;
	struct mk_asked *q = &c->server->asked[c->asked_late];
	c->asked = true;
	c->asked_next = NULL;
	*(q->first ? &q->last->asked_next : &q->first) = c;
	q->last = c;
}

bool mk_turn_due(const struct mk_server *s)
{
	return s->asked[0].first || s->asked[1].first;
}

/* The n-th of a turn. NULL: nobody is left. */
static struct mk_conn *next_one(const struct mk_server *s, unsigned n)
{
	const bool late = !s->asked[0].first || (s->asked[1].first && n % LATE_EACH == LATE_EACH - 1);
	return s->asked[late].first;
}

static void unlink_asked(struct mk_conn *c)
{
	struct mk_asked *q = &c->server->asked[c->asked_late];
	struct mk_conn *before = NULL;
	for (struct mk_conn *at = q->first; at != c; at = at->asked_next)
		before = at;
	*(before ? &before->asked_next : &q->first) = c->asked_next;
	if (q->last == c)
		q->last = before;
	c->uid->asked--;
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
	struct mk_conn *c;
	if (!mk_turn_due(s))
		return false;
	mk_gate_turn(s->http->broker, true);
	while ((c = next_one(s, n)) && n < TURN_MOST && large < TURN_LARGE && (n == 0 || c->uid->answers < MK_UNREAD_PER_UID)) {
		unlink_asked(c); /* the first: at once */
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

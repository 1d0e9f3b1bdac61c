/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection from accept to close. Its evidence is taken at once and never again. While
 * it is suspended libmicrohttpd does not look at its descriptor, so we do: a peer that
 * left frees what it waited for at once. A half-closed peer still reads, and is answered.
 */
#include "agent/broker/http_conn.h"

#include "agent/base/clock.h"
#include "agent/broker/bearer.h"
#include "agent/broker/http_acts.h"
#include "agent/broker/http_watch.h"
#include "mk/own.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

void mk_conn_enter(struct mk_conn *c, enum mk_conn_at at)
{
	c->at = at;
	c->since_ms = mk_boot_ms();
}

void mk_conn_end(struct mk_conn *c)
{
	c->gone = true;
	shutdown(c->fd, SHUT_RDWR);
}

bool mk_conn_busy(const struct mk_conn *c)
{
	return !c->gone && c->at != MK_AT_IDLE;
}

static int fd_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	return i ? i->connect_fd : -1;
}

static struct mk_conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return i ? i->socket_context : NULL;
}

/* Before a connection is made of what was accepted: only whether there is a descriptor to spare. */
enum MHD_Result mk_conn_admit(void *cls, const struct sockaddr *addr, socklen_t n)
{
	struct mk_server *s = cls;
	(void)addr;
	(void)n;
	s->tried++;
	if (mk_limits_room(s))
		return MHD_YES;
	struct mk_caller nobody = { .evidence = { .socket = s->name }, .service = MK_NO_SERVICE };
	mk_gate_refused(s->http->broker, &nobody, mk_hint_err(MK_HINT_FULL));
	return MHD_NO;
}

static void link_in(struct mk_conn *c)
{
	struct mk_http *h = c->http;
	c->next = h->conns;
	if (c->next)
		c->next->prev = c;
	h->conns = c;
	h->open++;
	c->server->connections++;
	if (!mk_timer_armed(h->sweep))
		mk_timer_set(h->sweep, MK_SWEEP_MS);
}

static void link_out(struct mk_conn *c)
{
	*(c->prev ? &c->prev->next : &c->http->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->http->open--;
	c->server->connections--;
}

static void began(struct mk_server *s, struct MHD_Connection *mhd, void **context)
{
	const int fd = fd_of(mhd);
	struct mk_conn *c = fd >= 0 ? calloc(1, sizeof *c) : NULL;
	*context = c;
	if (!c) { /* without a context every request is dropped */
		if (fd >= 0)
			shutdown(fd, SHUT_RDWR);
		return;
	}
	*c = (struct mk_conn){ .http = s->http, .server = s, .mhd = mhd, .fd = fd, .caller.service = MK_NO_SERVICE,
			       .peer = MK_PEER_NONE };
	mk_conn_enter(c, MK_AT_IDLE);
	mk_evidence_take(fd, &s->name, &c->caller.evidence);
	if (s->units)
		mk_peer_take(fd, mk_broker_proc(s->http->broker), &c->caller.evidence, &c->peer);
	s->http->pidfds += c->peer.pidfd >= 0;
	link_in(c);
	const enum mk_hint h = mk_limits_enter(c);
	if (h == MK_HINT_NONE)
		return;
	c->gone = true;
	mk_gate_refused(s->http->broker, &c->caller, mk_hint_err(h));
	mk_limits_refuse(fd, h);
}

/* Drops what the request at hand holds. */
static void forget_request(struct mk_conn *c)
{
	struct mk_broker *b = c->http->broker;
	c->watch = mk_loop_del(c->watch);
	if (c->waiter.waiting)
		mk_waiter_cancel(b, &c->waiter);
	if (c->reloading)
		mk_broker_reload_cancel(b, &c->reload);
	c->stream = mk_stream_free(c->stream);
	if (c->uid)
		c->uid->answers -= c->unread;
	c->unread = 0;
	c->large = false;
	free(c->body);
	c->body = NULL;
	c->body_n = c->body_cap = 0;
	mk_turn_forget(c);
	free(c->reloaded);
	c->reloaded = NULL;
	c->acted = mk_acted_free(c->acted);
	c->reloading = false;
	c->waiter = (struct mk_waiter){ 0 };
	mk_bearer_drop(&c->caller);
	c->waited = false;
	c->again = false;
	c->looked = false;
	c->carries = false;
	c->route = NULL;
}

static void ended(struct mk_conn *c)
{
	forget_request(c);
	mk_limits_leave(c);
	c->http->pidfds -= c->peer.pidfd >= 0;
	mk_peer_done(&c->peer);
	mk_bearer_seen_free(c->seen);
	link_out(c);
	free(c);
}

void mk_conn_notify(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		began(cls, mhd, context);
	else if (*context)
		ended(MK_TAKE(*context));
}

/* The request line is complete. What it returns is the request's context in the handler. */
void *mk_conn_request(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct mk_conn *c = conn_of(mhd);
	(void)cls;
	if (!c)
		return NULL;
	c->watch = mk_loop_del(c->watch);
	if (c->at == MK_AT_IDLE)
		mk_conn_enter(c, MK_AT_HEAD);
	c->ends = c->server->units && !c->peer.wanted; /* its owner is to connect again, with evidence of its unit */
	mk_uri_parse(mk_span(uri, strlen(uri)), &c->uri);
	return c;
}

void mk_conn_completed(void *cls, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode why)
{
	struct mk_conn *c = conn_of(mhd);
	(void)cls;
	(void)why;
	*request = NULL;
	if (!c)
		return;
	forget_request(c);
	mk_conn_enter(c, MK_AT_IDLE);
}

void mk_conn_resume(struct mk_conn *c)
{
	c->watch = mk_loop_del(c->watch);
	mk_conn_enter(c, MK_AT_HEAD);
	MHD_resume_connection(c->mhd);
	mk_timer_set(c->server->timer, 0); /* without a thread of its own libmicrohttpd wakes nobody */
}

void mk_conn_wake(struct mk_conn *c)
{
	struct mk_http *h = c->http;
	c->woken = true;
	c->woken_next = NULL;
	*(h->woken ? &h->woken_last->woken_next : &h->woken) = c;
	h->woken_last = c;
	if (!mk_timer_armed(h->wake))
		mk_timer_set(h->wake, 0);
}

void mk_conn_resume_woken(struct mk_http *h, unsigned most)
{
	for (; h->woken && most > 0; most--) {
		struct mk_conn *c = h->woken;
		h->woken = c->woken_next;
		c->woken = false;
		mk_conn_resume(c);
	}
}

void mk_conn_abandon(struct mk_conn *c)
{
	if (c->at == MK_AT_WAIT) {
		forget_request(c);
		if (!c->woken)
			mk_conn_resume(c); /* the handler sees that it is gone */
	}
	mk_stream_let_go(c->stream);
	mk_conn_end(c);
}

uint32_t mk_http_abort(struct mk_http *h, const struct mk_name *name)
{
	uint32_t n = 0;
	for (struct mk_conn *c = h->conns; c; c = c->next) {
		if (!c->carries || c->gone || !mk_name_eq(&c->uri.name, name))
			continue;
		mk_conn_end(c);
		n++;
	}
	return n;
}

static void on_hang_up(void *arg, uint32_t events)
{
	(void)events; /* EPOLLHUP or EPOLLERR: nothing else was asked for */
	mk_conn_abandon(arg);
}

enum MHD_Result mk_conn_suspend(struct mk_conn *c)
{
	c->watch = mk_loop_del(c->watch);
	if (mk_loop_add(mk_broker_loop(c->http->broker), c->fd, 0, on_hang_up, c, &c->watch) != MK_OK) {
		forget_request(c);
		return MHD_NO;
	}
	mk_conn_enter(c, MK_AT_WAIT);
	MHD_suspend_connection(c->mhd);
	return MHD_YES;
}

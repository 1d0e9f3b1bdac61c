/* SPDX-License-Identifier: Apache-2.0
 *
 * What a caller could press on: connections, descriptors, time. libmicrohttpd's own
 * timeout starts again with each byte; ours are deadlines. A first byte is noticed on
 * connections that were quiet for a sweep, by watching their descriptor, so that busy
 * ones pay nothing: a head that drips in ends at most its time, three sweeps and one more
 * byte after it began.
 */
#include "agent/broker/http_watch.h"

#include "agent/base/clock.h"
#include "mk/own.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RETRY_AFTER_S 1

/* Descriptors are given lowest first, so the highest one seen tells how many others there are. */
static void learn_others(struct mk_http *h, int fd)
{
	const uint32_t below = (uint32_t)fd + 1, ours = h->open + h->pidfds;
	if (below > ours && below - ours > h->fd_others)
		h->fd_others = below - ours;
}

static bool room(const struct mk_http *h, bool units, bool admin)
{
	return h->open + h->pidfds + units + h->fd_others + MK_FD_RESERVE + (admin ? 0 : MK_FD_ADMIN) < h->fd_limit;
}

bool mk_limits_room(const struct mk_server *s)
{
	return room(s->http, s->units, s->admin);
}

static enum mk_hint count_in(struct mk_http *h, const struct mk_evidence *e, bool admin, struct mk_uid **ret)
{
	const struct mk_conf_limits *limits = mk_broker_limits(h->broker);
	if (!admin && h->counted >= limits->connections) /* services cannot shut the security team out */
		return MK_HINT_FULL;
	struct mk_uid *u = mk_uids_enter(&h->uids, e->uid, e->known);
	if (!u)
		return MK_HINT_NO_MEMORY;
	if (u->connections > limits->connections_per_uid) {
		mk_uids_leave(&h->uids, u);
		return MK_HINT_CONNECTIONS;
	}
	h->counted += !admin;
	*ret = u;
	return MK_HINT_NONE;
}

enum mk_hint mk_limits_enter(struct mk_conn *c)
{
	learn_others(c->http, c->fd);
	return count_in(c->http, &c->caller.evidence, c->server->admin, &c->uid);
}

mk_must mk_http_guest_enter(struct mk_http *h, int fd, const struct mk_evidence *e, bool pidfd, struct mk_http_guest *ret)
{
	struct mk_http_guest g = { .pidfd = pidfd };
	h->open++;
	h->pidfds += pidfd;
	learn_others(h, fd);
	const enum mk_hint hint = room(h, false, false) ? count_in(h, e, false, &g.uid) : MK_HINT_FULL;
	if (hint != MK_HINT_NONE) {
		h->open--;
		h->pidfds -= pidfd;
		return mk_hint_err(hint);
	}
	*ret = g;
	return MK_OK;
}

void mk_http_guest_leave(struct mk_http *h, struct mk_http_guest *g)
{
	if (!g->uid)
		return;
	mk_uids_leave(&h->uids, g->uid);
	h->open--;
	h->counted--;
	h->pidfds -= g->pidfd;
	*g = (struct mk_http_guest){ NULL, false };
}

void mk_limits_leave(struct mk_conn *c)
{
	if (!c->uid)
		return;
	mk_uids_leave(&c->http->uids, c->uid);
	c->uid = NULL;
	c->http->counted -= !c->server->admin;
}

/* Nothing was written on this connection yet, so these bytes are an answer of their own. */
static void say(int fd, int status, const char *reason, struct mk_span body)
{
	char head[256];
	const int n = snprintf(head, sizeof head,
			       "HTTP/1.1 %d %s\r\nConnection: close\r\nRetry-After: %d\r\nCache-Control: no-store\r\n"
			       "%s%sContent-Length: %zu\r\n\r\n",
			       status, reason, RETRY_AFTER_S, body.n ? "Content-Type: " MK_PROBLEM_TYPE : "", body.n ? "\r\n" : "",
			       body.n);
	struct iovec parts[] = { { head, (size_t)n }, { (void *)(uintptr_t)body.p, body.n } };
	const struct msghdr m = { .msg_iov = parts, .msg_iovlen = MK_COUNT(parts) };
	if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		/* it may have left already */
	}
}

void mk_limits_refuse(int fd, enum mk_hint h)
{
	const int status = mk_err_http(mk_hint_err(h));
	say(fd, status, mk_http_reason(status), mk_problem_text(h));
	shutdown(fd, SHUT_RDWR);
}

static void on_first_byte(void *arg, uint32_t events)
{
	struct mk_conn *c = arg;
	(void)events;
	c->watch = mk_loop_del(c->watch);
	mk_conn_enter(c, MK_AT_HEAD);
}

static void watch_idle(struct mk_conn *c)
{
	mk_ignore(mk_loop_add(mk_broker_loop(c->http->broker), c->fd, EPOLLIN | EPOLLET, on_first_byte, c, &c->watch),
		  "the idle limit holds without it, and the next sweep tries again");
}

static void sweep_one(struct mk_conn *c, const struct mk_conf_limits *l, int64_t now)
{
	const int64_t age = now - c->since_ms;
	if (c->gone || c->at == MK_AT_WAIT) /* the gate bounds a wait */
		return;
	if (c->at == MK_AT_STREAM) {
		mk_stream_sweep(c->stream, l->write_timeout_ms, now);
		return;
	}
	if (c->at == MK_AT_IDLE && age < l->idle_timeout_ms) {
		if (!c->watch && age >= MK_SWEEP_MS)
			watch_idle(c);
		return;
	}
	if (c->at == MK_AT_HEAD && age < l->head_timeout_ms)
		return;
	if (c->at == MK_AT_WRITE && age < l->write_timeout_ms)
		return;
	if (c->at == MK_AT_HEAD && !c->route)
		say(c->fd, 408, "Request Timeout", mk_span(NULL, 0));
	mk_conn_end(c);
}

void mk_limits_sweep(struct mk_http *h)
{
	const struct mk_conf_limits *l = mk_broker_limits(h->broker);
	const int64_t now = mk_boot_ms();
	for (struct mk_conn *c = h->conns; c; c = c->next)
		sweep_one(c, l, now);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * One ask at a time, each read whole, decided by the gate, answered whole or not at all. Who sends
 * out of turn, or does not read, is cut off. The word of a connection is read before the gate decides:
 * whatever moves it from then on makes the answer's copy unusable.
 */
#include "agent/broker/client_conn.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/client_frame.h"
#include "agent/broker/now.h"
#include "mk/own.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PAGE_WAIT_MS 5000 /* for a supervisor that makes it */
#define RETRY_S      1

/* ---- sending ---- */

/* False: it does not read, or left. */
static bool send_with(const struct mk_client *c, struct mk_span frame, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec part = { (void *)(uintptr_t)frame.p, frame.n };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fd >= 0) {
		control.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
		m.msg_control = &control;
		m.msg_controllen = sizeof control.bytes;
	}
	return sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)frame.n;
}

static bool say(const struct mk_client *c, enum wire_type type, enum mk_err e, uint32_t retry_after_s)
{
	uint8_t buf[MK_CLIENT_PLAIN];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_client_write(&w, type, type == WIRE_CHANGED ? 0 : c->number, e, retry_after_s);
	return mk_wr_end(&w, &n) == MK_OK && send_with(c, mk_span(buf, n), -1);
}

/* ---- its end ---- */

/* The kernel counts what was sent and not read yet on the sender's side. */
static bool still_unread(struct mk_client *c)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t n = sizeof mem;
	if (!c->unread)
		return false;
	if (getsockopt(c->fd, SOL_SOCKET, SO_MEMINFO, mem, &n) == 0 && mem[SK_MEMINFO_WMEM_ALLOC] > 0)
		return true;
	c->unread = false;
	c->all->unread--;
	if (c->guest.uid)
		c->guest.uid->pages--;
	return false;
}

static void destroy(struct mk_client *c)
{
	struct mk_clients *cs = c->all;
	c->source = mk_loop_del(c->source);
	if (c->unread) {
		cs->unread--;
		c->guest.uid->pages--;
	}
	mk_close(c->fd);
	mk_http_guest_leave(cs->broker->http, &c->guest);
	mk_peer_done(&c->peer);
	*(c->prev ? &c->prev->next : &cs->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	cs->n--;
	free(c);
}

static void forget(struct mk_client *c)
{
	if (c->waiter.waiting)
		mk_waiter_cancel(c->all->broker, &c->waiter);
	c->all->woken -= c->woken;
	c->woken = false;
	if (c->entered)
		mk_page_leave(c->page);
	c->entered = false;
	c->page = NULL;
}

/* One whose page is unread goes on being counted: a descriptor in flight is still one when we have closed our end. */
void mk_client_end(struct mk_client *c)
{
	forget(c);
	if (c->at == MK_CLIENT_OVER || !still_unread(c)) {
		destroy(c);
		return;
	}
	c->at = MK_CLIENT_OVER;
	c->source = mk_loop_del(c->source);
	shutdown(c->fd, SHUT_RDWR);
}

static void refuse(struct mk_client *c, enum wire_type type, enum mk_err e)
{
	mk_gate_refused(c->all->broker, &c->caller, e);
	(void)say(c, type, e, 0);
	mk_client_end(c);
}

/* ---- hello ---- */

static bool room_for_page(struct mk_client *c)
{
	struct mk_clients *cs = c->all;
	const struct mk_uid *u = c->guest.uid;
	if (cs->unread < MK_CLIENT_UNREAD_MAX && u->pages < MK_CLIENT_UNREAD_PER_UID)
		return true;
	for (struct mk_client *o = cs->conns; o; o = o->next)
		(void)still_unread(o);
	return cs->unread < MK_CLIENT_UNREAD_MAX && u->pages < MK_CLIENT_UNREAD_PER_UID;
}

static bool say_hello(struct mk_client *c)
{
	uint8_t buf[MK_CLIENT_PLAIN];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_client_write_hello(&w, c->number, mk_broker_environment(c->all->broker));
	return mk_wr_end(&w, &n) == MK_OK && send_with(c, mk_span(buf, n), mk_page_fd(c->page));
}

void mk_client_greet(struct mk_client *c)
{
	if (!room_for_page(c)) {
		(void)say(c, WIRE_HELLO, MK_NOT_READY, RETRY_S);
		mk_client_end(c);
		return;
	}
	mk_page_enter(c->page); /* valid before anybody looks at it */
	c->entered = true;
	c->at = MK_CLIENT_OPEN;
	if (!say_hello(c)) {
		(void)say(c, WIRE_HELLO, MK_NOT_READY, RETRY_S);
		mk_client_end(c);
		return;
	}
	c->unread = true;
	c->all->unread++;
	c->guest.uid->pages++;
}

static void on_hello(struct mk_client *c)
{
	struct mk_broker *b = c->all->broker;
	const struct mk_service *s = mk_gate_who(b, &c->caller);
	if (!s) {
		refuse(c, WIRE_HELLO, mk_policy_wants_account(b->policy, &c->caller.evidence, &b->nobody) ? MK_UNAUTHENTICATED : MK_DENIED);
		return;
	}
	c->page = mk_pages_of(b->pages, &s->name);
	if (!c->page || c->all->draining) {
		(void)say(c, WIRE_HELLO, MK_NOT_READY, RETRY_S);
		mk_client_end(c);
		return;
	}
	c->at = MK_CLIENT_HELLO;
	if (mk_page_fd(c->page) >= 0)
		mk_client_greet(c);
}

/* ---- get ---- */

/* Never beyond what the gate would serve of it without another answer of the store. */
static int64_t good_until(const struct mk_broker *b, const struct mk_answer *a)
{
	const int64_t now = mk_boot_ms(), stale = a->fetched_ms + b->refresh.ttl_ms + b->refresh.serve_stale_ms;
	if (a->expires_ms == MK_TIME_NONE)
		return stale;
	const int64_t left = a->expires_ms - mk_now_ms(b);
	return left < stale - now ? now + left : stale;
}

static bool say_token(struct mk_client *c, const struct mk_page_word *word, struct mk_answer *a)
{
	const int64_t until = mk_page_keep(c->page, &c->name) ? good_until(c->all->broker, a) : 0;
	size_t n = 0;
	struct mk_wr w = mk_wr_of(mk_secret_buf(a->room), mk_secret_cap(a->room));
	mk_client_write_token(&w, c->number, word, until, a);
	if (mk_wr_end(&w, &n) != MK_OK)
		return say(c, WIRE_GET, MK_BUG, 0);
	mk_secret_set_len(a->room, n);
	return send_with(c, mk_secret_span(a->room), -1);
}

/* Now, or when it is woken. */
static void decide(struct mk_client *c)
{
	struct mk_broker *b = c->all->broker;
	const struct mk_ask ask = { .name = c->name, .waited = c->waited, .bare = true, .by_library = true };
	const struct mk_page_word word = mk_page_look(c->page, &c->name); /* before the decision */
	struct mk_answer a = { 0 };
	unsigned retry_after_s = 0;
	const enum mk_err e = mk_gate_get(b, &c->caller, &ask, &c->waiter, &a, &retry_after_s);
	if (e == MK_OK && c->waiter.waiting)
		return;
	c->at = MK_CLIENT_OPEN;
	c->waiter = (struct mk_waiter){ .woken = c->waiter.woken };
	c->waited = false;
	if (e == MK_RATE_LIMITED && retry_after_s == 0)
		retry_after_s = 1; /* not a rate, but too many that wait: soon */
	const bool sent = e == MK_OK ? say_token(c, &word, &a) : say(c, WIRE_GET, e, retry_after_s);
	mk_answer_done(&a);
	if (!sent)
		mk_client_end(c);
}

static void on_woken(struct mk_waiter *w)
{
	struct mk_client *c = (struct mk_client *)(void *)((char *)w - offsetof(struct mk_client, waiter));
	c->woken = true;
	c->waited = true;
	c->all->woken++;
	mk_timer_set(c->all->soon, 0);
}

void mk_client_go_on(struct mk_client *c)
{
	c->woken = false;
	c->all->woken--;
	if (mk_peer_alive(&c->peer, mk_broker_proc(c->all->broker)))
		decide(c);
	else
		refuse(c, WIRE_GET, MK_DENIED);
}

static void on_get(struct mk_client *c, const struct mk_client_ask *ask)
{
	c->at = MK_CLIENT_ASKED;
	c->name = ask->name;
	decide(c);
}

/* ---- watch ---- */

static void on_watch(struct mk_client *c)
{
	c->at = MK_CLIENT_WATCH;
	c->told = mk_page_moves(c->page);
	if (!say(c, WIRE_WATCH, MK_OK, 0))
		mk_client_end(c);
}

/* Where there is no room its reader is awake already. */
void mk_client_tell(struct mk_client *c)
{
	const uint64_t moves = mk_page_moves(c->page);
	if (c->told == moves)
		return;
	c->told = moves;
	if (!say(c, WIRE_CHANGED, MK_OK, 0) && errno != EAGAIN)
		mk_client_end(c);
}

/* ---- what comes ---- */

/* Is it this kind of ask's turn? */
static bool in_turn(const struct mk_client *c, enum wire_type type)
{
	if (c->at == MK_CLIENT_FRESH)
		return type == WIRE_HELLO;
	return c->at == MK_CLIENT_OPEN && type != WIRE_HELLO;
}

static void take(struct mk_client *c, struct mk_span frame)
{
	struct mk_client_ask ask;
	if (mk_client_ask_read(frame, &ask) != MK_OK || !in_turn(c, ask.type)) {
		mk_gate_refused(c->all->broker, &c->caller, MK_BAD_REQUEST);
		mk_client_end(c);
		return;
	}
	c->number = ask.number;
	(void)still_unread(c); /* before it is owed the next answer */
	if (!mk_peer_alive(&c->peer, mk_broker_proc(c->all->broker)))
		refuse(c, ask.type, MK_DENIED);
	else if (ask.type == WIRE_HELLO)
		on_hello(c);
	else if (ask.type == WIRE_GET)
		on_get(c, &ask);
	else
		on_watch(c);
}

static void on_event(void *arg, uint32_t events)
{
	struct mk_client *c = arg;
	uint8_t buf[WIRE_ASK_MAX];
	struct iovec part = { buf, sizeof buf };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	if (events & (EPOLLHUP | EPOLLERR)) { /* what it asked last is nobody's answer any more */
		mk_client_end(c);
		return;
	}
	const ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		mk_client_end(c);
	else /* descriptors that came along were dropped by the kernel, as there was no room for them */
		take(c, mk_span(buf, m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? 0 : (size_t)n));
}

/* ---- coming ---- */

/* One too many. Who has said hello already is told why; who has not only sees the end. */
static void turn_away(struct mk_client *c, enum mk_err e)
{
	uint8_t buf[WIRE_ASK_MAX];
	struct mk_client_ask ask;
	const ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
	mk_gate_refused(c->all->broker, &c->caller, e);
	if (n <= 0 || mk_client_ask_read(mk_span(buf, (size_t)n), &ask) != MK_OK || ask.type != WIRE_HELLO)
		return;
	c->number = ask.number;
	(void)say(c, WIRE_HELLO, e, RETRY_S);
}

mk_must mk_client_accept(struct mk_client_door *d, int fd)
{
	struct mk_clients *cs = d->all;
	struct mk_client *c = calloc(1, sizeof *c);
	if (!c) {
		mk_close(fd);
		return MK_NO_MEMORY;
	}
	*c = (struct mk_client){ .all = cs, .next = cs->conns, .door = d, .fd = fd, .caller.service = MK_NO_SERVICE, .peer = MK_PEER_NONE,
				 .since_ms = mk_boot_ms(), .waiter.woken = on_woken };
	if (c->next)
		c->next->prev = c;
	cs->conns = c;
	cs->n++;
	mk_evidence_take(fd, &d->name, &c->caller.evidence);
	if (d->units)
		mk_peer_take(fd, mk_broker_proc(cs->broker), &c->caller.evidence, &c->peer);
	enum mk_err e = mk_http_guest_enter(cs->broker->http, fd, &c->caller.evidence, c->peer.pidfd >= 0, &c->guest);
	if (e != MK_OK)
		turn_away(c, e);
	else
		e = mk_loop_add(mk_broker_loop(cs->broker), fd, EPOLLIN, on_event, c, &c->source);
	if (e != MK_OK)
		destroy(c);
	else if (!mk_timer_armed(cs->sweep))
		mk_timer_set(cs->sweep, MK_CLIENT_SWEEP_MS);
	return e;
}

/* ---- time, and another policy ---- */

void mk_client_sweep(struct mk_client *c, int64_t now)
{
	const int64_t age = now - c->since_ms;
	const bool unread = still_unread(c);
	if (c->at == MK_CLIENT_OVER && !unread) {
		destroy(c);
	} else if (c->at == MK_CLIENT_HELLO && age >= PAGE_WAIT_MS) {
		(void)say(c, WIRE_HELLO, MK_NOT_READY, RETRY_S);
		mk_client_end(c);
	} else if (c->at == MK_CLIENT_FRESH && age >= mk_broker_limits(c->all->broker)->head_timeout_ms) {
		mk_client_end(c);
	}
}

void mk_client_recheck(struct mk_client *c)
{
	struct mk_broker *b = c->all->broker;
	c->caller.generation = 0;
	if (c->at == MK_CLIENT_OVER)
		return;
	const struct mk_service *s = mk_gate_who(b, &c->caller);
	const bool unseen = c->door && c->door->units && !c->peer.wanted; /* its owner is to connect again, with evidence of its unit */
	if (!c->door || unseen || (c->page && (!s || !mk_word_eq(&s->name, mk_page_service(c->page)))))
		mk_client_end(c);
}

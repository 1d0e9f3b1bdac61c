/* SPDX-License-Identifier: Apache-2.0
 *
 * One small record per peer: accepted, judged at once by its address, answered by the
 * gate, closed. An answer goes out in one piece or not at all, as half a token would be
 * taken for a whole one. At most ASKS_MAX at a time; the others wait to be accepted.
 */
#include "agent/broker/credential.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/evidence.h"
#include "mk/own.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASKS_MAX 64u
#define ASK_MS   30000 /* a fetch takes less; then the answer is empty */
#define PAUSE_MS 100   /* out of descriptors */

struct ask {
	struct mk_credentials *all;
	struct ask *prev, *next;
	int fd;
	int64_t until_ms;         /* boot clock */
	struct mk_timer *timer;   /* its turn after a fetch, or its end */
	struct mk_source *watch;  /* for a peer that leaves */
	struct mk_caller caller;
	struct mk_name name;
	struct mk_waiter waiter;
	bool woken;
};

struct mk_credentials {
	struct mk_broker *broker;
	int fd; /* -1: none */
	ino_t inode;
	struct mk_source *source;
	struct mk_timer *pause;
	struct ask *asks;
	unsigned n;
};

static void listen_again(struct mk_credentials *c)
{
	if (c->source && c->n < ASKS_MAX)
		mk_ignore(mk_loop_mod(c->source, EPOLLIN), "a descriptor that is watched already");
}

static void on_pause(void *arg)
{
	listen_again(arg);
}

static void end(struct ask *a)
{
	struct mk_credentials *c = a->all;
	if (a->waiter.waiting)
		mk_waiter_cancel(c->broker, &a->waiter);
	mk_loop_del(a->watch);
	mk_timer_free(a->timer);
	mk_close(a->fd);
	*(a->prev ? &a->prev->next : &c->asks) = a->next;
	if (a->next)
		a->next->prev = a->prev;
	c->n--;
	free(a);
	listen_again(c);
}

/* The buffer of a socket that nothing was written to holds any token. */
static void send_whole(const struct ask *a, struct mk_span token)
{
	const ssize_t n = send(a->fd, token.p, token.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n != (ssize_t)token.n)
		mk_log(MK_WARN, "credential_not_sent", MK_KV_S("unit", a->caller.evidence.unit), MK_KV_S("connection", a->name.s));
}

static void serve(struct ask *a)
{
	const struct mk_ask ask = { .name = a->name, .waited = a->woken, .bare = true };
	struct mk_answer answer = { 0 };
	unsigned retry_after_s = 0;
	a->woken = false;
	const enum mk_err e = mk_gate_get(a->all->broker, &a->caller, &ask, &a->waiter, &answer, &retry_after_s);
	if (e == MK_OK && a->waiter.waiting) {
		const int64_t left = a->until_ms - mk_boot_ms();
		mk_timer_set(a->timer, left > 0 ? left : 0);
		return;
	}
	if (e == MK_OK)
		send_whole(a, answer.token);
	else
		mk_log(MK_WARN, "credential_empty", MK_KV_S("unit", a->caller.evidence.unit), MK_KV_S("connection", a->name.s),
		       MK_KV_S("err", mk_err_word(e)));
	mk_answer_done(&answer);
	end(a);
}

static void on_timer(void *arg)
{
	struct ask *a = arg;
	if (a->woken && mk_boot_ms() < a->until_ms) {
		serve(a);
		return;
	}
	mk_log(MK_WARN, "credential_empty", MK_KV_S("unit", a->caller.evidence.unit), MK_KV_S("connection", a->name.s),
	       MK_KV_S("err", mk_err_word(MK_TIMEOUT)));
	end(a);
}

/* From the loop, while the gate is at work: the answer has its turn later. */
static void on_woken(struct mk_waiter *w)
{
	struct ask *a = (struct ask *)(void *)((char *)w - offsetof(struct ask, waiter));
	a->woken = true;
	mk_timer_set(a->timer, 0);
}

static void on_hang_up(void *arg, uint32_t events)
{
	(void)events; /* EPOLLHUP or EPOLLERR: nothing else was asked for */
	end(arg);
}

static mk_must hook_up(struct ask *a)
{
	struct mk_loop *l = mk_broker_loop(a->all->broker);
	a->until_ms = mk_boot_ms() + ASK_MS;
	MK_TRY(mk_timer_new(l, on_timer, a, &a->timer));
	return mk_loop_add(l, a->fd, 0, on_hang_up, a, &a->watch);
}

/* Who it is and what it wants, all from the kernel; a refusal is recorded. */
static mk_must judge(struct ask *a)
{
	static const struct mk_word listener = { MK_CREDENTIAL_LISTENER };
	char id[MK_CREDENTIAL_ID_MAX + 1] = "";
	a->caller.service = MK_NO_SERVICE;
	mk_evidence_take(a->fd, &listener, &a->caller.evidence);
	enum mk_err e = mk_evidence_vouched(a->fd, &a->caller.evidence, id);
	if (e == MK_OK)
		e = mk_name_of(mk_span_of(id), &a->name);
	if (e != MK_OK)
		mk_gate_refused(a->all->broker, &a->caller, e);
	return e;
}

static void accepted(struct mk_credentials *c, int fd)
{
	struct ask *a = calloc(1, sizeof *a);
	if (!a) {
		mk_close(fd);
		return;
	}
	*a = (struct ask){ .all = c, .next = c->asks, .fd = fd, .waiter.woken = on_woken };
	if (a->next)
		a->next->prev = a;
	c->asks = a;
	if (++c->n == ASKS_MAX)
		mk_ignore(mk_loop_mod(c->source, 0), "it is watched, and so stays");
	if (judge(a) == MK_OK && hook_up(a) == MK_OK)
		serve(a);
	else
		end(a);
}

static void on_ready(void *arg, uint32_t events)
{
	struct mk_credentials *c = arg;
	(void)events;
	const int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		accepted(c, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		mk_ignore(mk_loop_mod(c->source, 0), "it is watched, and so stays");
		mk_timer_set(c->pause, PAUSE_MS);
	}
}

mk_must mk_credentials_new(struct mk_broker *b, struct mk_credentials **ret)
{
	struct mk_credentials *c = calloc(1, sizeof *c);
	if (!c)
		return MK_NO_MEMORY;
	*c = (struct mk_credentials){ .broker = b, .fd = -1 };
	const enum mk_err e = mk_timer_new(mk_broker_loop(b), on_pause, c, &c->pause);
	if (e != MK_OK) {
		free(c);
		return e;
	}
	*ret = c;
	return MK_OK;
}

struct mk_credentials *mk_credentials_free(struct mk_credentials *c)
{
	if (!c)
		return NULL;
	mk_credentials_leave(c);
	while (c->asks)
		end(c->asks);
	mk_timer_free(c->pause);
	free(c);
	return NULL;
}

mk_must mk_credentials_listen(struct mk_credentials *c, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || (c->fd >= 0 && st.st_ino == c->inode)) {
		mk_close(fd);
		return c->fd >= 0 ? MK_OK : MK_SYSTEM;
	}
	struct mk_source *source = NULL;
	const enum mk_err e = mk_loop_add(mk_broker_loop(c->broker), fd, EPOLLIN, on_ready, c, &source);
	if (e != MK_OK) {
		mk_close(fd);
		return e;
	}
	mk_credentials_leave(c);
	c->fd = fd;
	c->inode = st.st_ino;
	c->source = source;
	return MK_OK;
}

void mk_credentials_leave(struct mk_credentials *c)
{
	c->source = mk_loop_del(c->source);
	mk_closep(&c->fd);
	mk_timer_set(c->pause, -1);
}

bool mk_credentials_idle(const struct mk_credentials *c)
{
	return c->n == 0;
}

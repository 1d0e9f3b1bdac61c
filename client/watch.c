/* SPDX-License-Identifier: Apache-2.0
 *
 * Being told. The caller gets an epoll descriptor, which stays the same while connections come and go in it: the
 * second connection, on which the broker says that some word has moved on, and a timer. Nothing here blocks: hello, watch and
 * what follows are steps, each taken when its packet is there. Which names changed is not said by anybody; it is seen in the page, and
 * so nothing is missed that happened before the connection stood.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/link.h"
#include "client/page.h"
#include "client/table.h"

#define RETRY_S         1  /* between tries to connect again */
#define RETRY_REFUSED_S 30 /* after an answer that a second try will not change */
#define AT_ONCE         1  /* ns of CLOCK_MONOTONIC: in the past */

static int add(const struct watch *w, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : MAKINI_ENOMEM;
}

/* Makes the descriptor readable from then on; 0: not by itself. */
static void set_timer(struct watch *w, int64_t at)
{
	const struct itimerspec when = { .it_value = { .tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S } };
	if (w->timer_at == at)
		return;
	timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &when, NULL);
	w->timer_at = at;
}

static int make(struct watch *w)
{
	if (w->epoll >= 0)
		return 0;
	w->epoll = link_above_two(epoll_create1(EPOLL_CLOEXEC));
	w->timer = link_above_two(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (w->epoll >= 0 && w->timer >= 0 && add(w, w->timer) == 0)
		return 0;
	link_close(&w->timer);
	link_close(&w->epoll);
	return MAKINI_ENOMEM;
}

/* Every end of the second connection. Where one stood, the agent left, and all that was learned under it counts no more. */
static int broken(makini *m, int rc)
{
	struct watch *w = &m->watch;
	const bool refused = rc == MAKINI_EDENIED || rc == MAKINI_EUNAUTHENTICATED || rc == MAKINI_EPROTOCOL;
	if (w->state == WATCH_ON)
		page_leave(m);
	if (w->fd >= 0)
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->fd, NULL); /* a child of fork may hold the connection, so that to close it would not do */
	link_end(&w->fd);
	w->state = WATCH_OFF;
	w->retry_at = w->tried_at + (int64_t)(refused ? RETRY_REFUSED_S : RETRY_S) * NS_PER_S;
	return rc == LINK_LOST || rc == MAKINI_ETIMEOUT ? MAKINI_EAGENT : rc;
}

static int send_next(struct watch *w, enum wire_type type, enum watch_state then)
{
	w->state = then;
	return link_send(w->fd, type, ++w->number, NULL);
}

static int connect_again(makini *m)
{
	struct watch *w = &m->watch;
	w->tried_at = monotonic_ns();
	int rc = link_connect(&m->at, 0, &w->fd);
	if (rc == 0)
		rc = add(w, w->fd);
	return rc == 0 ? send_next(w, WIRE_HELLO, WATCH_GREETED) : rc;
}

/* A packet, by what is waited for. */
static int on_packet(makini *m, struct packet *in)
{
	static const enum wire_type types[] = { [WATCH_GREETED] = WIRE_HELLO, [WATCH_ASKED] = WIRE_WATCH, [WATCH_ON] = WIRE_CHANGED };
	struct watch *w = &m->watch;
	struct answer a;
	uint64_t generation;
	int rc = frame_answer(in->bytes, types[w->state], w->state == WATCH_ON ? 0 : w->number, &a);
	if (rc == 0 && (in->fd >= 0) != (w->state == WATCH_GREETED && a.status == 0))
		rc = MAKINI_EPROTOCOL;
	if (rc == 0)
		rc = a.status;
	if (rc != 0 || w->state != WATCH_GREETED) {
		link_close(&in->fd);
		w->state = rc == 0 ? WATCH_ON : w->state;
		return rc;
	}
	rc = page_adopt(m, in->fd, a.words, &generation);
	return rc == 0 ? send_next(w, WIRE_WATCH, WATCH_ASKED) : rc;
}

/* 1: there may be more to do; 0: wait for the descriptor; or a failure. */
static int step(makini *m)
{
	struct watch *w = &m->watch;
	struct packet in;
	int rc;
	if (w->state == WATCH_OFF && monotonic_ns() < w->retry_at)
		return 0;
	if (w->state == WATCH_OFF) {
		rc = connect_again(m);
	} else {
		rc = link_receive(w->fd, m->g->heard, sizeof m->g->heard, &in);
		if (rc == LINK_NOTHING)
			return 0;
		if (rc == 0)
			rc = on_packet(m, &in);
	}
	return rc == 0 ? 1 : broken(m, rc);
}

/* Names one that changed, whose token is wiped with it. */
static int name_one(makini *m, char *name)
{
	pthread_mutex_lock(&m->g->lock);
	struct copy *c = table_changed(m);
	if (c) {
		table_drop(m, c);
		c->told = true;
		memcpy(name, c->name, sizeof c->name);
	}
	pthread_mutex_unlock(&m->g->lock);
	return c ? 1 : 0;
}

static int steps(makini *m)
{
	int rc;
	while ((rc = step(m)) > 0)
		;
	return rc;
}

static int next(makini *m, char *name)
{
	int rc = make(&m->watch);
	if (rc == 0)
		rc = name_one(m, name);
	if (rc == 0)
		rc = steps(m);
	return rc == 0 ? name_one(m, name) : rc;
}

/* Readable while there may be more to tell, and when it is time to connect again. */
static void set_alarm(struct watch *w, bool more)
{
	if (w->timer < 0)
		return;
	if (more)
		set_timer(w, AT_ONCE);
	else
		set_timer(w, w->state == WATCH_OFF ? w->retry_at : 0);
}

int makini_watch_fd(makini *m)
{
	if (!m)
		return MAKINI_EINVAL;
	if (!is_ours(m))
		return MAKINI_EFORK;
	pthread_mutex_lock(&m->g->watching);
	const bool made = m->watch.epoll >= 0;
	int rc = make(&m->watch);
	if (rc == 0 && !made)
		set_alarm(&m->watch, steps(m) != 0); /* a failure is told by makini_watch_next, when it meets it again */
	if (rc == 0)
		rc = m->watch.epoll;
	pthread_mutex_unlock(&m->g->watching);
	return rc;
}

int makini_watch_next(makini *m, char name[MAKINI_NAME_MAX + 1])
{
	if (!m || !name)
		return MAKINI_EINVAL;
	if (!is_ours(m))
		return MAKINI_EFORK;
	pthread_mutex_lock(&m->g->watching);
	const int rc = next(m, name);
	set_alarm(&m->watch, rc == 1);
	pthread_mutex_unlock(&m->g->watching);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The sockets and the life of all connections. Those that were woken, or are to be told that words
 * moved, have their turn from a timer, never from within what woke them.
 */
#include "agent/broker/client_conn.h"

#include "agent/base/clock.h"
#include "agent/broker/core.h"
#include "mk/own.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ACCEPTS_A_TURN 16u
#define WAKES_A_TURN   64u
#define PAUSE_MS       100 /* out of descriptors */

/* ---- sockets ---- */

static void on_pause(void *arg)
{
	struct mk_client_door *d = arg;
	mk_ignore(mk_loop_mod(d->source, EPOLLIN), "a descriptor that is watched already");
}

static void pause_it(struct mk_client_door *d)
{
	mk_ignore(mk_loop_mod(d->source, 0), "it is watched, and so stays");
	mk_timer_set(d->pause, PAUSE_MS);
}

static void on_ready(void *arg, uint32_t events)
{
	struct mk_client_door *d = arg;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
		const int fd = accept4(d->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				pause_it(d);
			return;
		}
		mk_ignore(mk_client_accept(d, fd), "it is closed, and recorded where a limit was reached");
	}
}

static void door_free(struct mk_clients *cs, struct mk_client_door *d)
{
	struct mk_client_door **at = &cs->doors;
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	for (struct mk_client *c = cs->conns; c; c = c->next)
		if (c->door == d)
			c->door = NULL;
	mk_loop_del(d->source);
	mk_timer_free(d->pause);
	mk_close(d->fd);
	free(d);
}

static struct mk_client_door *door_of(const struct mk_clients *cs, const struct mk_word *name)
{
	struct mk_client_door *d = cs->doors;
	while (d && !mk_word_eq(&d->name, name))
		d = d->next;
	return d;
}

static mk_must door_new(struct mk_clients *cs, const struct mk_word *name, int fd, ino_t inode)
{
	struct mk_loop *l = mk_broker_loop(cs->broker);
	struct mk_client_door *d = calloc(1, sizeof *d);
	if (!d) {
		mk_close(fd);
		return MK_NO_MEMORY;
	}
	*d = (struct mk_client_door){ .next = cs->doors, .all = cs, .name = *name, .fd = fd, .inode = inode };
	cs->doors = d;
	enum mk_err e = mk_timer_new(l, on_pause, d, &d->pause);
	if (e == MK_OK)
		e = mk_loop_add(l, fd, EPOLLIN, on_ready, d, &d->source);
	if (e != MK_OK)
		door_free(cs, d);
	return e;
}

/* The connections of the socket before it go on: who they are has not changed. */
static void move_in(struct mk_clients *cs, struct mk_client_door *old)
{
	struct mk_client_door *d = cs->doors;
	d->units = old->units;
	for (struct mk_client *c = cs->conns; c; c = c->next)
		if (c->door == old)
			c->door = d;
	door_free(cs, old);
}

mk_must mk_clients_listen(struct mk_clients *cs, const struct mk_word *name, int fd)
{
	struct stat st;
	struct mk_client_door *old = door_of(cs, name);
	if (fstat(fd, &st) < 0 || (old && old->inode == st.st_ino)) {
		mk_close(fd);
		return old ? MK_OK : MK_SYSTEM;
	}
	MK_TRY(door_new(cs, name, fd, st.st_ino));
	if (old)
		move_in(cs, old);
	return MK_OK;
}

static bool named(const struct mk_client_door *d, const struct mk_word *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (mk_word_eq(&d->name, &names[i]))
			return true;
	return false;
}

void mk_clients_keep(struct mk_clients *cs, const struct mk_word *names, size_t n)
{
	for (struct mk_client_door *d = cs->doors, *next; d; d = next) {
		next = d->next;
		if (!named(d, names, n))
			door_free(cs, d); /* its connections end when they are looked at again */
	}
}

void mk_clients_reconfigured(struct mk_clients *cs)
{
	for (struct mk_client_door *d = cs->doors; d; d = d->next)
		d->units = mk_http_told_by_unit(cs->broker, &d->name);
	for (struct mk_client *c = cs->conns, *next; c; c = next) {
		next = c->next;
		mk_client_recheck(c);
	}
}

/* ---- turns ---- */

void mk_clients_page_came(struct mk_clients *cs, struct mk_page *p)
{
	for (struct mk_client *c = cs ? cs->conns : NULL, *next; c; c = next) {
		next = c->next;
		if (c->at == MK_CLIENT_HELLO && c->page == p)
			mk_client_greet(c);
	}
}

void mk_clients_moved(struct mk_clients *cs)
{
	if (cs && cs->n > 0)
		mk_timer_set(cs->soon, 0);
}

static void on_soon(void *arg)
{
	struct mk_clients *cs = arg;
	unsigned left = WAKES_A_TURN;
	for (struct mk_client *c = cs->conns, *next; c; c = next) {
		next = c->next;
		if (c->woken && left > 0) {
			left--;
			mk_client_go_on(c);
		} else if (c->at == MK_CLIENT_WATCH) {
			mk_client_tell(c);
		}
	}
	if (cs->woken > 0)
		mk_timer_set(cs->soon, 0);
}

static void on_sweep(void *arg)
{
	struct mk_clients *cs = arg;
	const int64_t now = mk_boot_ms();
	for (struct mk_client *c = cs->conns, *next; c; c = next) {
		next = c->next;
		mk_client_sweep(c, now);
	}
	if (cs->n > 0)
		mk_timer_set(cs->sweep, MK_CLIENT_SWEEP_MS);
}

/* ---- life ---- */

mk_must mk_clients_new(struct mk_broker *b, struct mk_clients **ret)
{
	struct mk_clients *cs = calloc(1, sizeof *cs);
	if (!cs)
		return MK_NO_MEMORY;
	cs->broker = b;
	enum mk_err e = mk_timer_new(mk_broker_loop(b), on_sweep, cs, &cs->sweep);
	if (e == MK_OK)
		e = mk_timer_new(mk_broker_loop(b), on_soon, cs, &cs->soon);
	if (e != MK_OK) {
		mk_clients_free(cs);
		return e;
	}
	*ret = cs;
	return MK_OK;
}

static void end_all(struct mk_clients *cs, bool also_waiting)
{
	for (struct mk_client *c = cs->conns, *next; c; c = next) {
		next = c->next;
		if (c->at != MK_CLIENT_ASKED || also_waiting)
			mk_client_end(c); /* twice, where one is over: then it goes */
	}
}

struct mk_clients *mk_clients_free(struct mk_clients *cs)
{
	if (!cs)
		return NULL;
	while (cs->doors)
		door_free(cs, cs->doors);
	while (cs->conns)
		end_all(cs, true);
	mk_timer_free(cs->sweep);
	mk_timer_free(cs->soon);
	free(cs);
	return NULL;
}

bool mk_clients_drain(struct mk_clients *cs)
{
	if (!cs)
		return true;
	cs->draining = true;
	while (cs->doors)
		door_free(cs, cs->doors);
	end_all(cs, false);
	for (const struct mk_client *c = cs->conns; c; c = c->next)
		if (c->at == MK_CLIENT_ASKED)
			return false;
	return true;
}

uint32_t mk_clients_count(const struct mk_clients *cs)
{
	return cs ? cs->n : 0;
}

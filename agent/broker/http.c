/* SPDX-License-Identifier: Apache-2.0
 *
 * The set of listeners through configurations: those that stay keep their connections,
 * those that go close theirs. Servers are freed only here, never from within a callback
 * of libmicrohttpd.
 */
#include "agent/broker/http.h"

#include "agent/broker/http_watch.h"
#include "mk/own.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define WAKE_MOST       4  /* a round: so many answers take locked memory at the same time */
#define FD_OTHERS_LEAST 16 /* what the broker has open before its first caller, until more is seen */

static void free_left(struct mk_http *h)
{
	struct mk_server **at = &h->servers;
	while (*at) {
		struct mk_server *s = *at;
		if (s->leaving && s->connections == 0) {
			*at = s->next;
			mk_server_free(s);
		} else {
			at = &s->next;
		}
	}
}

static bool any_leaving(const struct mk_http *h)
{
	const struct mk_server *s = h->servers;
	while (s && !s->leaving)
		s = s->next;
	return s != NULL;
}

static void on_sweep(void *arg)
{
	struct mk_http *h = arg;
	mk_limits_sweep(h);
	for (struct mk_server *s = h->servers; s; s = s->next)
		mk_server_run(s); /* one that ran out of descriptors listens again only when it runs */
	free_left(h);
	if (h->open > 0 || any_leaving(h))
		mk_timer_set(h->sweep, MK_SWEEP_MS);
}

static void on_wake(void *arg)
{
	struct mk_http *h = arg;
	mk_conn_resume_woken(h, WAKE_MOST);
	if (mk_streams_resume(h) || h->woken)
		mk_timer_set(h->wake, 0);
}

mk_must mk_http_new(struct mk_broker *b, struct mk_http **ret)
{
	struct rlimit l;
	struct mk_http *h = calloc(1, sizeof *h);
	if (!h)
		return MK_NO_MEMORY;
	h->broker = b;
	h->fd_limit = getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < INT32_MAX ? (uint32_t)l.rlim_cur : INT32_MAX;
	h->fd_others = FD_OTHERS_LEAST;
	enum mk_err e = mk_timer_new(mk_broker_loop(b), on_sweep, h, &h->sweep);
	if (e == MK_OK)
		e = mk_timer_new(mk_broker_loop(b), on_wake, h, &h->wake);
	if (e != MK_OK) {
		mk_http_free(h);
		return e;
	}
	*ret = h;
	return MK_OK;
}

struct mk_http *mk_http_free(struct mk_http *h)
{
	if (!h)
		return NULL;
	while (h->servers) {
		struct mk_server *s = h->servers;
		h->servers = s->next;
		mk_server_free(s);
	}
	mk_timer_free(h->sweep);
	mk_timer_free(h->wake);
	free(h);
	return NULL;
}

static struct mk_server *listening(struct mk_http *h, const struct mk_word *name)
{
	struct mk_server *s = h->servers;
	while (s && (s->leaving || !mk_word_eq(&s->name, name)))
		s = s->next;
	return s;
}

/* The same socket comes again with each reload; only another one needs another daemon. */
mk_must mk_http_listen(struct mk_http *h, const struct mk_word *name, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		mk_close(fd);
		return MK_SYSTEM;
	}
	struct mk_server *old = listening(h, name), *s = NULL;
	if (old && old->inode == st.st_ino) {
		mk_close(fd);
		return MK_OK;
	}
	MK_TRY(mk_server_new(h, name, fd, st.st_ino, &s));
	s->next = h->servers;
	h->servers = s;
	if (old)
		mk_server_leave(old);
	if (!mk_timer_armed(h->sweep))
		mk_timer_set(h->sweep, MK_SWEEP_MS);
	return MK_OK;
}

static bool named(const struct mk_server *s, const struct mk_word *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (mk_word_eq(&s->name, &names[i]))
			return true;
	return false;
}

void mk_http_keep(struct mk_http *h, const struct mk_word *names, size_t n)
{
	for (struct mk_server *s = h->servers; s; s = s->next)
		if (!named(s, names, n))
			mk_server_leave(s);
	for (struct mk_conn *c = h->conns; c; c = c->next)
		if (!named(c->server, names, n))
			mk_conn_abandon(c);
	if (!mk_timer_armed(h->sweep))
		mk_timer_set(h->sweep, MK_SWEEP_MS);
}

bool mk_http_told_by_unit(const struct mk_broker *b, const struct mk_word *listener)
{
	const struct mk_policy *p = mk_gate_policy(b);
	for (size_t i = 0; p && i < mk_policy_services(p); i++) {
		const struct mk_identity *id = &mk_policy_service(p, (uint32_t)i)->identity;
		if ((id->set & MK_EVIDENCE_UNIT) && mk_word_eq(&id->socket, listener))
			return true;
	}
	return false;
}

void mk_http_reconfigured(struct mk_http *h)
{
	for (struct mk_server *s = h->servers; s; s = s->next)
		s->units = mk_http_told_by_unit(h->broker, &s->name);
	for (struct mk_conn *c = h->conns; c; c = c->next) {
		c->caller.generation = 0;
		if (c->stream)
			mk_stream_recheck(c->stream);
		/* Evidence is taken at accept alone: where it was not looked for, its owner is to connect again. */
		if (c->server->units && !c->peer.wanted && !c->gone && c->at == MK_AT_IDLE)
			mk_conn_end(c);
	}
}

/* What was sent before the listeners closed is read and answered; then quiet connections end. */
static void begin_drain(struct mk_http *h)
{
	h->draining = true;
	for (struct mk_server *s = h->servers; s; s = s->next) {
		mk_server_leave(s);
		mk_server_run(s);
	}
	for (struct mk_conn *c = h->conns; c; c = c->next)
		if (c->stream)
			mk_stream_end(c->stream);
}

bool mk_http_drain(struct mk_http *h)
{
	bool busy = false;
	if (!h->draining)
		begin_drain(h);
	for (struct mk_conn *c = h->conns; c; c = c->next) {
		busy = busy || mk_conn_busy(c);
		if (!c->gone && c->at == MK_AT_IDLE)
			mk_conn_end(c);
	}
	return !busy;
}

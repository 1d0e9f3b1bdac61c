/* SPDX-License-Identifier: Apache-2.0
 *
 * One libmicrohttpd daemon on one listening socket, its epoll descriptor nested in the
 * broker's loop. The daemon runs when that descriptor is readable or when it asks to run
 * again; it has no thread, no timeout and no log of its own. The listening socket is
 * shared with the supervisor, so it is never shut down: the daemon gives it back first.
 */
#include "agent/broker/http_conn.h"

#include "mk/own.h"

#include <stdlib.h>
#include <sys/epoll.h>

#define PAUSE_MS   100            /* after a run that a full table of descriptors made vain */
#define LAST_RUNS  8              /* until all connections of a daemon that ends are closed */

static void silent(void *cls, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void silent(void *cls, const char *format, va_list args)
{
	(void)cls;
	(void)format;
	(void)args;
}

static _Noreturn void panic(void *cls, const char *file, unsigned line, const char *reason)
{
	(void)cls;
	(void)reason;
	mk_assert_fail("libmicrohttpd", file, (int)line);
}

/* The raw target was read already; what libmicrohttpd makes of it is not looked at. */
static size_t unescape(void *cls, struct MHD_Connection *mhd, char *s)
{
	(void)cls;
	(void)mhd;
	return strlen(s);
}

/* Not MHD_OPTION_STRICT_FOR_CLIENT: all that it adds is refused by us, and in its own answers 0.9.75 sends the head twice. */
static struct MHD_Daemon *start(struct mk_server *s, int fd)
{
	MHD_set_panic_func(panic, NULL);
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, mk_conn_admit, s, mk_route_handle, s,
				MHD_OPTION_EXTERNAL_LOGGER, silent, NULL,
				MHD_OPTION_LISTEN_SOCKET, fd,
				MHD_OPTION_CONNECTION_LIMIT, s->http->fd_limit,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MK_POOL_BYTES,
				MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
				MHD_OPTION_URI_LOG_CALLBACK, mk_conn_request, s,
				MHD_OPTION_NOTIFY_CONNECTION, mk_conn_notify, s,
				MHD_OPTION_NOTIFY_COMPLETED, mk_conn_completed, s,
				MHD_OPTION_END);
}

/* Out of descriptors, a listener stays readable and no accept succeeds: leave it alone for a while. */
static void pause_it(struct mk_server *s)
{
	s->paused = mk_loop_mod(s->source, 0) == MK_OK;
	mk_timer_set(s->timer, PAUSE_MS);
}

static void run_once(struct mk_server *s)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	MHD_run(s->daemon);
	if (mk_turn_decide(s)) {
		MHD_run(s->daemon); /* takes the answers … */
		MHD_run(s->daemon); /* … and sends them */
	}
	if (mk_turn_due(s))
		mk_timer_set(s->timer, 0);
	else if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
		mk_timer_set(s->timer, (int64_t)(ms < INT32_MAX ? ms : INT32_MAX));
	else if (mk_timer_armed(s->timer))
		mk_timer_set(s->timer, -1);
}

void mk_server_run(struct mk_server *s)
{
	if (s->paused)
		return; /* its timer ends that */
	run_once(s);
	if (s->leaving && s->connections == 0 && !mk_timer_armed(s->http->sweep))
		mk_timer_set(s->http->sweep, 0); /* which frees it */
}

static void on_ready(void *arg, uint32_t events)
{
	struct mk_server *s = arg;
	const uint64_t tried = s->tried;
	const bool empty = s->connections == 0;
	(void)events;
	mk_server_run(s);
	if (empty && s->connections == 0 && s->tried == tried && !s->leaving)
		pause_it(s);
}

static void on_timer(void *arg)
{
	struct mk_server *s = arg;
	if (s->paused)
		s->paused = mk_loop_mod(s->source, EPOLLIN) != MK_OK;
	if (s->paused)
		mk_timer_set(s->timer, PAUSE_MS);
	mk_server_run(s);
}

static mk_must hook_up(struct mk_server *s)
{
	struct mk_loop *l = mk_broker_loop(s->http->broker);
	const union MHD_DaemonInfo *i = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!i)
		return MK_SYSTEM;
	MK_TRY(mk_timer_new(l, on_timer, s, &s->timer));
	MK_TRY(mk_loop_add(l, i->epoll_fd, EPOLLIN, on_ready, s, &s->source));
	mk_timer_set(s->timer, 0); /* the first run puts the listener into the daemon's epoll */
	return MK_OK;
}

mk_must mk_server_new(struct mk_http *h, const struct mk_word *name, int fd, ino_t inode, struct mk_server **ret)
{
	struct mk_server *s = calloc(1, sizeof *s);
	if (!s) {
		mk_close(fd);
		return MK_NO_MEMORY;
	}
	*s = (struct mk_server){ .http = h, .name = *name, .inode = inode, .admin = strcmp(name->s, "admin") == 0 };
	s->daemon = start(s, fd);
	if (!s->daemon) {
		mk_close(fd);
		free(s);
		return MK_SYSTEM;
	}
	const enum mk_err e = hook_up(s);
	if (e != MK_OK) {
		mk_server_free(s);
		return e;
	}
	*ret = s;
	return MK_OK;
}

void mk_server_leave(struct mk_server *s)
{
	if (s->leaving)
		return;
	s->leaving = true;
	mk_close(MHD_quiesce_daemon(s->daemon));
	if (s->paused)
		on_timer(s);
}

struct mk_server *mk_server_free(struct mk_server *s)
{
	if (!s)
		return NULL;
	mk_server_leave(s);
	for (struct mk_conn *c = s->http->conns; c; c = c->next)
		if (c->server == s)
			mk_conn_abandon(c); /* a suspended one must not be there when the daemon stops */
	mk_conn_resume_woken(s->http, UINT32_MAX);
	for (unsigned i = 0; i < LAST_RUNS && s->connections > 0; i++)
		MHD_run(s->daemon);
	mk_loop_del(s->source);
	MHD_stop_daemon(s->daemon);
	mk_timer_free(s->timer);
	free(s);
	return NULL;
}

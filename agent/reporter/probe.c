/* SPDX-License-Identifier: Apache-2.0
 *
 * GET and HEAD of /livez (200 while the process runs) and /readyz (200, or 503 with the
 * reasons as codes). All else is 404, another method 405. libmicrohttpd's epoll
 * descriptor sits in our loop; answers are bytes of our own, nothing a caller sent is
 * ever sent back. No connection lives longer than LIFE_MAX_MS, whatever trickles in:
 * whoever can reach the port must not keep the probes of others out.
 */
#include "agent/base/clock.h"
#include "agent/base/jw.h"
#include "agent/reporter/reporter.h"
#include "mk/own.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX  64
#define CONNECTIONS_PER_ADDRESS 32
#define IDLE_S           5 /* starts again with each byte */
#define LIFE_MAX_MS      5000
#define SWEEP_MS         1000
#define HEAD_BYTES_MAX   4096
#define BODY_MAX         256

struct visitor {
	int fd; /* libmicrohttpd's */
	int64_t since_ms;
	bool here;
};

struct mk_probe {
	struct MHD_Daemon *daemon;
	struct mk_source *source;
	struct mk_timer *timer, *sweep;
	const uint32_t *reasons;
	struct visitor visitors[CONNECTIONS_MAX];
};

/* One per request, in libmicrohttpd's hands: `first` tells its two calls apart. */
static int seen;

static size_t live_body(const struct mk_probe *p, char *body, unsigned *status)
{
	(void)p;
	*status = MHD_HTTP_OK;
	memcpy(body, "ok\n", 3);
	return 3;
}

static void write_ready(struct mk_jw *w, uint32_t reasons)
{
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "status", reasons ? "not_ready" : "ready");
	if (reasons) {
		mk_jw_key(w, "reasons");
		mk_jw_open(w, '[');
		for (unsigned r = 0; r < MK_REASON_COUNT; r++)
			if (reasons & 1u << r)
				mk_jw_str(w, mk_span_of(mk_reason_word((enum mk_reason)r)));
		mk_jw_close(w, ']');
	}
	mk_jw_close(w, '}');
	mk_jw_raw(w, "\n");
}

static size_t ready_body(const struct mk_probe *p, char *body, unsigned *status)
{
	struct mk_jw w = mk_jw_of(body, BODY_MAX);
	size_t n = 0;
	write_ready(&w, *p->reasons);
	mk_assert(mk_jw_end(&w, &n) == MK_OK); /* all codes together fit */
	*status = *p->reasons ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
	return n;
}

static const struct page {
	const char *path, *type;
	size_t (*body)(const struct mk_probe *p, char *body, unsigned *status);
} pages[] = {
	{ "/livez", "text/plain; charset=utf-8", live_body },
	{ "/readyz", "application/json", ready_body },
};

static const struct page *page_of(const char *path)
{
	for (size_t i = 0; i < MK_COUNT(pages); i++)
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	return NULL;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type, struct mk_span body)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
	if (!r)
		return MHD_NO;
	enum MHD_Result ok = MHD_add_response_header(r, "Content-Type", type);
	ok = ok == MHD_YES ? MHD_add_response_header(r, "Cache-Control", "no-store") : ok;
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED && ok == MHD_YES)
		ok = MHD_add_response_header(r, "Allow", "GET, HEAD");
	ok = ok == MHD_YES ? MHD_queue_response(c, status, r) : ok;
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method,
				  const char *version, const char *upload, size_t *upload_n, void **state)
{
	const struct mk_probe *p = arg;
	char body[BODY_MAX];
	unsigned status = 0;
	(void)version;
	(void)upload;
	if (*upload_n > 0)
		return MHD_NO; /* nobody has a body to send here */
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	const struct page *page = page_of(path);
	if (!page)
		return answer(c, MHD_HTTP_NOT_FOUND, "text/plain; charset=utf-8", mk_span_of("not found\n"));
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", mk_span_of("method not allowed\n"));
	const size_t n = page->body(p, body, &status);
	return answer(c, status, page->type, mk_span(body, n));
}

static struct visitor *free_place(struct mk_probe *p)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (!p->visitors[i].here)
			return &p->visitors[i];
	return NULL;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **place, enum MHD_ConnectionNotificationCode what)
{
	struct mk_probe *p = arg;
	struct visitor *v = what == MHD_CONNECTION_NOTIFY_STARTED ? free_place(p) : *place;
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!v || !i)
		return;
	*v = (struct visitor){ i->connect_fd, mk_boot_ms(), what == MHD_CONNECTION_NOTIFY_STARTED };
	*place = v;
	if (!mk_timer_armed(p->sweep))
		mk_timer_set(p->sweep, SWEEP_MS);
}

static void run(struct mk_probe *p)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	MHD_run(p->daemon);
	mk_timer_set(p->timer, MHD_get_timeout(p->daemon, &ms) == MHD_YES ? (int64_t)ms : -1);
}

static void on_sweep(void *arg)
{
	struct mk_probe *p = arg;
	bool any = false;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		const struct visitor *v = &p->visitors[i];
		any = any || v->here;
		if (v->here && mk_boot_ms() - v->since_ms >= LIFE_MAX_MS)
			(void)shutdown(v->fd, SHUT_RDWR); /* libmicrohttpd sees it, and closes */
	}
	if (any)
		mk_timer_set(p->sweep, SWEEP_MS);
	run(p); /* full, it stopped listening, and goes on only when it runs after the last one has left */
}

static void on_event(void *arg, uint32_t events)
{
	(void)events;
	run(arg);
}

static void on_timer(void *arg)
{
	run(arg);
}

enum mk_err mk_probe_new(struct mk_loop *l, int fd, const uint32_t *reasons, struct mk_probe **ret)
{
	struct mk_probe *p = calloc(1, sizeof *p);
	if (!p) {
		mk_close(fd);
		return MK_NO_MEMORY;
	}
	p->reasons = reasons;
	p->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, p, MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
				     (unsigned)CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES_MAX, MHD_OPTION_NOTIFY_CONNECTION,
				     on_connection, p, MHD_OPTION_END);
	if (!p->daemon)
		mk_close(fd);
	const union MHD_DaemonInfo *i = p->daemon ? MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!i || mk_timer_new(l, on_timer, p, &p->timer) != MK_OK || mk_timer_new(l, on_sweep, p, &p->sweep) != MK_OK ||
	    mk_loop_add(l, i->epoll_fd, EPOLLIN, on_event, p, &p->source) != MK_OK) {
		mk_probe_free(p);
		return MK_SYSTEM;
	}
	*ret = p;
	return MK_OK;
}

struct mk_probe *mk_probe_free(struct mk_probe *p)
{
	if (!p)
		return NULL;
	mk_loop_del(p->source);
	if (p->daemon)
		MHD_stop_daemon(p->daemon); /* which ends its connections, and says so */
	mk_timer_free(p->timer);
	mk_timer_free(p->sweep);
	free(p);
	return NULL;
}

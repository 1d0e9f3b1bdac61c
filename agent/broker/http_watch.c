/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/watch: Server-Sent Events. libmicrohttpd asks for more when it could send; with nothing
 * to say the connection is suspended, as "nothing yet" would be asked for again at once. A stream
 * that is woken is resumed when its turn comes. What a reader does not take stays in the ring of
 * events, or is lost to it and becomes `resync`; nothing is queued here but the rest of one event.
 */
#include "agent/broker/http_watch.h"

#include "agent/base/clock.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK       1024u
#define EVENT_MAX   (192 + MK_EVENT_ID_MAX + MK_NAME_MAX + 6 * MK_VERSION_MAX)
#define ACCOUNT_MS  INT64_C(600000) /* a stream whose caller showed a service-account token ends then, so that it shows the one of then */
#define RESUME_MOST 256u /* a round of the loop; libmicrohttpd walks all that are suspended at each */

struct mk_stream {
	struct mk_watcher w; /* first: woken gets its address */
	struct mk_conn *c;
	bool suspended, ends, queued, begun;
	bool writing;        /* what was given last may not have been sent yet */
	int64_t beat_ms;     /* boot clock: when something was given last */
	int64_t since_ms;    /* boot clock */
	struct mk_stream *queue_prev, *queue_next;
	size_t rest_at, rest_n;
	char rest[EVENT_MAX];
	struct mk_name names[];
};

/* ---- waking ---- */

static void queue_out(struct mk_stream *s)
{
	struct mk_http *h = s->c->http;
	if (!s->queued)
		return;
	s->queued = false;
	*(s->queue_prev ? &s->queue_prev->queue_next : &h->streams) = s->queue_next;
	*(s->queue_next ? &s->queue_next->queue_prev : &h->streams_last) = s->queue_prev;
	s->queue_prev = s->queue_next = NULL;
}

static void queue_in(struct mk_stream *s)
{
	struct mk_http *h = s->c->http;
	if (s->queued || !s->suspended)
		return; /* one that is sending comes to it by itself */
	s->queued = true;
	s->queue_prev = h->streams_last;
	*(s->queue_prev ? &s->queue_prev->queue_next : &h->streams) = s;
	h->streams_last = s;
	if (!mk_timer_armed(h->wake))
		mk_timer_set(h->wake, 0);
}

static void resume(struct mk_stream *s)
{
	queue_out(s);
	s->suspended = false;
	mk_conn_resume(s->c);
	mk_conn_enter(s->c, MK_AT_STREAM);
}

bool mk_streams_resume(struct mk_http *h)
{
	for (unsigned i = 0; h->streams && i < RESUME_MOST; i++)
		resume(h->streams);
	return h->streams != NULL;
}

static void on_woken(struct mk_watcher *w)
{
	queue_in((struct mk_stream *)w);
}

void mk_stream_let_go(struct mk_stream *s)
{
	if (s && s->suspended)
		resume(s);
}

void mk_stream_end(struct mk_stream *s)
{
	s->ends = true;
	queue_in(s);
}

void mk_stream_recheck(struct mk_stream *s)
{
	if (!mk_watcher_may_stay(s->c->http->broker, &s->c->caller, &s->w))
		mk_stream_end(s);
}

void mk_stream_sweep(struct mk_stream *s, int64_t write_timeout_ms, int64_t now)
{
	if (s->c->caller.evidence.account.ns[0] && now - s->since_ms >= ACCOUNT_MS)
		mk_stream_end(s);
	if (s->suspended && now - s->beat_ms >= MK_HEARTBEAT_MS)
		queue_in(s);
	else if (!s->suspended && s->writing && now - s->beat_ms >= write_timeout_ms)
		mk_conn_end(s->c);
}

struct mk_stream *mk_stream_free(struct mk_stream *s)
{
	if (s) {
		queue_out(s);
		mk_watcher_leave(s->c->http->broker, &s->w);
		free(s);
	}
	return NULL;
}

/* ---- saying ---- */

static size_t event_text(const struct mk_stream *s, const struct mk_event *e, char out[EVENT_MAX])
{
	char id[MK_EVENT_ID_MAX], data[EVENT_MAX];
	size_t n = 0;
	struct mk_jw w = mk_jw_of(data, sizeof data);
	mk_watcher_id(s->c->http->broker, e->n, id);
	mk_jw_open(&w, '{');
	mk_jw_kstr(&w, "connection", e->name.s[0] ? e->name.s : NULL);
	mk_jw_kstr(&w, "version", e->version[0] ? e->version : NULL);
	mk_jw_close(&w, '}');
	const enum mk_err err = mk_jw_end(&w, &n);
	mk_assert(err == MK_OK);
	return (size_t)snprintf(out, EVENT_MAX, "event: %s\nid: %s\ndata: %.*s\n\n", mk_told_word(e->kind), id, (int)n, data);
}

/* The next piece of text: where it stands, an event, or a sign of life. 0: none. */
static size_t next_text(struct mk_stream *s, char out[EVENT_MAX])
{
	struct mk_broker *b = s->c->http->broker;
	struct mk_event e;
	char id[MK_EVENT_ID_MAX];
	if (!s->begun) {
		s->begun = true;
		mk_watcher_id(b, mk_watcher_read_up_to(&s->w), id);
		return (size_t)snprintf(out, EVENT_MAX, s->w.resync ? ": hello\n\n" : ": hello\nid: %s\n\n", id);
	}
	if (mk_watcher_next(b, &s->c->caller, &s->w, &e))
		return event_text(s, &e, out);
	return 0;
}

static size_t take_rest(struct mk_stream *s, char *buf, size_t room)
{
	const size_t left = s->rest_n - s->rest_at, n = left < room ? left : room;
	memcpy(buf, s->rest + s->rest_at, n);
	s->rest_at += n;
	return n;
}

static size_t fill(struct mk_stream *s, char *buf, size_t room)
{
	size_t n = take_rest(s, buf, room);
	while (s->rest_at == s->rest_n && n < room) {
		s->rest_n = next_text(s, s->rest);
		s->rest_at = 0;
		if (s->rest_n == 0)
			break;
		n += take_rest(s, buf + n, room - n);
	}
	if (n == 0 && room > 3 && mk_boot_ms() - s->beat_ms >= MK_HEARTBEAT_MS) {
		memcpy(buf, ":\n\n", 3);
		n = 3;
	}
	return n;
}

static ssize_t sleep_now(struct mk_stream *s)
{
	if (mk_conn_suspend(s->c) != MHD_YES)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	s->c->at = MK_AT_STREAM;
	s->suspended = true;
	return 0;
}

/* libmicrohttpd has sent all that it was given before. */
static ssize_t more(void *cls, uint64_t at, char *buf, size_t room)
{
	struct mk_stream *s = cls;
	struct mk_conn *c = s->c;
	(void)at;
	s->writing = false;
	if (c->gone || !mk_peer_alive(&c->peer, mk_broker_proc(c->http->broker)))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (s->ends && s->rest_at == s->rest_n)
		return MHD_CONTENT_READER_END_OF_STREAM;
	const size_t n = fill(s, buf, room);
	if (n == 0)
		return sleep_now(s);
	s->writing = true;
	s->beat_ms = mk_boot_ms();
	return (ssize_t)n;
}

/* ---- the call ---- */

/* What was asked for was read, and found good, before (http_request.c); libmicrohttpd's copy of it is the same, as nothing in it
 * is encoded. */
static enum MHD_Result on_argument(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value, size_t value_n)
{
	struct mk_stream *s = cls;
	(void)kind;
	(void)key;
	(void)key_n;
	if (s->w.n < s->c->uri.names && mk_name_of(mk_span(value, value_n), &s->names[s->w.n]) == MK_OK)
		s->w.n++;
	return MHD_YES;
}

static struct mk_stream *stream_of(struct mk_conn *c)
{
	struct mk_stream *s = calloc(1, sizeof *s + c->uri.names * sizeof s->names[0]);
	if (!s)
		return NULL;
	s->c = c;
	s->w.woken = on_woken;
	s->w.names = s->names;
	s->beat_ms = s->since_ms = mk_boot_ms();
	MHD_get_connection_values_n(c->mhd, MHD_GET_ARGUMENT_KIND, on_argument, s);
	return s;
}

static enum MHD_Result begin(struct mk_conn *c, struct mk_stream *s)
{
	const struct mk_header headers[] = { { NULL, NULL } };
	struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, more, s, NULL);
	c->stream = s;
	const enum MHD_Result done = mk_reply(c, 200, "text/event-stream", r, headers);
	if (done != MHD_YES)
		return MHD_NO; /* the connection ends, and the stream with it */
	c->uid->answers -= c->unread; /* it is no answer that could be read to its end */
	c->unread = 0;
	s->writing = true; /* its head, which a peer that reads nothing may never take */
	mk_conn_enter(c, MK_AT_STREAM);
	return MHD_YES;
}

enum MHD_Result mk_route_watch(struct mk_conn *c)
{
	const struct mk_watch_ask ask = { .last_id = mk_route_header(c, "Last-Event-ID") };
	struct mk_stream *s = stream_of(c);
	unsigned retry_after_s = 0;
	if (!s)
		return mk_reply_err(c, MK_NO_MEMORY, 0);
	if (s->w.n != c->uri.names) { /* none was read, none is watched */
		mk_stream_free(s);
		return mk_reply_err(c, MK_BUG, 0);
	}
	const enum mk_err e = mk_gate_watch(c->http->broker, &c->caller, &ask, &c->waiter, &s->w, &retry_after_s);
	if (e == MK_OK && !c->waiter.waiting)
		return begin(c, s);
	mk_stream_free(s);
	return e == MK_OK ? mk_conn_suspend(c) : mk_reply_err(c, e, retry_after_s);
}

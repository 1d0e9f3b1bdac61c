/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests, streams and long polls around a revocation, which it orders itself, on one thread, and clients of libmakini on
 * others: what began after the answer to the order was read began after it, and may not carry the token.
 *     revoking SOCKET NAME TOKEN ADMIN-FD REQUESTS CONNECTIONS WATCHERS POLLS LIBRARY-CLIENTS
 * Says "ready" when streams and polls are open, and goes on when a line comes; then one line of JSON.
 * Ends with 1 where an answer broke a rule.
 */
#include "crowd.h"
#include "pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US (120 * INT64_C(1000000))
#define AT_ONCE     200 /* streams that are being opened */

static struct {
	const char *name, *token;
	char get[256], poll[384], watch[256], revoke[512];
	size_t connections, watchers, polls, pages;
	uint64_t requests, sent, answered, with_token, before, refused, cut, late, late_with_token, wrong;
	uint64_t told, polled, opened;
	int64_t called, returned, last_told, last_polled;
	bool go;
	atomic_bool is_over; /* the revocation: told to the library's clients */
	struct pages_seen seen;
	struct wire *wires, admin, first;
} t;

static void wrong(const struct wire *w, const char *what)
{
	if (t.wrong++ < 5)
		fprintf(stderr, "%s: status %d: %.*s\n", what, w->status, (int)(w->body_n < 300 ? w->body_n : 300), w->body ? w->body : "");
}

/* ---- requests, one after the other on each connection ---- */

static void send_next(struct wire *w)
{
	if (t.sent >= t.requests && t.returned)
		return;
	t.sent++;
	w->late = t.returned != 0;
	wire_say(w, t.get);
}

static void revoke(void)
{
	t.called = now_us();
	wire_say(&t.admin, t.revoke);
}

static void got(struct wire *w)
{
	const bool token = wire_has_token(w);
	t.answered++;
	t.with_token += token;
	t.late += w->late;
	t.late_with_token += token && w->late;
	t.before += token && t.called == 0;
	t.refused += w->status == 410;
	if (w->late ? w->status != 410 : w->status != 200 && w->status != 410)
		wrong(w, w->late ? "an answer after the return" : "an answer");
	if (w->status == 200 && !token)
		wrong(w, "a 200 without the token");
	if (t.called == 0 && t.answered >= t.requests / 2)
		revoke();
	send_next(w);
}

/* Cut off in the middle of its answer: allowed, and comes again. What had come of it is looked at, too. */
static void got_cut(struct wire *w)
{
	t.cut++;
	t.late_with_token += w->late && wire_has_token(w);
	if (!t.called || w->late)
		wrong(w, "a connection was closed");
	static const struct wire_owner again = { got, NULL, got_cut };
	if (wire_open(w, &again))
		send_next(w);
}

/* ---- streams ---- */

static void stream_answered(struct wire *w)
{
	if (w->status != 200)
		wrong(w, "a stream");
	t.opened++;
}

static void stream_told(struct wire *w, const char *event)
{
	if (strcmp(event, "revoked") != 0 || w->mark++ > 0) {
		wrong(w, event);
		return;
	}
	t.told++;
	t.last_told = now_us();
}

static void stream_lost(struct wire *w)
{
	wrong(w, "a stream was closed");
}

/* ---- polls ---- */

static void poll_answered(struct wire *w)
{
	if (!t.called || w->status != 410 || wire_has_token(w))
		wrong(w, "a poll");
	t.polled++;
	t.last_polled = now_us();
}

static void poll_lost(struct wire *w)
{
	wrong(w, "a poll was closed");
}

/* ---- the order ---- */

static void ordered(struct wire *w)
{
	if (w->status != 200)
		wrong(w, "the revocation");
	t.returned = now_us();
	atomic_store(&t.is_over, true);
}

static void first_answered(struct wire *w)
{
	if (w->status != 200 || !wire_has_token(w))
		wrong(w, "the first answer has no token");
	snprintf(t.poll, sizeof t.poll, "GET /v1/tokens/%s?wait=60s HTTP/1.1\r\nHost: a\r\nIf-None-Match: %s\r\n\r\n", t.name, w->etag);
}

static void fatal(struct wire *w)
{
	(void)w;
	fprintf(stderr, "a connection that is needed was closed\n");
	exit(1);
}

static void until(const uint64_t *value, uint64_t least)
{
	const int64_t end = now_us() + PATIENCE_US;
	while (*value < least && now_us() < end)
		t.go = crowd_turn(100) || t.go;
}

static void open_all(void)
{
	static const struct wire_owner first = { first_answered, NULL, fatal }, stream = { stream_answered, stream_told, stream_lost },
				       poll = { poll_answered, NULL, poll_lost };
	struct wire *w = t.wires;
	if (!wire_open(&t.first, &first))
		fatal(&t.first);
	wire_say(&t.first, t.get);
	while (!t.poll[0])
		crowd_turn(100);
	for (size_t i = 0; i < t.watchers; i++, w++) {
		if (!wire_open(w, &stream))
			fatal(w);
		wire_say(w, t.watch);
		if (i >= AT_ONCE)
			until(&t.opened, i - AT_ONCE);
		for (const int64_t end = now_us() + 600000; i % 500 == 499 && now_us() < end;)
			t.go = crowd_turn(10) || t.go; /* a service may open 1,000 a second */
	}
	for (size_t i = 0; i < t.polls; i++, w++) {
		if (!wire_open(w, &poll))
			fatal(w);
		wire_say(w, t.poll);
		crowd_turn(0);
	}
	until(&t.opened, t.watchers);
}

static void run(void)
{
	static const struct wire_owner get = { got, NULL, got_cut };
	const int64_t end = now_us() + PATIENCE_US;
	struct wire *w = t.wires + t.watchers + t.polls;
	for (size_t i = 0; i < t.connections; i++, w++) {
		if (!wire_open(w, &get))
			fatal(w);
		send_next(w);
	}
	while (now_us() < end && (t.answered + t.cut < t.sent || !t.returned || t.told < t.watchers || t.polled < t.polls ||
				pages_refused() < t.pages))
		crowd_turn(100);
}

static void texts(const char *name)
{
	char body[128];
	const int n = snprintf(body, sizeof body, "{\"connections\":[\"%s\"],\"reason\":\"a test\"}", name);
	snprintf(t.get, sizeof t.get, "GET /v1/tokens/%s HTTP/1.1\r\nHost: a\r\n\r\n", name);
	snprintf(t.watch, sizeof t.watch, "GET /v1/watch?connection=%s HTTP/1.1\r\nHost: a\r\n\r\n", name);
	snprintf(t.revoke, sizeof t.revoke, "POST /v1/revocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		 n, body);
}

int main(int argc, char **argv)
{
	static const struct wire_owner admin = { ordered, NULL, fatal };
	if (argc != 10)
		return 2;
	t.name = argv[2];
	t.token = argv[3];
	t.requests = strtoul(argv[5], NULL, 10);
	t.connections = strtoul(argv[6], NULL, 10);
	t.watchers = strtoul(argv[7], NULL, 10);
	t.polls = strtoul(argv[8], NULL, 10);
	t.pages = strtoul(argv[9], NULL, 10);
	t.wires = calloc(t.connections + t.watchers + t.polls, sizeof *t.wires);
	if (!t.wires)
		return 2;
	texts(t.name);
	crowd_begin(argv[1], t.token);
	wire_take(&t.admin, &admin, atoi(argv[4]));
	open_all();
	pages_begin(t.pages, argv[1], t.name, t.token, &t.is_over);
	while (pages_served() < t.pages)
		t.go = crowd_turn(10) || t.go;
	printf("ready\n");
	fflush(stdout);
	while (!t.go)
		t.go = crowd_turn(100);
	run();
	pages_end(&t.seen);
	printf("{\"gets\":%lu,\"gets_repeated\":%lu,\"gets_late\":%lu,\"gets_late_with_token\":%lu,\"gets_other\":%lu,\"pages_refused\":%zu,"
	       "\"last_page_us\":%ld,",
	       t.seen.gets, t.seen.repeated, t.seen.late, t.seen.late_with_token, t.seen.other, t.seen.refused,
	       t.pages ? (long)(t.seen.last_us - t.called) : 0);
	printf("\"answered\":%lu,\"with_token\":%lu,\"before\":%lu,\"refused\":%lu,\"cut\":%lu,\"late\":%lu,\"late_with_token\":%lu,\"wrong\":%lu,"
	       "\"told\":%lu,\"polled\":%lu,\"call_us\":%ld,\"last_told_us\":%ld,\"last_polled_us\":%ld}\n",
	       t.answered, t.with_token, t.before, t.refused, t.cut, t.late, t.late_with_token, t.wrong, t.told, t.polled,
	       (long)(t.returned - t.called), (long)(t.last_told - t.called), (long)(t.last_polled - t.called));
	const bool bad = t.seen.late_with_token > 0 || t.seen.other > 0 || t.seen.refused != t.pages;
	return bad || t.wrong > 0 || t.late_with_token > 0 || t.told != t.watchers || t.polled != t.polls || !t.returned;
}

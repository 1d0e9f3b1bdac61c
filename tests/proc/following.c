/* SPDX-License-Identifier: Apache-2.0
 *
 * Services as they should be: each follows one connection by a stream, gets it again when it is told to and only then, and takes
 * the stream up where it broke off. What each believes is asked for on standard input: "BELIEF\n", a version or a status, to
 * which it says how many believe that, when all do or after three minutes. "deaf N\n": opens so many streams that are never read.
 *     following SOCKET NAME CLIENTS
 */
#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_US (180 * INT64_C(1000000))
#define AGAIN_US    100000
#define OPENED_MOST 100 /* a turn: a listener's queue is finite */

struct client {
	struct wire stream, get;
	bool need, first;
	int64_t again_us; /* when the stream is opened, or the token asked for, again */
	char belief[128];
	int64_t since_us;
};

static struct {
	const char *name, *belief;
	char request[256];
	struct client *clients;
	struct wire *deaf;
	size_t n, right;
	uint64_t gets, resyncs, lost;
} t;

static void believe(struct client *c, const char *what)
{
	const bool was = t.belief && strcmp(c->belief, t.belief) == 0;
	snprintf(c->belief, sizeof c->belief, "%s", what);
	c->since_us = now_us();
	if (t.belief)
		t.right = t.right - was + (strcmp(c->belief, t.belief) == 0);
}

static void later(struct client *c)
{
	c->again_us = now_us() + AGAIN_US + random() % AGAIN_US;
}

/* ---- the token ---- */

static void token_comes(struct wire *w)
{
	struct client *c = w->of;
	char what[128];
	const char *version = w->status == 200 ? memmem(w->body, w->body_n, "\"version\":\"", 11) : NULL;
	t.gets++;
	if (version) {
		snprintf(what, sizeof what, "%.*s", (int)strcspn(version + 11, "\""), version + 11);
		believe(c, what);
	} else if (w->status == 404 || w->status == 410) {
		snprintf(what, sizeof what, "%d", w->status);
		believe(c, what);
	} else {
		c->need = true;
		later(c);
	}
	wire_close(w);
}

static void token_lost(struct wire *w)
{
	struct client *c = w->of;
	c->need = true;
	later(c);
}

/* ---- the stream ---- */

static void stream_answers(struct wire *w)
{
	struct client *c = w->of;
	if (w->status != 200) {
		wire_close(w);
		later(c);
		return;
	}
	c->need = c->need || c->first; /* afterwards events say when */
	c->first = false;
}

static void stream_tells(struct wire *w, const char *event)
{
	struct client *c = w->of;
	c->need = c->need || strcmp(event, "expiring") != 0;
	t.resyncs += strcmp(event, "resync") == 0;
}

static void stream_lost(struct wire *w)
{
	t.lost++;
	later(w->of);
}

static void open_stream(struct client *c)
{
	static const struct wire_owner owner = { stream_answers, stream_tells, stream_lost };
	char text[512], id[128] = "";
	if (c->stream.id[0])
		snprintf(id, sizeof id, "Last-Event-ID: %s\r\n", c->stream.id);
	else
		c->first = true; /* also after one that broke off before it named its place: nobody would tell what was missed */
	snprintf(text, sizeof text, "GET /v1/watch?connection=%s HTTP/1.1\r\nHost: a\r\n%s\r\n", t.name, id);
	if (wire_open(&c->stream, &owner))
		wire_say(&c->stream, text);
	else
		later(c);
}

static void ask(struct client *c)
{
	static const struct wire_owner owner = { token_comes, NULL, token_lost };
	if (!wire_open(&c->get, &owner)) {
		later(c);
		return;
	}
	c->need = false;
	wire_say(&c->get, t.request);
}

static void turn(void)
{
	const int64_t now = now_us();
	size_t opened = 0;
	for (size_t i = 0; i < t.n && opened < OPENED_MOST; i++) {
		struct client *c = &t.clients[i];
		if (now < c->again_us)
			continue;
		if (c->stream.fd < 0) {
			open_stream(c);
			opened++;
		}
		if (c->need && c->get.fd < 0) {
			ask(c);
			opened++;
		}
	}
}

/* ---- what is asked ---- */

static int64_t last_change(void)
{
	int64_t last = 0;
	for (size_t i = 0; i < t.n; i++)
		last = t.clients[i].since_us > last ? t.clients[i].since_us : last;
	return last;
}

static void answer(const char *belief)
{
	const int64_t end = now_us() + PATIENCE_US;
	t.belief = belief;
	t.right = 0;
	for (size_t i = 0; i < t.n; i++)
		t.right += strcmp(t.clients[i].belief, belief) == 0;
	while (t.right < t.n && now_us() < end) {
		turn();
		crowd_turn(10);
	}
	for (size_t i = 0; t.right < t.n && i < t.n; i++)
		if (strcmp(t.clients[i].belief, belief) != 0) {
			fprintf(stderr, "one believes %s\n", t.clients[i].belief);
			break;
		}
	printf("{\"right\":%zu,\"gets\":%lu,\"resyncs\":%lu,\"lost\":%lu,\"last_us\":%ld}\n", t.right, t.gets, t.resyncs, t.lost, (long)last_change());
	fflush(stdout);
	t.belief = NULL;
}

/* Outside of the epoll: nobody reads them. */
static void open_deaf(size_t n)
{
	static const struct wire_owner none = { NULL, NULL, NULL };
	char text[256];
	const int least = 1;
	snprintf(text, sizeof text, "GET /v1/watch?connection=%s HTTP/1.1\r\nHost: a\r\n\r\n", t.name);
	t.deaf = calloc(n, sizeof *t.deaf);
	for (size_t i = 0; i < n; i++) {
		struct wire *w = t.deaf ? &t.deaf[i] : NULL;
		if (!w || !wire_open(w, &none))
			exit(1);
		wire_deafen(w);
		setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
		wire_say(w, text);
	}
	printf("{\"deaf\":%zu}\n", n);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[256];
	if (argc != 4)
		return 2;
	t.name = argv[2];
	t.n = strtoul(argv[3], NULL, 10);
	t.clients = calloc(t.n, sizeof *t.clients);
	if (!t.clients)
		return 2;
	snprintf(t.request, sizeof t.request, "GET /v1/tokens/%s HTTP/1.1\r\nHost: a\r\n\r\n", t.name);
	crowd_begin(argv[1], "");
	for (size_t i = 0; i < t.n; i++) {
		struct client *c = &t.clients[i];
		c->stream.fd = c->get.fd = -1;
		c->stream.of = c->get.of = c;
	}
	for (;;) {
		turn();
		if (!crowd_turn(10))
			continue;
		const ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
		if (n <= 0)
			return 0;
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "deaf ", 5) == 0)
			open_deaf(strtoul(line + 5, NULL, 10));
		else
			answer(line);
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The connections of a crowd. What was not read yet when a turn ends is read at the next; nothing is sent that could block, as
 * requests are small and one is under way at a time.
 */
#include "crowd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 512

static struct {
	int epoll;
	struct sockaddr_un to;
	const char *token;
	int readable; /* standard input's mark */
} crowd;

int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void listen_to(int fd, void *what)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = what };
	if (epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		perror("epoll_ctl");
		exit(1);
	}
}

void crowd_begin(const char *socket, const char *token)
{
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	crowd.to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(crowd.to.sun_path, sizeof crowd.to.sun_path, "%s", socket);
	crowd.token = token;
	listen_to(STDIN_FILENO, &crowd.readable);
}

void wire_take(struct wire *w, const struct wire_owner *owner, int fd)
{
	w->owner = owner;
	w->fd = fd;
	w->streams = false;
	w->status = 0;
	w->n = w->line_n = w->chunk = 0;
	w->chunk_at = 0;
	listen_to(fd, w);
}

bool wire_open(struct wire *w, const struct wire_owner *owner)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	w->fd = -1;
	if (fd < 0 || connect(fd, (struct sockaddr *)&crowd.to, sizeof crowd.to) != 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	wire_take(w, owner, fd);
	return true;
}

void wire_deafen(struct wire *w)
{
	epoll_ctl(crowd.epoll, EPOLL_CTL_DEL, w->fd, NULL);
}

void wire_close(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd); /* which takes it out of the epoll */
	w->fd = -1;
}

void wire_say(struct wire *w, const char *text)
{
	if (w->fd >= 0 && send(w->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* it is told when it is read */
	}
}

bool wire_has_token(const struct wire *w)
{
	return crowd.token[0] && memmem(w->in, w->n, crowd.token, strlen(crowd.token));
}

/* ---- answers ---- */

static const char *header(const struct wire *w, const char *name, size_t head)
{
	const char *at = memmem(w->in, head, name, strlen(name));
	return at ? at + strlen(name) : NULL;
}

static void read_head(struct wire *w, size_t head, size_t *ret_body)
{
	const char *length = header(w, "\r\nContent-Length: ", head), *etag = header(w, "\r\nETag: ", head);
	w->status = atoi(w->in + 9);
	w->streams = header(w, "\r\nTransfer-Encoding: chunked", head) != NULL;
	*ret_body = length ? strtoul(length, NULL, 10) : 0;
	if (etag)
		snprintf(w->etag, sizeof w->etag, "%.*s", (int)strcspn(etag, "\r"), etag);
}

static bool is_whole(struct wire *w)
{
	size_t body = 0;
	const char *end = memmem(w->in, w->n, "\r\n\r\n", 4);
	if (!end)
		return false;
	const size_t head = (size_t)(end - w->in) + 4;
	read_head(w, head, &body);
	w->body = w->in + head;
	w->body_n = w->streams ? 0 : body;
	return w->streams || w->n >= head + body;
}

static void drop_answer(struct wire *w)
{
	const size_t used = (size_t)(w->body - w->in) + w->body_n;
	memmove(w->in, w->in + used, w->n - used);
	w->n -= used;
}

/* ---- streams ---- */

static void take_line(struct wire *w)
{
	if (strncmp(w->line, "id: ", 4) == 0)
		snprintf(w->id, sizeof w->id, "%.63s", w->line + 4);
	else if (strncmp(w->line, "event: ", 7) == 0)
		snprintf(w->event, sizeof w->event, "%.23s", w->line + 7);
	else if (w->line[0] == '\0' && w->event[0]) {
		char event[sizeof w->event];
		memcpy(event, w->event, sizeof event);
		w->event[0] = '\0';
		w->owner->told(w, event);
	}
}

static void take_byte(struct wire *w, char c)
{
	if (c != '\n' && w->line_n < sizeof w->line - 1) {
		w->line[w->line_n++] = c;
		return;
	}
	w->line[w->line_n] = '\0';
	w->line_n = 0;
	take_line(w);
}

/* "1a\r\n" bytes "\r\n" */
static void unchunk(struct wire *w, char c)
{
	if (w->chunk_at == 1) {
		w->chunk_at = --w->chunk == 0 ? 2 : 1;
		take_byte(w, c);
	} else if (w->chunk_at == 2) {
		w->chunk_at = c == '\n' ? 0 : 2;
	} else if (c == '\n') {
		w->chunk_at = w->chunk > 0 ? 1 : 2;
	} else if (c != '\r') {
		w->chunk = w->chunk * 16 + (size_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
}

/* ---- what comes ---- */

static void take(struct wire *w)
{
	while (w->fd >= 0 && !w->streams && is_whole(w)) {
		w->owner->answered(w);
		drop_answer(w);
	}
	for (size_t i = 0; w->streams && w->fd >= 0 && i < w->n; i++)
		unchunk(w, w->in[i]);
	if (w->streams)
		w->n = 0;
}

static void read_some(struct wire *w)
{
	const ssize_t n = w->n < WIRE_BYTES ? recv(w->fd, w->in + w->n, WIRE_BYTES - w->n, MSG_DONTWAIT) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		wire_close(w);
		w->owner->lost(w);
		return;
	}
	w->n += (size_t)n;
	w->in[w->n] = '\0';
	take(w);
}

bool crowd_turn(int ms)
{
	struct epoll_event got[EVENTS];
	bool said = false;
	const int n = epoll_wait(crowd.epoll, got, EVENTS, ms);
	for (int i = 0; i < n; i++) {
		struct wire *w = got[i].data.ptr;
		if (got[i].data.ptr == &crowd.readable)
			said = true;
		else if (w->fd >= 0)
			read_some(w);
	}
	return said;
}

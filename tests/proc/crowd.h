/* SPDX-License-Identifier: Apache-2.0
 *
 * A caller with thousands of connections, on one thread and one epoll: what it sees has an order. A wire is one
 * connection; it reads answers one after the other, or the events of a stream, and tells its owner.
 */
#ifndef MK_TEST_CROWD_H
#define MK_TEST_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_BYTES 4096

struct wire;
struct wire_owner {
	void (*answered)(struct wire *w);                 /* status, etag and body are there until it returns */
	void (*told)(struct wire *w, const char *event);  /* a stream's; id is there */
	void (*lost)(struct wire *w);                     /* it was closed: by the other side, or as it broke a rule */
};

struct wire {
	const struct wire_owner *owner;
	void *of;              /* the owner's */
	unsigned mark;         /* the owner's */
	int fd;                /* -1: none */
	bool streams;          /* its answer's head came, and is a stream's */
	bool late;             /* the owner's: this request began after … */
	int status;
	char etag[96], id[64], event[24];
	const char *body;
	size_t body_n;
	char line[512];        /* a stream's line so far */
	size_t line_n, chunk;  /* bytes left of this chunk */
	int chunk_at;          /* 0: in its size, 1: in its bytes, 2: in the line end behind them */
	size_t n;
	char in[WIRE_BYTES + 1];
};

void crowd_begin(const char *socket, const char *token); /* token: what is looked for in all that comes; "" none */
bool wire_open(struct wire *w, const struct wire_owner *owner); /* fd is -1: connects */
void wire_take(struct wire *w, const struct wire_owner *owner, int fd);
void wire_deafen(struct wire *w); /* nothing of it is read from now on */
void wire_close(struct wire *w);
void wire_say(struct wire *w, const char *text);
/* Waits for what comes, at most so long, and tells the owners. True when standard input has something. */
bool crowd_turn(int ms);
bool wire_has_token(const struct wire *w); /* in what came since the last answer */
int64_t now_us(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two files of libmakini's side share: client.c has the sockets and the life of
 * all, client_conn.c what one connection says and is told. A connection owns its descriptor
 * and is ended only by mk_client_end.
 */
#ifndef MK_CLIENT_CONN_H
#define MK_CLIENT_CONN_H

#include "agent/broker/client.h"
#include "agent/broker/evidence.h"
#include "agent/broker/gate.h"
#include "agent/broker/http.h"
#include "agent/broker/pages.h"

#define MK_CLIENT_SWEEP_MS       250  /* how exact times are */
#define MK_CLIENT_UNREAD_MAX     512u /* pages on their way that nobody has read: descriptors in flight are few for the whole user */
#define MK_CLIENT_UNREAD_PER_UID 64u

/* A listening socket. */
struct mk_client_door {
	struct mk_client_door *next;
	struct mk_clients *all;
	struct mk_word name;
	int fd;                   /* owned */
	ino_t inode;
	struct mk_source *source;
	struct mk_timer *pause;   /* out of descriptors: it listens again then */
	bool units;               /* a service is told by its unit here */
};

enum mk_client_at {
	MK_CLIENT_FRESH, /* has not said hello */
	MK_CLIENT_HELLO, /* waits for its page */
	MK_CLIENT_OPEN,  /* may ask */
	MK_CLIENT_ASKED, /* waits for a fetch */
	MK_CLIENT_WATCH, /* is told when words moved */
	MK_CLIENT_OVER,  /* ended by us with a page unread: gone when the peer has read it, or left */
};

struct mk_client {
	struct mk_clients *all;
	struct mk_client *prev, *next;
	struct mk_client_door *door; /* NULL: it is gone */
	int fd;
	struct mk_source *source;
	struct mk_http_guest guest;  /* how it counts */
	struct mk_caller caller;     /* evidence pinned at accept */
	struct mk_peer peer;
	struct mk_page *page;        /* from its hello on */
	enum mk_client_at at;
	bool entered;                /* it counts as a client of its page */
	bool unread;                 /* its page may not have been read yet */
	int64_t since_ms;            /* boot clock: when it came */
	uint32_t number;             /* of the ask at hand */
	struct mk_name name;         /* ASKED */
	struct mk_waiter waiter;
	bool woken, waited;
	uint64_t told;               /* WATCH: the page's moves that it was told of */
};

struct mk_clients {
	struct mk_broker *broker;
	struct mk_client_door *doors;
	struct mk_client *conns;
	uint32_t n, unread, woken;
	struct mk_timer *sweep, *soon; /* soon: some are woken, or to be told that words moved */
	bool draining;
};

mk_must mk_client_accept(struct mk_client_door *d, int fd);  /* takes fd over, also where it fails */
void mk_client_end(struct mk_client *c);
/* Its page came; it was woken; words moved; a quarter of a second passed; the policy is another one. Each may end it. */
void mk_client_greet(struct mk_client *c);
void mk_client_go_on(struct mk_client *c);
void mk_client_tell(struct mk_client *c);
void mk_client_sweep(struct mk_client *c, int64_t now);
void mk_client_recheck(struct mk_client *c);

#endif

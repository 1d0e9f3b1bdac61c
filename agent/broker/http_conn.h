/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP side as its own files see it: servers (one libmicrohttpd daemon each),
 * connections, and the one request that a connection has at a time. A connection's
 * descriptor belongs to libmicrohttpd; we look at it, and end it by shutdown(2) only,
 * whereupon libmicrohttpd closes it. Time limits are ours: one sweep over all
 * connections, so that no byte of a caller sets a clock back.
 */
#ifndef MK_HTTP_CONN_H
#define MK_HTTP_CONN_H

#include "agent/broker/http.h"
#include "agent/broker/http_request.h"
#include "agent/broker/http_uids.h"
#include "agent/broker/evidence.h"

#include <microhttpd.h>

#define MK_POOL_BYTES      8192u /* of one connection: a request's head and what libmicrohttpd notes of it, then its answer's head */
#define MK_ANSWER_HEAD     1024u /* of them kept for the answer: no room for it must not be found out after a grant */
#define MK_FIELD_BYTES     64u   /* what libmicrohttpd notes of one header */
#define MK_SWEEP_MS        250   /* how exact the time limits are */
#define MK_FD_RESERVE      8     /* descriptors that connections leave to the rest of the broker */
#define MK_FD_ADMIN        8     /* and those that services leave to administrators */
#define MK_UNREAD_PER_UID  32u   /* answers handed to libmicrohttpd that a uid has not read … */
#define MK_UNREAD_LARGE    4u    /* … of which one in a large slot of locked memory counts as so many */

struct mk_server {
	struct mk_server *next;
	struct mk_http *http;
	struct mk_word name;
	bool admin, leaving;      /* leaving: accepts no more, ends with its last connection */
	bool units;               /* a service is told by its unit here: the peer's process counts */
	ino_t inode;              /* of the listening socket */
	struct MHD_Daemon *daemon;
	struct mk_source *source; /* the daemon's epoll descriptor */
	struct mk_timer *timer;   /* when the daemon wants to run again, or its pause ends */
	bool paused;
	struct mk_asked {
		struct mk_conn *first, *last;
	} asked[2];               /* whose requests are decided when this run of libmicrohttpd ends: soon, late */
	uint32_t connections;
	uint64_t tried;           /* connections that came, also those refused */
};

struct mk_http {
	struct mk_broker *broker;
	struct mk_server *servers;
	struct mk_conn *conns;
	uint32_t open;            /* all connections, also those being closed */
	uint32_t counted;         /* those of services that count against the limit */
	uint32_t pidfds;          /* descriptors of their peers */
	uint32_t fd_limit, fd_others; /* RLIMIT_NOFILE; descriptors that are not connections, as far as seen */
	struct mk_uids uids;
	struct mk_timer *sweep;
	struct mk_conn *woken, *woken_last; /* suspended still: first come, first resumed */
	struct mk_stream *streams, *streams_last; /* suspended still, and with something to say */
	struct mk_timer *wake;
	bool draining;
};

enum mk_conn_at {
	MK_AT_IDLE,  /* no byte of a request was noticed yet */
	MK_AT_HEAD,  /* a request is coming in */
	MK_AT_WAIT,  /* suspended: for a fetch, or for a reload */
	MK_AT_WRITE, /* its answer is on the way */
	MK_AT_STREAM, /* its answer has no end (http_watch.h) */
};

struct mk_route;
struct mk_stream;
struct mk_acted;

struct mk_conn {
	struct mk_http *http;
	struct mk_server *server;
	struct mk_conn *prev, *next;
	struct MHD_Connection *mhd;
	int fd;                     /* libmicrohttpd's */
	struct mk_uid *uid;         /* NULL: refused at accept */
	struct mk_caller caller;    /* evidence pinned at accept */
	struct mk_peer peer;
	struct mk_bearer_seen *seen; /* owned; NULL: none */
	enum mk_conn_at at;
	int64_t since_ms;           /* boot clock, of `at` */
	bool gone;                  /* nobody is to get an answer any more */
	struct mk_source *watch;    /* IDLE: for the first byte; WAIT: for a peer that leaves */
	/* the request at hand */
	struct mk_uri uri;
	bool looked;                /* at its head, which was `bad` or not */
	enum mk_hint bad;
	const struct mk_route *route; /* NULL: not dispatched yet */
	bool carries;               /* its answer is a token: uri.name's */
	bool ends;                  /* close after its answer */
	bool large;                 /* its answer takes a large slot */
	uint8_t unread;             /* what its answer counts as among the unread; 0: none yet */
	bool woken;                 /* among http->woken */
	struct mk_conn *woken_next;
	bool asked, asked_late;     /* among server->asked */
	bool waited, again;         /* again: it was decided before, and waited */
	bool deciding, dropped;     /* dropped: decided, and there is no answer to be had */
	struct mk_conn *asked_next;
	struct MHD_Response *answer; /* owned: decided, handed over when libmicrohttpd comes again */
	unsigned status;            /* of answer */
	struct mk_stream *stream;   /* owned; NULL: none */
	struct mk_waiter waiter;
	char *body;                 /* owned; what came of it so far, with a NUL behind */
	size_t body_n, body_cap;
	struct mk_reload reload;
	bool reloading;
	struct mk_msg_result *reloaded; /* owned */
	struct mk_acted *acted; /* owned: an act whose stores are asked; NULL: none */
};

/* http_conn.c: callbacks of libmicrohttpd, with a mk_server as their closure */
enum MHD_Result mk_conn_admit(void *cls, const struct sockaddr *addr, socklen_t n);
void mk_conn_notify(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what);
void *mk_conn_request(void *cls, const char *uri, struct MHD_Connection *mhd);
void mk_conn_completed(void *cls, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode why);

void mk_conn_enter(struct mk_conn *c, enum mk_conn_at at); /* sets `at` and its clock */
void mk_conn_end(struct mk_conn *c);                       /* shutdown(2): libmicrohttpd closes it soon */
/* In a handler, when the gate says to wait or a reload is under way. */
enum MHD_Result mk_conn_suspend(struct mk_conn *c);
void mk_conn_resume(struct mk_conn *c);
/* Resumes it when its turn comes: libmicrohttpd takes all answers of those that are resumed together before it sends the first. */
void mk_conn_wake(struct mk_conn *c);
void mk_conn_resume_woken(struct mk_http *h, unsigned most);
/* Stops waiting and closes; what it waited for is cancelled. */
void mk_conn_abandon(struct mk_conn *c);
bool mk_conn_busy(const struct mk_conn *c);

/* http_turn.c: requests that came together are decided together, so that what is looked at once a turn is looked at
 * after all of them were read, and their answers leave in one go. */
void mk_turn_ask(struct mk_conn *c);                       /* in a handler: decide it when this run has ended */
void mk_turn_forget(struct mk_conn *c);                    /* it needs no decision any more; frees its answer */
bool mk_turn_due(const struct mk_server *s);               /* somebody asked and was not decided yet */
bool mk_turn_decide(struct mk_server *s);                  /* some of those that asked; false: nobody did */
bool mk_turn_under_way(const struct mk_conn *c);           /* it asked, and its answer was not handed over yet */
/* In a handler, then: hands its answer over, suspends it, or waits on. */
enum MHD_Result mk_turn_answer(struct mk_conn *c);

/* http_limits.c */
bool mk_limits_room(const struct mk_server *s);            /* is there a descriptor for one more? */
enum mk_hint mk_limits_enter(struct mk_conn *c);           /* counts it; a hint where it is one too many */
void mk_limits_leave(struct mk_conn *c);
void mk_limits_sweep(struct mk_http *h);
void mk_limits_refuse(int fd, enum mk_hint h);             /* a raw answer on a fresh connection, then shutdown(2) */

/* http_server.c */
mk_must mk_server_new(struct mk_http *h, const struct mk_word *name, int fd, ino_t inode, struct mk_server **ret);
void mk_server_leave(struct mk_server *s);                 /* stops accepting; idempotent */
struct mk_server *mk_server_free(struct mk_server *s);     /* not from within its callbacks */
void mk_server_run(struct mk_server *s);

/* http_routes.c */
enum MHD_Result mk_route_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
				const char *version, const char *body, size_t *body_n, void **request);

#endif

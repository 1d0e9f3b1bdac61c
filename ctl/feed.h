/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of some connections, kept current: got once, then again whenever the stream of
 * events (stream.h) says that something happened. What an agent gave lies in locked memory.
 * An agent that is away takes nothing back: what is held stays, one warning is printed, and it is
 * looked for until it is there again.
 */
#ifndef MK_CTL_FEED_H
#define MK_CTL_FEED_H

#include "ctl/stream.h"

#define MK_FED_UNKNOWN (-1)

struct mk_fed {
	struct mk_name name;
	int code;                  /* MK_EXIT_DONE: held. 3, 4, 5: there is none, for that reason. MK_FED_UNKNOWN: not asked yet */
	struct mk_secret *leaves;  /* what is held, as a leaf list (mk/leaf.h) */
	int64_t expires_at;        /* wall clock, or MK_TIME_NONE */
	int64_t over_at;           /* boot clock: the same end as it was counted when it came, for a wall clock that is set back or stands */
	char etag[96];
	bool due, expiry_told;
};

struct mk_get { /* the one question that is under way */
	struct mk_fed *of;
	void *multi, *curl, *headers;
	struct mk_secret *body;
	char etag[96];
};

struct mk_feed {
	struct mk_target target;
	const char *command;       /* "run": for messages */
	bool once;                 /* got, and never again */
	bool drop_expired;         /* what has expired is taken for gone also while the agent is away */
	const char *const *matter; /* fields that make a change when they differ; NULL-ended */
	void (*changed)(void *arg, struct mk_fed *f); /* held anew, or gone; not for the first answers */
	void *arg;
	struct mk_fed fed[MK_STREAM_NAMES];
	size_t n;

	char path[MK_SOCKET_PATH_MAX + 1]; /* the rest is its own */
	struct mk_stream stream;
	void *multi;
	struct mk_get get;
	bool lost, failing, refused;       /* refused: the stream was, since it was open */
	int64_t open_at, get_at;   /* not before (mk_boot_ms) */
	int get_again_ms;
	size_t turn;               /* who is asked first */
};

/* Takes one more name; MK_EXIT_USAGE after a message. One that is there already is taken once. ret may be NULL. */
int mk_feed_add(struct mk_feed *f, const char *name, struct mk_fed **ret);
/* Connects and gets all: MK_EXIT_DONE with each fed's code known, else the code to end with, after a message. Refusals of
 * single connections are told, and are no failure. Blocks, for as long as a store takes. */
int mk_feed_begin(struct mk_feed *f);
/* After it: waits at most ms, less when something is due or fd (-1: none) can be read, and does what is due. */
void mk_feed_round(struct mk_feed *f, int fd, int ms);
/* Nothing is being asked: all that has changed until now has been told. */
bool mk_feed_is_quiet(const struct mk_feed *f);
void mk_feed_done(struct mk_feed *f);

/* One field of what is held, borrowed; false: not given. */
struct mk_leaf;
bool mk_fed_leaf(const struct mk_fed *f, const char *field, struct mk_leaf *ret);

/* One question (feed_get.c): begun; turned, true when it is over; then what it brought, into `of`. */
int mk_get_begin(struct mk_get *g, const struct mk_feed *f, struct mk_fed *of);
bool mk_get_turn(struct mk_get *g, int fd, int ms, int *ret_rc);
enum mk_got { MK_GOT_SAME, MK_GOT_NEW, MK_GOT_GONE, MK_GOT_TROUBLE };
/* tell: trouble is told (a refusal always is). *ret_code: the exit code that fits. */
enum mk_got mk_get_end(struct mk_get *g, const struct mk_feed *f, int rc, bool tell, int *ret_code);
void mk_get_done(struct mk_get *g);

#endif

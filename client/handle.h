/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handle is made of. Plain memory holds what a child of fork must be able to close and free: descriptors and
 * the list of mappings. All else, the locks and the copies of tokens above all, lies in mappings that are locked, left out
 * of dumps, and read as zeros in a child (memory.c).
 *
 * Two kinds of locks, taken in this order: `watching`, for the second connection; `lock`, for all the rest, held for
 * moments only and never while something is waited for. Whoever asks owns a link by its `busy`.
 */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "client/api.h"
#include "makini/wire.h"

#define COPIES_MAX   1024u /* names that a handle knows; the one least recently asked for makes room */
#define SLAB_COPIES  16u
#define SLABS        (COPIES_MAX / SLAB_COPIES)
#define BUCKETS      1024u
#define LINKS        4u    /* asks under way at once; each one more locks the memory of one answer, when it is first needed */
#define SMALL_MAX    792u  /* bytes of a token that its copy holds itself */
#define NO_COPY      0xffffu
#define NO_WORD      0xffffffffu

/* One mapping, in the handle's list. */
struct map {
	struct map *next;
	unsigned char *bytes;
	size_t size;
};

/* A connection's name as it came from the caller. */
struct name {
	const char *s;
	size_t n;
	uint32_t hash;
};

/* What is known of one connection. Of a name that can be told by makini_watch_next it may be the name alone. */
struct copy {
	uint64_t generation; /* of the page that index and word belong to */
	uint64_t word;       /* what makes it no longer good when it moves on */
	uint64_t before;     /* the word when the ask under way began */
	uint64_t used;       /* the handle's count of asks when it was last asked for */
	int64_t good_until;
	struct map *big;     /* where the token is longer than SMALL_MAX */
	uint32_t hash, index;
	uint16_t next;       /* in its bucket */
	bool held;           /* there is a token */
	bool told;           /* makini_watch_next has named it, or nobody was given it */
	char name[MAKINI_NAME_MAX + 1];
	struct makini_info info;
	unsigned char small[SMALL_MAX];
};

/* One connection for asks. */
struct link {
	int fd;              /* -1: none */
	bool busy;
	uint32_t number;     /* of its last ask */
	uint64_t generation; /* of the page that its HELLO brought */
	uint32_t words;      /* in that page */
	struct map *in;      /* WIRE_ANSWER_MAX bytes; NULL: not needed so far */
	const struct name *asks;
};

enum watch_state { WATCH_OFF, WATCH_GREETED, WATCH_ASKED, WATCH_ON };

struct watch {
	int epoll, timer, fd; /* -1: none. The timer makes epoll readable when there is more to tell, or it is time to connect again */
	enum watch_state state;
	uint32_t number;
	int64_t tried_at, retry_at, timer_at; /* ns of CLOCK_MONOTONIC; 0: not set */
};

/* In a mapping of its own: all zeros in a child. */
struct guarded {
	uint32_t alive; /* not 0 in the process that opened it */
	pthread_mutex_t lock, watching;
	pthread_cond_t turn; /* a link is free again */
	uint64_t asks;
	unsigned copies;
	uint16_t bucket[BUCKETS];
	struct copy *slab[SLABS];
	unsigned char heard[256]; /* what the second connection received */
};

struct makini {
	struct guarded *g;
	struct map *maps;
	struct sockaddr_un at;
	int timeout_ms;
	bool unlocked;
	struct link link[LINKS];
	struct watch watch;
	const struct wire_page *page; /* NULL: none */
	dev_t page_dev;
	ino_t page_ino;
	uint64_t generation;          /* goes up with each page, and when the agent left */
};

/* Is this the process that opened it? */
static inline bool is_ours(const makini *m)
{
	return m->g && __atomic_load_n(&m->g->alive, __ATOMIC_RELAXED) != 0;
}

#endif

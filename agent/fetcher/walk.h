/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of an operation or of a login: request, answer, step again, until it ends.
 * Files are answered at once, HTTP later; answers are wiped as soon as the step that saw
 * them has returned. Lives in its owner's memory and stays in place.
 */
#ifndef MK_FETCHER_WALK_H
#define MK_FETCHER_WALK_H

#include "agent/fetcher/ask.h"

#include <sys/types.h>

#define MK_WALK_STEPS_MAX 8u /* nothing needs more requests; what asks for more goes in circles */

/* Which file was read: what a REPLACE must find in its place. */
struct mk_file_mark {
	bool set;
	dev_t dev;
	ino_t ino;
	uint8_t hash[32];
};

struct mk_walk {
	struct mk_ask ask;
	struct mk_req req;
	struct mk_instance *at;
	void *owner;
	enum mk_step (*step)(void *owner, const struct mk_res *res, struct mk_req *out);
	void (*ended)(void *owner, enum mk_step verdict); /* once, as the last thing; also from inside mk_walk_begin */
	int64_t deadline_ms;
	bool single;          /* each request is tried once */
	unsigned steps;
	enum mk_err err;      /* not OK: it was the driver that failed it, with `fault` */
	const char *fault;    /* of the answer that the last step saw, where that was an error */
	bool told;            /* the store answered a request */
	bool unsure;          /* a request that changes something was sent, and no answer says what came of it */
	struct mk_file_mark mark; /* of the last file that was read to_replace */
};

/* at, owner, step, ended, deadline_ms and single are set. */
void mk_walk_begin(struct mk_walk *w);
void mk_walk_done(struct mk_walk *w); /* also before its end, which then does not come */

int64_t mk_walk_time(const struct mk_instance *at); /* of one operation, ms */

struct mk_answer { /* of a file */
	struct mk_res res;
	struct mk_secret *locked; /* owns the body of a private file */
	uint8_t *heap;            /* owns any other */
};
void mk_answer_done(struct mk_answer *a); /* wipes */

/* Opens and reads a file of the configuration (file.c). mark: of one that is read to_replace. */
void mk_answer_file(const struct mk_req *req, bool in_pod, struct mk_answer *ret, struct mk_file_mark *mark);
/* Replaces the file of the mark, where it still is that one. */
mk_must mk_answer_replace(const struct mk_req *req, bool in_pod, const struct mk_file_mark *mark);

#endif

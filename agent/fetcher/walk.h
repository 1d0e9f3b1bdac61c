/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of an operation or of a login: request, answer, step again, until it ends.
 * Files are answered at once, HTTP later; answers are wiped as soon as the step that saw
 * them has returned. Lives in its owner's memory and stays in place.
 */
#ifndef MK_FETCHER_WALK_H
#define MK_FETCHER_WALK_H

#include "agent/fetcher/ask.h"

#define MK_WALK_STEPS_MAX 8u /* nothing needs more requests; what asks for more goes in circles */

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

/* Opens and reads a file of the configuration (file.c). */
void mk_answer_file(const struct mk_req *req, bool in_pod, struct mk_answer *ret);

#endif

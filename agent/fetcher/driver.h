/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a backend's operation: step, request, answer, step again, until it ends. The
 * driver owns requests and answers, bounds their number and size, and wipes answers as
 * soon as the step that saw them has returned. A file is answered at once; a run whose
 * answer takes time will rest between mk_run_begin and `ended`, so a caller must not
 * rely on either order.
 */
#ifndef MK_FETCHER_DRIVER_H
#define MK_FETCHER_DRIVER_H

#include "mk/backend.h"

#define MK_RUN_STEPS_MAX 8u /* no operation needs more requests; what asks for more goes in circles */

/* One backend of the configuration, and what it keeps. */
struct mk_instance {
	struct mk_conf_backend conf;
	const struct mk_backend *backend;
	void *keep;
	bool in_pod;
	/* for the log, so that one fault is not told at every try */
	const char *last_fault;
	int64_t told_ms;
};

struct mk_answer { /* to one request */
	struct mk_res res;
	struct mk_secret *locked; /* owns the body of a private file */
	uint8_t *heap;            /* owns any other */
};
void mk_answer_done(struct mk_answer *a); /* wipes */

/* One operation under way, in its caller's memory, which stays in place until `ended`. */
struct mk_run {
	struct mk_instance *at;
	struct mk_op op;
	unsigned steps;
	/* Called once, also from inside mk_run_begin. op.err is OK or says why not. The driver does not touch the run
	 * any more: it is the caller's again, who calls mk_run_done. */
	void (*ended)(struct mk_run *run);
};

/* op's verb, name, previous and, for a list, `listed` are set; the rest is the driver's. */
void mk_run_begin(struct mk_run *run);
void mk_run_done(struct mk_run *run); /* frees what the operation owns */

/* Opens and reads a file of the configuration (file.c). */
void mk_answer_file(const struct mk_req *req, bool in_pod, struct mk_answer *ret);

#endif

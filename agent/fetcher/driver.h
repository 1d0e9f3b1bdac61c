/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a backend's operations: in their turn, with a credential where the backend has a
 * login, step by step within one deadline. What is answered at once (files) ends within
 * mk_run_begin; what takes time rests, so a caller must not rely on either order.
 */
#ifndef MK_FETCHER_DRIVER_H
#define MK_FETCHER_DRIVER_H

#include "agent/fetcher/walk.h"

#define MK_RUNS_AT_ONCE 8u /* of one instance; the others wait for their turn */

/* conf, backend, login, keep, in_pod are set; driver NULL: only files are read. */
mk_must mk_instance_init(struct mk_instance *at, struct mk_driver *driver);
void mk_instance_stop(struct mk_instance *at); /* ends all its runs with NOT_READY, and frees what the driver has in it */

/* One operation under way, in its caller's memory, which stays in place until `ended`. */
struct mk_run {
	struct mk_instance *at;
	struct mk_op op;
	/* Called once, also from inside mk_run_begin. op.err is OK or says why not. The driver does not touch the run
	 * any more: it is the caller's again, who calls mk_run_done. */
	void (*ended)(struct mk_run *run);
	bool unsure;           /* not OK: a change may have been made nevertheless */
	/* the driver's */
	struct mk_walk walk;
	int64_t deadline_ms;
	struct mk_secret *credential;
	uint32_t number;       /* of the credential */
	bool logged_in_again;
	struct mk_timer *timer; /* while it waits for its turn or a login */
	struct mk_runs *list;
	TAILQ_ENTRY(mk_run) entry;
};

/* op's verb, name, previous, pending, expect, value and, for a list, `listed` are set; the rest is the driver's.
 * A write that got no answer ends with TIMEOUT or BACKEND, and may have had its effect: GET tells. */
void mk_run_begin(struct mk_run *run);
void mk_run_done(struct mk_run *run); /* frees what the operation owns */

#endif

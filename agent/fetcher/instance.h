/* SPDX-License-Identifier: Apache-2.0
 *
 * One backend of the configuration as it runs: what it keeps, its login, the state of its
 * endpoint, its operations under way. Stays in place as long as any of them is.
 */
#ifndef MK_FETCHER_INSTANCE_H
#define MK_FETCHER_INSTANCE_H

#include "agent/base/loop.h"
#include "agent/fetcher/breaker.h"
#include "agent/fetcher/bucket.h"
#include "agent/fetcher/endpoint.h"
#include "agent/fetcher/transport.h"

#include <sys/queue.h>

struct mk_session;
struct mk_run;
TAILQ_HEAD(mk_runs, mk_run);

/* What all instances share; outlives them. */
struct mk_driver {
	struct mk_loop *loop;
	struct mk_transport transport;
	uint32_t (*random)(void); /* for jitter */
};

struct mk_instance {
	struct mk_conf_backend conf;
	const struct mk_backend *backend;
	const struct mk_login *login;  /* NULL: none */
	void *keep;
	bool in_pod;
	bool may_write;                /* its files, where a store is one */
	/* the driver's; mk_instance_init */
	struct mk_driver *driver;      /* NULL: only files are read */
	struct mk_breaker breaker;
	struct mk_bucket bucket;
	struct mk_endpoint endpoint;   /* what is remembered for status */
	struct mk_session *session;    /* NULL without a login */
	struct mk_runs waiting, parked, going; /* for their turn; for a login; at work */
	unsigned n_going;
	bool admitting, stopped;
	/* for the log, so that one fault is not told at every try */
	const char *last_fault;
	int64_t told_ms;
};

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * How an HTTP request gets its answer: a seam, so that the driver's deadlines, retries and
 * breakers are tested under a script and a fake clock. transport_curl.c is the real one.
 *
 * start: takes what it needs from req (valid until `answered` or cancel), sends once, calls
 * `answered` later, once, never from inside start. cancel: `answered` is not called any more.
 * Bodies arrive in a secret; no redirect is followed; nothing is retried here.
 */
#ifndef MK_FETCHER_TRANSPORT_H
#define MK_FETCHER_TRANSPORT_H

#include "mk/backend.h"

struct mk_call { /* one request under way, in its caller's memory */
	void (*answered)(struct mk_call *c);
	const struct mk_req *req;
	const struct mk_conf_backend *conf; /* TLS, proxy, client certificate */
	bool in_pod;                        /* the pod's rule for symlinks, for the files that conf names */
	int64_t timeout_ms;
	/* the answer, when answered */
	struct mk_res res;             /* err OK: a whole HTTP answer of any status */
	struct mk_secret *body;        /* owned by the caller after answered */
	int64_t retry_after_ms;        /* of a Retry-After header (seconds or date), -1: none */
	const char *fault;             /* err not OK, also of start: a fixed text with remedy: "the certificate has expired" … */
	bool hopeless;                 /* err not OK: the same request would fail again at once (a certificate, a redirect) */
	void *handle;                  /* the transport's */
};

struct mk_transport {
	void *self;
	enum mk_err (*start)(void *self, struct mk_call *c);
	void (*cancel)(void *self, struct mk_call *c);
};

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP request until it has its answer: waits for the endpoint's bucket, asks its
 * breaker, sends, and sends again with full jitter (or when the endpoint said so) while
 * that may help and the deadline allows. Lives in its owner's memory and stays in place.
 */
#ifndef MK_FETCHER_ASK_H
#define MK_FETCHER_ASK_H

#include "agent/fetcher/instance.h"

struct mk_ask {
	struct mk_call call;       /* first: `answered` gets its address. call.res, fault and body are the answer */
	struct mk_instance *at;
	int64_t deadline_ms;       /* CLOCK_BOOTTIME */
	bool single;               /* one try only */
	void (*answered)(struct mk_ask *a); /* once, never from inside mk_ask_begin */
	void *owner;
	/* its own */
	struct mk_timer *timer;
	unsigned tries;
	bool sent, paid;
	bool tried;                /* it was sent at least once */
};

/* at, deadline_ms, single, answered and owner are set; req stays until mk_ask_done. NO_MEMORY: nothing was begun. */
mk_must mk_ask_begin(struct mk_ask *a, const struct mk_req *req);
void mk_ask_done(struct mk_ask *a); /* also before the answer; wipes the answer; twice is fine */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of one backend's endpoint for those who look after it: calls by the
 * minute, the last error and the last answer. Zeroed, nothing has happened yet. It decides
 * nothing: breaker, bucket and login have their own state, and are only read here.
 */
#ifndef MK_FETCHER_ENDPOINT_H
#define MK_FETCHER_ENDPOINT_H

#include "agent/ipc/msg_endpoint.h"

#define MK_ENDPOINT_MINUTES 60

struct mk_endpoint {
	uint32_t calls[MK_ENDPOINT_MINUTES]; /* by minute of the boot clock, in turn */
	int64_t minute;                      /* that was counted last */
	enum mk_err err;                     /* the last error; OK: none yet */
	const char *fault;                   /* fixed text, or NULL */
	int64_t err_at_ms, ok_at_ms;         /* wall clock; 0: never */
};

void mk_endpoint_called(struct mk_endpoint *e, int64_t boot_ms);
/* Calls of this minute and the 59 before it. */
uint32_t mk_endpoint_calls(const struct mk_endpoint *e, int64_t boot_ms);

struct mk_instance;
/* An operation or a login ended. That nothing was asked because the breaker is open is no error of its own: the one
 * that opened it stays the last. */
void mk_endpoint_ended(struct mk_instance *at, enum mk_err err, const char *fault);
/* All there is to say now, but for the backend's index. */
void mk_endpoint_state(const struct mk_instance *at, struct mk_msg_endpoint *ret);

#endif

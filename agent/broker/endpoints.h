/* SPDX-License-Identifier: Apache-2.0
 *
 * How the backends fare, for status: what the fetcher says of its endpoints, beside what
 * the broker saw itself, and how many calls an hour the configuration will cause. What a
 * fetcher says is shown, and raises alarms about itself; nothing is decided by it.
 */
#ifndef MK_ENDPOINTS_H
#define MK_ENDPOINTS_H

#include "agent/broker/core.h"

/* ENDPOINT_STATE. BAD_REQUEST: the fetcher breaks the rules. One of another configuration is dropped. */
mk_must mk_endpoints_take(struct mk_broker *b, struct mk_span body);
/* The backends are others now: the alarms of those that are configured no more are gone. */
void mk_endpoints_forget(struct mk_broker *b);
/* Fills ret->stores. */
void mk_endpoints_status(const struct mk_broker *b, struct mk_broker_status *ret);

/* Fetches an hour of so many tokens that are in use, have no expiry, and are spread over the jitter evenly. */
double mk_forecast_fetches(size_t names, int64_t ttl_ms, uint8_t percent);

#endif

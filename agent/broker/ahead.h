/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetches that nobody waits for: again what was handed out, before it ends (schedule.h);
 * and, after a start or a reload, what the policy can hand out. Few at a time, begun by
 * the tick, as flights of the agent's own uid: callers' questions are never held up, and
 * join one that is under way. While the stores fail nothing is begun.
 */
#ifndef MK_AHEAD_H
#define MK_AHEAD_H

#include "agent/broker/core.h"

#define MK_PREFETCH_MAX 1024u /* tokens after one start or reload */

/* The configuration is another one: what policy can hand out is to be fetched, where it says so. */
void mk_ahead_begin(struct mk_broker *b);
void mk_ahead_tick(struct mk_broker *b);

/* May any service get it? */
bool mk_ahead_can_be_handed_out(const struct mk_broker *b, const struct mk_name *name);
/* How long one look at the whole store takes. */
int64_t mk_ahead_round_ms(int64_t ttl_ms);

#endif

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

#endif

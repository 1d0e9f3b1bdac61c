/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's now: what expiries, approvals and service-account tokens are judged by (wall.h),
 * its alarms, and the newest time that was seen, kept in the state database for the next start.
 * What people read (records, logs, `since`) has the wall clock's own time.
 */
#ifndef MK_NOW_H
#define MK_NOW_H

#include "agent/broker/core.h"

/* Wall-clock ms; what is later than it is still to come. */
int64_t mk_now_ms(const struct mk_broker *b);
/* Looks at both clocks; before what is decided by them. After a jump all tokens are asked for again. */
void mk_now_look(struct mk_broker *b);

/* A start, when state database and audit log are open: is the wall clock behind what they know? */
void mk_now_start(struct mk_broker *b);
void mk_now_tick(struct mk_broker *b);
void mk_now_keep(struct mk_broker *b); /* also at an orderly end */

/* Why an expiry may not be what it seems: "clock_jumped", "clock_behind", or NULL. */
const char *mk_now_doubt(const struct mk_broker *b);

#endif

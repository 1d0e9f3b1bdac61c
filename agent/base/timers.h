/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's timers: a binary heap, so that thousands (a few a connection) may be set
 * anew all the time. Only loop.c uses this header.
 */
#ifndef MK_TIMERS_H
#define MK_TIMERS_H

#include "agent/base/loop.h"

#include <stddef.h>

struct mk_timers {
	struct mk_timer **heap; /* [1..armed], earliest first; room for every timer there is */
	size_t armed, made, room;
};

mk_must mk_timers_new(struct mk_timers *all, mk_timer_fn *fn, void *arg, struct mk_timer **ret);
void mk_timers_done(struct mk_timers *all);

/* Fires what is due, until *stop. */
void mk_timers_run(struct mk_timers *all, const bool *stop);

/* Milliseconds until the next is due, at most max; -1 where none is armed. */
int mk_timers_nap(const struct mk_timers *all, int max);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop that runs until all that is on its way has arrived.
 */
#ifndef MK_TEST_PUMP_H
#define MK_TEST_PUMP_H

#include "agent/base/loop.h"

static inline void stop_loop(void *loop)
{
	mk_loop_stop(loop);
}

static inline struct mk_timer *stop_timer(struct mk_loop *loop)
{
	struct mk_timer *t = NULL;
	assert_int_equal(mk_timer_new(loop, stop_loop, loop, &t), MK_OK);
	return t;
}

/* stop: stop_timer's */
static inline void pump_loop(struct mk_loop *loop, struct mk_timer *stop)
{
	for (int i = 0; i < 12; i++) {
		mk_timer_set(stop, 0);
		assert_int_equal(mk_loop_run(loop), MK_OK);
	}
}

#endif

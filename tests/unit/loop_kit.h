/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop on a clock that the tests move.
 */
#ifndef MK_TEST_LOOP_KIT_H
#define MK_TEST_LOOP_KIT_H

#include "agent/base/clock.h"
#include "agent/base/loop.h"

static struct mk_loop *loop;
static int64_t now;

static inline int setup(void **state)
{
	(void)state;
	now = 1000;
	mk_clock_fake(&now, NULL);
	return mk_loop_new(&loop) == MK_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
	(void)state;
	mk_clock_fake(NULL, NULL);
	loop = mk_loop_free(loop);
	return 0;
}

static inline void stop(void *arg)
{
	(void)arg;
	mk_loop_stop(loop);
}

static inline void run_once(void)
{
	struct mk_timer *t;
	assert_int_equal(mk_timer_new(loop, stop, NULL, &t), MK_OK);
	mk_timer_set(t, 0);
	assert_int_equal(mk_loop_run(loop), MK_OK);
	mk_timer_free(t);
}

static struct mk_timer *mine;

#endif

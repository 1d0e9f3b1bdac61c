/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the event loop's timers. They run on a clock that the tests move.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "loop_kit.h"

#include "mk/own.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- timers --- */

static char fired[16];

static void note(void *arg)
{
	strncat(fired, arg, 1);
}

static void timers_fire_when_due_in_order_and_once(void **state)
{
	(void)state;
	static char names[] = "abc";
	struct mk_timer *t[3];
	fired[0] = '\0';
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(mk_timer_new(loop, note, &names[i], &t[i]), MK_OK);
	mk_timer_set(t[0], 300);
	mk_timer_set(t[1], 100);
	mk_timer_set(t[2], 200);
	run_once();
	assert_string_equal(fired, "");
	now += 99;
	run_once();
	assert_string_equal(fired, "");
	now += 1;
	run_once();
	assert_string_equal(fired, "b");
	assert_false(mk_timer_armed(t[1]));
	assert_true(mk_timer_armed(t[2]));
	mk_timer_set(t[2], -1);
	now += 10000;
	run_once();
	assert_string_equal(fired, "ba");
	run_once();
	assert_string_equal(fired, "ba");
	for (size_t i = 0; i < 3; i++)
		assert_null(mk_timer_free(t[i]));
	assert_null(mk_timer_free(NULL));
}

static int64_t last_due;
static unsigned n_fired;

struct due {
	struct mk_timer *t;
	int64_t at;
};

static void in_order(void *arg)
{
	const struct due *d = arg;
	assert_true(d->at >= last_due);
	assert_true(d->at <= now);
	last_due = d->at;
	n_fired++;
}

static void a_thousand_timers_set_anew_and_freed_fire_in_order(void **state)
{
	(void)state;
	static struct due due[1000];
	uint32_t seed = 7;
	unsigned armed = 0;
	last_due = 0;
	n_fired = 0;
	for (size_t i = 0; i < MK_COUNT(due); i++)
		assert_int_equal(mk_timer_new(loop, in_order, &due[i], &due[i].t), MK_OK);
	for (unsigned k = 0; k < 20000; k++) {
		seed = seed * 1664525 + 1013904223;
		struct due *d = &due[(seed >> 8) % MK_COUNT(due)];
		const int64_t in = (int64_t)(seed >> 20) - 500;
		d->at = now + in;
		mk_timer_set(d->t, in);
		assert_int_equal(mk_timer_armed(d->t), in >= 0);
	}
	for (size_t i = 0; i < MK_COUNT(due); i += 3) {
		mk_timer_free(due[i].t);
		due[i].t = NULL;
	}
	for (size_t i = 0; i < MK_COUNT(due); i++)
		armed += due[i].t && mk_timer_armed(due[i].t);
	assert_true(armed > 300);
	now += 100000;
	run_once();
	assert_int_equal(n_fired, armed);
	for (size_t i = 0; i < MK_COUNT(due); i++)
		mk_timer_free(due[i].t);
}

static struct mk_timer *other;

static void free_both(void *arg)
{
	(void)arg;
	n_fired++;
	mine = mk_timer_free(mine);
	other = mk_timer_free(other);
}

static void a_timer_may_free_itself_and_another_that_is_due(void **state)
{
	(void)state;
	n_fired = 0;
	assert_int_equal(mk_timer_new(loop, free_both, NULL, &mine), MK_OK);
	assert_int_equal(mk_timer_new(loop, free_both, NULL, &other), MK_OK);
	mk_timer_set(mine, 5);
	mk_timer_set(other, 5);
	now += 5;
	run_once();
	assert_int_equal(n_fired, 1);
	assert_null(mine);
}

static void again(void *arg)
{
	(void)arg;
	if (++n_fired >= 1000)
		mk_loop_stop(loop);
	mk_timer_set(mine, 0);
}

static void on_byte(void *arg, uint32_t events)
{
	assert_true(events & EPOLLIN);
	*(bool *)arg = true;
	mk_loop_stop(loop);
}

static void a_timer_that_sets_itself_to_0_does_not_hold_up_the_loop(void **state)
{
	(void)state;
	int pair[2];
	bool seen = false;
	struct mk_source *s;
	n_fired = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	assert_int_equal(mk_loop_add(loop, pair[0], EPOLLIN, on_byte, &seen, &s), MK_OK);
	assert_int_equal(mk_timer_new(loop, again, NULL, &mine), MK_OK);
	mk_timer_set(mine, 0);
	assert_int_equal(mk_loop_run(loop), MK_OK);
	assert_true(seen);
	assert_true(n_fired < 10);
	mine = mk_timer_free(mine);
	mk_loop_del(s);
	mk_close(pair[0]);
	mk_close(pair[1]);
}

static void without_a_fake_a_timer_waits_its_time(void **state)
{
	(void)state;
	struct mk_timer *t;
	mk_clock_fake(NULL, NULL);
	assert_int_equal(mk_timer_new(loop, stop, NULL, &t), MK_OK);
	const int64_t from = mk_boot_ms();
	mk_timer_set(t, 30);
	assert_int_equal(mk_loop_run(loop), MK_OK);
	const int64_t took = mk_boot_ms() - from;
	assert_true(took >= 30 && took < 30000);
	mk_timer_free(t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timers_fire_when_due_in_order_and_once),
		T(a_thousand_timers_set_anew_and_freed_fire_in_order),
		T(a_timer_may_free_itself_and_another_that_is_due),
		T(a_timer_that_sets_itself_to_0_does_not_hold_up_the_loop),
		T(without_a_fake_a_timer_waits_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

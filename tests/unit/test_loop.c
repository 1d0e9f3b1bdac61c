/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the event loop: sources, signals, and its end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "loop_kit.h"

#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* --- descriptors --- */

struct end {
	int fd[2];
	struct mk_source *s;
};
static struct end ends[8];
static unsigned calls;

static void delete_all(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	calls++;
	for (size_t i = 0; i < MK_COUNT(ends); i++) {
		ends[i].s = mk_loop_del(ends[i].s);
		mk_closep(&ends[i].fd[0]);
	}
}

static void ends_open(mk_fd_fn *fn)
{
	calls = 0;
	for (size_t i = 0; i < MK_COUNT(ends); i++) {
		assert_int_equal(pipe2(ends[i].fd, O_CLOEXEC | O_NONBLOCK), 0);
		assert_int_equal(write(ends[i].fd[1], "x", 1), 1);
		assert_int_equal(mk_loop_add(loop, ends[i].fd[0], EPOLLIN, fn, &ends[i], &ends[i].s), MK_OK);
	}
}

static void ends_close(void)
{
	for (size_t i = 0; i < MK_COUNT(ends); i++) {
		ends[i].s = mk_loop_del(ends[i].s);
		mk_closep(&ends[i].fd[0]);
		mk_closep(&ends[i].fd[1]);
	}
}

static void a_source_deleted_in_the_same_batch_is_not_called(void **state)
{
	(void)state;
	ends_open(delete_all);
	run_once();
	assert_int_equal(calls, 1);
	run_once();
	assert_int_equal(calls, 1);
	ends_close();
}

static struct mk_source *fresh;
static bool fresh_called;

static void on_fresh(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	fresh_called = true;
}

/* Closes all and opens another descriptor, which gets a number that an event in the batch still means. */
static void delete_all_and_reuse(void *arg, uint32_t events)
{
	delete_all(arg, events);
	assert_int_equal(pipe2(ends[0].fd, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(mk_loop_add(loop, ends[0].fd[0], EPOLLIN, on_fresh, NULL, &fresh), MK_OK);
}

static void an_event_for_an_old_descriptor_does_not_reach_a_new_one_of_its_number(void **state)
{
	(void)state;
	fresh_called = false;
	ends_open(delete_all_and_reuse);
	const int kept = ends[0].fd[1];
	run_once();
	run_once();
	assert_int_equal(calls, 1);
	assert_false(fresh_called);
	assert_int_equal(write(ends[0].fd[1], "x", 1), 1);
	run_once();
	assert_true(fresh_called); /* the control */
	fresh = mk_loop_del(fresh);
	mk_close(kept);
	ends_close();
}

static void count(void *arg, uint32_t events)
{
	(void)arg;
	assert_true(events != 0);
	calls++;
}

static void interest_can_be_changed(void **state)
{
	(void)state;
	ends_open(count);
	run_once();
	assert_int_equal(calls, MK_COUNT(ends));
	for (size_t i = 0; i < MK_COUNT(ends); i++)
		assert_int_equal(mk_loop_mod(ends[i].s, 0), MK_OK);
	run_once();
	assert_int_equal(calls, MK_COUNT(ends));
	assert_null(mk_loop_del(NULL));
	ends_close();
}

static void a_bad_descriptor_is_an_error(void **state)
{
	(void)state;
	struct mk_source *s = NULL;
	assert_int_equal(mk_loop_add(loop, -1, EPOLLIN, count, NULL, &s), MK_SYSTEM);
	assert_null(s);
}

/* --- signals, idle --- */

static int got[4];
static size_t n_got;

static void on_signal(void *arg, int signo)
{
	(void)arg;
	got[n_got++ % 4] = signo;
	if (n_got == 2)
		mk_loop_stop(loop);
}

static void signals_come_through_the_loop(void **state)
{
	(void)state;
	static const int wanted[] = { SIGUSR1, SIGHUP, 0 };
	sigset_t set;
	n_got = 0;
	assert_int_equal(mk_loop_signals(loop, wanted, on_signal, NULL), MK_OK);
	kill(getpid(), SIGUSR1); /* would end the process if it were not blocked */
	kill(getpid(), SIGHUP);
	assert_int_equal(mk_loop_run(loop), MK_OK);
	assert_int_equal(n_got, 2);
	assert_int_equal(got[0] + got[1], SIGUSR1 + SIGHUP);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void a_peer_that_left_costs_no_process(void **state)
{
	(void)state;
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	mk_close(pair[1]);
	assert_int_equal(write(pair[0], "x", 1), -1); /* SIGPIPE is ignored */
	assert_int_equal(errno, EPIPE);
	mk_close(pair[0]);
}

static void a_file_limit_costs_no_process(void **state)
{
	(void)state;
	struct rlimit was, one = { 1, RLIM_INFINITY };
	const int fd = memfd_create("limited", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	one.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &one), 0);
	assert_int_equal(write(fd, "xy", 2), 1);
	assert_int_equal(write(fd, "y", 1), -1); /* SIGXFSZ is ignored */
	assert_int_equal(errno, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	mk_close(fd);
}

static void on_idle(void *arg)
{
	if (++*(unsigned *)arg == 3)
		mk_loop_stop(loop);
}

static void again_forever(void *arg)
{
	(void)arg;
	mk_timer_set(mine, 0);
}

static void the_idle_hook_runs_once_a_round_and_may_stop_the_loop(void **state)
{
	(void)state;
	unsigned rounds = 0;
	assert_int_equal(mk_timer_new(loop, again_forever, NULL, &mine), MK_OK);
	mk_timer_set(mine, 0);
	mk_loop_idle(loop, on_idle, &rounds);
	assert_int_equal(mk_loop_run(loop), MK_OK);
	assert_int_equal(rounds, 3);
	mine = mk_timer_free(mine);
}

static void a_stop_before_the_run_counts(void **state)
{
	(void)state;
	mk_loop_stop(loop);
	assert_int_equal(mk_loop_run(loop), MK_OK);
}

static void drain_byte(void *arg, uint32_t events)
{
	int *const fd = arg;
	char c;
	(void)events;
	assert_int_equal(read(*fd, &c, 1), 1);
	*fd = -1;
}

/* As curl_multi_poll does it: wait on the descriptor, at most so long; then one round. */
static void a_loop_inside_another_tells_what_to_wait_for(void **state)
{
	struct mk_source *s = NULL;
	struct mk_timer *t = NULL;
	int p[2], unread;
	(void)state;
	assert_int_equal(mk_loop_wait_ms(loop), -1);
	assert_int_equal(mk_timer_new(loop, stop, NULL, &t), MK_OK);
	mk_timer_set(t, 300);
	assert_int_equal(mk_loop_wait_ms(loop), 300);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	unread = p[0];
	assert_int_equal(mk_loop_add(loop, p[0], EPOLLIN, drain_byte, &unread, &s), MK_OK);
	struct pollfd outer = { .fd = mk_loop_fd(loop), .events = POLLIN };
	assert_int_equal(poll(&outer, 1, 0), 0);
	assert_int_equal(mk_loop_turn(loop), MK_OK); /* nothing to do, and no waiting */
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(poll(&outer, 1, 0), 1);
	assert_int_equal(mk_loop_turn(loop), MK_OK);
	assert_int_equal(unread, -1);
	assert_false(mk_loop_stopped(loop));
	now += 300;
	assert_int_equal(mk_loop_wait_ms(loop), 0);
	assert_int_equal(mk_loop_turn(loop), MK_OK);
	assert_true(mk_loop_stopped(loop));
	mk_loop_del(s);
	mk_timer_free(t);
	close(p[0]);
	close(p[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_source_deleted_in_the_same_batch_is_not_called),
		T(an_event_for_an_old_descriptor_does_not_reach_a_new_one_of_its_number),
		T(interest_can_be_changed),
		T(a_bad_descriptor_is_an_error),
		T(signals_come_through_the_loop),
		T(a_peer_that_left_costs_no_process),
		T(a_file_limit_costs_no_process),
		T(the_idle_hook_runs_once_a_round_and_may_stop_the_loop),
		T(a_stop_before_the_run_counts),
		T(a_loop_inside_another_tells_what_to_wait_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Being told: each name that changed once, until it is asked for again; a descriptor that stays the same and readable for as
 * long as there is more; an agent that leaves, comes back, refuses, or sends what it must not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "libmakini_kit.h"

#include <sys/wait.h>

#include "client/handle.h"

static struct fake fake;
static char name[MAKINI_NAME_MAX + 1];

static int setup(void **state)
{
	fake_start(&fake);
	*state = fake_open(&fake, 20000);
	return 0;
}

static int teardown(void **state)
{
	makini_close(*state);
	fake_stop(&fake);
	return 0;
}

static bool readable(makini *m, int ms)
{
	struct pollfd p = { .fd = makini_watch_fd(m), .events = POLLIN };
	assert_true(p.fd > 2);
	return poll(&p, 1, ms) == 1;
}

/* Waits as a program does; the first that is not 0. */
static int next(makini *m)
{
	for (int i = 0; i < 100; i++) {
		const int rc = makini_watch_next(m, name);
		if (rc != 0)
			return rc;
		readable(m, 100);
	}
	return 0;
}

/* Until the second connection stands, and all is quiet. */
static void stands(makini *m)
{
	while (m->watch.state != WATCH_ON)
		assert_true(makini_watch_next(m, name) == 0 && (m->watch.state == WATCH_ON || readable(m, 10000)));
	assert_int_equal(makini_watch_next(m, name), 0);
}

static void a_change_is_told_once_and_again_after_the_next_get(void **state)
{
	makini *m = *state;
	const int fd = makini_watch_fd(m);
	fake_got(m, "acme-1", NULL);
	fake_got(m, "acme-2", NULL);
	stands(m);
	assert_false(readable(m, 30));
	fake_move(&fake, "acme-1");
	assert_true(readable(m, 20000));
	assert_int_equal(makini_watch_next(m, name), 1);
	assert_string_equal(name, "acme-1");
	assert_true(readable(m, 0)); /* until 0 is said */
	assert_int_equal(makini_watch_next(m, name), 0);
	assert_false(readable(m, 30));
	fake_move(&fake, "acme-1");
	assert_true(readable(m, 20000));
	assert_int_equal(makini_watch_next(m, name), 0); /* it was named, and nobody has asked since */
	assert_int_equal(fake_got(m, "acme-1", NULL), 3);
	fake_move(&fake, "acme-1");
	assert_int_equal(next(m), 1);
	assert_string_equal(name, "acme-1");
	assert_int_equal(makini_watch_fd(m), fd);
}

static void a_name_that_nobody_was_given_is_not_told(void **state)
{
	makini *m = *state;
	fake_got(m, "acme-1", NULL);
	stands(m);
	fake_move(&fake, "acme-2");
	assert_true(readable(m, 20000));
	assert_int_equal(makini_watch_next(m, name), 0);
}

static void a_token_that_may_not_be_repeated_is_told_when_it_changes_and_not_before(void **state)
{
	makini *m = *state;
	FAKE_SET(&fake, good_for_ns, -HOUR_NS);
	fake_got(m, "acme-1", NULL);
	stands(m);
	for (int i = 0; i < 5; i++) {
		fake_got(m, "acme-1", NULL);
		assert_int_equal(makini_watch_next(m, name), 0); /* else a service that asks for what it is told of would never end */
	}
	fake_move(&fake, "acme-1");
	assert_int_equal(next(m), 1);
	assert_string_equal(name, "acme-1");
}

static void a_token_that_ran_out_is_told_once(void **state)
{
	makini *m = *state;
	stands(m);
	FAKE_SET(&fake, good_for_ns, 100000000);
	int told = 0;
	for (int i = 0; i < 100 && told == 0; i++) { /* again where it had run out before it was kept */
		fake_got(m, "acme-1", NULL);
		fake_sleep_ms(120);
		told = makini_watch_next(m, name);
	}
	assert_int_equal(told, 1);
	assert_string_equal(name, "acme-1");
	assert_int_equal(makini_watch_next(m, name), 0);
}

static void what_changed_before_the_connection_stood_is_told_too(void **state)
{
	makini *m = *state;
	fake_got(m, "acme-1", NULL);
	fake_move(&fake, "acme-1");
	assert_true(makini_watch_fd(m) > 2);
	assert_int_equal(next(m), 1);
	assert_string_equal(name, "acme-1");
}

static void many_changes_are_told_each_however_seldom_the_caller_asks(void **state)
{
	makini *m = *state;
	unsigned seen = 0;
	char one[] = "acme-0";
	for (one[5] = '0'; one[5] <= '9'; one[5]++)
		fake_got(m, one, NULL);
	stands(m);
	for (one[5] = '0'; one[5] <= '9'; one[5]++)
		fake_move(&fake, one);
	while (seen != 0x3ff) { /* one for each time that it is readable */
		assert_true(readable(m, 10000));
		if (makini_watch_next(m, name) == 1)
			seen |= 1u << fake_word_of(name);
	}
}

static void a_token_that_comes_back_after_a_refusal_is_told(void **state)
{
	makini *m = *state;
	char buf[600];
	fake_got(m, "acme-1", NULL);
	stands(m);
	FAKE_SET(&fake, status, (unsigned)-MAKINI_EREVOKED);
	fake_move(&fake, "acme-1");
	assert_int_equal(next(m), 1);
	assert_int_equal(makini_get(m, "acme-1", buf, sizeof buf, NULL), MAKINI_EREVOKED);
	assert_int_equal(makini_watch_next(m, name), 0);
	FAKE_SET(&fake, status, 0);
	fake_move(&fake, "acme-1");
	assert_int_equal(next(m), 1);
	assert_string_equal(name, "acme-1");
}

static void an_agent_that_leaves_is_told_and_all_names_with_it(void **state)
{
	makini *m = *state;
	unsigned seen = 0;
	const int fd = makini_watch_fd(m);
	fake_got(m, "acme-1", NULL);
	fake_got(m, "acme-2", NULL);
	stands(m);
	fake_restart(&fake);
	assert_true(readable(m, 20000));
	assert_int_equal(next(m), MAKINI_EAGENT);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(next(m), 1);
		seen |= 1u << fake_word_of(name);
	}
	assert_int_equal(seen, 6);
	const unsigned before = fake_saw(&fake, &fake.gets);
	fake_got(m, "acme-1", NULL); /* not from a page that nobody stands behind */
	assert_int_equal(fake_saw(&fake, &fake.gets), before + 1);
	stands(m);
	fake_move(&fake, "acme-1");
	assert_int_equal(next(m), 1);
	assert_string_equal(name, "acme-1");
	assert_int_equal(makini_watch_fd(m), fd);
}

static void an_agent_that_is_away_is_looked_for_once_a_second_and_no_oftener(void **state)
{
	makini *m = *state;
	char away[128];
	unsigned told = 0;
	snprintf(away, sizeof away, "%s.away", fake.at);
	stands(m);
	assert_int_equal(rename(fake.at, away), 0);
	pthread_mutex_lock(&fake.lock);
	fake_hang_up_all(&fake);
	pthread_mutex_unlock(&fake.lock);
	const int64_t began = fake_now(CLOCK_MONOTONIC);
	while (told < 3 && fake_now(CLOCK_MONOTONIC) - began < 30000000000LL) {
		readable(m, 100);
		const int rc = makini_watch_next(m, name);
		assert_true(rc == 0 || rc == MAKINI_EAGENT);
		told += rc != 0;
	}
	const double passed = (double)(fake_now(CLOCK_MONOTONIC) - began) / 1e9;
	assert_true(told == 3 && told <= 2 + passed);
	assert_int_equal(rename(away, fake.at), 0);
	stands(m);
}

static void a_refusal_to_watch_is_told(void **state)
{
	makini *m = *state;
	FAKE_SET(&fake, watch_status, (unsigned)-MAKINI_EDENIED);
	assert_int_equal(next(m), MAKINI_EDENIED);
	assert_false(readable(m, 30)); /* and not asked for again at once */
	assert_int_equal(makini_watch_next(m, name), 0);
	assert_int_equal(fake_saw(&fake, &fake.watches), 1);
	assert_int_equal(fake_got(m, "acme-1", NULL), 1);
}

static void garble(struct fake *f, struct fake_frame *o)
{
	(void)f;
	o->bytes[0] ^= o->type == WIRE_WATCH;
}

static void attach(struct fake *f, struct fake_frame *o)
{
	if (o->type == WIRE_WATCH)
		o->fd[o->fds++] = f->memfd;
}

static void what_an_agent_must_not_send_on_it_is_a_fault_of_it(void **state)
{
	FAKE_SET(&fake, mangle, garble);
	assert_int_equal(next(*state), MAKINI_EPROTOCOL);
	makini *m = fake_open(&fake, 20000);
	FAKE_SET(&fake, mangle, attach);
	assert_int_equal(next(m), MAKINI_EPROTOCOL);
	makini_close(m);
	m = fake_open(&fake, 20000);
	FAKE_SET(&fake, mangle, NULL);
	stands(m);
	pthread_mutex_lock(&fake.lock);
	for (unsigned i = 0; i < FAKE_CONNS; i++)
		if (fake.conn[i].watches)
			assert_int_equal(send(fake.conn[i].fd, "\1\4\0\0\1\0\0\0", 8, MSG_NOSIGNAL), 8); /* a number where none may be */
	pthread_mutex_unlock(&fake.lock);
	assert_int_equal(next(m), MAKINI_EPROTOCOL);
	makini_close(m);
}

static void a_hung_agent_does_not_hold_the_caller_up(void **state)
{
	makini *m = *state;
	FAKE_SET(&fake, silent, 1000);
	const int64_t began = fake_now(CLOCK_MONOTONIC);
	assert_true(makini_watch_fd(m) > 2);
	for (int i = 0; i < 100; i++)
		assert_int_equal(makini_watch_next(m, name), 0);
	assert_true(fake_now(CLOCK_MONOTONIC) - began < 19000000000LL); /* its timeout is 20 s */
}

static void a_child_of_fork_does_not_keep_a_dead_connection_in_the_descriptor(void **state)
{
	makini *m = *state;
	int ends[2], status;
	char c;
	stands(m);
	assert_int_equal(pipe(ends), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		fake_hang_up_all(&fake); /* the broker's side is another process's in life */
		_exit(read(ends[0], &c, 1) == 0 ? 0 : 1); /* it lives on, and holds all descriptors */
	}
	close(ends[0]);
	fake_restart(&fake);
	assert_int_equal(next(m), MAKINI_EAGENT);
	stands(m);
	assert_false(readable(m, 30));
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void wrong_arguments_are_refused(void **state)
{
	assert_int_equal(makini_watch_fd(NULL), MAKINI_EINVAL);
	assert_int_equal(makini_watch_next(NULL, name), MAKINI_EINVAL);
	assert_int_equal(makini_watch_next(*state, NULL), MAKINI_EINVAL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_change_is_told_once_and_again_after_the_next_get),
		CASE(a_name_that_nobody_was_given_is_not_told),
		CASE(a_token_that_may_not_be_repeated_is_told_when_it_changes_and_not_before),
		CASE(a_token_that_ran_out_is_told_once),
		CASE(what_changed_before_the_connection_stood_is_told_too),
		CASE(many_changes_are_told_each_however_seldom_the_caller_asks),
		CASE(a_token_that_comes_back_after_a_refusal_is_told),
		CASE(an_agent_that_leaves_is_told_and_all_names_with_it),
		CASE(an_agent_that_is_away_is_looked_for_once_a_second_and_no_oftener),
		CASE(a_refusal_to_watch_is_told),
		CASE(what_an_agent_must_not_send_on_it_is_a_fault_of_it),
		CASE(a_hung_agent_does_not_hold_the_caller_up),
		CASE(a_child_of_fork_does_not_keep_a_dead_connection_in_the_descriptor),
		CASE(wrong_arguments_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

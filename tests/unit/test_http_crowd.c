/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about crowds on the HTTP side: what many, or one who never reads, can take from the others is
 * nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "http_limits_kit.h"

static void a_reader_that_never_reads_is_cut_off_and_its_token_wiped(void **state)
{
	(void)state;
	world_b->limits.write_timeout_ms = 2000;
	world_b->token_bytes = 16000;
	const int fd = connect_as(1000);
	const int64_t began = mk_boot_ms();
	for (unsigned i = 0; i < 100 && send(fd, TOKEN, strlen(TOKEN), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; i++)
		run_ms(2);
	assert_true(mk_secret_in_use() >= 1 || mk_boot_ms() - began >= 2000); /* the control: an answer is stuck */
	assert_no_spin();
	run_ms(2200);
	assert_int_equal(mk_secret_in_use(), 0);
	assert_int_equal(status_of(ask(TOKEN, NULL)), 200);
	close(fd);
}

static void unread_answers_of_one_uid_do_not_take_the_slab(void **state)
{
	int fds[45];
	(void)state;
	world_b->token_bytes = 1500;
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		fds[i] = connect_as(1000);
		for (unsigned k = 0; k < 400 && send(fds[i], TOKEN TOKEN, strlen(TOKEN TOKEN), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; k++)
			if (k % 8 == 0)
				run_ms(1);
	}
	assert_true(mk_secret_in_use() >= 16 && mk_secret_in_use() <= 33);
	const int other = connect_as(2000);
	say(other, TOKEN);
	assert_int_equal(status_of(hear(other, NULL)), 200);
	close(other);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(50);
	assert_int_equal(mk_secret_in_use(), 0);
}

/* More than are decided in one turn, and more than may lie unread. */
static void a_crowd_that_asks_at_once_is_answered_as_it_reads(void **state)
{
	int fds[80];
	(void)state;
	world_b->limits.connections_per_uid = MK_COUNT(fds);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		say(fds[i], TOKEN);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		assert_int_equal(status_of(hear(fds[i], NULL)), 200);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(50);
	assert_int_equal(mk_secret_in_use(), 0);
}

/* Large answers of many uids: a turn takes a few of them, not all the large slots there are. */
static void large_answers_asked_for_at_once_all_find_room(void **state)
{
	int fds[40];
	(void)state;
	world_b->token_bytes = 16000; /* there are 16 slots for such */
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000 + (uid_t)i);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		say(fds[i], TOKEN);
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		assert_int_equal(status_of(hear(fds[i], NULL)), 200);
		close(fds[i]);
	}
}

/* With most of what may lie unread taken, those that are read at once are not refused for those of the same turn. */
static void unread_answers_refuse_nobody_who_reads(void **state)
{
	int clogged[7], fds[20];
	(void)state;
	world_b->token_bytes = 16000;
	for (size_t i = 0; i < MK_COUNT(clogged); i++) {
		clogged[i] = connect_as(1000);
		for (unsigned k = 0; k < 40 && send(clogged[i], TOKEN, strlen(TOKEN), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; k++)
			run_ms(1);
	}
	assert_int_equal(mk_secret_in_use(), MK_COUNT(clogged));
	world_b->token_bytes = 0;
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		say(fds[i], TOKEN);
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		assert_int_equal(status_of(hear(fds[i], NULL)), 200);
		close(fds[i]);
	}
	for (size_t i = 0; i < MK_COUNT(clogged); i++)
		close(clogged[i]);
}

static int leaving[44], late;

/* At the third decision of a turn all but three leave: some were decided, some are about to be, some wait for the next turn. */
static void most_leave(void)
{
	if (world_b->gets == 3)
		say(late, TOKEN); /* after those that have left, in the same queue */
	for (size_t i = 0; world_b->gets == 3 && i < MK_COUNT(leaving); i++)
		if (i % 16 != 0) {
			close(leaving[i]);
			leaving[i] = -1;
		}
}

/* One that leaves between its question and the decision is decided for nobody, or not at all. */
static void who_asks_and_leaves_holds_nothing(void **state)
{
	(void)state;
	world_b->on_get = most_leave;
	late = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(leaving); i++)
		leaving[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(leaving); i++)
		say(leaving[i], TOKEN);
	run_ms(50);
	assert_in_range(world_b->gets, 3, MK_COUNT(leaving) - 1); /* not all: who left before its turn is not asked about */
	for (size_t i = 0; i < MK_COUNT(leaving); i += 16) {
		assert_int_equal(status_of(hear(leaving[i], NULL)), 200);
		close(leaving[i]);
	}
	assert_int_equal(status_of(hear(late, NULL)), 200);
	close(late);
	run_ms(50);
	assert_int_equal(mk_secret_in_use(), 0);
	assert_no_spin();
}

static void a_crowd_that_is_woken_at_once_does_not_take_the_slab(void **state)
{
	int fds[40];
	(void)state;
	world_b->waits = true;
	world_b->token_bytes = 16000; /* there are 16 slots for such */
	for (size_t i = 0; i < MK_COUNT(fds); i++) {
		fds[i] = connect_as(1000);
		say(fds[i], TOKEN);
		run_ms(2);
	}
	assert_int_equal(world_b->n_crowd, MK_COUNT(fds));
	for (unsigned i = 0; i < world_b->n_crowd; i++) {
		struct mk_waiter *w = world_b->crowd[i];
		w->waiting = false;
		w->fetched = true;
		w->woken(w);
	}
	close(fds[0]); /* one leaves when it was woken, and not resumed yet */
	for (size_t i = 1; i < MK_COUNT(fds); i++) {
		const char *text = hear(fds[i], NULL);
		assert_int_equal(status_of(text), 200);
		assert_true(strlen(body_of(text)) > 16000);
		close(fds[i]);
	}
	run_ms(20);
	assert_int_equal(mk_secret_in_use(), 0);
}

static void one_uid_cannot_fill_the_table(void **state)
{
	int fds[70];
	unsigned served = 0;
	(void)state;
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as(1000);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		if (send(fds[i], HEALTH, strlen(HEALTH), MSG_NOSIGNAL) > 0)
			served += strstr(hear(fds[i], NULL), "HTTP/1.1 200") != NULL;
	assert_int_equal(served, 50);
	assert_int_equal(world_b->refused, 20);
	const char *text = hear(fds[69], NULL);
	assert_int_equal(status_of(text), 429);
	assert_non_null(strstr(text, "Retry-After: 1\r\n"));
	const int other = connect_as(2000);
	say(other, HEALTH);
	assert_int_equal(status_of(hear(other, NULL)), 200);
	close(other);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(20);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
}

static void the_table_has_an_end_for_all_together(void **state)
{
	int fds[230];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_as((uid_t)(1000 + i / 40));
	assert_int_equal(world_b->refused, 30);
	assert_int_equal(world_b->last_refused, MK_NOT_READY);
	snprintf(world_path, sizeof world_path, "%s/admin.sock", world_dir);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200); /* the security team is not shut out */
	snprintf(world_path, sizeof world_path, "%s/api.sock", world_dir);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	run_ms(20);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
}

static void without_descriptors_it_waits_quietly(void **state)
{
	struct rlimit old, low;
	int fds[60];
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		fds[i] = connect_to(world_path); /* they wait in the backlog: the loop does not run */
	low = (struct rlimit){ (rlim_t)fds[59] + 1, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_no_spin(); /* the first accept fails already */
	low.rlim_cur += 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	run_ms(150);
	assert_no_spin(); /* some were accepted, the next fails */
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		close(fds[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	run_ms(300);
	assert_int_equal(status_of(ask(HEALTH, NULL)), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_reader_that_never_reads_is_cut_off_and_its_token_wiped),
		CLAIM(unread_answers_of_one_uid_do_not_take_the_slab),
		CLAIM(a_crowd_that_asks_at_once_is_answered_as_it_reads),
		CLAIM(who_asks_and_leaves_holds_nothing),
		CLAIM(large_answers_asked_for_at_once_all_find_room),
		CLAIM(unread_answers_refuse_nobody_who_reads),
		CLAIM(a_crowd_that_is_woken_at_once_does_not_take_the_slab),
		CLAIM(one_uid_cannot_fill_the_table),
		CLAIM(the_table_has_an_end_for_all_together),
		CLAIM(without_descriptors_it_waits_quietly),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

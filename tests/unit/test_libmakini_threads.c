/* SPDX-License-Identifier: Apache-2.0
 *
 * Eight threads on one handle while words move on, brokers come and go, and one more is told. Each get that began after a word
 * had moved brings a token of that word or a later one, whole and of its name. Also what waits for what: a slow ask
 * holds up neither repeats nor the asks of others. Built with ThreadSanitizer, too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "libmakini_kit.h"

#include "client/handle.h"

#define THREADS 8
#define NAMES   4

static struct fake fake;
static makini *m;
static int stop; /* atomic */
static unsigned long repeats, asks, wrong, old, refused; /* atomics */

static int setup(void **state)
{
	(void)state;
	fake_start(&fake);
	m = fake_open(&fake, 20000);
	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	repeats = asks = wrong = old = refused = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	makini_close(m);
	fake_stop(&fake);
	return 0;
}

static void count(unsigned long *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_SEQ_CST);
}

/* cmocka's asserts are for its own thread; this counts. */
static void get_one(const char *name, bool same_page)
{
	char buf[MAKINI_TOKEN_MAX + 1], want[MAKINI_TOKEN_MAX + 1];
	struct makini_info info;
	const uint64_t before = same_page ? fake_word(&fake, name) : 0;
	if (makini_get(m, name, buf, sizeof buf, &info) != 0) {
		count(&refused);
		return;
	}
	uint64_t word = 0;
	for (const char *p = info.version; *p; p++)
		word = word * 10 + (uint64_t)(*p - '0');
	fake_token(name, word, info.size, want);
	if (memcmp(want, buf, info.size) != 0)
		count(&wrong);
	if (word < before)
		count(&old);
	count(info.repeated ? &repeats : &asks);
}

static void *get_all_the_time(void *arg)
{
	const bool same_page = arg != NULL;
	char name[] = "acme-0";
	for (unsigned i = 0; !__atomic_load_n(&stop, __ATOMIC_SEQ_CST); i++) {
		name[5] = (char)('0' + i / 16 % NAMES);
		get_one(name, same_page);
	}
	return NULL;
}

static void *be_told(void *arg)
{
	unsigned long *told = arg;
	char name[MAKINI_NAME_MAX + 1];
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		struct pollfd p = { .fd = makini_watch_fd(m), .events = POLLIN };
		poll(&p, 1, 20);
		while (makini_watch_next(m, name) == 1)
			count(told);
	}
	return NULL;
}

static void run(bool restarts, unsigned moves)
{
	static unsigned long told;
	pthread_t thread[THREADS + 1];
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, get_all_the_time, restarts ? NULL : &fake), 0);
	assert_int_equal(pthread_create(&thread[THREADS], NULL, be_told, &told), 0);
	char name[] = "acme-0";
	for (unsigned i = 0; i < moves; i++) {
		name[5] = (char)('0' + i % NAMES);
		FAKE_SET(&fake, token_size, i % 3 ? 500 : 3000);
		fake_move(&fake, name);
		if (restarts && i % 16 == 15)
			fake_restart(&fake);
		fake_sleep_ms(2);
	}
	while (__atomic_load_n(&told, __ATOMIC_SEQ_CST) == 0 || __atomic_load_n(&asks, __ATOMIC_SEQ_CST) < NAMES ||
	       __atomic_load_n(&repeats, __ATOMIC_SEQ_CST) <= __atomic_load_n(&asks, __ATOMIC_SEQ_CST))
		fake_sleep_ms(1);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i <= THREADS; i++)
		pthread_join(thread[i], NULL);
	print_message("figure: %lu repeats, %lu asks, %lu told\n", repeats, asks, told);
	assert_int_equal(wrong, 0);
	assert_int_equal(old, 0);
	assert_true(repeats > asks && asks >= NAMES);
}

static void no_thread_gets_a_token_whose_word_had_moved_on(void **state)
{
	(void)state;
	run(false, 300);
	assert_int_equal(refused, 0);
}

static void brokers_that_come_and_go_leave_no_wrong_token(void **state)
{
	(void)state;
	run(true, 128);
}

struct one {
	const char *name;
	pthread_t thread;
};

static void *get_once(void *arg)
{
	const struct one *o = arg;
	get_one(o->name, true);
	return NULL;
}

static void those_who_want_the_same_name_cause_one_ask(void **state)
{
	struct one all[THREADS];
	(void)state;
	FAKE_SET(&fake, delay_ms, 300);
	for (unsigned i = 0; i < THREADS; i++) {
		all[i].name = "acme-1";
		assert_int_equal(pthread_create(&all[i].thread, NULL, get_once, &all[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(all[i].thread, NULL);
	assert_int_equal(fake_saw(&fake, &fake.gets), 1);
	assert_int_equal(repeats, THREADS - 1);
}

static void a_slow_ask_holds_up_no_repeat(void **state)
{
	struct one slow = { .name = "acme-1" };
	(void)state;
	fake_got(m, "acme-2", NULL);
	FAKE_SET(&fake, hold, true);
	assert_int_equal(pthread_create(&slow.thread, NULL, get_once, &slow), 0);
	while (fake_saw(&fake, &fake.gets) < 2)
		fake_sleep_ms(1);
	for (int i = 0; i < 2000; i++)
		fake_got(m, "acme-2", NULL);
	assert_int_equal(__atomic_load_n(&asks, __ATOMIC_SEQ_CST), 0); /* it still waits */
	FAKE_SET(&fake, hold, false);
	pthread_join(slow.thread, NULL);
	assert_int_equal(asks, 1);
}

/* An agent that answers nothing: all links are taken, and who waits for one gives up in time. */
static void who_waits_for_a_turn_gives_up_in_time(void **state)
{
	static const char *const names[] = { "a-1", "b-1", "c-1", "d-1", "e-1", "f-1", "g-1", "h-1" };
	struct one all[THREADS];
	(void)state;
	m->timeout_ms = 300;
	FAKE_SET(&fake, silent, 1000);
	const int64_t began = fake_now(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < THREADS; i++) {
		all[i].name = names[i];
		assert_int_equal(pthread_create(&all[i].thread, NULL, get_once, &all[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(all[i].thread, NULL);
	const double took = (double)(fake_now(CLOCK_MONOTONIC) - began) / 1e9;
	print_message("figure: all gave up after %.3f s (timeout 0.3 s)\n", took);
	assert_int_equal(refused, THREADS);
	assert_true(took >= 0.3 && took < 30);
	FAKE_SET(&fake, silent, 0);
	m->timeout_ms = 20000;
	fake_got(m, "acme-1", NULL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(no_thread_gets_a_token_whose_word_had_moved_on),
		CASE(brokers_that_come_and_go_leave_no_wrong_token),
		CASE(those_who_want_the_same_name_cause_one_ask),
		CASE(a_slow_ask_holds_up_no_repeat),
		CASE(who_waits_for_a_turn_gives_up_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a repeated get costs, beside what it cannot do without: one reading of the clock and the copy itself. Prints both in
 * nanoseconds, the best of sixty runs each, and their ratio. The broker is a thread of this program.
 *
 *   bench-client [BYTES] [THREADS]
 */
#include <stdlib.h>
#define assert_true(x)               ((x) ? (void)0 : abort())
#define assert_int_equal(a, b)       assert_true((a) == (b))
#define assert_non_null(p)           assert_true(p)
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)

#include "../unit/libmakini_kit.h"

#define ROUNDS 50000
#define RUNS   60

static struct fake fake;
static makini *m;
static char source[MAKINI_TOKEN_MAX];
static size_t size = 500;

static void bare(void)
{
	char buf[MAKINI_TOKEN_MAX + 1];
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct timespec t;
		clock_gettime(CLOCK_BOOTTIME, &t);
		memcpy(buf, source, size);
		__asm__ volatile("" : : "r"(buf), "r"(&t) : "memory");
	}
}

static void get(void)
{
	char buf[MAKINI_TOKEN_MAX + 1];
	struct makini_info info;
	for (unsigned i = 0; i < ROUNDS; i++) {
		const int rc = makini_get(m, "acme-salesforce-1", buf, sizeof buf, &info);
		if (rc != 0 || !info.repeated)
			abort();
		__asm__ volatile("" : : "r"(buf) : "memory");
	}
}

static double best(void (*what)(void))
{
	double found = 1e9;
	for (unsigned i = 0; i < RUNS; i++) {
		const int64_t began = fake_now(CLOCK_MONOTONIC);
		what();
		const double ns = (double)(fake_now(CLOCK_MONOTONIC) - began) / ROUNDS;
		found = ns < found ? ns : found;
	}
	return found;
}

static void *one_thread(void *arg)
{
	(void)arg;
	get();
	return NULL;
}

static double together(unsigned n)
{
	pthread_t thread[64];
	const int64_t began = fake_now(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, one_thread, NULL) != 0)
			abort();
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return (double)(fake_now(CLOCK_MONOTONIC) - began) / ROUNDS / n;
}

int main(int argc, char **argv)
{
	char buf[MAKINI_TOKEN_MAX + 1];
	unsigned threads = 0;
	if (argc > 1 && (sscanf(argv[1], "%zu", &size) != 1 || size > MAKINI_TOKEN_MAX))
		return 2;
	if (argc > 2 && (sscanf(argv[2], "%u", &threads) != 1 || threads > 64))
		return 2;
	fake_start(&fake);
	fake.token_size = size;
	m = fake_open(&fake, 0);
	if (makini_get(m, "acme-salesforce-1", buf, sizeof buf, NULL) != 0)
		return 1;
	const double floor_ns = best(bare), ns = best(get);
	printf("repeat_ns %.1f\nbare_ns %.1f\nratio %.2f\nbytes %zu\n", ns, floor_ns, ns / floor_ns, size);
	if (threads)
		printf("together_ns %.1f (%u threads)\n", together(threads), threads);
	makini_close(m);
	fake_stop(&fake);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The token bucket, at times of the test's own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/fetcher/bucket.h"

#define HOUR_MS 3600000

static unsigned at_once(struct mk_bucket *b, int64_t now)
{
	unsigned n = 0;
	while (n < 100000 && mk_bucket_take(b, now, 0) == 0)
		n++;
	return n;
}

static void a_burst_is_a_minutes_worth_and_at_least_twenty(void **state)
{
	struct mk_bucket b;
	(void)state;
	mk_bucket_init(&b, 60);
	assert_int_equal(at_once(&b, 5000), MK_BUCKET_BURST_MIN);
	mk_bucket_init(&b, 180000);
	assert_int_equal(at_once(&b, 5000), 3000);
}

static void an_hour_gives_the_rate_and_the_burst_and_no_more(void **state)
{
	static const uint32_t rates[] = { 1, 7, 60, 3600, 12345 };
	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct mk_bucket b;
		unsigned n = 0;
		const uint32_t burst = rates[i] / 60 > MK_BUCKET_BURST_MIN ? rates[i] / 60 : MK_BUCKET_BURST_MIN;
		mk_bucket_init(&b, rates[i]);
		for (int64_t now = 0; now <= HOUR_MS; now += 100)
			n += at_once(&b, now);
		assert_in_range(n, rates[i] + burst - 1, rates[i] + burst + 1);
	}
}

static void those_who_wait_go_one_after_the_other(void **state)
{
	struct mk_bucket b;
	(void)state;
	mk_bucket_init(&b, 3600);
	assert_int_equal(at_once(&b, 0), 60);
	assert_int_equal(mk_bucket_take(&b, 0, 5000), 1000);
	assert_int_equal(mk_bucket_take(&b, 0, 5000), 2000);
	assert_int_equal(mk_bucket_take(&b, 500, 5000), 2500);
	assert_int_equal(mk_bucket_take(&b, 500, 1000), -1); /* takes nothing */
	assert_int_equal(mk_bucket_take(&b, 500, 5000), 3500);
}

static void without_a_rate_nothing_waits(void **state)
{
	struct mk_bucket b;
	(void)state;
	mk_bucket_init(&b, 0);
	assert_int_equal(at_once(&b, 0), 100000);
}

static void a_pause_holds_for_all(void **state)
{
	struct mk_bucket b;
	(void)state;
	mk_bucket_init(&b, 0);
	mk_bucket_pause(&b, 3000);
	mk_bucket_pause(&b, 2000);
	assert_int_equal(mk_bucket_take(&b, 1000, 5000), 2000);
	assert_int_equal(mk_bucket_take(&b, 1000, 1000), -1);
	assert_int_equal(mk_bucket_take(&b, 3000, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_a_minutes_worth_and_at_least_twenty),
		cmocka_unit_test(an_hour_gives_the_rate_and_the_burst_and_no_more),
		cmocka_unit_test(those_who_wait_go_one_after_the_other),
		cmocka_unit_test(without_a_rate_nothing_waits),
		cmocka_unit_test(a_pause_holds_for_all),
	};
	return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the peer's process where the kernel cannot tell of it, or its descriptor fails: it
 * has no unit.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "peer_kit.h"

static void a_kernel_without_pidfds_tells_a_process_by_its_start(void **state)
{
	struct mk_peer p;
	(void)state;
	assert_int_equal(started("77 " STAT_HEAD "4711 23 24\n"), 4711);
	assert_int_equal(started("77 " STAT_HEAD "1 23 24\n"), 1);
	assert_int_equal(started("77 " STAT_HEAD "4711"), 4711); /* as its last */
	assert_int_equal(started("77 " STAT_HEAD "5"), 5);
	says.at_a_time = 7;
	assert_int_equal(started("77 " STAT_HEAD "4711 23 24\n"), 4711);
	assert_int_equal(started("77 (a) Z 1) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n"), 4711);
	assert_string_equal(taken(getpid(), &p).unit, "billing.service");
	assert_true(mk_peer_alive(&p, fix.proc));
	put_text(getpid(), "stat", "77 " STAT_HEAD "4712 23 24\n"); /* another with its number */
	assert_false(mk_peer_alive(&p, fix.proc));
	assert_false(mk_peer_alive(&p, -1));
}

static void a_start_that_cannot_be_read_is_no_sign_of_life(void **state)
{
	static const char *const none[] = {
		"", "77", "77 (a", "77 (a)", "77 (a) ", "77 (a) S", "77 (a) S 4 5 6\n", "77 " STAT_HEAD, "77 " STAT_HEAD "x 23\n",
		"77 " STAT_HEAD "0 23\n", "77 " STAT_HEAD "-4711 23\n", "77 " STAT_HEAD " 4711\n", "S 4 5 6 7 8 9 10 11 12 13 14 15 16",
		"77 (a) Z 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n",
		"77 (a) X 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n",
		"77 (a) x 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(none); i++)
		assert_int_equal(started(none[i]), 0);
	assert_int_equal(says.reads_of_cgroup, 0);
	assert_int_equal(started("77 " STAT_HEAD "4711 23\n"), 4711);
}

static void a_process_that_ends_while_its_cgroup_is_read_has_no_unit(void **state)
{
	struct mk_peer p;
	(void)state;
	says.no_pidfd = ENOPROTOOPT;
	assert_string_equal(taken(getpid(), &p).unit, "billing.service"); /* the control */
	says.stat = "77 " STAT_HEAD "4712 23 24\n";
	assert_string_equal(taken(getpid(), &p).unit, "");
}

static void any_other_failure_for_the_pidfd_is_no_sign_of_life(void **state)
{
	static const int failures[] = { EINVAL, ESRCH, EOPNOTSUPP, EMFILE };
	struct mk_peer p;
	(void)state;
	for (size_t i = 0; i < MK_COUNT(failures); i++) {
		says.no_pidfd = failures[i];
		assert_string_equal(taken(getpid(), &p).unit, "");
		assert_true(p.wanted && p.started == 0);
		assert_false(mk_peer_alive(&p, fix.proc));
	}
	says.no_pidfd = 0;
	if (!has_pidfd())
		skip();
	says.n = sizeof(int) - 1; /* not whole */
	assert_string_equal(taken(getpid(), &p).unit, "");
	assert_false(mk_peer_alive(&p, fix.proc));
}

static void a_kernel_without_pidfds_is_told_by_its_answer(void **state)
{
	(void)state;
	says.no_pidfd = ENOPROTOOPT;
	assert_false(has_pidfd());
	says.no_pidfd = EOPNOTSUPP;
	assert_false(has_pidfd());
	says.no_pidfd = ESRCH; /* it knows the question */
	assert_true(has_pidfd());
	says.no_pidfd = 0;
	struct mk_peer p;
	if (taken(getpid(), &p).unit[0] && p.pidfd >= 0)
		assert_true(has_pidfd());
	mk_peer_done(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_kernel_without_pidfds_tells_a_process_by_its_start),
		TEST(a_start_that_cannot_be_read_is_no_sign_of_life),
		TEST(a_process_that_ends_while_its_cgroup_is_read_has_no_unit),
		TEST(any_other_failure_for_the_pidfd_is_no_sign_of_life),
		TEST(a_kernel_without_pidfds_is_told_by_its_answer),
	};
	return cmocka_run_group_tests_name("peer: kernel", tests, NULL, NULL);
}

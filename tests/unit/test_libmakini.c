/* SPDX-License-Identifier: Apache-2.0
 *
 * libmakini against a broker of the tests' own: what is given again, when it is not, and every refusal.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "libmakini_fake.h"

static void a_second_get_is_a_repeat_that_the_broker_does_not_see(void **state)
{
	struct makini_info first, again;
	assert_int_equal(fake_got(*state, "acme-1", &first), 1);
	assert_int_equal(gets(), 1);
	assert_int_equal(first.repeated, 0);
	assert_int_equal(first.size, 500);
	assert_string_equal(first.version, "1");
	assert_string_equal(first.token_type, "bearer");
	assert_true(first.expires_ms == 1893456000000);
	assert_int_equal(first.age_s, 7);
	assert_int_equal(first.retry_after_s, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(fake_got(*state, "acme-1", &again), 1);
	assert_int_equal(gets(), 1);
	assert_int_equal(again.repeated, 1);
	assert_string_equal(again.version, "1");
}

static void the_next_get_after_a_word_moved_on_asks(void **state)
{
	assert_int_equal(fake_got(*state, "acme-1", NULL), 1);
	assert_int_equal(fake_got(*state, "acme-2", NULL), 1);
	fake_move(&fake, "acme-1");
	assert_int_equal(fake_got(*state, "acme-1", NULL), 2);
	assert_int_equal(fake_got(*state, "acme-2", NULL), 1);
	assert_int_equal(gets(), 3);
}

static unsigned moves_left;

static void move_on(struct fake *f, const char *name)
{
	if (name[0] && moves_left > 0) {
		moves_left--;
		__atomic_fetch_add(&f->page->word[fake_word_of(name)], 1, __ATOMIC_SEQ_CST);
	}
}

static void an_answer_that_is_out_of_date_when_it_comes_is_asked_for_again(void **state)
{
	moves_left = 1;
	FAKE_SET(&fake, after, move_on);
	assert_int_equal(fake_got(*state, "acme-1", NULL), 2);
	assert_int_equal(gets(), 2);
	moves_left = 1000; /* one that never stands still does not keep the caller for ever, and is never repeated */
	fake_got(*state, "acme-2", NULL);
	fake_got(*state, "acme-2", NULL);
	assert_int_equal(gets(), 8);
}

static void each_refusal_of_the_agent_reaches_the_caller(void **state)
{
	static const int all[] = { MAKINI_EINVAL, MAKINI_ENOMEM, MAKINI_ETIMEOUT, MAKINI_EPROTOCOL, MAKINI_EUNAUTHENTICATED, MAKINI_EDENIED,
		                   MAKINI_ENOTFOUND, MAKINI_EREVOKED, MAKINI_EEXPIRED, MAKINI_EDISABLED, MAKINI_ERATE, MAKINI_EBACKEND,
		                   MAKINI_ENOTREADY, MAKINI_EFROZEN, MAKINI_EINTERNAL };
	char buf[600];
	struct makini_info info;
	FAKE_SET(&fake, retry_after_s, 3);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		FAKE_SET(&fake, status, (unsigned)-all[i]);
		memset(buf, 'B', sizeof buf);
		memset(&info, 'I', sizeof info);
		assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, &info), all[i]);
		assert_int_equal(info.retry_after_s, all[i] == MAKINI_ERATE ? 3 : 0);
		assert_int_equal(info.size, 0);
		for (size_t k = 0; k < sizeof buf; k++)
			assert_int_equal(buf[k], 'B');
	}
	assert_int_equal(fake_saw(&fake, &fake.connections), 1);
	FAKE_SET(&fake, status, 0);
	assert_int_equal(fake_got(*state, "acme-1", NULL), 1);
}

static void a_refusal_that_an_agent_cannot_mean_is_a_fault_of_it(void **state)
{
	static const int none[] = { MAKINI_ELOCK, MAKINI_EFORK, MAKINI_ESMALL, MAKINI_EAGENT, -20, -31, -32, -33, -255, -65535 };
	char buf[600];
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		FAKE_SET(&fake, status, (unsigned)-none[i]);
		assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EPROTOCOL);
	}
}

static void a_refusal_wipes_the_copy(void **state)
{
	char buf[600];
	for (size_t size = 500; size < 3000; size += 2000) {
		FAKE_SET(&fake, token_size, size);
		fake_got(*state, "acme-1", NULL);
		assert_true(holds(*state));
		fake_move(&fake, "acme-1");
		FAKE_SET(&fake, status, (unsigned)-MAKINI_EREVOKED);
		assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EREVOKED);
		assert_false(holds(*state));
		FAKE_SET(&fake, status, 0);
	}
}

static void a_copy_is_not_used_by_a_clock_that_is_not_the_agents(void **state)
{
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 1);
	__atomic_store_n(&fake.page->valid_until, (uint64_t)(fake_now(CLOCK_BOOTTIME) + 2 * HOUR_NS), __ATOMIC_SEQ_CST); /* an hour behind */
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 3);
}

static void a_copy_is_not_used_when_the_page_is_no_longer_valid(void **state)
{
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 1);
	__atomic_store_n(&fake.page->valid_until, (uint64_t)fake_now(CLOCK_BOOTTIME) + 30000000, __ATOMIC_SEQ_CST);
	fake_sleep_ms(40);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 2);
	__atomic_store_n(&fake.page->valid_until, 0, __ATOMIC_SEQ_CST);
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 4);
	char buf[600];
	FAKE_SET(&fake, status, (unsigned)-MAKINI_EFROZEN);
	assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EFROZEN);
}

static void a_copy_is_not_used_after_its_own_end(void **state)
{
	FAKE_SET(&fake, good_for_ns, 200 * 1000000LL);
	const int64_t began = fake_now(CLOCK_BOOTTIME);
	fake_got(*state, "acme-1", NULL);
	while (gets() == 1) { /* the first repeats, then it must ask */
		const int64_t asked = fake_now(CLOCK_BOOTTIME);
		fake_got(*state, "acme-1", NULL);
		assert_true(gets() == 2 || asked < began + 10 * HOUR_NS);
		assert_true(asked < fake_now(CLOCK_BOOTTIME));
	}
	assert_true(fake_now(CLOCK_BOOTTIME) - began >= 200 * 1000000LL);
	FAKE_SET(&fake, good_for_ns, -1);
	fake_move(&fake, "acme-1");
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 4);
}

static void a_buffer_that_is_too_small_is_left_as_it_is_and_told_the_size(void **state)
{
	struct makini_info info;
	char buf[501];
	for (int i = 0; i < 2; i++) {
		memset(buf, 'B', sizeof buf);
		assert_int_equal(makini_get(*state, "acme-1", buf, 499, &info), MAKINI_ESMALL);
		assert_int_equal(info.size, 500);
		assert_int_equal(buf[0], 'B');
		assert_int_equal(makini_get(*state, "acme-1", NULL, 0, &info), MAKINI_ESMALL);
		assert_int_equal(info.size, 500);
	}
	assert_int_equal(makini_get(*state, "acme-1", buf, 500, &info), 0); /* no room for a NUL, and none is written */
	assert_int_equal(buf[500], 'B');
	fake_check("acme-1", buf, 500);
	assert_int_equal(makini_get(*state, "acme-1", buf, 501, &info), 0);
	assert_int_equal(buf[500], 0);
	assert_int_equal(gets(), 1);
}

static void the_longest_token_and_the_shortest_are_kept_too(void **state)
{
	static const size_t sizes[] = { 14, 791, 792, 793, 4096, 4097, MAKINI_TOKEN_MAX };
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct makini_info info;
		FAKE_SET(&fake, token_size, sizes[i]);
		fake_move(&fake, "acme-1");
		const unsigned before = gets();
		fake_got(*state, "acme-1", NULL);
		fake_got(*state, "acme-1", &info);
		assert_int_equal(info.size, sizes[i]);
		assert_int_equal(gets(), before + 1);
	}
}

static void what_is_no_name_is_refused_without_asking(void **state)
{
	static const char *const bad[] = { "", "-acme", "Acme", "acme--1", "acme_1", "acme/1", "../acme", "acme 1", "acme\n", "acm\xc3\xa9",
		                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", /* 64 */
		                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1" };
	char buf[600];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(makini_get(*state, bad[i], buf, sizeof buf, NULL), MAKINI_EINVAL);
	assert_int_equal(makini_get(*state, NULL, buf, sizeof buf, NULL), MAKINI_EINVAL);
	assert_int_equal(makini_get(NULL, "acme-1", buf, sizeof buf, NULL), MAKINI_EINVAL);
	assert_int_equal(makini_get(*state, "acme-1", NULL, 5, NULL), MAKINI_EINVAL);
	assert_int_equal(gets(), 0);
	fake_got(*state, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", NULL); /* 63 */
	assert_int_equal(gets(), 1);
}

static void the_copy_least_recently_asked_for_makes_room(void **state)
{
	char name[MAKINI_NAME_MAX + 1];
	for (unsigned i = 0; i < COPIES_MAX; i++) {
		snprintf(name, sizeof name, "n%u-1", i);
		fake_got(*state, name, NULL);
	}
	assert_int_equal(gets(), COPIES_MAX);
	for (unsigned i = 0; i < COPIES_MAX; i++) {
		snprintf(name, sizeof name, "n%u-1", i);
		fake_got(*state, name, NULL);
	}
	assert_int_equal(gets(), COPIES_MAX); /* all are kept */
	fake_got(*state, "n0-1", NULL);
	fake_got(*state, "more-1", NULL); /* n1 goes */
	fake_got(*state, "n0-1", NULL);
	fake_got(*state, "n2-1", NULL);
	assert_int_equal(gets(), COPIES_MAX + 1);
	fake_got(*state, "n1-1", NULL);
	assert_int_equal(gets(), COPIES_MAX + 2);
}

static void what_is_stale_says_so(void **state)
{
	struct makini_info info;
	FAKE_SET(&fake, stale, true);
	fake_got(*state, "acme-1", &info);
	assert_int_equal(info.stale, 1);
	fake_got(*state, "acme-1", &info);
	assert_int_equal(info.stale, 1);
	assert_int_equal(info.repeated, 1);
}

static void no_type(struct fake *f, struct fake_frame *o)
{
	const size_t at = 8 + 4 + 8 + 8 + 8 + 4 + 1 + 2; /* behind a version of one letter */
	(void)f;
	if (o->type == WIRE_GET) {
		memmove(o->bytes + at + 1, o->bytes + at + 7, o->n - at - 7);
		o->bytes[at] = 0;
		o->n -= 6;
	}
}

static void a_token_without_a_type_is_a_bearer(void **state)
{
	struct makini_info info;
	FAKE_SET(&fake, mangle, no_type);
	fake_got(*state, "acme-1", &info);
	assert_string_equal(info.token_type, "bearer");
	fake_got(*state, "acme-1", &info);
	assert_string_equal(info.token_type, "bearer");
}

static void every_failure_has_a_sentence(void **state)
{
	(void)state;
	for (int e = 0; e >= MAKINI_EINTERNAL; e--) {
		assert_non_null(makini_strerror(e));
		assert_string_not_equal(makini_strerror(e), makini_strerror(1));
		for (int other = 0; other > e; other--)
			assert_string_not_equal(makini_strerror(e), makini_strerror(other));
	}
	assert_string_equal(makini_strerror(MAKINI_EINTERNAL - 1), makini_strerror(1));
	assert_string_equal(makini_strerror(INT32_MIN), makini_strerror(INT32_MAX));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_second_get_is_a_repeat_that_the_broker_does_not_see),
		CASE(the_next_get_after_a_word_moved_on_asks),
		CASE(an_answer_that_is_out_of_date_when_it_comes_is_asked_for_again),
		CASE(each_refusal_of_the_agent_reaches_the_caller),
		CASE(a_refusal_that_an_agent_cannot_mean_is_a_fault_of_it),
		CASE(a_refusal_wipes_the_copy),
		CASE(a_copy_is_not_used_by_a_clock_that_is_not_the_agents),
		CASE(a_copy_is_not_used_when_the_page_is_no_longer_valid),
		CASE(a_copy_is_not_used_after_its_own_end),
		CASE(a_buffer_that_is_too_small_is_left_as_it_is_and_told_the_size),
		CASE(the_longest_token_and_the_shortest_are_kept_too),
		CASE(what_is_no_name_is_refused_without_asking),
		CASE(the_copy_least_recently_asked_for_makes_room),
		CASE(what_is_stale_says_so),
		CASE(a_token_without_a_type_is_a_bearer),
		CASE(every_failure_has_a_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

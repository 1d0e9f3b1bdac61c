/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the pages that libmakini's clients read: what is followed, and until when anything is
 * valid.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pages_kit.h"

#include "agent/broker/tell.h"

static int64_t valid_ms(const struct wire_page *seen)
{
	return (int64_t)(seen->valid_until / 1000000);
}

static void the_end_of_a_token_moves_its_word_though_nobody_asks(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	const struct mk_name n = name_of("acme-erp");
	(void)state;
	warm("v1", "tok-1", "2027-01-01T00:01:00Z"); /* in a minute */
	assert_true(mk_page_keep(p, &n));
	advance(58000);
	mk_tell_tick(fix.b);
	assert_int_equal(seen->word[0], 0); /* that it is near moves nothing */
	advance(3000);
	mk_tell_tick(fix.b);
	assert_int_equal(seen->word[0], 1);
	advance(3000);
	mk_tell_tick(fix.b);
	assert_int_equal(seen->word[0], 1);
	done(seen);
}

static void when_the_last_client_left_there_is_room_for_other_names(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	const struct mk_name late = nth(MK_PAGE_NAMES_MAX);
	(void)state;
	mk_page_enter(p);
	for (unsigned i = 0; i < MK_PAGE_NAMES_MAX; i++) {
		const struct mk_name n = nth(i);
		assert_true(mk_page_keep(p, &n));
	}
	assert_false(mk_page_keep(p, &late));
	mk_page_leave(p);
	mk_page_enter(p);
	assert_true(mk_page_keep(p, &late) && mk_tell_follows(fix.b, &late));
	const struct mk_page_word word = mk_page_look(p, &late);
	assert_true(word.index == 0 && word.value > 0); /* who held a copy under that word has none any more */
	mk_page_leave(p);
	done(seen);
}

static void what_a_client_holds_is_followed_until_the_last_client_leaves(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	const struct mk_name n = nth(1);
	(void)state;
	mk_page_enter(p);
	mk_page_enter(p);
	assert_false(mk_tell_follows(fix.b, &n));
	assert_true(mk_page_keep(p, &n) && mk_page_keep(p, &n));
	assert_true(mk_tell_follows(fix.b, &n));
	mk_page_leave(p);
	assert_true(mk_tell_follows(fix.b, &n));
	assert_true(seen->valid_until > 0 && seen->word[0] == 0);
	mk_page_leave(p);
	assert_false(mk_tell_follows(fix.b, &n));
	assert_true(seen->valid_until == 0 && seen->word[0] == 1);
	mk_page_enter(p);
	assert_true(seen->valid_until > 0 && !mk_tell_follows(fix.b, &n));
	assert_true(mk_page_keep(p, &n) && mk_tell_follows(fix.b, &n));
	assert_int_equal(mk_page_look(p, &n).index, 0);
	mk_page_leave(p);
	done(seen);
}

/* ---- until when ---- */

static void it_is_valid_for_three_seconds_from_each_renewal_and_only_with_a_client(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	(void)state;
	mk_pages_tick(fix.b);
	assert_int_equal(seen->valid_until, 0);
	assert_int_equal(mk_pages_count(fix.b), 0);
	mk_page_enter(p);
	assert_int_equal(mk_pages_count(fix.b), 1);
	assert_int_equal(valid_ms(seen), fix.boot + 3000);
	for (int i = 0; i < 20; i++) {
		advance(250);
		mk_pages_tick(fix.b);
		assert_in_range(valid_ms(seen) - fix.boot, 2001, 3000);
	}
	mk_page_leave(p);
	done(seen);
}

static void nothing_is_valid_while_all_is_frozen_while_it_drains_and_at_the_end(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	(void)state;
	mk_page_enter(p);
	fix.b->frozen.on = true;
	mk_pages_move_all(fix.b);
	assert_int_equal(seen->valid_until, 0);
	advance(1000);
	mk_pages_tick(fix.b);
	assert_int_equal(seen->valid_until, 0);
	fix.b->frozen.on = false;
	mk_pages_move_all(fix.b);
	assert_int_equal(valid_ms(seen), fix.boot + 3000);
	fix.b->draining = true;
	advance(1000);
	mk_pages_tick(fix.b);
	assert_int_equal(seen->valid_until, 0);
	fix.b->draining = false;
	mk_pages_end(fix.b);
	advance(1000);
	mk_pages_tick(fix.b);
	assert_int_equal(seen->valid_until, 0); /* for good */
	mk_page_leave(p);
	done(seen);
}

static void a_wall_clock_that_somebody_sets_moves_all_words(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	(void)state;
	mk_page_enter(p);
	advance(1000);
	mk_pages_tick(fix.b);
	assert_int_equal(seen->word[3], 0);
	fix.wall += 5000;
	advance(1000);
	mk_pages_tick(fix.b);
	assert_int_equal(seen->word[3], 1);
	mk_page_leave(p);
	done(seen);
}

static void a_wall_clock_that_is_slewed_moves_them_before_it_is_off_by_two_seconds(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	(void)state;
	mk_page_enter(p);
	for (unsigned i = 0; i < 100; i++) {
		advance(1000);
		fix.wall += 80;
		mk_pages_tick(fix.b);
	}
	assert_in_range(seen->word[3], 4, 8); /* 8 s in all */
	mk_page_leave(p);
	done(seen);
}

static void a_service_that_the_policy_does_not_know_loses_its_page(void **state)
{
	const struct wire_page *seen, *kept;
	const struct mk_word gone = { "gone" };
	const struct mk_page *p = page(&gone, 1, &seen), *q = page(&billing, 2, &kept);
	(void)state;
	assert_non_null(p);
	mk_pages_reconfigured(fix.b);
	assert_true(seen->valid_until == 0 && seen->word[0] > 0);
	assert_int_equal(mk_page_fd(mk_pages_of(fix.b->pages, &gone)), -1); /* another one */
	assert_ptr_equal(mk_pages_of(fix.b->pages, &billing), q);
	done(seen);
	done(kept);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, fix_make, fix_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(the_end_of_a_token_moves_its_word_though_nobody_asks),
		CLAIM(when_the_last_client_left_there_is_room_for_other_names),
		CLAIM(what_a_client_holds_is_followed_until_the_last_client_leaves),
		CLAIM(it_is_valid_for_three_seconds_from_each_renewal_and_only_with_a_client),
		CLAIM(nothing_is_valid_while_all_is_frozen_while_it_drains_and_at_the_end),
		CLAIM(a_wall_clock_that_somebody_sets_moves_all_words),
		CLAIM(a_wall_clock_that_is_slewed_moves_them_before_it_is_off_by_two_seconds),
		CLAIM(a_service_that_the_policy_does_not_know_loses_its_page),
	};
	return cmocka_run_group_tests_name("pages: valid", tests, fix_group, NULL);
}

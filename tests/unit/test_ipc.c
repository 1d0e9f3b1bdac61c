/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages: every message of the table goes through its writer and reader, and nothing else does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "link_kit.h"

static void every_message_of_the_table_has_a_sample(void **state)
{
	(void)state;
	unsigned seen[MK_MSG_COUNT] = { 0 };
	for (size_t i = 0; i < MK_COUNT(samples); i++)
		seen[samples[i].type]++;
	for (size_t i = 0; i < MK_MSG_COUNT; i++)
		assert_true(seen[i] > 0);
}

static void every_message_is_read_as_it_was_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		assert_true(body.n <= mk_msgs[samples[i].type].max);
		struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
		assert_int_equal(samples[i].again(body, &w), MK_OK);
		assert_false(w.bad);
		assert_true(mk_span_eq(body, mk_span(w.p, w.len)));
	}
}

/* Read fails, or what was read is within its range and comes out as it went in. */
static bool refused_or_same(const struct sample *s, struct mk_span body)
{
	struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
	if (s->again(body, &w) != MK_OK)
		return true;
	return !w.bad && mk_span_eq(body, mk_span(w.p, w.len));
}

static void a_message_cut_at_any_length_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		for (size_t n = 0; n < body.n; n++) {
			struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
			const bool leaves_end = samples[i].type == MK_MSG_FETCH_DONE; /* a list of fewer leaves is a list */
			if (leaves_end)
				assert_true(refused_or_same(&samples[i], mk_span(body.p, n)));
			else
				assert_int_equal(samples[i].again(mk_span(body.p, n), &w), MK_BAD_REQUEST);
		}
	}
}

static void a_message_with_more_behind_it_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		for (unsigned more = 1; more <= 8; more++) {
			memset(room + body.n, 0, more);
			struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
			assert_int_equal(samples[i].again(mk_span(body.p, body.n + more), &w), MK_BAD_REQUEST);
		}
	}
}

static void a_message_with_any_byte_changed_is_refused_or_within_range(void **state)
{
	(void)state;
	size_t refused = 0, taken = 0;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_span body = sample_of(&samples[i], room, sizeof room);
		for (size_t at = 0; at < body.n; at++)
			for (unsigned v = 0; v < 256; v++) {
				const uint8_t old = room[at];
				room[at] = (uint8_t)v;
				assert_true(refused_or_same(&samples[i], body));
				struct mk_wr w = mk_wr_of(other_room, sizeof other_room);
				if (samples[i].again(body, &w) == MK_OK)
					taken++;
				else
					refused++;
				room[at] = old;
			}
	}
	assert_true(refused > 1000 && taken > 1000); /* the test sees both */
}

static void names_in_a_page_that_do_not_ascend_are_refused(void **state)
{
	(void)state;
	struct mk_listed items[2] = { { name_("b"), "1" }, { name_("a"), "1" } }, got[MK_LIST_PAGE_MAX];
	struct mk_msg_listed m = { { 0, 0 }, MK_OK, false, items, 2 }, back = { .items = got };
	struct mk_wr w = mk_wr_of(room, sizeof room);
	mk_msg_listed_write(&w, &m);
	assert_false(w.bad);
	assert_int_equal(mk_msg_listed_read(mk_span(room, w.len), &back), MK_BAD_REQUEST);
	items[1].name = name_("c");
	w = mk_wr_of(room, sizeof room);
	mk_msg_listed_write(&w, &m);
	assert_int_equal(mk_msg_listed_read(mk_span(room, w.len), &back), MK_OK);
	assert_int_equal(back.n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_of_the_table_has_a_sample),
		cmocka_unit_test(every_message_is_read_as_it_was_written),
		cmocka_unit_test(a_message_cut_at_any_length_is_refused),
		cmocka_unit_test(a_message_with_more_behind_it_is_refused),
		cmocka_unit_test(a_message_with_any_byte_changed_is_refused_or_within_range),
		cmocka_unit_test(names_in_a_page_that_do_not_ascend_are_refused),
	};
	return cmocka_run_group_tests_name("ipc", tests, loop_up, loop_down);
}

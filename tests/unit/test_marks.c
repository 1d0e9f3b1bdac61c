/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of values and names, beside a plain list as the oracle.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/marks.h"

#include <stdlib.h>

static void add(struct mk_marks *m, struct mk_mark mark)
{
	assert_int_equal(mk_marks_room(m, 1), MK_OK);
	mk_marks_add(m, mark);
}

static void one_value_under_two_names_is_seen_and_under_one_is_not(void **state)
{
	struct mk_marks m = { 0 };
	(void)state;
	assert_false(mk_marks_twice(&m, (struct mk_mark){ 7, 1 }));
	add(&m, (struct mk_mark){ 7, 1 });
	add(&m, (struct mk_mark){ 7, 1 }); /* current and previous */
	assert_false(mk_marks_twice(&m, (struct mk_mark){ 7, 1 }));
	add(&m, (struct mk_mark){ 7, 2 });
	assert_true(mk_marks_twice(&m, (struct mk_mark){ 7, 1 }));
	assert_true(mk_marks_twice(&m, (struct mk_mark){ 7, 2 }));
	mk_marks_drop(&m, (struct mk_mark){ 7, 1 });
	assert_true(mk_marks_twice(&m, (struct mk_mark){ 7, 2 }));
	mk_marks_drop(&m, (struct mk_mark){ 7, 1 });
	assert_false(mk_marks_twice(&m, (struct mk_mark){ 7, 2 }));
	mk_marks_drop(&m, (struct mk_mark){ 7, 1 }); /* there is none */
	assert_int_equal(m.n, 1);
	mk_marks_done(&m);
}

#define LIST 400
/* Few values and homes, so that they crowd and wrap. */
static void it_agrees_with_a_plain_list_through_many_changes(void **state)
{
	struct mk_marks m = { 0 };
	struct mk_mark list[LIST];
	size_t n = 0;
	unsigned seen = 0;
	(void)state;
	srand(4711);
	for (unsigned i = 0; i < 60000; i++) {
		const struct mk_mark mark = { 1 + (uint64_t)(rand() % 90) * 128 + (uint64_t)(rand() % 3) * 122, (uint64_t)(rand() % 4) };
		if (n < LIST && rand() % 2) {
			add(&m, mark);
			list[n++] = mark;
		} else {
			mk_marks_drop(&m, mark);
			for (size_t j = 0; j < n; j++)
				if (list[j].value == mark.value && list[j].name == mark.name) {
					list[j] = list[--n];
					break;
				}
		}
		bool twice = false;
		for (size_t j = 0; j < n; j++)
			twice = twice || (list[j].value == mark.value && list[j].name != mark.name);
		assert_int_equal(mk_marks_twice(&m, mark), twice);
		assert_int_equal(m.n, n);
		seen += twice;
	}
	assert_true(seen > 1000);
	mk_marks_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_value_under_two_names_is_seen_and_under_one_is_not),
		cmocka_unit_test(it_agrees_with_a_plain_list_through_many_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the ring of events: what is in it is found, what fell out of it is said to be
 * lost, and an id leads on only where nothing was missed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/events.h"

#include <stdio.h>

static const struct mk_name acme = { "acme-erp" };

static struct mk_events *fresh(void)
{
	struct mk_events *es = NULL;
	assert_int_equal(mk_events_new(&es), MK_OK);
	return es;
}

static void fill(struct mk_events *es, unsigned n)
{
	char version[16];
	for (unsigned i = 0; i < n; i++) {
		snprintf(version, sizeof version, "v%u", i);
		mk_events_add(es, MK_TOLD_ROTATED, &acme, version);
	}
}

static void events_are_found_by_their_numbers_until_they_are_overwritten(void **state)
{
	(void)state;
	struct mk_events *es = fresh();
	const struct mk_event *e = NULL;
	assert_int_equal(mk_events_look(es, 1, &e), MK_EVENTS_NONE);
	assert_int_equal(mk_events_look(es, 0, &e), MK_EVENTS_LOST);
	fill(es, MK_EVENTS_KEPT);
	assert_int_equal(mk_events_look(es, 1, &e), MK_EVENTS_ONE);
	assert_string_equal(e->version, "v0");
	mk_events_add(es, MK_TOLD_REVOKED, &acme, NULL);
	assert_int_equal(mk_events_look(es, 1, &e), MK_EVENTS_LOST);
	assert_int_equal(mk_events_look(es, 2, &e), MK_EVENTS_ONE);
	assert_int_equal(mk_events_look(es, MK_EVENTS_KEPT + 1, &e), MK_EVENTS_ONE);
	assert_int_equal(e->kind, MK_TOLD_REVOKED);
	assert_string_equal(e->version, "");
	assert_int_equal(mk_events_look(es, MK_EVENTS_KEPT + 2, &e), MK_EVENTS_NONE);
	mk_events_free(es);
}

static bool leads_on(struct mk_events *es, const char *id, uint64_t *at)
{
	return mk_events_after(es, mk_span_of(id), at);
}

static void an_id_leads_on_only_where_nothing_was_missed(void **state)
{
	(void)state;
	struct mk_events *es = fresh(), *other = fresh();
	char id[MK_EVENT_ID_MAX];
	uint64_t at = 77;
	mk_events_id(es, 0, id);
	assert_true(leads_on(es, id, &at));
	assert_int_equal(at, 1);
	fill(es, 3);
	mk_events_id(es, 2, id);
	assert_true(leads_on(es, id, &at));
	assert_int_equal(at, 3);
	assert_false(leads_on(other, id, &at));
	mk_events_id(es, 4, id); /* of the future */
	assert_false(leads_on(es, id, &at));
	fill(es, MK_EVENTS_KEPT);
	mk_events_id(es, 3, id);
	assert_true(leads_on(es, id, &at));
	mk_events_id(es, 2, id);
	assert_false(leads_on(es, id, &at));
	assert_int_equal(at, 4); /* untouched by the failures */
	mk_events_free(es);
	mk_events_free(other);
}

static void what_is_no_id_leads_nowhere(void **state)
{
	static const char *const ends[] = { "", "-", "-x", "--1", "-1 ", "-18446744073709551616", "1", "-1-1" };
	char id[MK_EVENT_ID_MAX], bad[MK_EVENT_ID_MAX + 32];
	uint64_t at = 0;
	(void)state;
	struct mk_events *es = fresh();
	fill(es, 3);
	mk_events_id(es, 1, id);
	assert_true(leads_on(es, id, &at));
	*strchr(id, '-') = '\0';
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		snprintf(bad, sizeof bad, "%s%s", id, ends[i]);
		assert_false(leads_on(es, bad, &at));
	}
	assert_false(leads_on(es, "", &at));
	mk_events_free(es);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_found_by_their_numbers_until_they_are_overwritten),
		cmocka_unit_test(an_id_leads_on_only_where_nothing_was_missed),
		cmocka_unit_test(what_is_no_id_leads_nowhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

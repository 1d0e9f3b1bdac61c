/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's file: what waits beside the current version, what becomes of it,
 * and versions that are not handed out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/local_store.h"

static struct mk_local_entry entry_of(const struct store *s, const char *name)
{
	mk_auto(mk_local_freep) struct mk_local *f = opened(s);
	const struct mk_name n = name_of(name);
	struct mk_local_entry e;
	assert_int_equal(mk_local_find(f, &n, &e), MK_OK);
	return e;
}

static void assert_has(const struct store *s, const char *name, const char *current, const char *previous, const char *pending)
{
	const char *const wanted[MK_LOCAL_SLOTS] = { current, previous, pending };
	char v[64];
	for (unsigned i = 0; i < MK_LOCAL_SLOTS; i++) {
		assert_int_equal(get(s, name, (enum mk_local_slot)i, v), wanted[i] ? MK_OK : MK_NOT_FOUND);
		if (wanted[i])
			assert_string_equal(v, wanted[i]);
	}
}

static void what_is_pending_becomes_current_under_its_own_id(void **state)
{
	struct store *s = *state;
	char pending[ID_TEXT], id[ID_TEXT];
	assert_int_equal(put(s, "a", "one", NULL, 0), MK_OK);
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "two", NULL, pending), MK_OK);
	assert_has(s, "a", "one", NULL, "two");
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "three", NULL, id), MK_CONFLICT);
	assert_int_equal(act(s, MK_LOCAL_PROMOTE, "a", NULL, NULL, id), MK_OK);
	assert_string_equal(id, pending);
	assert_string_equal(entry_of(s, "a").versions[MK_LOCAL_CURRENT].id, pending);
	assert_int_equal(entry_of(s, "a").versions[MK_LOCAL_CURRENT].created_ms, 2000);
	assert_has(s, "a", "two", "one", NULL);
	assert_int_equal(act(s, MK_LOCAL_PROMOTE, "a", NULL, NULL, id), MK_NOT_FOUND);
	assert_int_equal(act(s, MK_LOCAL_PROMOTE, "b", NULL, NULL, id), MK_NOT_FOUND);
}

static void an_act_holds_only_for_the_version_that_was_expected(void **state)
{
	struct store *s = *state;
	char first[ID_TEXT], id[ID_TEXT];
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "x", "0123456789abcdef", id), MK_CONFLICT);
	assert_int_equal(act(s, MK_LOCAL_PUT, "a", "one", NULL, first), MK_OK);
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "x", "0123456789abcdef", id), MK_CONFLICT);
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "two", first, id), MK_OK);
	assert_int_equal(act(s, MK_LOCAL_PROMOTE, "a", NULL, "0123456789abcdef", id), MK_CONFLICT);
	assert_has(s, "a", "one", NULL, "two");
	assert_int_equal(put(s, "a", "three", NULL, 0), MK_OK);
	assert_has(s, "a", "three", "one", "two"); /* a put by hand leaves what is pending */
	assert_int_equal(act(s, MK_LOCAL_PROMOTE, "a", NULL, first, id), MK_CONFLICT);
	assert_int_equal(act(s, MK_LOCAL_PROMOTE, "a", NULL, entry_of(s, "a").versions[MK_LOCAL_CURRENT].id, id), MK_OK);
	assert_has(s, "a", "two", "three", NULL);
}

static void a_name_that_only_waits_comes_and_goes_with_what_is_pending(void **state)
{
	struct store *s = *state;
	char id[ID_TEXT];
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "one", "", id), MK_OK);
	assert_has(s, "a", NULL, NULL, "one");
	assert_int_equal(act(s, MK_LOCAL_DISABLE, "a", NULL, NULL, id), MK_NOT_FOUND);
	assert_int_equal(act(s, MK_LOCAL_DISCARD, "a", NULL, NULL, id), MK_OK);
	mk_local_free(opened(s));
	char v[64];
	assert_int_equal(get(s, "a", MK_LOCAL_PENDING, v), MK_NOT_FOUND);
	assert_int_equal(act(s, MK_LOCAL_DISCARD, "a", NULL, NULL, id), MK_NOT_FOUND);
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "two", NULL, id), MK_OK);
	assert_int_equal(act(s, MK_LOCAL_PROMOTE, "a", NULL, NULL, id), MK_OK);
	assert_has(s, "a", "two", NULL, NULL);
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "three", NULL, id), MK_OK);
	assert_int_equal(act(s, MK_LOCAL_DISCARD, "a", NULL, NULL, id), MK_OK);
	assert_has(s, "a", "two", NULL, NULL);
	assert_int_equal(act(s, MK_LOCAL_OFFER, "a", "four", NULL, id), MK_OK);
	assert_int_equal(rm(s, "a"), MK_OK);
	assert_int_equal(get(s, "a", MK_LOCAL_PENDING, v), MK_NOT_FOUND);
}

static void a_version_is_disabled_wherever_it_stands(void **state)
{
	struct store *s = *state;
	char one[ID_TEXT], two[ID_TEXT], id[ID_TEXT];
	const struct mk_tag tag = { "system", "sap" };
	assert_int_equal(put(s, "a", "zero", &tag, 1), MK_OK);
	assert_int_equal(act(s, MK_LOCAL_PUT, "a", "one", NULL, one), MK_OK);
	assert_int_equal(act(s, MK_LOCAL_DISABLE, "a", NULL, NULL, id), MK_OK);
	assert_string_equal(id, one);
	assert_true(entry_of(s, "a").versions[MK_LOCAL_CURRENT].disabled);
	assert_false(entry_of(s, "a").versions[MK_LOCAL_PREVIOUS].disabled);
	assert_int_equal(act(s, MK_LOCAL_PUT, "a", "two", NULL, two), MK_OK);
	assert_true(entry_of(s, "a").versions[MK_LOCAL_PREVIOUS].disabled);
	assert_false(entry_of(s, "a").versions[MK_LOCAL_CURRENT].disabled);
	assert_int_equal(act(s, MK_LOCAL_ENABLE, "a", NULL, one, id), MK_OK);
	assert_false(entry_of(s, "a").versions[MK_LOCAL_PREVIOUS].disabled);
	assert_int_equal(act(s, MK_LOCAL_DISABLE, "a", NULL, two, id), MK_OK);
	assert_true(entry_of(s, "a").versions[MK_LOCAL_CURRENT].disabled);
	assert_int_equal(act(s, MK_LOCAL_DISABLE, "a", NULL, "0123456789abcdef", id), MK_NOT_FOUND);
	assert_int_equal(act(s, MK_LOCAL_DISABLE, "b", NULL, NULL, id), MK_NOT_FOUND);
	assert_has(s, "a", "two", "one", NULL); /* the values stay, and so do the tags */
	assert_int_equal(entry_of(s, "a").n_tags, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(what_is_pending_becomes_current_under_its_own_id),
		EACH(an_act_holds_only_for_the_version_that_was_expected),
		EACH(a_name_that_only_waits_comes_and_goes_with_what_is_pending),
		EACH(a_version_is_disabled_wherever_it_stands),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

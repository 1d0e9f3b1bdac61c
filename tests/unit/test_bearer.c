/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's token at the broker: where it is looked at, and how long it counts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bearer_kit.h"

static size_t allocations; /* until one fails; 0: none does */

/* The linker puts these before libc's, for this test only. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

static bool fails_now(void)
{
	return allocations > 0 && --allocations == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t n)
{
	return fails_now() ? NULL : __real_malloc(n);
}

static void a_token_makes_the_service_for_one_request(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_null(mk_gate_who(fix.b, &fix.c));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_string_equal(mk_gate_who(fix.b, &fix.c)->name.s, "sync");
	mk_bearer_drop(&fix.c);
	assert_null(mk_gate_who(fix.b, &fix.c));
	assert_int_equal(take("Bearer ", good()), MK_OK); /* remembered */
	assert_string_equal(mk_gate_who(fix.b, &fix.c)->name.s, "sync");
	assert_int_equal(take("", ""), MK_UNAUTHENTICATED); /* the next one, without */
	assert_null(mk_gate_who(fix.b, &fix.c));
	assert_string_equal(fix.c.account_fault, "no_token");
}

static void a_token_is_looked_at_only_where_one_is_needed(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	fix.c.evidence.uid = BILLING;
	assert_int_equal(take("Bearer ", "nonsense"), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_string_equal(fix.c.evidence.account.ns, "");
	fix.c.evidence.uid = 2002; /* nobody, whatever it brings: 403, not 401 */
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_string_equal(fix.c.evidence.account.ns, "");
	fix.c.evidence.uid = 65534;
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_null(mk_gate_who(fix.b, &fix.c));
}

static void only_the_bearer_scheme_is_one(void **state)
{
	static const char *const none[] = { "", "Bearer", "Bearer", "Basic ", "Bearers ", " Bearer ", "Bearer\t", "Xearer " };
	static const char *const schemes[] = { "Bearer ", "bearer ", "BEARER ", "Bearer   " };
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	for (size_t i = 0; i < MK_COUNT(none); i++)
		assert_int_equal(take(none[i], i == 1 ? "" : good()), MK_UNAUTHENTICATED);
	for (size_t i = 0; i < MK_COUNT(schemes); i++)
		assert_int_equal(take(schemes[i], good()), MK_OK);
	assert_int_equal(take("Bearer ", "x"), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "malformed");
	char *bare = malloc(7); /* so that a look behind its end is seen */
	assert_non_null(bare);
	memcpy(bare, "Bearer ", 7);
	assert_int_equal(mk_bearer_take(fix.b, &fix.c, mk_span(bare, 7), &fix.seen), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "no_token");
	free(bare);
}

static void what_a_token_proved_ends_with_its_request(void **state)
{
	(void)state;
	fix.c.generation = 5;
	mk_bearer_drop(&fix.c);
	assert_int_equal(fix.c.generation, 5); /* it proved nothing */
	fix.c.evidence.account = (struct mk_account){ "a", "b" };
	fix.c.account_fault = "expired";
	mk_bearer_drop(&fix.c);
	assert_int_equal(fix.c.generation, 0);
	assert_string_equal(fix.c.evidence.account.ns, "");
	assert_null(fix.c.account_fault);
}

static void without_memory_a_section_is_none_and_a_token_is_not_remembered(void **state)
{
	struct mk_msg_kubernetes m = { .audience = KIT_AUDIENCE };
	struct mk_why why = { .text = "" };
	(void)state;
	m.jwks = mk_span_of(jwks);
	for (unsigned i = 1; i <= 2; i++) {
		struct mk_bearer *t = NULL;
		allocations = i;
		assert_int_equal(mk_bearer_new(&m, &t), MK_NO_MEMORY);
		assert_int_equal(allocations, 0);
		assert_null(t);
	}
	struct mk_msg_keys keys = the_keys();
	struct mk_token_keys *k = NULL;
	allocations = 1;
	assert_int_equal(mk_token_keys_new(&keys.set, &k), MK_NO_MEMORY);
	struct mk_bearer *t = NULL;
	assert_int_equal(mk_bearer_new(&m, &t), MK_OK);
	assert_int_equal(mk_bearer_judge(t, &why), MK_OK);
	mk_bearer_free(t);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	const char *token = good();
	size_t last = 0;
	for (size_t i = 1; !last; i++) { /* whichever fails, it counts or it does not, and nothing breaks */
		mk_bearer_drop(&fix.c);
		fix.seen = mk_bearer_seen_free(fix.seen);
		allocations = i;
		const enum mk_err e = take("Bearer ", token);
		assert_true(e == MK_OK || e == MK_UNAUTHENTICATED);
		last = allocations ? i : 0;
		allocations = 0;
	}
	assert_true(last > 1);
	assert_int_equal(take("Bearer ", token), MK_OK);
}

static void keys_of_a_file_that_are_none_are_refused_with_the_reason(void **state)
{
	static const char *const none[] = { "", "{\"keys\":[]}" };
	struct mk_msg_kubernetes m = { .audience = KIT_AUDIENCE };
	struct mk_why why = { .text = "" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(none); i++) {
		struct mk_bearer *t = NULL;
		m.jwks = mk_span_of(none[i]);
		assert_int_equal(mk_bearer_new(&m, &t), MK_OK);
		assert_int_equal(mk_bearer_judge(t, &why), MK_BAD_REQUEST);
		assert_non_null(strstr(why.text, i ? "kubernetes.jwks_file: it has no key" : "kubernetes.jwks_file: it is no JSON"));
		mk_bearer_free(t);
	}
}

/* What a connection remembers must never be more than what would be found again. */
static void what_was_seen_counts_no_longer_than_it_would_be_found(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 59 * SECOND; /* the wall clock went on to its end, and the tolerance */
	fix.wall += 630 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_OK); /* it jumped: the memory's own minute */
	fix.boot += 1 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "expired");
	fix.wall -= 5 * SECOND; /* five seconds are left of it */
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 4 * SECOND;
	fix.wall += 6 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 1 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
}

static void a_clock_set_back_brings_no_token_back(void **state)
{
	(void)state;
	mk_wall_begin(&fix.b->wall, fix.wall, fix.boot);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 700 * SECOND;
	fix.wall -= 10 * SECOND; /* it was set back, and stood */
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "expired");
	fix.b->wall = (struct mk_wall){ .begun = false }; /* the control: by the wall clock alone */
	assert_int_equal(take("Bearer ", good()), MK_OK);
}

static void a_reload_forgets_what_was_seen(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	mk_bearer_swap(fix.b, section(true, "another", KIT_ISSUER));
	fix.b->generation++;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "wrong_audience");
	mk_bearer_swap(fix.b, NULL);
	fix.b->generation++;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_token_makes_the_service_for_one_request, begin, end),
		cmocka_unit_test_setup_teardown(a_token_is_looked_at_only_where_one_is_needed, begin, end),
		cmocka_unit_test_setup_teardown(only_the_bearer_scheme_is_one, begin, end),
		cmocka_unit_test_setup_teardown(what_was_seen_counts_no_longer_than_it_would_be_found, begin, end),
		cmocka_unit_test_setup_teardown(a_clock_set_back_brings_no_token_back, begin, end),
		cmocka_unit_test_setup_teardown(a_reload_forgets_what_was_seen, begin, end),
		cmocka_unit_test_setup_teardown(what_a_token_proved_ends_with_its_request, begin, end),
		cmocka_unit_test_setup_teardown(without_memory_a_section_is_none_and_a_token_is_not_remembered, begin, end),
		cmocka_unit_test_setup_teardown(keys_of_a_file_that_are_none_are_refused_with_the_reason, begin, end),
	};
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}

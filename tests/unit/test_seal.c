/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about tokens at rest: a sealed value opens where it belongs and nowhere else,
 * and says nothing of what is in it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/seal.h"

#include <sodium.h>

#define PLAIN "tok-3f9a1c77-plain-text-of-a-token"

static const struct mk_word production = { "production" };
static const struct mk_label here = { { "acme-erp" }, "v1", MK_SLOT_CURRENT };

static int arena(void **state)
{
	bool locked = false;
	(void)state;
	return mk_secret_arena_init(16, 4, &locked) == MK_OK ? 0 : -1;
}

static struct mk_seal *new_seal(const struct mk_word *environment)
{
	struct mk_seal *s = NULL;
	assert_int_equal(mk_seal_new(environment, &s), MK_OK);
	return s;
}

static enum mk_err try_open(struct mk_seal *s, const struct mk_label *label, const struct mk_sealed *sealed)
{
	struct mk_secret *into = NULL;
	assert_int_equal(mk_secret_new(mk_sealed_plain_len(sealed), &into), MK_OK);
	const enum mk_err e = mk_seal_open_(s, label, sealed, into);
	if (e == MK_OK)
		assert_true(mk_span_is(mk_secret_span(into), PLAIN));
	mk_secret_free(into);
	return e;
}

static struct mk_sealed *shut(struct mk_seal *s, const struct mk_label *label)
{
	struct mk_sealed *sealed = NULL;
	assert_int_equal(mk_seal_shut(s, label, mk_span_of(PLAIN), &sealed), MK_OK);
	return sealed;
}

static void a_sealed_value_opens_only_where_it_belongs(void **state)
{
	(void)state;
	struct mk_seal *s = new_seal(&production);
	struct mk_sealed *sealed = shut(s, &here);
	const struct mk_label other_name = { { "acme-crm" }, "v1", MK_SLOT_CURRENT };
	const struct mk_label other_version = { { "acme-erp" }, "v2", MK_SLOT_CURRENT };
	const struct mk_label other_slot = { { "acme-erp" }, "v1", MK_SLOT_PREVIOUS };
	assert_int_equal(try_open(s, &here, sealed), MK_OK);
	assert_int_equal(try_open(s, &other_name, sealed), MK_BUG);
	assert_int_equal(try_open(s, &other_version, sealed), MK_BUG);
	assert_int_equal(try_open(s, &other_slot, sealed), MK_BUG);
	assert_int_equal(try_open(s, &here, sealed), MK_OK);
	mk_sealed_free(sealed);
	mk_seal_free(s);
}

static void another_process_cannot_open_it(void **state)
{
	(void)state;
	struct mk_seal *one = new_seal(&production), *other = new_seal(&production);
	struct mk_sealed *sealed = shut(one, &here);
	assert_int_equal(try_open(other, &here, sealed), MK_BUG);
	assert_int_equal(try_open(one, &here, sealed), MK_OK);
	mk_sealed_free(sealed);
	mk_seal_free(one);
	mk_seal_free(other);
}

static const char *always_the_same_name(void)
{
	return "always the same";
}

static uint32_t always_the_same_word(void)
{
	return 7;
}

static void always_the_same_bytes(void *const out, const size_t n)
{
	memset(out, 7, n);
}

/* Keys are random; here they are made equal, so that only the label tells two environments apart. */
static void the_environment_is_part_of_where_it_belongs(void **state)
{
	static randombytes_implementation same = { .implementation_name = always_the_same_name,
						   .random = always_the_same_word, .buf = always_the_same_bytes };
	const struct mk_word staging = { "staging" };
	(void)state;
	assert_true(sodium_init() >= 0);
	randombytes_set_implementation(&same);
	struct mk_seal *one = new_seal(&production), *twin = new_seal(&production), *other = new_seal(&staging);
	randombytes_set_implementation(&randombytes_sysrandom_implementation);
	struct mk_sealed *sealed = shut(one, &here);
	assert_int_equal(try_open(twin, &here, sealed), MK_OK); /* the control: the keys are equal */
	assert_int_equal(try_open(other, &here, sealed), MK_BUG);
	mk_sealed_free(sealed);
	mk_seal_free(one);
	mk_seal_free(twin);
	mk_seal_free(other);
}

static void any_changed_byte_is_found(void **state)
{
	(void)state;
	struct mk_seal *s = new_seal(&production);
	struct mk_sealed *sealed = shut(s, &here);
	uint8_t *raw = (uint8_t *)sealed;
	for (size_t i = sizeof(size_t); i < mk_sealed_size(sealed); i++) {
		raw[i] ^= 1;
		/* bytes of padding between head and text change nothing; there are none */
		assert_int_equal(try_open(s, &here, sealed), MK_BUG);
		raw[i] ^= 1;
	}
	assert_int_equal(try_open(s, &here, sealed), MK_OK);
	mk_sealed_free(sealed);
	mk_seal_free(s);
}

static void the_plain_text_is_not_in_it_and_no_two_are_alike(void **state)
{
	(void)state;
	struct mk_seal *s = new_seal(&production);
	struct mk_sealed *a = shut(s, &here), *b = shut(s, &here);
	for (size_t i = 0; i + 8 <= sizeof PLAIN - 1; i++)
		assert_null(memmem(a, mk_sealed_size(a), &PLAIN[i], 8));
	assert_memory_not_equal(a, b, mk_sealed_size(a));
	mk_sealed_free(a);
	mk_sealed_free(b);
	mk_seal_free(s);
}

static void more_than_a_secret_is_refused(void **state)
{
	(void)state;
	static uint8_t big[MK_SECRET_MAX + 1];
	struct mk_seal *s = new_seal(&production);
	struct mk_sealed *sealed = NULL;
	assert_int_equal(mk_seal_shut(s, &here, mk_span(big, sizeof big), &sealed), MK_TOO_LARGE);
	assert_null(sealed);
	assert_int_equal(mk_seal_shut(s, &here, mk_span(big, MK_SECRET_MAX), &sealed), MK_OK);
	mk_sealed_free(sealed);
	mk_seal_free(s);
}

static void a_secret_too_small_is_not_written_past_its_end(void **state)
{
	(void)state;
	struct mk_seal *s = new_seal(&production);
	struct mk_sealed *sealed = shut(s, &here);
	struct mk_secret *into = NULL;
	assert_int_equal(mk_secret_new(4, &into), MK_OK);
	assert_int_equal(mk_seal_open_(s, &here, sealed, into), MK_BUG);
	mk_secret_free(into);
	mk_sealed_free(sealed);
	mk_seal_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sealed_value_opens_only_where_it_belongs),
		cmocka_unit_test(another_process_cannot_open_it),
		cmocka_unit_test(the_environment_is_part_of_where_it_belongs),
		cmocka_unit_test(any_changed_byte_is_found),
		cmocka_unit_test(the_plain_text_is_not_in_it_and_no_two_are_alike),
		cmocka_unit_test(more_than_a_secret_is_refused),
		cmocka_unit_test(a_secret_too_small_is_not_written_past_its_end),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

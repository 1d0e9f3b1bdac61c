/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the arena of secrets. Freed memory is looked at through /proc/self/mem,
 * as reading it directly would be undefined.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/secret.h"
#include "agent/base/vm.h"
#include "tests/unit/child.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SMALL 8u
#define LARGE 6u

static bool locked;

static void without_a_right_to_lock(void)
{
	const struct rlimit none = { 0, 0 };
	bool said = true;
	setrlimit(RLIMIT_MEMLOCK, &none);
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		_exit(98);
	if (mk_secret_arena_init(SMALL, LARGE, &said) != MK_OK)
		_exit(97);
	_exit(said);
}

/* Stands first: the arena is made once a process. */
static void memory_that_could_not_be_locked_is_told(void **state)
{
	struct mk_secret *s;
	(void)state;
	assert_int_equal(mk_secret_new(1, &s), MK_NO_MEMORY); /* no arena, no secret */
	assert_int_equal(child(without_a_right_to_lock), 0);
}

static void the_arena_is_locked_and_left_out_of_dumps(void **state)
{
	static uint8_t ordinary[4096];
	struct mk_secret *small, *large;
	(void)state;
	assert_int_equal(mk_secret_arena_init(SMALL, LARGE, &locked), MK_OK);
	assert_true(locked);
	assert_int_equal(mk_secret_new(MK_SECRET_SMALL, &small), MK_OK);
	assert_int_equal(mk_secret_new(MK_SECRET_LARGE, &large), MK_OK);
	assert_true(mk_vm_locked(mk_secret_buf(small), MK_SECRET_SMALL));
	assert_true(mk_vm_locked(mk_secret_buf(large), MK_SECRET_LARGE));
	assert_false(mk_vm_locked(ordinary, sizeof ordinary));
	assert_false(mk_vm_locked(mk_secret_buf(small), 64u << 20)); /* the whole range, not its start */
	mk_secret_free(small);
	mk_secret_free(large);
	assert_int_equal(mk_secret_arena_init(SMALL, LARGE, &locked), MK_BUG);
}

static void peek(const void *p, void *buf, size_t n)
{
	const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, n, (off_t)(uintptr_t)p), (ssize_t)n);
	close(fd);
}

static void freeing_wipes_all_that_was_given(void **state)
{
	static const size_t caps[] = { 1, 100, MK_SECRET_SMALL, MK_SECRET_SMALL + 1, MK_SECRET_LARGE };
	static uint8_t seen[MK_SECRET_LARGE], zero[MK_SECRET_LARGE];
	(void)state;
	for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
		struct mk_secret *s = NULL;
		assert_int_equal(mk_secret_new(caps[i], &s), MK_OK);
		const uint8_t *p = mk_secret_buf(s);
		memset(mk_secret_buf(s), 0xa5, caps[i]); /* without saying so by a length */
		peek(p, seen, caps[i]);
		assert_int_equal(seen[0] + seen[caps[i] - 1], 2 * 0xa5);
		assert_null(mk_secret_free(s));
		peek(p, seen, caps[i]);
		assert_memory_equal(seen, zero, caps[i]);
	}
	assert_null(mk_secret_free(NULL));
	assert_int_equal(mk_secret_in_use(), 0);
}

static void a_used_up_arena_refuses_and_recovers(void **state)
{
	struct mk_secret *s[SMALL + LARGE], *more = NULL;
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < SMALL + LARGE; i++) { /* small ones overflow into large slots */
			assert_int_equal(mk_secret_new(8, &s[i]), MK_OK);
			for (size_t k = 0; k < i; k++)
				assert_ptr_not_equal(mk_secret_buf(s[i]), mk_secret_buf(s[k]));
		}
		assert_int_equal(mk_secret_new(8, &more), MK_NO_MEMORY);
		assert_null(more);
		assert_int_equal(mk_secret_in_use(), SMALL + LARGE);
		for (size_t i = 0; i < SMALL + LARGE; i++)
			mk_secret_freep(&s[i]);
		assert_int_equal(mk_secret_in_use(), 0);
	}
	assert_int_equal(mk_secret_new(MK_SECRET_LARGE + 1, &more), MK_TOO_LARGE);
}

static void a_secret_is_copied_and_compared(void **state)
{
	mk_auto(mk_secret_freep) struct mk_secret *a = NULL;
	mk_auto(mk_secret_freep) struct mk_secret *b = NULL;
	(void)state;
	assert_int_equal(mk_secret_copy(mk_span_of("planted"), &a), MK_OK);
	assert_int_equal(mk_secret_cap(a), 7);
	assert_true(mk_span_is(mk_secret_span(a), "planted"));
	assert_int_equal(mk_secret_new(100, &b), MK_OK);
	assert_int_equal(mk_secret_span(b).n, 0);
	memcpy(mk_secret_buf(b), "planteD", 7);
	mk_secret_set_len(b, 7);
	assert_false(mk_secret_same(a, b));
	mk_secret_buf(b)[6] = 'd';
	assert_true(mk_secret_same(a, b));
	mk_secret_set_len(b, 6);
	assert_false(mk_secret_same(a, b));
}

static struct mk_secret *shared;

static void look_from_a_fork(void)
{
	const struct mk_span s = mk_secret_span(shared);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != 0)
			_exit(1);
	_exit(0);
}

static void a_fork_sees_nothing(void **state)
{
	(void)state;
	assert_int_equal(mk_secret_copy(mk_span_of("planted"), &shared), MK_OK);
	assert_int_equal(child(look_from_a_fork), 0);
	assert_true(mk_span_is(mk_secret_span(shared), "planted"));
	shared = mk_secret_free(shared);
}

static void write_past_the_arena(void)
{
	volatile uint8_t *p = mk_secret_buf(shared);
	for (size_t i = 0; i < (SMALL + 1u) * MK_SECRET_SMALL; i += 64) /* small slots end the arena */
		p[i] = 1;
	_exit(0);
}

static void a_write_past_the_arena_ends_the_process(void **state)
{
	(void)state;
	assert_int_equal(mk_secret_new(1, &shared), MK_OK);
	assert_int_not_equal(child(write_past_the_arena), 0);
	shared = mk_secret_free(shared);
}

static void set_too_long_a_length(void)
{
	mk_secret_set_len(shared, mk_secret_cap(shared) + 1);
	_exit(0);
}

static void free_twice(void)
{
	struct mk_secret *s = shared;
	mk_secret_free(s);
	mk_secret_free(s);
	_exit(0);
}

static void wrong_use_ends_the_process(void **state)
{
	(void)state;
	assert_int_equal(mk_secret_new(10, &shared), MK_OK);
	assert_int_equal(child(set_too_long_a_length), 128 + 6);
	assert_int_equal(child(free_twice), 128 + 6);
	shared = mk_secret_free(shared);
}

static size_t resident_pages(const void *p, size_t n)
{
	static unsigned char in[MK_SECRET_LARGE / 4096 + 1];
	size_t pages = 0;
	void *at = (void *)(uintptr_t)p;
	assert_int_equal(mincore(at, n, in), 0);
	for (size_t i = 0; i < n / 4096; i++)
		pages += in[i] & 1;
	return pages;
}

static void pages_are_resident_only_as_far_as_secrets_use_them(void **state)
{
	struct mk_secret *s[LARGE];
	const uint8_t *at[LARGE];
	size_t resident = 0;
	(void)state;
	for (size_t i = 0; i < LARGE; i++) {
		assert_int_equal(mk_secret_new(MK_SECRET_LARGE, &s[i]), MK_OK);
		at[i] = mk_secret_buf(s[i]);
		memset(mk_secret_buf(s[i]), 1, MK_SECRET_LARGE);
		assert_int_equal(resident_pages(at[i], MK_SECRET_LARGE), MK_SECRET_LARGE / 4096);
	}
	for (size_t i = 0; i < LARGE; i++)
		mk_secret_free(s[i]);
	for (size_t i = 0; i < LARGE; i++)
		resident += resident_pages(at[i], MK_SECRET_LARGE);
	assert_true(resident == 2 * MK_SECRET_LARGE / 4096 || resident == LARGE * MK_SECRET_LARGE / 4096 /* before Linux 5.18 */);
	assert_true(mk_vm_locked(at[0], MK_SECRET_LARGE)); /* still, also where pages went back */
	for (size_t i = 0; i < LARGE; i++) {
		assert_int_equal(mk_secret_new(MK_SECRET_LARGE, &s[i]), MK_OK);
		assert_int_equal(mk_secret_buf(s[i])[4096], 0);
	}
	for (size_t i = 0; i < LARGE; i++)
		mk_secret_free(s[i]);
}

static uint8_t *leave_on_the_stack(void) __attribute__((noinline));
static uint8_t *leave_on_the_stack(void)
{
	volatile uint8_t buf[4096];
	for (size_t i = 0; i < sizeof buf; i++)
		buf[i] = 0xa5;
	uintptr_t p = (uintptr_t)buf;
	__asm__("" : "+r"(p)); /* only an address, from here on */
	return (uint8_t *)p;
}

/* Read with pread alone: a call between would write over the stack by itself. */
static unsigned left_on_the_stack(bool wipe)
{
	static uint8_t seen[4096];
	unsigned n = 0;
	const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	const uint8_t *p = leave_on_the_stack();
	if (wipe)
		mk_wipe_stack();
	assert_int_equal(pread(fd, seen, sizeof seen, (off_t)(uintptr_t)p), (ssize_t)sizeof seen);
	close(fd);
	for (size_t i = 0; i < sizeof seen; i++)
		n += seen[i] == 0xa5;
	return n;
}

static void the_stack_below_is_wiped(void **state)
{
	(void)state;
#ifdef MK_SANITIZED
	skip(); /* frames lie elsewhere */
#endif
	assert_true(left_on_the_stack(false) > 2000);
	assert_int_equal(left_on_the_stack(true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_could_not_be_locked_is_told),
		cmocka_unit_test(the_arena_is_locked_and_left_out_of_dumps),
		cmocka_unit_test(freeing_wipes_all_that_was_given),
		cmocka_unit_test(a_used_up_arena_refuses_and_recovers),
		cmocka_unit_test(a_secret_is_copied_and_compared),
		cmocka_unit_test(a_fork_sees_nothing),
		cmocka_unit_test(a_write_past_the_arena_ends_the_process),
		cmocka_unit_test(wrong_use_ends_the_process),
		cmocka_unit_test(pages_are_resident_only_as_far_as_secrets_use_them),
		cmocka_unit_test(the_stack_below_is_wiped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

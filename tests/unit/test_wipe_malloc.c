/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the free() that wipes. A needle that exists nowhere but in the blocks
 * under test (it is kept and compared masked) is looked for in the whole heap through
 * /proc/self/mem: found while a block lives, not found after it was freed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#ifndef MK_SANITIZED
#include "agent/base/alloc/wipe_malloc.c"
#endif

#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#ifndef MK_SANITIZED

#define NEEDLE 32u
#define WINDOW 8u /* as few bytes in a row as this are a find */
#define MASK   0x5a

static const uint8_t masked[NEEDLE] = {
	0x17, 0x68, 0x0b, 0x2e, 0x71, 0x3c, 0x02, 0x69, 0x10, 0x2f, 0x36, 0x0d, 0x63, 0x38, 0x1d, 0x2c,
	0x3f, 0x6d, 0x14, 0x22, 0x08, 0x33, 0x6b, 0x1f, 0x2a, 0x0c, 0x39, 0x62, 0x1b, 0x37, 0x6e, 0x05,
};

static void plant(char *p)
{
	for (size_t i = 0; i < NEEDLE; i++)
		p[i] = (char)(masked[i] ^ MASK);
}

static uint8_t chunk[1u << 16]; /* not in the heap */

static unsigned hits_in(size_t n)
{
	unsigned hits = 0;
	for (size_t i = 0; i + WINDOW <= n; i++)
		for (size_t w = 0; w + WINDOW <= NEEDLE; w++) {
			size_t k = 0;
			while (k < WINDOW && (chunk[i + k] ^ MASK) == masked[w + k])
				k++;
			hits += k == WINDOW;
		}
	return hits;
}

/* Windows of the needle in [from, to). */
static unsigned scan(int mem, uintptr_t from, uintptr_t to)
{
	unsigned hits = 0;
	while (from < to) {
		size_t n = to - from < sizeof chunk ? to - from : sizeof chunk;
		const ssize_t got = pread(mem, chunk, n, (off_t)from);
		if (got < (ssize_t)WINDOW)
			break;
		hits += hits_in((size_t)got);
		from += (size_t)got == to - from ? (size_t)got : (size_t)got - (WINDOW - 1);
	}
	explicit_bzero(chunk, sizeof chunk);
	return hits;
}

/* The heap, and every anonymous mapping but the stack; without any use of the heap. */
static unsigned found(void)
{
	static char maps[1u << 16];
	unsigned hits = 0;
	const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	for (ssize_t n; (n = read(fd, maps + len, sizeof maps - 1 - len)) > 0;)
		len += (size_t)n;
	maps[len] = '\0';
	for (char *line = maps, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		unsigned long from, to;
		*end = '\0';
		const bool named = strchr(line, '/') || strstr(line, "[stack]") || strstr(line, "[v");
		if (!named && sscanf(line, "%lx-%lx rw", &from, &to) == 2)
			hits += scan(mem, from, to);
	}
	close(fd);
	close(mem);
	return hits;
}

static void the_needle_is_found_while_a_block_lives_and_not_after(void **state)
{
	static const size_t sizes[] = { NEEDLE, 100, 1000, 5000, 100000, 300000 };
	(void)state;
	assert_int_equal(found(), 0);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		char *volatile p = malloc(sizes[i]);
		assert_non_null(p);
		plant(p);
		plant(p + sizes[i] - NEEDLE);
		assert_true(found() >= NEEDLE - WINDOW + 1); /* the control */
		free(p);
		assert_int_equal(found(), 0);
	}
}

static void glibcs_own_free_would_leave_it(void **state)
{
	(void)state;
	char *volatile p = malloc(200);
	assert_non_null(p);
	plant(p + 64);
	__libc_free(p);
	assert_true(found() > 0);
	p = malloc(200); /* the same block again */
	free(p);
	assert_int_equal(found(), 0);
}

static void what_lies_behind_the_size_asked_for_is_wiped_too(void **state)
{
	(void)state;
	char *volatile p = malloc(33);
	assert_non_null(p);
	assert_true(malloc_usable_size(p) >= 40);
	memset(p, 0, 33);
	((volatile char *)p)[39] = 1;
	free(p);
	char *volatile q = malloc(33);
	assert_ptr_equal(p, q); /* the cache of blocks gives the last one first */
	assert_int_equal(((volatile char *)q)[39], 0);
	free(q);
}

static void a_block_that_grows_or_shrinks_leaves_nothing_behind(void **state)
{
	(void)state;
	char *volatile p = malloc(64), *volatile wall = malloc(64); /* wall: no growing in place */
	assert_non_null(p);
	plant(p);
	for (size_t n = 128; n < 1000000; n *= 2) {
		char *volatile q = realloc(p, n);
		assert_non_null(q);
		p = q;
		assert_int_equal(found(), NEEDLE - WINDOW + 1); /* once, not twice */
	}
	p = realloc(p, 40); /* much smaller: moved */
	assert_non_null(p);
	assert_int_equal(found(), NEEDLE - WINDOW + 1);
	p = realloc(p, 16); /* a little smaller: stays, its tail is wiped */
	assert_non_null(p);
	assert_int_equal(found(), 16 - WINDOW + 1);
	assert_null(realloc(p, 0));
	assert_int_equal(found(), 0);
	free(wall);
}

static void realloc_behaves_as_the_standard_says(void **state)
{
	(void)state;
	char *volatile p = realloc(NULL, 10);
	assert_non_null(p);
	memcpy(p, "0123456789", 10);
	for (size_t n = 11; n < 5000; n += 13) {
		p = realloc(p, n);
		assert_non_null(p);
		assert_memory_equal(p, "0123456789", 10);
	}
	for (size_t n = 5000; n >= 10; n -= 10) {
		p = realloc(p, n);
		assert_non_null(p);
		assert_memory_equal(p, "0123456789", 10);
	}
	volatile size_t huge = SIZE_MAX / 2;
	assert_null(realloc(p, huge));
	assert_memory_equal(p, "0123456789", 10); /* still there */
	errno = 0;
	assert_null(reallocarray(p, huge, 4));
	assert_int_equal(errno, ENOMEM);
	p = reallocarray(p, 5, 7);
	assert_memory_equal(p, "0123456789", 10);
	errno = ENOSPC;
	free(p);
	free(NULL);
	assert_int_equal(errno, ENOSPC);
}

static void getline_of_glibc_leaves_nothing(void **state)
{
	(void)state;
	int fd[2];
	char text[NEEDLE * 20 + 1];
	assert_int_equal(pipe(fd), 0);
	for (size_t i = 0; i < 20; i++)
		plant(text + i * NEEDLE);
	text[NEEDLE * 20] = '\n';
	assert_int_equal(write(fd[1], text, sizeof text), (ssize_t)sizeof text);
	explicit_bzero(text, sizeof text);
	close(fd[1]);
	FILE *f = fdopen(fd[0], "r");
	char *line = NULL;
	size_t cap = 0;
	assert_non_null(f);
	assert_int_equal(getline(&line, &cap, f), (ssize_t)sizeof text); /* grows several times */
	assert_true(found() > 0);
	free(line);
	fclose(f); /* the stream's buffer held it too */
	assert_int_equal(found(), 0);
}

static void jansson_leaves_nothing(void **state)
{
	(void)state;
	char text[16 + NEEDLE + 3];
	memcpy(text, "{\"access_token\":\"", 17);
	plant(text + 17);
	memcpy(text + 17 + NEEDLE, "\"}", 2);
	json_t *json = json_loadb(text, 17 + NEEDLE + 2, 0, NULL);
	explicit_bzero(text, sizeof text);
	assert_non_null(json);
	assert_true(found() > 0);
	char *again = json_dumps(json, 0);
	assert_non_null(again);
	json_decref(json);
	assert_true(found() > 0);
	free(again);
	assert_int_equal(found(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_needle_is_found_while_a_block_lives_and_not_after),
		cmocka_unit_test(glibcs_own_free_would_leave_it),
		cmocka_unit_test(what_lies_behind_the_size_asked_for_is_wiped_too),
		cmocka_unit_test(a_block_that_grows_or_shrinks_leaves_nothing_behind),
		cmocka_unit_test(realloc_behaves_as_the_standard_says),
		cmocka_unit_test(getline_of_glibc_leaves_nothing),
		cmocka_unit_test(jansson_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else /* a sanitizer brings its own malloc */

int main(void)
{
	return 0;
}

#endif

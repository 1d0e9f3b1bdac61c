/* SPDX-License-Identifier: Apache-2.0
 *
 * Every free() in the process wipes. An executable's own free, realloc and reallocarray
 * take the place of glibc's for all that is loaded with it, glibc itself (getline,
 * stdio) included; they wipe a block and hand it to __libc_free. jansson, libcurl,
 * OpenSSL, libmicrohttpd and libsodium all end up here, so none needs allocator hooks
 * of its own, and none can be forgotten. malloc and calloc stay glibc's.
 *
 * glibc only (as the symbols are). Linked as an object, never as an archive, and not
 * under sanitizers, which bring a malloc of their own.
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SMALL 256 /* bytes; below, a shrunk block always stays where it is */

void *__libc_malloc(size_t n);
void __libc_free(void *p);

/* All that malloc gave, which may be more than was asked for. */
void free(void *p)
{
	if (!p)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	__libc_free(p); /* keeps errno, and so does the rest */
}

/* Never glibc's realloc, which frees the old block without wiping it. */
static void *move(void *p, size_t keep, size_t n)
{
	void *q = __libc_malloc(n);
	if (!q)
		return NULL;
	memcpy(q, p, keep);
	free(p);
	return q;
}

void *realloc(void *p, size_t n)
{
	if (!p)
		return __libc_malloc(n);
	if (n == 0) { /* as glibc does */
		free(p);
		return NULL;
	}
	const size_t usable = malloc_usable_size(p);
	if (n > usable)
		return move(p, usable, n);
	if (usable > SMALL && n < usable / 2) {
		void *q = move(p, n, n);
		if (q)
			return q;
	}
	explicit_bzero((char *)p + n, usable - n);
	return p;
}

void *reallocarray(void *p, size_t count, size_t size)
{
	size_t n;
	if (__builtin_mul_overflow(count, size, &n)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, n);
}

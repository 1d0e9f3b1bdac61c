/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena of secrets: one mapping between two guard pages, cut into large slots
 * (whole pages) and small ones. What is known of a slot stands outside of the arena, so
 * that a write past a secret's end cannot change it. A secret may use just the bytes it
 * asked for, and those are wiped when it is freed: pages become resident only as far
 * as secrets use them. Freed large slots beyond a few give their pages back.
 */
#include "agent/base/secret.h"

#include "agent/base/vm.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h> /* then also a byte past one secret's end, within the arena, is found */
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18; plain MADV_DONTNEED refuses locked pages */
#endif

#define SLOTS_MAX 4096u /* of a class */
#define WARM_MAX  2u    /* freed large slots that keep their pages, as the next request wants one */

struct mk_secret {
	uint8_t *bytes;
	struct mk_secret *next_free;
	uint32_t cap, len;
	bool large, used;
};

static struct {
	struct mk_secret *slots;
	struct mk_secret *free_small, *free_warm, *free_cold; /* warm and cold: large ones */
	unsigned warm, in_use;
} arena;

static void push(struct mk_secret **list, struct mk_secret *s)
{
	s->next_free = *list;
	*list = s;
}

static struct mk_secret *pop(struct mk_secret **list)
{
	struct mk_secret *s = *list;
	if (s)
		*list = s->next_free;
	return s;
}

/* n bytes, whole pages, between two pages that cannot be touched. */
static uint8_t *map_guarded(size_t n, size_t page)
{
	uint8_t *all = mmap(NULL, n + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return NULL;
	if (mprotect(all + page, n, PROT_READ | PROT_WRITE) == 0)
		return all + page;
	munmap(all, n + 2 * page);
	return NULL;
}

/* No huge pages: one byte must not make two megabytes resident. */
static bool lock_down(uint8_t *p, size_t n)
{
	madvise(p, n, MADV_NOHUGEPAGE);
	if (madvise(p, n, MADV_DONTDUMP) < 0 || madvise(p, n, MADV_WIPEONFORK) < 0)
		return false;
	if (mlock2(p, n, MLOCK_ONFAULT) < 0)
		return false;
	return mk_vm_locked(p, n);
}

mk_must mk_secret_arena_init(unsigned small, unsigned large, bool *ret_locked)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (arena.slots || small > SLOTS_MAX || large > SLOTS_MAX || small + large == 0)
		return MK_BUG;
	size_t n = (size_t)large * MK_SECRET_LARGE + (size_t)small * MK_SECRET_SMALL;
	n = (n + page - 1) / page * page;
	struct mk_secret *slots = calloc((size_t)small + large, sizeof *slots);
	uint8_t *p = slots ? map_guarded(n, page) : NULL;
	if (!p) {
		free(slots);
		return MK_NO_MEMORY;
	}
	*ret_locked = lock_down(p, n);
	ASAN_POISON_MEMORY_REGION(p, n);
	arena.slots = slots;
	for (unsigned i = small + large; i-- > 0;) { /* backwards, so that the first slots are taken first */
		const bool is_large = i < large;
		slots[i].large = is_large;
		slots[i].bytes = is_large ? p + (size_t)i * MK_SECRET_LARGE
					  : p + (size_t)large * MK_SECRET_LARGE + (size_t)(i - large) * MK_SECRET_SMALL;
		push(is_large ? &arena.free_cold : &arena.free_small, &slots[i]);
	}
	return MK_OK;
}

static struct mk_secret *take_large(void)
{
	struct mk_secret *s = pop(&arena.free_warm);
	if (s)
		arena.warm--;
	return s ? s : pop(&arena.free_cold);
}

mk_must mk_secret_new(size_t cap, struct mk_secret **ret)
{
	if (cap > MK_SECRET_LARGE)
		return MK_TOO_LARGE;
	struct mk_secret *s = cap <= MK_SECRET_SMALL ? pop(&arena.free_small) : NULL;
	if (!s)
		s = take_large();
	if (!s)
		return MK_NO_MEMORY;
	s->cap = (uint32_t)cap;
	s->len = 0;
	s->used = true;
	ASAN_UNPOISON_MEMORY_REGION(s->bytes, cap);
	arena.in_use++;
	*ret = s;
	return MK_OK;
}

mk_must mk_secret_copy(struct mk_span bytes, struct mk_secret **ret)
{
	struct mk_secret *s = NULL;
	MK_TRY(mk_secret_new(bytes.n, &s));
	if (bytes.n > 0)
		memcpy(s->bytes, bytes.p, bytes.n);
	s->len = (uint32_t)bytes.n;
	*ret = s;
	return MK_OK;
}

/* Wiped before: what goes back to the kernel goes back empty. */
static void put_back(struct mk_secret *s)
{
	if (!s->large) {
		push(&arena.free_small, s);
	} else if (arena.warm < WARM_MAX) {
		arena.warm++;
		push(&arena.free_warm, s);
	} else {
		madvise(s->bytes, MK_SECRET_LARGE, MADV_DONTNEED_LOCKED); /* before 5.18 the pages stay */
		push(&arena.free_cold, s);
	}
}

struct mk_secret *mk_secret_free(struct mk_secret *s)
{
	if (!s)
		return NULL;
	mk_assert(s->used);
	mk_wipe(s->bytes, s->cap);
	ASAN_POISON_MEMORY_REGION(s->bytes, s->cap);
	s->used = false;
	s->len = s->cap = 0;
	arena.in_use--;
	put_back(s);
	return NULL;
}

void mk_secret_freep(struct mk_secret **s)
{
	*s = mk_secret_free(*s);
}

size_t mk_secret_cap(const struct mk_secret *s)
{
	return s->cap;
}

uint8_t *mk_secret_buf(struct mk_secret *s)
{
	mk_assert(s->used);
	return s->bytes;
}

void mk_secret_set_len(struct mk_secret *s, size_t n)
{
	mk_assert(n <= s->cap);
	s->len = (uint32_t)n;
}

struct mk_span mk_secret_span(const struct mk_secret *s)
{
	mk_assert(s->used);
	return mk_span(s->bytes, s->len);
}

bool mk_secret_same(const struct mk_secret *a, const struct mk_secret *b)
{
	return a->len == b->len && sodium_memcmp(a->bytes, b->bytes, a->len) == 0;
}

unsigned mk_secret_in_use(void)
{
	return arena.in_use;
}

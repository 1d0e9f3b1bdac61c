/* SPDX-License-Identifier: Apache-2.0
 *
 * The key page. Memory of memfd_secret(2) is not even in the kernel's own map, so
 * neither root's /proc/PID/mem nor a core reaches it; its descriptor is closed at once,
 * because whoever holds it could map it too. Without it: a locked page that has no
 * access rights at rest. Not libsodium's sodium_malloc, which takes a lock that failed
 * for one that holds.
 */
#include "agent/base/guarded.h"

#include "agent/base/secret.h"
#include "agent/base/vm.h"
#include "mk/own.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define MAX_BYTES 4096u

struct mk_guarded {
	uint8_t *all;   /* guard page, the page, guard page */
	uint8_t *bytes; /* at the end of the page, so that one byte too many hits the guard */
	size_t page, n;
	enum mk_guarded_kind kind;
	bool open;
};

static void protect(const struct mk_guarded *g, int prot)
{
	if (g->kind == MK_GUARDED_SECRETMEM)
		return;
	const int rc = mprotect(g->all + g->page, g->page, prot);
	mk_assert(rc == 0);
}

/* The page is left readable and writable. False where the kernel has no such memory, or no more of it. */
static bool map_secretmem(struct mk_guarded *g)
{
	mk_fd fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC); /* the manual says FD_CLOEXEC, the kernel refuses that */
	if (fd < 0 || ftruncate(fd, (off_t)g->page) < 0)
		return false;
	return mmap(g->all + g->page, g->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
}

static bool map_locked(struct mk_guarded *g)
{
	uint8_t *p = mmap(g->all + g->page, g->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED)
		return false;
	/* mlock2, as sanitizers make mlock a call that does nothing */
	const bool locked = madvise(p, g->page, MADV_DONTDUMP) == 0 && mlock2(p, g->page, 0) == 0;
	g->kind = locked ? MK_GUARDED_LOCKED : MK_GUARDED_UNLOCKED;
	return true;
}

/* DONTFORK for both kinds: a child that reached for the key would end, not go on with a key of zeros. */
static bool map_page(struct mk_guarded *g)
{
	if (map_secretmem(g))
		g->kind = MK_GUARDED_SECRETMEM;
	else if (!map_locked(g))
		return false;
	if (madvise(g->all + g->page, g->page, MADV_DONTFORK) < 0)
		return false;
	memset(g->all + g->page, 0, g->page); /* touched now: a lock on no page says nothing */
	if (!mk_vm_locked(g->all + g->page, g->page)) {
		if (g->kind == MK_GUARDED_SECRETMEM)
			return false; /* it always is; so /proc cannot be trusted either */
		g->kind = MK_GUARDED_UNLOCKED;
	}
	return true;
}

mk_must mk_guarded_new(size_t n, struct mk_guarded **ret)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (n == 0 || n > MAX_BYTES)
		return MK_TOO_LARGE;
	struct mk_guarded *g = calloc(1, sizeof *g);
	if (!g)
		return MK_NO_MEMORY;
	void *all = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED) {
		free(g);
		return MK_NO_MEMORY;
	}
	*g = (struct mk_guarded){ .all = all, .page = page, .n = n, .bytes = (uint8_t *)all + 2 * page - (n + 15) / 16 * 16 };
	if (!map_page(g)) {
		munmap(all, 3 * page);
		free(g);
		return MK_NO_MEMORY;
	}
	protect(g, PROT_NONE);
	*ret = g;
	return MK_OK;
}

struct mk_guarded *mk_guarded_free(struct mk_guarded *g)
{
	if (!g)
		return NULL;
	protect(g, PROT_READ | PROT_WRITE);
	mk_wipe(g->all + g->page, g->page);
	munmap(g->all, 3 * g->page);
	free(g);
	return NULL;
}

enum mk_guarded_kind mk_guarded_kind(const struct mk_guarded *g)
{
	return g->kind;
}

uint8_t *mk_guarded_open(struct mk_guarded *g)
{
	mk_assert(!g->open);
	g->open = true;
	protect(g, PROT_READ | PROT_WRITE);
	return g->bytes;
}

void mk_guarded_close(struct mk_guarded *g)
{
	mk_assert(g->open);
	g->open = false;
	protect(g, PROT_NONE);
}

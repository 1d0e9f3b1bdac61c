/* SPDX-License-Identifier: Apache-2.0
 *
 * Mappings and their list. The list's nodes are plain memory, so that a child of fork can find and free the mappings whose
 * contents it does not have. A node is taken out before its mapping goes: a child that is forked in between keeps a mapping too many, and
 * never frees one twice.
 */
#include "client/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The order matters: what cannot be wiped in a child is never used. */
static int guard(const makini *m, void *p, size_t n)
{
	if (madvise(p, n, MADV_WIPEONFORK) != 0 || madvise(p, n, MADV_DONTDUMP) != 0)
		return errno == ENOMEM ? MAKINI_ENOMEM : MAKINI_EINTERNAL;
	if (mlock(p, n) != 0 && !m->unlocked)
		return MAKINI_ELOCK;
	return 0;
}

int memory_new(makini *m, size_t n, struct map **ret)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t size = (n + page - 1) / page * page;
	struct map *map = malloc(sizeof *map);
	if (!map)
		return MAKINI_ENOMEM;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int rc = p == MAP_FAILED ? MAKINI_ENOMEM : guard(m, p, size);
	if (rc != 0) {
		if (p != MAP_FAILED)
			munmap(p, size);
		free(map);
		return rc;
	}
	*map = (struct map){ .next = m->maps, .bytes = p, .size = size };
	m->maps = map;
	*ret = map;
	return 0;
}

static void end(struct map *map, bool wipe)
{
	if (wipe)
		explicit_bzero(map->bytes, map->size);
	munmap(map->bytes, map->size);
	free(map);
}

void memory_free(makini *m, struct map *map)
{
	struct map **at = &m->maps;
	while (*at && *at != map)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = map->next;
	end(map, true);
}

void memory_free_all(makini *m, bool wipe)
{
	while (m->maps) {
		struct map *map = m->maps;
		m->maps = map->next;
		end(map, wipe);
	}
}

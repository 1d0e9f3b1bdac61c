/* SPDX-License-Identifier: Apache-2.0
 *
 * The head page. Stores are ordered by write(2) between them, which no compiler
 * moves a store to shared memory across; the reader comes after the writer's death.
 */
#include "agent/audit/head.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LAYOUT 1u

_Static_assert(sizeof(struct mk_head_page) <= MK_HEAD_PAGE, "one page");

mk_must mk_head_map(int fd, struct mk_head_page **ret)
{
	struct stat st;
	if (fd >= 0 && (fstat(fd, &st) != 0 || st.st_size < MK_HEAD_PAGE))
		return MK_BAD_REQUEST;
	const int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	struct mk_head_page *p = mmap(NULL, MK_HEAD_PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED)
		return MK_SYSTEM;
	if (p->layout > LAYOUT) { /* of a version that we do not know: not ours to judge */
		munmap(p, MK_HEAD_PAGE);
		return MK_CONFLICT;
	}
	*ret = p;
	return MK_OK;
}

struct mk_head_page *mk_head_unmap(struct mk_head_page *p)
{
	if (p)
		munmap(p, MK_HEAD_PAGE);
	return NULL;
}

bool mk_head_fresh(const struct mk_head_page *p)
{
	return p->layout == 0;
}

void mk_head_pending(struct mk_head_page *p, const struct mk_head *h)
{
	p->pending = *h;
	atomic_thread_fence(memory_order_seq_cst);
}

void mk_head_commit(struct mk_head_page *p, const struct mk_head *h)
{
	p->committed = *h;
	p->layout = LAYOUT;
	atomic_thread_fence(memory_order_seq_cst);
}

const struct mk_head *mk_head_find(const struct mk_head_page *p, uint64_t seq, const uint8_t mac[MK_CHAIN_MAC])
{
	const struct mk_head *const both[] = { &p->pending, &p->committed };
	for (size_t i = 0; i < 2; i++)
		if (both[i]->seq == seq && memcmp(both[i]->mac, mac, MK_CHAIN_MAC) == 0)
			return both[i];
	return NULL;
}

const struct mk_head *mk_head_newest(const struct mk_head_page *p)
{
	return p->pending.seq > p->committed.seq ? &p->pending : &p->committed;
}

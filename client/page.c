/* SPDX-License-Identifier: Apache-2.0
 *
 * A page is taken only where nobody but who made it can write, shrink or unseal it: otherwise another process could keep a
 * revoked token alive here, or end this one with a SIGBUS. Pages are told apart by device and inode, so that each connection's
 * HELLO may bring the one that is in force already.
 */
#include "client/page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/table.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

static bool is_sealed(int fd, struct stat *ret)
{
	const int want = F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const int seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && (seals & want) == want && fstat(fd, ret) == 0 && ret->st_size == WIRE_PAGE;
}

static bool is_page(const struct wire_page *page, uint32_t words)
{
	return page->magic == WIRE_PAGE_MAGIC && page->version == WIRE_VERSION && page->words == words && words <= WIRE_WORDS;
}

static int map_page(int fd, uint32_t words, struct stat *ret_stat, const struct wire_page **ret)
{
	if (!is_sealed(fd, ret_stat))
		return MAKINI_EPROTOCOL;
	void *p = mmap(NULL, WIRE_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return errno == ENOMEM ? MAKINI_ENOMEM : MAKINI_EPROTOCOL;
	if (!is_page(p, words)) {
		munmap(p, WIRE_PAGE);
		return MAKINI_EPROTOCOL;
	}
	*ret = p;
	return 0;
}

void page_unmap(const struct wire_page *page)
{
	union {
		const void *read;
		void *any;
	} p = { page };
	if (page)
		munmap(p.any, WIRE_PAGE);
}

static bool is_in_force(const makini *m, const struct stat *st)
{
	return m->page && m->page_dev == st->st_dev && m->page_ino == st->st_ino;
}

int page_adopt(makini *m, int fd, uint32_t words, uint64_t *ret_generation)
{
	struct stat st;
	const struct wire_page *page = NULL;
	const int rc = map_page(fd, words, &st, &page);
	close(fd);
	if (rc != 0)
		return rc;
	const struct wire_page *over = page;
	pthread_mutex_lock(&m->g->lock);
	if (!is_in_force(m, &st)) {
		over = m->page;
		m->page = page;
		m->page_dev = st.st_dev;
		m->page_ino = st.st_ino;
		m->generation++;
		table_drop_all(m);
	}
	*ret_generation = m->generation;
	pthread_mutex_unlock(&m->g->lock);
	page_unmap(over);
	return 0;
}

void page_leave(makini *m)
{
	pthread_mutex_lock(&m->g->lock);
	const struct wire_page *over = m->page;
	m->page = NULL;
	m->generation++;
	table_drop_all(m);
	pthread_mutex_unlock(&m->g->lock);
	page_unmap(over);
}

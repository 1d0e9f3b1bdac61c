/* SPDX-License-Identifier: Apache-2.0
 *
 * The order is the point: what is mapped to be written before F_SEAL_FUTURE_WRITE stays so, and
 * whatever comes after it does not.
 */
#include "agent/broker/page_seal.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static bool is_one_page(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == (off_t)WIRE_PAGE;
}

mk_must mk_page_seal(int fd, struct wire_page **ret)
{
	struct wire_page *p = MAP_FAILED;
	if (is_one_page(fd))
		p = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return MK_SYSTEM;
	p->magic = WIRE_PAGE_MAGIC;
	p->version = WIRE_VERSION;
	p->words = WIRE_WORDS;
	p->ahead_ms = WIRE_AHEAD_MS;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0 || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS || !is_one_page(fd)) {
		munmap(p, WIRE_PAGE);
		return MK_SYSTEM;
	}
	*ret = p;
	return MK_OK;
}

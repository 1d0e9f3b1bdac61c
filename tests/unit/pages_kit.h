/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages that libmakini's clients read, of services at a gate.
 */
#ifndef MK_TEST_PAGES_KIT_H
#define MK_TEST_PAGES_KIT_H

#include "agent/broker/pages.h"
#include "gate_fix.h"

#include <sys/mman.h>

static const struct mk_word billing = { "billing" }, sync_ = { "sync" };

static inline struct mk_name name_of(const char *s)
{
	struct mk_name n;
	assert_int_equal(mk_name_of(mk_span_of(s), &n), MK_OK);
	return n;
}

static inline struct mk_name nth(unsigned i)
{
	char s[32];
	snprintf(s, sizeof s, "acme-%u", i);
	return name_of(s);
}

static inline int memfd(off_t size)
{
	const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0 && ftruncate(fd, size) == 0);
	return fd;
}

/* A page that has come, and what a client sees of it. */
static inline struct mk_page *page(const struct mk_word *service, uint32_t number, const struct wire_page **ret)
{
	struct mk_page *p = mk_pages_of(fix.b->pages, service);
	assert_non_null(p);
	mk_pages_came(fix.b->pages, number, memfd(WIRE_PAGE));
	assert_true(mk_page_fd(p) >= 0);
	const void *seen = mmap(NULL, WIRE_PAGE, PROT_READ, MAP_SHARED, mk_page_fd(p), 0);
	assert_true(seen != MAP_FAILED);
	*ret = seen;
	return p;
}

static inline void done(const struct wire_page *seen)
{
	assert_int_equal(munmap((void *)(uintptr_t)seen, WIRE_PAGE), 0);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker of the tests' own for one test of libmakini, and what most of them ask it.
 */
#ifndef MK_TEST_LIBMAKINI_FAKE_H
#define MK_TEST_LIBMAKINI_FAKE_H

#include "libmakini_kit.h"
#include "client/handle.h"

static struct fake fake;

static inline int setup(void **state)
{
	fake_start(&fake);
	*state = fake_open(&fake, 20000);
	return 0;
}

static inline int teardown(void **state)
{
	makini_close(*state);
	fake_stop(&fake);
	return 0;
}

static inline unsigned gets(void)
{
	return fake_saw(&fake, &fake.gets);
}

/* Does a copy hold anything of a token? */
static inline bool holds(const makini *m)
{
	for (unsigned i = 0; i < m->g->copies; i++) {
		const struct copy *c = &m->g->slab[i / SLAB_COPIES][i % SLAB_COPIES];
		for (size_t k = 0; k < SMALL_MAX; k++)
			if (c->held || c->big || c->small[k])
				return true;
	}
	for (unsigned i = 0; i < LINKS; i++)
		for (size_t k = 0; m->link[i].in && k < m->link[i].in->size; k++)
			if (m->link[i].in->bytes[k])
				return true;
	return false;
}

#endif

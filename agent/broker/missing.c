/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of four, found by a keyed hash; a full set gives up the oldest. What was added
 * before the last clear does not count.
 */
#include "agent/broker/missing.h"

#include <sodium.h>
#include <stdlib.h>

#define SETS 256u
#define WAYS 4u

struct place {
	struct mk_name name;
	bool used, previous;
	uint32_t clears;
	int64_t at_ms;
};

struct mk_missing {
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	uint32_t clears;
	struct place set[SETS][WAYS];
};

mk_must mk_missing_new(struct mk_missing **ret)
{
	struct mk_missing *m = calloc(1, sizeof *m);
	if (!m)
		return MK_NO_MEMORY;
	randombytes_buf(m->hash_key, sizeof m->hash_key);
	*ret = m;
	return MK_OK;
}

struct mk_missing *mk_missing_free(struct mk_missing *m)
{
	free(m);
	return NULL;
}

static size_t set_of(const struct mk_missing *m, const struct mk_name *name)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint32_t h;
	crypto_shorthash(out, (const uint8_t *)name->s, sizeof name->s, m->hash_key);
	memcpy(&h, out, sizeof h);
	return h % SETS;
}

static bool counts(const struct mk_missing *m, const struct place *p)
{
	return p->used && p->clears == m->clears;
}

static bool is(const struct mk_missing *m, const struct place *p, const struct mk_name *name, bool previous)
{
	return counts(m, p) && p->previous == previous && mk_name_eq(&p->name, name);
}

void mk_missing_add(struct mk_missing *m, const struct mk_name *name, bool previous, int64_t boot_ms)
{
	struct place *set = m->set[set_of(m, name)], *to = set;
	mk_missing_drop(m, name, previous);
	for (size_t i = 1; i < WAYS; i++)
		if (counts(m, to) && (!counts(m, &set[i]) || set[i].at_ms < to->at_ms))
			to = &set[i];
	*to = (struct place){ .name = *name, .used = true, .previous = previous, .clears = m->clears, .at_ms = boot_ms };
}

void mk_missing_drop(struct mk_missing *m, const struct mk_name *name, bool previous)
{
	struct place *set = m->set[set_of(m, name)];
	for (size_t i = 0; i < WAYS; i++)
		if (is(m, &set[i], name, previous))
			set[i].used = false;
}

void mk_missing_clear(struct mk_missing *m)
{
	m->clears++;
}

bool mk_missing_known(const struct mk_missing *m, const struct mk_name *name, bool previous, int64_t boot_ms, int64_t age_ms)
{
	const struct place *set = m->set[set_of(m, name)];
	for (size_t i = 0; i < WAYS; i++)
		if (is(m, &set[i], name, previous))
			return boot_ms - set[i].at_ms < age_ms;
	return false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Slabs of copies, grown as names are asked for, with chains by hash. A copy holds a short token itself; a longer one has a
 * mapping of its own, which goes when the token does. Where the table is full, or memory for more cannot be locked, the copy
 * least recently asked for makes room.
 */
#include "client/table.h"

#include <string.h>

#include "client/clock.h"
#include "client/memory.h"

static struct copy *at(const makini *m, unsigned i)
{
	return &m->g->slab[i / SLAB_COPIES][i % SLAB_COPIES];
}

struct copy *table_find(const makini *m, const struct name *name)
{
	for (unsigned i = m->g->bucket[name->hash % BUCKETS]; i != NO_COPY;) {
		struct copy *c = at(m, i);
		if (c->hash == name->hash && memcmp(c->name, name->s, name->n) == 0 && c->name[name->n] == '\0')
			return c;
		i = c->next;
	}
	return NULL;
}

bool table_stands(const makini *m, const struct copy *c)
{
	return m->page && c->generation == m->generation && __atomic_load_n(&m->page->word[c->index], __ATOMIC_ACQUIRE) == c->word;
}

/* Each is read now, the word last: an act that ended before this get began is seen. By another clock than the agent's none is good. */
bool table_good(const makini *m, const struct copy *c)
{
	if (!c->held || !m->page)
		return false;
	const uint64_t valid_until = __atomic_load_n(&m->page->valid_until, __ATOMIC_ACQUIRE);
	const int64_t now = boot_ns(), left = (int64_t)(valid_until - (uint64_t)now);
	return now < c->good_until && left > 0 && left <= (int64_t)m->page->ahead_ms * NS_PER_MS && table_stands(m, c);
}

struct bytes table_value(const struct copy *c)
{
	return (struct bytes){ c->big ? c->big->bytes : c->small, c->info.size };
}

void table_drop(makini *m, struct copy *c)
{
	if (!c->held)
		return;
	c->held = false;
	if (!c->big)
		explicit_bzero(c->small, c->info.size);
	memory_free(m, c->big);
	c->big = NULL;
}

void table_drop_all(makini *m)
{
	for (unsigned i = 0; i < m->g->copies; i++)
		table_drop(m, at(m, i));
}

struct copy *table_changed(makini *m)
{
	const int64_t now = boot_ns();
	for (unsigned i = 0; i < m->g->copies; i++) {
		struct copy *c = at(m, i);
		if (!c->told && (!table_stands(m, c) || now >= c->good_until))
			return c;
	}
	return NULL;
}

static void chain(makini *m, struct copy *c, unsigned i)
{
	uint16_t *head = &m->g->bucket[c->hash % BUCKETS];
	c->next = *head;
	*head = (uint16_t)i;
}

static void unchain(makini *m, const struct copy *c)
{
	uint16_t *from = &m->g->bucket[c->hash % BUCKETS];
	while (at(m, *from) != c)
		from = &at(m, *from)->next;
	*from = c->next;
}

static unsigned oldest(const makini *m)
{
	unsigned found = 0;
	for (unsigned i = 1; i < m->g->copies; i++)
		if (at(m, i)->used < at(m, found)->used)
			found = i;
	return found;
}

/* Is there a place after the last? */
static bool can_grow(makini *m)
{
	struct guarded *g = m->g;
	struct map *slab;
	if (g->copies == COPIES_MAX)
		return false;
	if (g->slab[g->copies / SLAB_COPIES])
		return true;
	if (memory_new(m, SLAB_COPIES * sizeof(struct copy), &slab) != 0)
		return false;
	g->slab[g->copies / SLAB_COPIES] = (struct copy *)(void *)slab->bytes;
	return true;
}

int table_start(makini *m)
{
	struct map *slab;
	const int rc = memory_new(m, SLAB_COPIES * sizeof(struct copy), &slab);
	if (rc != 0)
		return rc;
	m->g->slab[0] = (struct copy *)(void *)slab->bytes;
	memset(m->g->bucket, 0xff, sizeof m->g->bucket); /* NO_COPY */
	return 0;
}

static struct copy *new_copy(makini *m, const struct name *name)
{
	const bool grows = can_grow(m);
	const unsigned i = grows ? m->g->copies++ : oldest(m); /* the first slab is there from the start, so there is one */
	struct copy *c = at(m, i);
	if (!grows) {
		table_drop(m, c);
		unchain(m, c);
	}
	memset(c, 0, sizeof *c);
	memcpy(c->name, name->s, name->n);
	c->hash = name->hash;
	chain(m, c, i);
	return c;
}

static void put(char *to, struct bytes from)
{
	memcpy(to, from.p, from.n);
	to[from.n] = '\0';
}

void table_info(const struct answer *a, struct makini_info *info)
{
	static const char bearer[] = "bearer";
	info->size = a->value.n;
	put(info->version, a->version);
	put(info->token_type, a->type.n ? a->type : (struct bytes){ (const unsigned char *)bearer, sizeof bearer - 1 });
	info->expires_ms = a->expires_ms;
	info->age_s = a->age_s;
	info->retry_after_s = 0;
	info->stale = a->stale;
	info->repeated = 0;
}

static struct copy *oldest_big(const makini *m)
{
	struct copy *found = NULL;
	for (unsigned i = 0; i < m->g->copies; i++) {
		struct copy *c = at(m, i);
		if (c->big && (!found || c->used < found->used))
			found = c;
	}
	return found;
}

/* A place for the token: its own, or a mapping, for which others may have to go. */
static unsigned char *room_for(makini *m, struct copy *c, size_t n)
{
	if (n <= SMALL_MAX)
		return c->small;
	while (memory_new(m, n, &c->big) != 0) {
		struct copy *other = oldest_big(m);
		if (!other)
			return NULL;
		table_drop(m, other);
	}
	return c->big->bytes;
}

void table_keep(makini *m, const struct name *name, const struct answer *a)
{
	struct copy *c = table_find(m, name);
	if (!c)
		c = new_copy(m, name);
	table_drop(m, c);
	c->generation = m->generation;
	c->index = a->index;
	c->word = a->word;
	c->told = false;
	c->used = m->g->asks;
	c->good_until = INT64_MAX; /* of one that is not held, only the word is looked at */
	unsigned char *room = boot_ns() < a->good_until ? room_for(m, c, a->value.n) : NULL;
	if (!room)
		return;
	c->good_until = a->good_until;
	table_info(a, &c->info);
	c->info.repeated = 1;
	memcpy(room, a->value.p, a->value.n);
	c->held = true;
}

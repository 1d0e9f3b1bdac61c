/* SPDX-License-Identifier: Apache-2.0
 *
 * Words are given out one after the other; when all are taken, a connection shares one that its hash
 * chooses, which costs its clients a question now and then and nothing else. What a page says
 * is stored so that who sees an act acknowledged sees its words moved, too.
 */
#include "agent/broker/pages.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/client.h"
#include "agent/broker/now.h"
#include "agent/broker/page_seal.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

#define RENEW_MS    1000
#define VALID_MS    ((int64_t)WIRE_AHEAD_MS)
#define ASK_AGAIN_MS 1000 /* a page that does not come */
#define JUMP_MS     1000 /* between wall clock and boot clock: somebody set the time, or slews it, and expiries are others */
#define CHAINS      256u

struct kept {
	struct kept *next;
	struct mk_name name;
	uint32_t word;
	bool followed;
};

struct mk_page {
	struct mk_page *next;
	struct mk_pages *all;
	struct mk_word service;
	uint32_t number;          /* of the question for its memory, however often it is asked */
	int64_t asked_ms;         /* boot clock */
	int fd;                   /* owned; -1: not there yet */
	struct wire_page *shared; /* mapped; NULL with fd -1 */
	uint32_t clients;
	uint64_t moves;
	struct kept *chain[CHAINS];
	uint32_t n;
};

struct mk_pages {
	struct mk_broker *broker;
	struct mk_page *first;
	uint32_t numbers;
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	int64_t renewed_ms; /* boot clock */
	int64_t offset_ms;  /* wall clock less boot clock, when all words last moved for its sake */
	bool ended;
};

/* ---- what clients see ---- */

static void set_valid(struct mk_page *p, int64_t until_ms)
{
	if (p->shared)
		__atomic_store_n(&p->shared->valid_until, (uint64_t)(until_ms * INT64_C(1000000)), __ATOMIC_SEQ_CST);
}

static bool may_be_valid(const struct mk_page *p)
{
	const struct mk_broker *b = p->all->broker;
	return p->clients > 0 && !p->all->ended && !b->draining && !b->frozen.on && b->generation != 0;
}

static void renew(struct mk_page *p)
{
	set_valid(p, may_be_valid(p) ? mk_boot_ms() + VALID_MS : 0);
}

static void move_word(struct mk_page *p, uint32_t word)
{
	if (p->shared)
		__atomic_add_fetch(&p->shared->word[word], 1, __ATOMIC_SEQ_CST);
	p->moves++;
}

static void move_all(struct mk_page *p)
{
	for (uint32_t i = 0; i < WIRE_WORDS; i++)
		move_word(p, i);
}

/* ---- which word ---- */

static uint64_t hash_of(const struct mk_pages *ps, const struct mk_name *name)
{
	uint64_t h = 0;
	crypto_shorthash((uint8_t *)&h, (const uint8_t *)name->s, sizeof name->s, ps->hash_key);
	return h;
}

static struct kept *kept_of(const struct mk_page *p, const struct mk_name *name, uint64_t hash)
{
	struct kept *k = p->chain[hash % CHAINS];
	while (k && !mk_name_eq(&k->name, name))
		k = k->next;
	return k;
}

static uint32_t next_word(const struct mk_page *p, uint64_t hash)
{
	return p->n < WIRE_WORDS ? p->n : (uint32_t)(hash / CHAINS % WIRE_WORDS);
}

struct mk_page_word mk_page_look(struct mk_page *p, const struct mk_name *name)
{
	const uint64_t hash = hash_of(p->all, name);
	const struct kept *k = kept_of(p, name, hash);
	struct mk_page_word w = { .index = k ? k->word : next_word(p, hash) };
	if (p->shared)
		w.value = __atomic_load_n(&p->shared->word[w.index], __ATOMIC_SEQ_CST);
	return w;
}

static struct kept *keep_new(struct mk_page *p, const struct mk_name *name, uint64_t hash)
{
	struct kept *k = p->n < MK_PAGE_NAMES_MAX ? calloc(1, sizeof *k) : NULL;
	if (!k)
		return NULL;
	*k = (struct kept){ .next = p->chain[hash % CHAINS], .name = *name, .word = next_word(p, hash) };
	p->chain[hash % CHAINS] = k;
	p->n++;
	return k;
}

bool mk_page_keep(struct mk_page *p, const struct mk_name *name)
{
	const uint64_t hash = hash_of(p->all, name);
	struct kept *k = kept_of(p, name, hash);
	if (!k)
		k = keep_new(p, name, hash);
	if (k && !k->followed)
		k->followed = mk_tell_follow(p->all->broker, name);
	return k && k->followed;
}

/* ---- clients ---- */

/* Once all words have moved they may be others' next. */
static void let_go(struct mk_page *p)
{
	for (unsigned i = 0; i < CHAINS; i++)
		while (p->chain[i]) {
			struct kept *k = p->chain[i];
			p->chain[i] = k->next;
			if (k->followed)
				mk_tell_unfollow(p->all->broker, &k->name);
			free(k);
		}
	p->n = 0;
}

void mk_page_enter(struct mk_page *p)
{
	if (p->clients++ == 0)
		renew(p);
}

/* Nobody follows what its clients held: whoever still holds a copy is to ask again. */
void mk_page_leave(struct mk_page *p)
{
	mk_assert(p->clients > 0);
	if (--p->clients > 0)
		return;
	set_valid(p, 0);
	move_all(p);
	let_go(p);
}

/* ---- acts ---- */

void mk_pages_move(struct mk_broker *b, const struct mk_name *name)
{
	struct mk_pages *ps = b->pages;
	if (!ps || !ps->first)
		return;
	const uint64_t hash = hash_of(ps, name);
	for (struct mk_page *p = ps->first; p; p = p->next) {
		const struct kept *k = kept_of(p, name, hash);
		if (k)
			move_word(p, k->word);
	}
	mk_clients_moved(b->clients);
}

void mk_pages_move_all(struct mk_broker *b)
{
	for (struct mk_page *p = b->pages ? b->pages->first : NULL; p; p = p->next) {
		move_all(p);
		renew(p);
	}
	mk_clients_moved(b->clients);
}

static void move_if_dead(void *arg, const struct mk_entry *e)
{
	struct mk_broker *b = arg;
	if (!mk_revoked_name(&b->revoked, &e->name) && mk_revoked_value(&b->revoked, e->at[MK_SLOT_CURRENT].print))
		mk_pages_move(b, &e->name);
}

void mk_pages_move_dead(struct mk_broker *b)
{
	if (b->pages && b->pages->first)
		mk_store_part(b->store, 0, 1, move_if_dead, b);
}

/* ---- their memory ---- */

static void ask(struct mk_page *p)
{
	p->asked_ms = mk_boot_ms();
	mk_ignore(mk_broker_want_page(p->all->broker, p->number), "it is asked for again");
}

void mk_pages_came(struct mk_pages *ps, uint32_t number, int fd)
{
	struct mk_page *p = ps->first;
	while (p && (p->shared || p->number != number))
		p = p->next;
	if (!p || mk_page_seal(fd, &p->shared) != MK_OK) {
		if (p)
			mk_log(MK_ERROR, "page_not_sealed", MK_KV_S("effect", "clients of libmakini are told to try again"));
		mk_close(fd);
		return;
	}
	p->fd = fd;
	mk_clients_page_came(ps->broker->clients, p);
}

struct mk_page *mk_pages_of(struct mk_pages *ps, const struct mk_word *service)
{
	struct mk_page *p = ps->first;
	while (p && !mk_word_eq(&p->service, service))
		p = p->next;
	if (p || !(p = calloc(1, sizeof *p)))
		return p;
	*p = (struct mk_page){ .next = ps->first, .all = ps, .service = *service, .number = ++ps->numbers, .fd = -1 };
	ps->first = p;
	ask(p);
	return p;
}

const struct mk_word *mk_page_service(const struct mk_page *p)
{
	return &p->service;
}

int mk_page_fd(const struct mk_page *p)
{
	return p->fd;
}

uint64_t mk_page_moves(const struct mk_page *p)
{
	return p->moves;
}

static void page_free(struct mk_page *p)
{
	set_valid(p, 0);
	move_all(p);
	let_go(p);
	if (p->shared)
		munmap(p->shared, WIRE_PAGE);
	mk_close(p->fd);
	free(p);
}

/* ---- life ---- */

/* A clock that went another way makes other moments of the expiries that copies were given. */
static void look_at_clock(struct mk_pages *ps, int64_t now)
{
	const int64_t offset = mk_now_ms(ps->broker) - now, off = offset - ps->offset_ms;
	if (off <= JUMP_MS && off >= -JUMP_MS)
		return;
	ps->offset_ms = offset;
	mk_pages_move_all(ps->broker);
}

void mk_pages_tick(struct mk_broker *b)
{
	struct mk_pages *ps = b->pages;
	const int64_t now = mk_boot_ms();
	if (now >= ps->renewed_ms && now - ps->renewed_ms < RENEW_MS)
		return;
	ps->renewed_ms = now;
	look_at_clock(ps, now);
	for (struct mk_page *p = ps->first; p; p = p->next) {
		if (p->shared)
			renew(p);
		else if (now - p->asked_ms >= ASK_AGAIN_MS)
			ask(p);
	}
}

void mk_pages_reconfigured(struct mk_broker *b)
{
	struct mk_page **at = &b->pages->first;
	while (*at) {
		struct mk_page *p = *at;
		if (p->clients > 0 || mk_policy_service_of(b->policy, &p->service) != MK_NO_SERVICE) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		page_free(p);
	}
	mk_pages_move_all(b);
}

void mk_pages_end(struct mk_broker *b)
{
	if (!b->pages)
		return;
	b->pages->ended = true;
	mk_pages_move_all(b);
}

uint32_t mk_pages_count(const struct mk_broker *b)
{
	uint32_t n = 0;
	for (const struct mk_page *p = b->pages ? b->pages->first : NULL; p; p = p->next)
		n += p->clients > 0;
	return n;
}

mk_must mk_pages_new(struct mk_broker *b, struct mk_pages **ret)
{
	struct mk_pages *ps = calloc(1, sizeof *ps);
	if (!ps)
		return MK_NO_MEMORY;
	ps->broker = b;
	ps->offset_ms = mk_now_ms(b) - mk_boot_ms();
	randombytes_buf(ps->hash_key, sizeof ps->hash_key);
	*ret = ps;
	return MK_OK;
}

struct mk_pages *mk_pages_free(struct mk_pages *ps)
{
	while (ps && ps->first) {
		struct mk_page *p = ps->first;
		ps->first = p->next;
		page_free(p);
	}
	free(ps);
	return NULL;
}

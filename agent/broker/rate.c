/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets in sets of eight, found by a keyed hash. A full set gives up the bucket that
 * was used longest ago: after a second without a call it was full again for most
 * rates, so that nothing is forgotten. Levels are counted in 1/3,600,000 of a call: what a
 * rate of one an hour earns in a millisecond.
 */
#include "agent/broker/rate.h"

#include <sodium.h>
#include <stdlib.h>

#define SETS 1024u
#define WAYS 8u
#define CALL INT64_C(3600000)

struct bucket {
	struct mk_rate_key key; /* per_hour 0: free */
	int64_t at_ms, level;
};

struct mk_rates {
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	struct bucket b[SETS][WAYS];
};

mk_must mk_rates_new(struct mk_rates **ret)
{
	struct mk_rates *r = calloc(1, sizeof *r);
	if (!r)
		return MK_NO_MEMORY;
	randombytes_buf(r->hash_key, sizeof r->hash_key);
	*ret = r;
	return MK_OK;
}

struct mk_rates *mk_rates_free(struct mk_rates *r)
{
	free(r);
	return NULL;
}

static bool same_key(const struct mk_rate_key *a, const struct mk_rate_key *b)
{
	return a->rule == b->rule && a->per_hour == b->per_hour && mk_word_eq(&a->service, &b->service);
}

/* One second's worth, but at least one call. */
static int64_t capacity(const struct mk_rate_key *key)
{
	const int64_t burst = (int64_t)key->per_hour * 1000;
	return burst < CALL ? CALL : burst;
}

static struct bucket *set_of(struct mk_rates *r, const struct mk_rate_key *key)
{
	uint8_t in[sizeof key->service.s + sizeof key->rule], out[crypto_shorthash_BYTES];
	memcpy(in, key->service.s, sizeof key->service.s);
	memcpy(in + sizeof key->service.s, &key->rule, sizeof key->rule);
	crypto_shorthash(out, in, sizeof in, r->hash_key);
	uint32_t h;
	memcpy(&h, out, sizeof h);
	return r->b[h % SETS];
}

static struct bucket *bucket_of(struct mk_rates *r, const struct mk_rate_key *key, int64_t now_ms)
{
	struct bucket *set = set_of(r, key), *oldest = set;
	for (size_t i = 0; i < WAYS; i++) {
		if (same_key(&set[i].key, key))
			return &set[i];
		if (oldest->key.per_hour != 0 && (set[i].key.per_hour == 0 || set[i].at_ms < oldest->at_ms))
			oldest = &set[i];
	}
	*oldest = (struct bucket){ .key = *key, .at_ms = now_ms, .level = capacity(key) };
	return oldest;
}

static void refill(struct bucket *b, int64_t now_ms)
{
	const int64_t passed = now_ms - b->at_ms, full = capacity(&b->key);
	if (passed <= 0)
		return;
	b->at_ms = now_ms;
	if (passed >= (full - b->level) / b->key.per_hour + 1)
		b->level = full;
	else
		b->level += passed * b->key.per_hour;
}

mk_must mk_rate_take(struct mk_rates *r, const struct mk_rate_key *key, int64_t now_ms, unsigned *retry_after_s)
{
	mk_assert(key->per_hour != 0);
	struct bucket *b = bucket_of(r, key, now_ms);
	refill(b, now_ms);
	if (b->level >= CALL) {
		b->level -= CALL;
		return MK_OK;
	}
	const int64_t wait_ms = (CALL - b->level) / key->per_hour + 1;
	if (retry_after_s)
		*retry_after_s = (unsigned)((wait_ms + 999) / 1000);
	return MK_RATE_LIMITED;
}

void mk_rate_spend(struct mk_rates *r, const struct mk_rate_key *key, int64_t now_ms, uint32_t calls)
{
	struct bucket *b = bucket_of(r, key, now_ms);
	refill(b, now_ms);
	b->level -= calls * CALL;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash under a key of this process's: nobody can choose tags so that a change is missed.
 */
#include "agent/broker/standing.h"

#include "agent/broker/core.h"
#include "agent/broker/pages.h"

#include <sodium.h>

static void add_text(crypto_generichash_state *h, const char *s)
{
	crypto_generichash_update(h, (const uint8_t *)s, strlen(s) + 1);
}

static void add_version(crypto_generichash_state *h, const struct mk_version *v)
{
	const uint8_t plain[] = { v->disabled, v->backend };
	crypto_generichash_update(h, plain, sizeof plain);
	crypto_generichash_update(h, (const uint8_t *)&v->expires_ms, sizeof v->expires_ms);
	crypto_generichash_update(h, (const uint8_t *)&v->mark, sizeof v->mark);
	crypto_generichash_update(h, v->print, sizeof v->print);
	add_text(h, v->version ? v->version : "");
	add_text(h, v->token_type ? v->token_type : "");
	for (size_t i = 0; i < v->n_tags; i++) {
		add_text(h, v->tags[i].key);
		add_text(h, v->tags[i].value);
	}
}

static uint64_t standing_of(const struct mk_broker *b, const struct mk_name *name)
{
	static uint8_t key[crypto_generichash_KEYBYTES];
	const struct mk_entry *e = mk_store_find(b->store, name);
	const struct mk_version *v = e ? &e->at[MK_SLOT_CURRENT] : NULL;
	uint8_t hash[crypto_generichash_BYTES];
	uint64_t ret = 0;
	crypto_generichash_state h;
	if (!v || !v->held || mk_revoked_name(&b->revoked, name)) /* whose copies are no longer good, until an act says so */
		return 0;
	if (sodium_is_zero(key, sizeof key))
		randombytes_buf(key, sizeof key);
	crypto_generichash_init(&h, key, sizeof key, sizeof hash);
	add_version(&h, v);
	crypto_generichash_final(&h, hash, sizeof hash);
	memcpy(&ret, hash, sizeof ret);
	return ret | 1;
}

void mk_standing_before(const struct mk_broker *b, const struct mk_name *name, struct mk_stood *ret)
{
	ret->standing = standing_of(b, name);
	mk_tell_before(b, name, &ret->current);
}

void mk_standing_after(struct mk_broker *b, const struct mk_name *name, const struct mk_stood *before, enum mk_err e)
{
	mk_tell_fetched(b, name, &before->current, e);
	if (before->standing != 0 && before->standing != standing_of(b, name))
		mk_pages_move(b, name);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The chain's arithmetic. Every hash is one call over bytes side by side; libsodium
 * wipes its own state.
 */
#include "agent/audit/chain.h"

#include "agent/base/secret.h"
#include "mk/err.h"
#include "mk/name.h"

#include <sodium.h>

#define LABEL_FIRST "makini audit 1 first"
#define LABEL_NEXT "makini audit 1 next"
#define LABEL_LINK "makini audit 1 link"
#define SEALED_TEXT_MAX 160

static void hash(uint8_t *out, size_t out_n, struct mk_span in, const uint8_t key[32])
{
	const int rc = crypto_generichash(out, out_n, in.p, in.n, key, 32);
	mk_assert(rc == 0);
}

void mk_chain_first(struct mk_chain *c, const uint8_t seed[32], const char *environment)
{
	uint8_t in[sizeof LABEL_FIRST + MK_WORD_MAX] = LABEL_FIRST;
	const size_t n = strlen(environment);
	mk_assert(n <= MK_WORD_MAX);
	memcpy(in + sizeof LABEL_FIRST, environment, n);
	hash(c->key, sizeof c->key, mk_span(in, sizeof LABEL_FIRST + n), seed);
	mk_wipe(c->next, sizeof c->next);
}

void mk_chain_mac(const struct mk_chain *c, struct mk_span in, uint8_t mac[MK_CHAIN_MAC])
{
	hash(mac, MK_CHAIN_MAC, in, c->key);
}

void mk_chain_look(struct mk_chain *c)
{
	hash(c->next, sizeof c->next, mk_span_of(LABEL_NEXT), c->key);
}

void mk_chain_move(struct mk_chain *c)
{
	memcpy(c->key, c->next, sizeof c->key);
	mk_wipe(c->next, sizeof c->next);
}

void mk_chain_link(const uint8_t link[MK_CHAIN_MAC], struct mk_span sealed, uint8_t out[MK_CHAIN_MAC])
{
	uint8_t in[sizeof LABEL_LINK + SEALED_TEXT_MAX] = LABEL_LINK;
	mk_assert(sealed.n <= SEALED_TEXT_MAX);
	memcpy(in + sizeof LABEL_LINK, sealed.p, sealed.n);
	hash(out, MK_CHAIN_MAC, mk_span(in, sizeof LABEL_LINK + sealed.n), link);
}

void mk_chain_hex(const uint8_t mac[MK_CHAIN_MAC], char out[MK_CHAIN_HEX + 1])
{
	static const char digits[] = "0123456789abcdef"; /* a mac is no secret: no need for constant time */
	for (size_t i = 0; i < MK_CHAIN_MAC; i++) {
		out[i * 2] = digits[mac[i] >> 4];
		out[i * 2 + 1] = digits[mac[i] & 15];
	}
	out[MK_CHAIN_HEX] = '\0';
}

bool mk_chain_unhex(struct mk_span text, uint8_t out[MK_CHAIN_MAC])
{
	if (text.n != MK_CHAIN_HEX)
		return false;
	uint8_t bin[MK_CHAIN_MAC];
	for (size_t i = 0; i < MK_CHAIN_HEX; i++) {
		const uint8_t c = text.p[i];
		const bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
		if (!digit && !letter)
			return false;
		const unsigned v = digit ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10u;
		bin[i / 2] = (uint8_t)((i % 2 ? bin[i / 2] : 0u) << 4 | v);
	}
	memcpy(out, bin, sizeof bin);
	return true;
}

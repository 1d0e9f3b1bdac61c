/* SPDX-License-Identifier: Apache-2.0
 *
 * The chain's arithmetic (BLAKE2b, RFC 7693), shared by writer and verifier. Pure.
 *
 *   K(0)          = H(key = seed, "makini audit 1 first" 00 environment)
 *   mac(i)        = H(key = K(i), mac(i-1) ‖ body)
 *   K(i+1) ‖ L(i) = H-512(key = K(i), "makini audit 1 next")
 *   link          = H(key = L(i), "makini audit 1 link" 00 sealed seed's base64)
 *
 * L(i) proves, to a verifier, that who opened the next part knew the chain after record
 * i; it does not give K(i+1), so who holds it can write no record.
 */
#ifndef MK_AUDIT_CHAIN_H
#define MK_AUDIT_CHAIN_H

#include "mk/span.h"

#define MK_CHAIN_MAC 32
#define MK_CHAIN_HEX 64
#define MK_RECORD_MAX 2048 /* bytes of one line, its newline included */

struct mk_head {
	uint64_t seq;
	uint8_t mac[MK_CHAIN_MAC];
	uint8_t link[MK_CHAIN_MAC];
};

/* The key, and what it becomes; lives in guarded memory. */
struct mk_chain {
	uint8_t key[32];
	uint8_t next[64]; /* the next key, then the link key */
};

void mk_chain_first(struct mk_chain *c, const uint8_t seed[32], const char *environment);
/* `in`: the previous mac and the body, side by side. */
void mk_chain_mac(const struct mk_chain *c, struct mk_span in, uint8_t mac[MK_CHAIN_MAC]);
void mk_chain_look(struct mk_chain *c);  /* computes next */
void mk_chain_move(struct mk_chain *c);  /* after look: the key moves on, the old one is wiped */
void mk_chain_link(const uint8_t link[MK_CHAIN_MAC], struct mk_span sealed, uint8_t out[MK_CHAIN_MAC]);

void mk_chain_hex(const uint8_t mac[MK_CHAIN_MAC], char out[MK_CHAIN_HEX + 1]);
bool mk_chain_unhex(struct mk_span text, uint8_t out[MK_CHAIN_MAC]); /* 64 lowercase digits, nothing else */

#endif

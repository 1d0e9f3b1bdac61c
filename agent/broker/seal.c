/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing and unsealing. The key's page is open only around the cipher; the stack
 * below is wiped after each use, because the cipher spills key material there.
 * Nonces are random: 192 bits do not repeat in the life of one key.
 */
#include "agent/broker/seal.h"

#include "agent/base/rw.h"

#include <sodium.h>
#include <stdlib.h>

#define KEY_LEN crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define LABEL_MAX 256

struct mk_seal {
	struct mk_guarded *key;
	struct mk_word environment;
};

struct mk_sealed {
	size_t n; /* of bytes: ciphertext and tag */
	uint8_t nonce[NONCE_LEN];
	uint8_t bytes[];
};

mk_must mk_seal_new(const struct mk_word *environment, struct mk_seal **ret)
{
	if (sodium_init() < 0)
		return MK_SYSTEM;
	struct mk_seal *s = calloc(1, sizeof *s);
	if (!s)
		return MK_NO_MEMORY;
	const enum mk_err e = mk_guarded_new(KEY_LEN, &s->key);
	if (e != MK_OK) {
		free(s);
		return e;
	}
	s->environment = *environment;
	uint8_t *key = mk_guarded_open(s->key);
	crypto_aead_xchacha20poly1305_ietf_keygen(key);
	mk_guarded_close(s->key);
	*ret = s;
	return MK_OK;
}

struct mk_seal *mk_seal_free(struct mk_seal *s)
{
	if (s) {
		mk_guarded_free(s->key);
		free(s);
	}
	return NULL;
}

enum mk_guarded_kind mk_seal_kind(const struct mk_seal *s)
{
	return mk_guarded_kind(s->key);
}

/* Every part has its length before it, so that no two labels read alike. */
static size_t label_bytes(const struct mk_seal *s, const struct mk_label *label, uint8_t out[LABEL_MAX])
{
	struct mk_wr w = mk_wr_of(out, LABEL_MAX);
	mk_wr_word(&w, &s->environment);
	mk_wr_name(&w, &label->name);
	mk_wr_str(&w, label->version);
	mk_wr_u8(&w, (uint8_t)label->slot);
	size_t n = 0;
	const enum mk_err e = mk_wr_end(&w, &n);
	mk_assert(e == MK_OK);
	return n;
}

mk_must mk_seal_shut(struct mk_seal *s, const struct mk_label *label, struct mk_span plain, struct mk_sealed **ret)
{
	if (plain.n > MK_SECRET_MAX)
		return MK_TOO_LARGE;
	struct mk_sealed *sealed = malloc(sizeof *sealed + plain.n + TAG_LEN);
	if (!sealed)
		return MK_NO_MEMORY;
	sealed->n = plain.n + TAG_LEN;
	randombytes_buf(sealed->nonce, NONCE_LEN);
	uint8_t ad[LABEL_MAX];
	const size_t ad_n = label_bytes(s, label, ad);
	const uint8_t *key = mk_guarded_open(s->key);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed->bytes, NULL, plain.p, plain.n, ad, ad_n, NULL, sealed->nonce,
						   key);
	mk_guarded_close(s->key);
	mk_wipe_stack();
	*ret = sealed;
	return MK_OK;
}

mk_must mk_seal_open_(struct mk_seal *s, const struct mk_label *label, const struct mk_sealed *sealed,
		      struct mk_secret *into)
{
	if (mk_sealed_plain_len(sealed) > mk_secret_cap(into))
		return MK_BUG;
	uint8_t ad[LABEL_MAX];
	const size_t ad_n = label_bytes(s, label, ad);
	const uint8_t *key = mk_guarded_open(s->key);
	const int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(mk_secret_buf(into), NULL, NULL, sealed->bytes,
								  sealed->n, ad, ad_n, sealed->nonce, key);
	mk_guarded_close(s->key);
	mk_wipe_stack();
	if (rc != 0)
		return MK_BUG;
	mk_secret_set_len(into, mk_sealed_plain_len(sealed));
	return MK_OK;
}

size_t mk_sealed_plain_len(const struct mk_sealed *sealed)
{
	return sealed->n - TAG_LEN;
}

size_t mk_sealed_size(const struct mk_sealed *sealed)
{
	return sealed ? sizeof *sealed + sealed->n : 0;
}

struct mk_sealed *mk_sealed_free(struct mk_sealed *sealed)
{
	free(sealed);
	return NULL;
}


/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and sealing of the embedded store's file. A key only ever lies in secrets, and
 * for a moment on the stack of the cipher, which is wiped after use.
 */
#include "agent/base/secret.h"
#include "backends/local_seal.h"

#include <sodium.h>

_Static_assert(MK_LOCAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one key");
_Static_assert(MK_LOCAL_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "one nonce");
_Static_assert(MK_LOCAL_SEAL_MORE == MK_LOCAL_NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES, "and one tag");
_Static_assert(sizeof((struct mk_local_head){ 0 }.salt) == crypto_pwhash_argon2id_SALTBYTES, "Argon2id's salt");
_Static_assert(MK_LOCAL_OPS_MAX >= crypto_pwhash_argon2id_OPSLIMIT_MODERATE, "what we write we can read");
_Static_assert(MK_LOCAL_MEM_KIB_MAX * 1024u >= crypto_pwhash_argon2id_MEMLIMIT_MODERATE, "what we write we can read");

#define KEY_TEXT (sodium_base64_ENCODED_LEN(MK_LOCAL_KEY_BYTES, sodium_base64_VARIANT_ORIGINAL) - 1)

/* libsodium needs it once per process; later calls only look. */
static mk_must ready(void)
{
	return sodium_init() < 0 ? MK_SYSTEM : MK_OK;
}

static struct mk_span less_newline(struct mk_span text)
{
	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	return text;
}

enum mk_err mk_local_key_of(struct mk_span text, struct mk_secret **ret)
{
	mk_auto(mk_secret_freep) struct mk_secret *key = NULL;
	const struct mk_span s = less_newline(text);
	size_t n = 0;
	if (s.n != KEY_TEXT)
		return MK_BAD_REQUEST;
	MK_TRY(ready());
	MK_TRY(mk_secret_new(MK_LOCAL_KEY_BYTES, &key));
	const int rc = sodium_base642bin(mk_secret_buf(key), MK_LOCAL_KEY_BYTES, (const char *)s.p, s.n, NULL, &n, NULL,
					 sodium_base64_VARIANT_ORIGINAL);
	mk_wipe_stack();
	if (rc != 0 || n != MK_LOCAL_KEY_BYTES)
		return MK_BAD_REQUEST;
	mk_secret_set_len(key, n);
	*ret = MK_TAKE(key);
	return MK_OK;
}

enum mk_err mk_local_key_derive(const struct mk_local_head *head, struct mk_span text, struct mk_secret **ret)
{
	mk_auto(mk_secret_freep) struct mk_secret *key = NULL;
	const struct mk_span s = less_newline(text);
	if (head->kdf != MK_LOCAL_KDF_ARGON2ID || s.n == 0 || s.n > MK_LOCAL_PASSPHRASE_MAX)
		return MK_BAD_REQUEST;
	MK_TRY(ready());
	MK_TRY(mk_secret_new(MK_LOCAL_KEY_BYTES, &key));
	mk_secret_set_len(key, MK_LOCAL_KEY_BYTES);
	const int rc = crypto_pwhash_argon2id(mk_secret_buf(key), MK_LOCAL_KEY_BYTES, (const char *)s.p, s.n, head->salt,
					      head->ops, (size_t)head->mem_kib * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13);
	mk_wipe_stack();
	if (rc != 0)
		return MK_NO_MEMORY;
	*ret = MK_TAKE(key);
	return MK_OK;
}

enum mk_err mk_local_key_make(struct mk_secret **ret, struct mk_secret **ret_text)
{
	mk_auto(mk_secret_freep) struct mk_secret *key = NULL, *text = NULL;
	MK_TRY(ready());
	MK_TRY(mk_secret_new(MK_LOCAL_KEY_BYTES, &key));
	MK_TRY(mk_secret_new(MK_LOCAL_KEY_TEXT_MAX, &text));
	mk_secret_set_len(key, MK_LOCAL_KEY_BYTES);
	randombytes_buf(mk_secret_buf(key), MK_LOCAL_KEY_BYTES);
	char *const out = (char *)mk_secret_buf(text);
	sodium_bin2base64(out, MK_LOCAL_KEY_TEXT_MAX, mk_secret_buf(key), MK_LOCAL_KEY_BYTES, sodium_base64_VARIANT_ORIGINAL);
	out[KEY_TEXT] = '\n';
	mk_secret_set_len(text, KEY_TEXT + 1);
	mk_wipe_stack();
	*ret = MK_TAKE(key);
	*ret_text = MK_TAKE(text);
	return MK_OK;
}

struct mk_local_head mk_local_head_make(enum mk_local_kdf kdf)
{
	struct mk_local_head head = { .kdf = kdf };
	mk_assert(ready() == MK_OK);
	randombytes_buf(head.store, sizeof head.store);
	if (kdf == MK_LOCAL_KDF_ARGON2ID) {
		head.ops = crypto_pwhash_argon2id_OPSLIMIT_MODERATE;
		head.mem_kib = crypto_pwhash_argon2id_MEMLIMIT_MODERATE / 1024;
		randombytes_buf(head.salt, sizeof head.salt);
	}
	return head;
}

static void ad_add(struct mk_local_ad *ad, const void *p, size_t n)
{
	mk_assert(n <= sizeof ad->b - ad->n);
	memcpy(ad->b + ad->n, p, n);
	ad->n += n;
}

struct mk_local_ad mk_local_ad_index(const uint8_t head[MK_LOCAL_HEAD_BYTES])
{
	struct mk_local_ad ad = { .b = { 'I' }, .n = 1 };
	ad_add(&ad, head, MK_LOCAL_HEAD_BYTES);
	return ad;
}

struct mk_local_ad mk_local_ad_record(const uint8_t head[MK_LOCAL_HEAD_BYTES], const struct mk_name *name,
				      const uint8_t id[MK_LOCAL_ID_BYTES])
{
	struct mk_local_ad ad = { .b = { 'R' }, .n = 1 };
	const uint8_t n = (uint8_t)strnlen(name->s, MK_NAME_MAX);
	ad_add(&ad, head, MK_LOCAL_STORE_BYTES);
	ad_add(&ad, &n, 1);
	ad_add(&ad, name->s, n);
	ad_add(&ad, id, MK_LOCAL_ID_BYTES);
	return ad;
}

void mk_local_seal(const struct mk_secret *key, const struct mk_local_ad *ad, struct mk_span plain, uint8_t *out)
{
	randombytes_buf(out, MK_LOCAL_NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + MK_LOCAL_NONCE, NULL, plain.p, plain.n, ad->b, ad->n, NULL, out,
						   mk_secret_span(key).p);
	mk_wipe_stack();
}

enum mk_err mk_local_unseal(const struct mk_secret *key, const struct mk_local_ad *ad, struct mk_span sealed, uint8_t *out)
{
	MK_TRY(ready());
	if (sealed.n < MK_LOCAL_SEAL_MORE)
		return MK_DENIED;
	const int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.p + MK_LOCAL_NONCE,
								  sealed.n - MK_LOCAL_NONCE, ad->b, ad->n, sealed.p,
								  mk_secret_span(key).p);
	mk_wipe_stack();
	if (rc == 0)
		return MK_OK;
	mk_wipe(out, sealed.n - MK_LOCAL_SEAL_MORE);
	return MK_DENIED;
}

void mk_local_id_text(const uint8_t id[MK_LOCAL_ID_BYTES], char out[2 * MK_LOCAL_ID_BYTES + 1])
{
	sodium_bin2hex(out, 2 * MK_LOCAL_ID_BYTES + 1, id, MK_LOCAL_ID_BYTES);
}

void mk_local_id_bytes(const char text[2 * MK_LOCAL_ID_BYTES + 1], uint8_t out[MK_LOCAL_ID_BYTES])
{
	size_t n = 0;
	mk_assert(sodium_hex2bin(out, MK_LOCAL_ID_BYTES, text, 2 * MK_LOCAL_ID_BYTES, NULL, &n, NULL) == 0 &&
		  n == MK_LOCAL_ID_BYTES);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What local_file_{read,write,crypt}.c share, private to them: how a part of the store's
 * file is sealed. A sealed part is nonce | ciphertext | tag, the nonce random.
 */
#ifndef MK_LOCAL_SEAL_H
#define MK_LOCAL_SEAL_H

#include "backends/local_file.h"

#define MK_LOCAL_NONCE 24u
#define MK_LOCAL_SEAL_MORE (MK_LOCAL_NONCE + 16u) /* bytes that sealing adds */
#define MK_LOCAL_STORE_BYTES 52u                  /* the head's part that stays as long as the store */

/* Additional data: 'I' and the head, for the index; 'R', the head's lasting part, name and id, for a record. */
struct mk_local_ad {
	uint8_t b[1 + MK_LOCAL_HEAD_BYTES + 1 + MK_NAME_MAX + MK_LOCAL_ID_BYTES];
	size_t n;
};
struct mk_local_ad mk_local_ad_index(const uint8_t head[MK_LOCAL_HEAD_BYTES]);
struct mk_local_ad mk_local_ad_record(const uint8_t head[MK_LOCAL_HEAD_BYTES], const struct mk_name *name,
				      const uint8_t id[MK_LOCAL_ID_BYTES]);

/* out has room for plain.n + MK_LOCAL_SEAL_MORE. */
void mk_local_seal(const struct mk_secret *key, const struct mk_local_ad *ad, struct mk_span plain, uint8_t *out);
/* out has room for sealed.n - MK_LOCAL_SEAL_MORE; DENIED where it does not open (out is then wiped). */
mk_must mk_local_unseal(const struct mk_secret *key, const struct mk_local_ad *ad, struct mk_span sealed, uint8_t *out);

/* The head, with the length of the sealed index at its end. */
void mk_local_head_write(const struct mk_local_head *head, uint32_t index_size, uint8_t out[MK_LOCAL_HEAD_BYTES]);
mk_must mk_local_head_parse(struct mk_span file, struct mk_local_head *ret, uint32_t *ret_index_size);

void mk_local_id_text(const uint8_t id[MK_LOCAL_ID_BYTES], char out[2 * MK_LOCAL_ID_BYTES + 1]);
void mk_local_id_bytes(const char text[2 * MK_LOCAL_ID_BYTES + 1], uint8_t out[MK_LOCAL_ID_BYTES]);

/* For the writer: the opened file's bytes and head. */
struct mk_span mk_local_file(const struct mk_local *s);
const struct mk_local_head *mk_local_head_of(const struct mk_local *s);

#endif

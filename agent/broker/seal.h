/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens at rest: XChaCha20-Poly1305 under a key that is made at start, lives in
 * guarded memory and is never stored, copied or handed out. The additional data names
 * environment, connection, version and slot, so that a sealed value opens only where
 * it belongs. Used by the store alone; what ends in _ returns plaintext.
 */
#ifndef MK_SEAL_H
#define MK_SEAL_H

#include "agent/base/guarded.h"
#include "agent/base/secret.h"
#include "mk/limits.h"
#include "mk/name.h"

struct mk_seal;
struct mk_sealed; /* nonce and ciphertext, in the heap: no secret */

enum mk_slot { MK_SLOT_CURRENT, MK_SLOT_PREVIOUS };

/* Where a value belongs. */
struct mk_label {
	struct mk_name name;
	char version[MK_VERSION_MAX + 1];
	enum mk_slot slot;
};

/* Makes the key. Once per process, before lock-down. */
mk_must mk_seal_new(const struct mk_word *environment, struct mk_seal **ret);
struct mk_seal *mk_seal_free(struct mk_seal *s);
enum mk_guarded_kind mk_seal_kind(const struct mk_seal *s);

/* TOO_LARGE beyond MK_SECRET_MAX. */
mk_must mk_seal_shut(struct mk_seal *s, const struct mk_label *label, struct mk_span plain, struct mk_sealed **ret);
/* Into a secret that has the room (mk_sealed_plain_len). BUG where it was changed or belongs elsewhere. */
mk_must mk_seal_open_(struct mk_seal *s, const struct mk_label *label, const struct mk_sealed *sealed,
		      struct mk_secret *into);

size_t mk_sealed_plain_len(const struct mk_sealed *sealed);
size_t mk_sealed_size(const struct mk_sealed *sealed); /* bytes it takes; 0 for NULL */
struct mk_sealed *mk_sealed_free(struct mk_sealed *sealed);

#endif

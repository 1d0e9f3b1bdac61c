/* SPDX-License-Identifier: Apache-2.0
 *
 * What Vault and OpenBao would take and not give back as it was: KV 2 keeps numbers as
 * doubles, and answers escape more characters than need be (Go's encoding/json does), so
 * that a value may fit into a request and not into the answer. Refused before it is sent.
 */
#include "agent/base/units.h"
#include "backends/vault.h"

#define EXACT (INT64_C(1) << 53)
#define ENVELOPE 4096u /* of an answer: what is not the value */

static bool is_exact(struct mk_span number)
{
	int64_t n = 0;
	if (memchr(number.p, '.', number.n) || memchr(number.p, 'e', number.n))
		return true; /* it was made from a double (flatten.h) */
	return mk_i64_of(number, &n) == MK_OK && n >= -EXACT && n <= EXACT;
}

/* Bytes of a JSON text once more as an answer. */
static size_t escaped(struct mk_span json)
{
	size_t n = json.n;
	for (size_t i = 0; i < json.n; i++) {
		const uint8_t c = json.p[i];
		if (c == '<' || c == '>' || c == '&')
			n += 5; /* \u003c */
		else if (c == 0xe2 && i + 2 < json.n && json.p[i + 1] == 0x80 && (json.p[i + 2] | 1) == 0xa9)
			n += 3; /* \u2028, \u2029 */
	}
	return n;
}

enum mk_err mk_vault_fits(struct mk_span leaves, struct mk_span json, bool kv2)
{
	struct mk_leaf leaf;
	size_t at = 0;
	while (kv2 && mk_leaves_next(leaves, &at, &leaf))
		if (leaf.type == MK_LEAF_NUMBER && !is_exact(leaf.value))
			return MK_BAD_REQUEST;
	return escaped(json) + ENVELOPE <= MK_VAULT_ANSWER_MAX ? MK_OK : MK_TOO_LARGE;
}

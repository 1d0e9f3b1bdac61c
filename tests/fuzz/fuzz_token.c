/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a token, and any as a key set. A token that nobody signed is never good; a
 * set that passes makes keys or is refused. In a third way the bytes are claims behind a
 * good signature, as if the API server itself were hostile.
 */
#include "agent/token/jwks.h"
#include "agent/token/token.h"
#include "agent/token/token_.h"

#include "mk/own.h"

static const char jwks[] =
	"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\",\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","
	"\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}"; /* the curve's own generator: nobody knows a use for its key, 1 */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void as_claims(struct mk_span text, const struct mk_token_want *want)
{
	struct mk_token_who who = { .expires_ms = -1 };
	mk_auto(mk_token_json_freep_) json_t *claims = mk_token_json_(text);
	const enum mk_token_verdict v = claims ? mk_token_claims_(claims, want, INT64_C(1800000000000), &who) : MK_TOKEN_CLAIMS;
	if (v == MK_TOKEN_GOOD)
		mk_assert(who.account.ns[0] && who.account.name[0] && who.expires_ms > 0);
	else
		mk_assert(who.expires_ms == -1 && mk_jwt_word(v)[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct mk_token_keys *keys;
	static const struct mk_token_want want = { "i", "a", "0b8b6a1e" };
	struct mk_jwks set;
	struct mk_token_who who;
	const char *fault = NULL;
	if (!keys) {
		const bool made = mk_jwks_parse(mk_span_of(jwks), &set, NULL) == MK_OK && mk_token_keys_new(&set, &keys) == MK_OK;
		mk_assert(made);
	}
	mk_assert(mk_token_check(keys, mk_span(p, n), &want, INT64_C(1800000000000), &who) != MK_TOKEN_GOOD);
	as_claims(mk_span(p, n), &want);
	if (mk_jwks_parse(mk_span(p, n), &set, &fault) != MK_OK) {
		mk_assert(fault != NULL);
		return 0;
	}
	struct mk_token_keys *k = NULL;
	mk_assert(set.n > 0 && set.n <= MK_JWKS_MAX);
	if (mk_token_keys_new(&set, &k) == MK_OK)
		mk_assert(mk_token_keys_count(k) == set.n);
	mk_token_keys_free(k);
	return 0;
}

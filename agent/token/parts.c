/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON and base64url, read strictly.
 */
#include "agent/token/token_.h"

#include <sodium.h>

#define BRACKETS_MAX 64u /* of a token's part or a key set; each is a few */

static bool few_brackets(struct mk_span text)
{
	unsigned n = 0;
	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '{' || text.p[i] == '[';
	return n <= BRACKETS_MAX;
}

json_t *mk_token_json_(struct mk_span text)
{
	if (!few_brackets(text))
		return NULL;
	json_t *j = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

void mk_token_json_freep_(json_t **j)
{
	json_decref(*j);
}

struct mk_span mk_token_text_(const json_t *j, size_t max)
{
	const char *s = json_string_value(j);
	const size_t n = s ? json_string_length(j) : 0;
	return n <= max ? mk_span(s, n) : mk_span(NULL, 0);
}

bool mk_token_decode_(struct mk_span text, uint8_t *buf, size_t cap, size_t *ret)
{
	size_t n = 0;
	if (sodium_base642bin(buf, cap, (const char *)text.p, text.n, NULL, &n, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return false;
	*ret = n;
	return n > 0;
}

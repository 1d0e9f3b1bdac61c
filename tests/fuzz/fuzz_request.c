/* SPDX-License-Identifier: Apache-2.0
 *
 * A request as a hostile caller writes it: the first line is the target, each further line
 * a header. What is accepted must have come from a strict spelling.
 */
#include "agent/broker/http_request.h"

static struct mk_span line(struct mk_span *rest)
{
	const uint8_t *p = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
	const size_t n = p ? (size_t)(p - rest->p) : rest->n;
	const struct mk_span first = mk_span(rest->p, n);
	*rest = mk_span(rest->p + n + (p ? 1 : 0), rest->n - n - (p ? 1 : 0));
	return first;
}

static void check_uri(struct mk_span raw)
{
	struct mk_uri u;
	struct mk_name again;
	mk_uri_parse(raw, &u);
	mk_assert(u.bad < MK_HINT_COUNT);
	if (u.bad != MK_HINT_NONE)
		return;
	mk_assert(raw.n > 0 && raw.p[0] == '/' && !memchr(raw.p, '%', raw.n) && !memchr(raw.p, 0, raw.n));
	mk_assert(u.limit >= 1 && u.limit <= 1000);
	if (u.resource == MK_RES_TOKEN)
		mk_assert(mk_name_of(mk_span_of(u.name.s), &again) == MK_OK);
	if (u.after.s[0])
		mk_assert(mk_name_of(mk_span_of(u.after.s), &again) == MK_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct mk_span rest = mk_span(p, n);
	struct mk_head h = { 0 };
	check_uri(line(&rest));
	while (rest.n) {
		const struct mk_span field = line(&rest);
		const uint8_t *colon = field.n ? memchr(field.p, ':', field.n) : NULL;
		const size_t key = colon ? (size_t)(colon - field.p) : field.n;
		const struct mk_span value = mk_span(field.p + key, field.n - key);
		mk_head_take(&h, mk_span(field.p, key), colon ? mk_span(value.p + 1, value.n - 1) : value);
		mk_accept_plain(colon ? mk_span(value.p + 1, value.n - 1) : value);
	}
	mk_assert(h.bad < MK_HINT_COUNT && (h.lengths <= 1 || h.bad != MK_HINT_NONE));
	return 0;
}

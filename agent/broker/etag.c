/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes and compares entity tags. A tag is a hash, so that no character of a store's
 * version id has to be quoted.
 */
#include "agent/broker/etag.h"

#include "agent/base/rw.h"

#include <sodium.h>

#define TAG_BYTES 16
#define INPUT_MAX (512 + MK_RULE_FIELDS_MAX * (MK_FIELD_MAX + 4))
_Static_assert(TAG_BYTES * 2 < MK_ETAG_MAX, "the tag in hexadecimal and its NUL");

/* All fields are written as nothing, a list of none as its length. */
static void write_fields(struct mk_wr *w, const struct mk_rule *allow)
{
	if (!allow->fields_set)
		return;
	mk_wr_u32(w, (uint32_t)allow->n_fields);
	for (size_t i = 0; i < allow->n_fields; i++)
		mk_wr_str(w, allow->fields[i].s);
}

void mk_etag_make(const struct mk_name *name, const char *version, const struct mk_rule *allow, char out[MK_ETAG_MAX])
{
	uint8_t in[INPUT_MAX], hash[TAG_BYTES];
	struct mk_wr w = mk_wr_of(in, sizeof in);
	mk_wr_name(&w, name);
	mk_wr_str(&w, version);
	mk_wr_str(&w, ""); /* mapping */
	write_fields(&w, allow);
	size_t n = 0;
	const enum mk_err e = mk_wr_end(&w, &n);
	mk_assert(e == MK_OK);
	crypto_generichash(hash, sizeof hash, in, n, NULL, 0);
	sodium_bin2hex(out, MK_ETAG_MAX, hash, sizeof hash);
}

static void skip(struct mk_span *s, const char *set)
{
	while (s->n > 0 && s->p[0] != '\0' && strchr(set, s->p[0])) {
		s->p++;
		s->n--;
	}
}

/* One tag with its quotes, perhaps W/ before it; false where there is none. */
static bool next_tag(struct mk_span *s, struct mk_span *ret)
{
	if (s->n >= 2 && s->p[0] == 'W' && s->p[1] == '/')
		*s = mk_span(s->p + 2, s->n - 2);
	if (s->n < 2 || s->p[0] != '"')
		return false;
	const uint8_t *end = memchr(s->p + 1, '"', s->n - 1);
	if (!end)
		return false;
	*ret = mk_span(s->p + 1, (size_t)(end - s->p) - 1);
	const size_t used = ret->n + 2;
	*s = mk_span(s->p + used, s->n - used);
	return true;
}

bool mk_etag_match(struct mk_span header, const char *etag)
{
	bool found = false;
	skip(&header, " \t");
	if (header.n > 0 && header.p[0] == '*') {
		header = mk_span(header.p + 1, header.n - 1);
		skip(&header, " \t");
		return header.n == 0;
	}
	skip(&header, " \t,");
	while (header.n > 0) {
		struct mk_span tag;
		if (!next_tag(&header, &tag))
			return false;
		found = found || mk_span_is(tag, etag);
		skip(&header, " \t");
		if (header.n > 0 && header.p[0] != ',')
			return false;
		skip(&header, " \t,");
	}
	return found;
}

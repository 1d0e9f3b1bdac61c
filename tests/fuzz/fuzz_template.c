/* SPDX-License-Identifier: Apache-2.0
 *
 * A template is read or refused, whatever it is; one that has no braces comes out as it went in, and what is filled in is
 * never larger than its room.
 */
#include "ctl/template.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool leaf(void *arg, const struct mk_piece *piece, struct mk_leaf *ret)
{
	(void)arg;
	*ret = (struct mk_leaf){ .type = piece->line % 2 ? MK_LEAF_STRING : MK_LEAF_NULL, .value = mk_span_of(piece->line % 2 ? "{{\"' tok" : "") };
	return piece->column < 100;
}

static bool has_braces(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (p[i] == '{' && p[i + 1] == '{')
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool ready;
	bool locked;
	struct mk_template t = { 0 };
	struct mk_secret *out = NULL;
	struct mk_why why = { 0 };
	if (!ready && mk_secret_arena_init(2, 2, &locked) != MK_OK)
		abort();
	ready = true;
	const enum mk_err e = mk_template_of(mk_span(p, n), "fuzz", &t, &why);
	mk_assert(e == MK_OK || (e == MK_BAD_REQUEST && why.line > 0 && why.text[0]));
	mk_assert(mk_secret_new(256, &out) == MK_OK);
	if (e == MK_OK && mk_template_fill(&t, leaf, NULL, out, &why) == MK_OK && !has_braces(p, n))
		mk_assert(mk_span_eq(mk_secret_span(out), mk_span(p, n)));
	mk_assert(e == MK_OK || has_braces(p, n));
	mk_secret_free(out);
	mk_template_done(&t);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a secret's JSON, and as makinictl's standard input: what comes out is a
 * leaf list that its own check takes, and whose JSON gives the same list again; nothing
 * stays behind. The text as a leaf list: what becomes JSON is one that flattens to it.
 */
#include "agent/base/secret.h"
#include "backends/flatten.h"
#include "backends/unflatten.h"
#include "ctl/local.h"
#include "mk/leaf.h"
#include "mk/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A text may have six times the bytes of its strings. */
static uint8_t text[8 * MK_SECRET_MAX];

static bool there_and_back(struct mk_span list, bool same)
{
	mk_auto(mk_secret_freep) struct mk_secret *again = NULL;
	struct mk_jw w = mk_jw_of(text, sizeof text);
	size_t n = 0;
	if (mk_unflatten(list, &w) != MK_OK)
		return false;
	mk_assert(mk_jw_end(&w, &n) == MK_OK);
	const enum mk_err e = mk_flatten(mk_span(text, n), &again);
	mk_assert(e == MK_OK || !same);
	mk_assert(!same || mk_span_eq(mk_secret_span(again), list));
	return true;
}

static void taken(struct mk_secret *s)
{
	mk_assert(mk_leaves_check(mk_secret_span(s)) == MK_OK);
	mk_assert(there_and_back(mk_secret_span(s), true));
	mk_secret_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool ready;
	struct mk_secret *s = NULL;
	struct mk_why why = { .text = "" };
	bool locked;
	if (!ready)
		mk_assert(mk_secret_arena_init(16, 4, &locked) == MK_OK);
	ready = true;
	if (mk_flatten(mk_span(p, n), &s) == MK_OK)
		taken(s);
	if (mk_local_leaves(mk_span(p, n), &s, &why) == MK_OK)
		taken(s);
	else
		mk_assert(why.text[0] != '\0');
	if (mk_leaves_check(mk_span(p, n)) == MK_OK)
		there_and_back(mk_span(p, n), false);
	mk_assert(mk_secret_in_use() == 0);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a secret's JSON, and as makinictl's standard input: what comes out is a
 * leaf list that its own check takes; nothing stays behind.
 */
#include "agent/base/secret.h"
#include "backends/flatten.h"
#include "ctl/local.h"
#include "mk/leaf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void taken(struct mk_secret *s)
{
	mk_assert(mk_leaves_check(mk_secret_span(s)) == MK_OK);
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
	mk_assert(mk_secret_in_use() == 0);
	return 0;
}

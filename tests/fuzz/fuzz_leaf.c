/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaf lists, as a broken fetcher could send them. A list that passes is walked whole,
 * and written again leaf by leaf it is the same bytes; one that does not pass may still
 * be walked without harm.
 */
#include "agent/base/utf8.h"
#include "mk/leaf.h"
#include "mk/limits.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void find(struct mk_span list, const struct mk_leaf *leaf)
{
	char pointer[MK_POINTER_MAX + 1];
	struct mk_leaf same;
	memcpy(pointer, leaf->pointer.p, leaf->pointer.n);
	pointer[leaf->pointer.n] = '\0';
	mk_assert(mk_leaves_find(list, pointer, &same) == MK_OK);
	mk_assert(same.value.p == leaf->value.p && same.value.n == leaf->value.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static uint8_t copy[MK_SECRET_MAX];
	const struct mk_span list = mk_span(p, n);
	const bool good = mk_leaves_check(list) == MK_OK;
	struct mk_leaf leaf;
	size_t at = 0, len = 0, count = 0;
	while (mk_leaves_next(list, &at, &leaf)) {
		mk_assert(at <= n);
		if (!good)
			continue;
		mk_assert(++count <= MK_LEAVES_MAX && mk_utf8_ok(leaf.pointer) && mk_utf8_ok(leaf.value));
		find(list, &leaf);
		mk_assert(mk_leaves_add(copy, sizeof copy, &len, &leaf) == MK_OK);
	}
	if (good)
		mk_assert(at == n && len == n && (n == 0 || memcmp(copy, p, n) == 0));
	return 0;
}

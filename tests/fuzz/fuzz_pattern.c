/* SPDX-License-Identifier: Apache-2.0
 *
 * Any two texts, with a blank between them, as pattern and name: the matcher agrees
 * with a plain dynamic one.
 */
#include "policy/policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* may[j]: the pattern read so far matches the first j characters of the name. */
static bool plainly(const char *pattern, const char *name)
{
	const size_t n = strlen(name);
	bool may[MK_NAME_MAX + 1] = { true };
	for (; *pattern; pattern++) {
		bool next[MK_NAME_MAX + 1] = { false };
		for (size_t j = 0; j <= n; j++)
			next[j] = *pattern == '*' ? may[j] || (j > 0 && next[j - 1])
						  : j > 0 && may[j - 1] && name[j - 1] == *pattern;
		memcpy(may, next, sizeof may);
	}
	return may[n];
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *blank = n ? memchr(p, ' ', n) : NULL;
	struct mk_pattern pattern;
	struct mk_name name;
	if (!blank)
		return 0;
	const size_t k = (size_t)(blank - p);
	if (mk_pattern_of(mk_span(p, k), &pattern) != MK_OK || mk_name_of(mk_span(blank + 1, n - k - 1), &name) != MK_OK)
		return 0;
	if (mk_pattern_match(&pattern, &name) != plainly(pattern.s, name.s))
		abort();
	return 0;
}

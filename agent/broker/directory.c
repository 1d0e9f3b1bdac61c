/* SPDX-License-Identifier: Apache-2.0
 *
 * An array that only grows at its end, and a binary search.
 */
#include "agent/broker/directory.h"

#include "agent/base/clock.h"

#include <stdlib.h>

static int order(const struct mk_name *a, const struct mk_name *b)
{
	return strncmp(a->s, b->s, sizeof a->s);
}

static mk_must reserve(struct mk_names *names, size_t n)
{
	if (n <= names->cap)
		return MK_OK;
	const size_t cap = names->cap * 2 > n ? names->cap * 2 : n;
	struct mk_listed *items = reallocarray(names->items, cap, sizeof *items);
	if (!items)
		return MK_NO_MEMORY;
	names->items = items;
	names->cap = cap;
	return MK_OK;
}

mk_must mk_names_add(struct mk_names *names, const struct mk_listed *page, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct mk_name *before = i > 0 ? &page[i - 1].name : names->n > 0 ? &names->items[names->n - 1].name : NULL;
		if (before && order(before, &page[i].name) >= 0)
			return MK_BAD_REQUEST;
	}
	if (names->n + n > MK_NAMES_MAX)
		return MK_TOO_LARGE;
	if (n == 0)
		return MK_OK;
	MK_TRY(reserve(names, names->n + n));
	memcpy(names->items + names->n, page, n * sizeof *page);
	names->n += n;
	return MK_OK;
}

void mk_names_done(struct mk_names *names)
{
	free(names->items);
	*names = (struct mk_names){ 0 };
}

size_t mk_names_after(const struct mk_names *names, const struct mk_name *after)
{
	size_t low = 0, high = names->n;
	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		if (order(&names->items[mid].name, after) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool mk_names_have(const struct mk_names *names, const struct mk_name *name)
{
	const size_t after = mk_names_after(names, name);
	return after > 0 && mk_name_eq(&names->items[after - 1].name, name);
}

void mk_directory_set(struct mk_directory *d, struct mk_names *names, uint8_t backend, uint32_t epoch, int64_t boot_ms)
{
	if (d->held && d->backend == backend && (int32_t)(d->epoch - epoch) > 0) {
		mk_names_done(names);
		return;
	}
	mk_directory_done(d);
	*d = (struct mk_directory){ .names = *names, .held = true, .fetched_ms = boot_ms, .failure.at_ms = MK_TIME_NONE,
				    .backend = backend, .epoch = epoch };
	*names = (struct mk_names){ 0 };
}

void mk_directory_done(struct mk_directory *d)
{
	mk_names_done(&d->names);
	*d = (struct mk_directory){ .failure.at_ms = MK_TIME_NONE };
}

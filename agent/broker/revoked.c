/* SPDX-License-Identifier: Apache-2.0
 *
 * Both arrays are sorted by the first bytes of their items: a name, padded with zeros, or a
 * fingerprint.
 */
#include "agent/broker/revoked.h"

#include "mk/own.h"

#include <sodium.h>
#include <stdlib.h>

/* Where the key is, or belongs. */
static size_t place_of(const void *items, size_t n, size_t size, const void *key, size_t key_n, bool *ret_there)
{
	size_t from = 0, to = n;
	*ret_there = false;
	while (from < to) {
		const size_t mid = from + (to - from) / 2;
		const int order = memcmp((const uint8_t *)items + mid * size, key, key_n);
		if (order == 0) {
			*ret_there = true;
			return mid;
		}
		if (order < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

_Static_assert(offsetof(struct mk_dead, name) == 0 && offsetof(struct mk_retired, print) == 0, "the key comes first");

static size_t name_at(const struct mk_revoked *r, const struct mk_name *name, bool *ret_there)
{
	return place_of(r->names, r->n_names, sizeof *r->names, name, sizeof *name, ret_there);
}

static size_t value_at(const struct mk_revoked *r, const uint8_t print[MK_PRINT], bool *ret_there)
{
	return place_of(r->values, r->n_values, sizeof *r->values, print, MK_PRINT, ret_there);
}

void mk_revoked_done(struct mk_revoked *r)
{
	free(r->names);
	free(r->values);
	*r = (struct mk_revoked){ 0 };
}

static mk_must grow(void **items, size_t size, size_t want, size_t *cap)
{
	if (want <= *cap)
		return MK_OK;
	const size_t more = want + want / 2 + 16;
	void *p = reallocarray(*items, more, size);
	if (!p)
		return MK_NO_MEMORY;
	*items = p;
	*cap = more;
	return MK_OK;
}

mk_must mk_revoked_room(struct mk_revoked *r, size_t names, size_t values)
{
	if (r->n_names + names > MK_REVOKED_MAX || r->n_values + values > MK_RETIRED_MAX)
		return MK_NO_MEMORY;
	void *p = r->names, *q = r->values;
	enum mk_err e = grow(&p, sizeof *r->names, r->n_names + names, &r->names_cap);
	r->names = p;
	if (e == MK_OK)
		e = grow(&q, sizeof *r->values, r->n_values + values, &r->values_cap);
	r->values = q;
	return e;
}

void mk_revoked_add(struct mk_revoked *r, const struct mk_name *name)
{
	bool there;
	const size_t at = name_at(r, name, &there);
	if (there)
		return;
	mk_assert(r->n_names < r->names_cap);
	memmove(r->names + at + 1, r->names + at, (r->n_names - at) * sizeof *r->names);
	r->names[at] = (struct mk_dead){ .name = *name };
	r->n_names++;
}

void mk_revoked_retire(struct mk_revoked *r, const struct mk_retired *value)
{
	bool there;
	const size_t at = value_at(r, value->print, &there);
	if (there || sodium_is_zero(value->print, MK_PRINT))
		return;
	mk_assert(r->n_values < r->values_cap);
	memmove(r->values + at + 1, r->values + at, (r->n_values - at) * sizeof *r->values);
	r->values[at] = *value;
	r->n_values++;
}

static void drop_values(struct mk_revoked *r, const struct mk_name *name)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->n_values; i++)
		if (!mk_name_eq(&r->values[i].name, name))
			r->values[kept++] = r->values[i];
	r->n_values = kept;
}

void mk_revoked_drop(struct mk_revoked *r, const struct mk_name *name, bool values_too)
{
	bool there;
	const size_t at = name_at(r, name, &there);
	if (there) {
		r->n_names--;
		memmove(r->names + at, r->names + at + 1, (r->n_names - at) * sizeof *r->names);
	}
	if (values_too)
		drop_values(r, name);
}

struct mk_dead *mk_revoked_name(const struct mk_revoked *r, const struct mk_name *name)
{
	bool there;
	const size_t at = name_at(r, name, &there);
	return there ? &r->names[at] : NULL;
}

const struct mk_retired *mk_revoked_value(const struct mk_revoked *r, const uint8_t print[MK_PRINT])
{
	bool there;
	const size_t at = value_at(r, print, &there);
	return there ? &r->values[at] : NULL;
}

size_t mk_revoked_values_of(const struct mk_revoked *r, const struct mk_name *name)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n_values; i++)
		n += mk_name_eq(&r->values[i].name, name);
	return n;
}

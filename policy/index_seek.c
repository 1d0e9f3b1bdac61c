/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking into the index: one lookup for each shape that can apply. Every entry found is
 * compared letter by letter: a hash alone decides nothing.
 */
#include "policy/policy_.h"

void mk_seek_begin(struct mk_seek *s)
{
	s->n = s->text ? strnlen(s->text, MK_PATTERN_MAX) : 0;
	s->keys = UINT32_MAX;
	s->head[0] = s->tail[0] = MK_HASH_START;
	for (size_t i = 0; i < s->n; i++) {
		s->head[i + 1] = mk_hash_more(s->head[i], (uint8_t)s->text[i]);
		s->tail[i + 1] = mk_hash_more(s->tail[i], (uint8_t)s->text[s->n - 1 - i]);
	}
}

static const char *value_of(const struct mk_seek *s, const char *key)
{
	for (size_t i = 0; s->tags_known && i < s->n_tags; i++)
		if (strcmp(s->tags[i].key, key) == 0)
			return s->tags[i].value;
	return NULL;
}

/* Which keys of the set the subject has, and what they say. Shapes of one set stand together. */
static void know_tags(const struct mk_index *x, struct mk_seek *s, unsigned keys)
{
	const struct mk_keyset *set = &x->keysets[keys];
	if (s->keys == keys)
		return;
	s->keys = keys;
	s->present = 0;
	for (unsigned i = 0; i < set->n; i++) {
		s->values[i] = value_of(s, set->of[i].key);
		if (s->values[i])
			s->present |= (uint8_t)(1u << i);
	}
}

/* May an entry of this shape be about the subject, as far as tags go? */
static bool tags_apply(const struct mk_index *x, struct mk_seek *s, const struct mk_shape *shape)
{
	if (shape->keys == 0)
		return true;
	if (s->untagged)
		return false;
	know_tags(x, s, shape->keys);
	if (shape->deny)
		return shape->mask == s->present; /* what is not known matches */
	if (!s->tags_trusted)
		return false;
	const unsigned all = (1u << x->keysets[shape->keys].n) - 1;
	return s->tags_known ? shape->mask == all && s->present == all : shape->mask == 0;
}

static bool text_applies(const struct mk_seek *s, const struct mk_shape *shape)
{
	if (!s->text)
		return shape->kind == MK_SHAPE_HEAD && shape->len == 0 && shape->keys == 0;
	return shape->len <= s->n;
}

static bool same_tags(const struct mk_seek *s, const struct mk_shape *shape, const struct mk_rule *r)
{
	for (unsigned i = 0; i < r->n_tags; i++)
		if ((shape->mask & 1u << i) && strcmp(r->tags[i].value, s->values[i]) != 0)
			return false;
	return true;
}

static bool same_text(const struct mk_seek *s, const struct mk_pattern *p)
{
	const struct mk_literal l = mk_literal_of(p);
	if (!s->text)
		return l.n == 0;
	switch (l.kind) {
	case MK_SHAPE_EXACT:
		return l.n == s->n && memcmp(l.p, s->text, l.n) == 0;
	case MK_SHAPE_HEAD:
		return l.n <= s->n && memcmp(l.p, s->text, l.n) == 0;
	case MK_SHAPE_TAIL:
		return l.n <= s->n && memcmp(l.p, s->text + s->n - l.n, l.n) == 0;
	case MK_SHAPE_MIXED:
		return mk_pattern_covers_(p, s->text, s->n);
	}
	return false;
}

static uint32_t slot_of(const struct mk_index *x, const struct mk_seek *s, uint32_t at)
{
	const struct mk_shape *shape = &x->shapes[at];
	uint64_t tags = MK_HASH_START;
	for (unsigned i = 0; i < x->keysets[shape->keys].n; i++)
		if (shape->mask & 1u << i)
			tags = mk_hash_value(tags, s->values[i]);
	const size_t len = shape->kind == MK_SHAPE_EXACT ? s->n : shape->len;
	return mk_hash_slot(x, shape->kind == MK_SHAPE_TAIL ? s->tail[len] : s->head[len], tags, at);
}

static void seek_shape(const struct mk_policy *p, struct mk_seek *s, uint32_t at)
{
	const struct mk_index *x = &p->index;
	const struct mk_shape *shape = &x->shapes[at];
	s->work++;
	for (uint32_t i = x->slots[slot_of(x, s, at)]; i != 0; i = x->entries[i - 1].next) {
		const struct mk_entry_ *e = &x->entries[i - 1];
		const struct mk_rule *r = &p->rules.rules[e->rule];
		s->work++;
		if (e->shape == at && same_text(s, &r->patterns[e->pattern]) && same_tags(s, shape, r))
			s->hit(s, shape, e);
	}
}

void mk_seek_who(const struct mk_policy *p, struct mk_seek *s, uint32_t who)
{
	const struct mk_index *x = &p->index;
	for (uint32_t i = x->shape_at[who]; i < x->shape_at[who + 1]; i++)
		if (text_applies(s, &x->shapes[i]) && tags_apply(x, s, &x->shapes[i]))
			seek_shape(p, s, i);
}

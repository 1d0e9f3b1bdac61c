/* SPDX-License-Identifier: Apache-2.0
 *
 * Making the index: first all shapes, sorted; then the entries, in file order. An entry
 * whose actions are all given by earlier ones of the same pattern and tags is left out,
 * so that no pattern has more entries than there are actions.
 */
#include "policy/policy_.h"

#include "mk/own.h"

#include <stdlib.h>

#define SLOTS_MIN 16u

void mk_index_done(struct mk_index *x)
{
	free(x->shapes);
	free(x->shape_at);
	free(x->entries);
	free(x->slots);
	*x = (struct mk_index){ 0 };
}

/* ---- sets of tag keys ---- */

static bool same_keys(const struct mk_keyset *set, const struct mk_rule *r)
{
	if (set->n != r->n_tags)
		return false;
	for (size_t i = 0; i < r->n_tags; i++)
		if (strcmp(set->of[i].key, r->tags[i].key) != 0)
			return false;
	return true;
}

static unsigned keyset_of(const struct mk_index *x, const struct mk_rule *r)
{
	unsigned i = 0;
	while (i < x->n_keysets && !same_keys(&x->keysets[i], r))
		i++;
	return i;
}

static mk_must gather_keysets(struct mk_policy *p, struct mk_why *why)
{
	struct mk_index *x = &p->index;
	x->n_keysets = 1;
	for (size_t i = 0; i < p->rules.n_rules; i++) {
		const struct mk_rule *r = &p->rules.rules[i];
		if (keyset_of(x, r) < x->n_keysets)
			continue;
		if (x->n_keysets > MK_KEYSETS_MAX)
			return mk_why_at(why, MK_BAD_REQUEST, "", r->line,
					 "this policy asks for tags in more than %u combinations of keys: use the same keys in "
					 "more rules",
					 MK_KEYSETS_MAX);
		x->keysets[x->n_keysets++] = (struct mk_keyset){ (uint8_t)r->n_tags, r->tags };
	}
	return MK_OK;
}

/* ---- every entry there could be ---- */

struct place {
	uint32_t rule;
	uint16_t pattern;
	uint8_t mask;
};
typedef enum mk_err place_fn(struct mk_policy *p, const struct place *at, void *arg);

/* An allow needs all of its tags; knowing none of them tells what a fetch could bring. */
static bool mask_is_kept(const struct mk_rule *r, unsigned mask)
{
	return r->deny || mask == 0 || mask == (1u << r->n_tags) - 1;
}

static mk_must each_of_rule(struct mk_policy *p, uint32_t rule, place_fn *fn, void *arg)
{
	const struct mk_rule *r = &p->rules.rules[rule];
	for (size_t i = 0; i < r->n_patterns && r->actions; i++)
		for (unsigned mask = 0; mask < 1u << r->n_tags; mask++)
			if (mask_is_kept(r, mask))
				MK_TRY(fn(p, &(struct place){ rule, (uint16_t)i, (uint8_t)mask }, arg));
	return MK_OK;
}

static mk_must each(struct mk_policy *p, place_fn *fn, void *arg)
{
	for (uint32_t i = 0; i < p->rules.n_rules; i++)
		MK_TRY(each_of_rule(p, i, fn, arg));
	return MK_OK;
}

static struct mk_shape shape_of(const struct mk_policy *p, const struct place *at)
{
	const struct mk_rule *r = &p->rules.rules[at->rule];
	const struct mk_literal l = mk_literal_of(&r->patterns[at->pattern]);
	return (struct mk_shape){
		.who = (uint16_t)p->owner[at->rule], .deny = r->deny, .keys = (uint8_t)keyset_of(&p->index, r),
		.mask = at->mask, .kind = (uint8_t)l.kind, .len = l.kind == MK_SHAPE_EXACT ? 0 : l.n,
	};
}

/* ---- shapes ---- */

static uint64_t rank(const struct mk_shape *s)
{
	const uint8_t low[] = { s->deny, s->keys, s->mask, s->kind, s->len };
	uint64_t n = s->who;
	for (size_t i = 0; i < MK_COUNT(low); i++)
		n = n << 8 | low[i];
	return n;
}

static int order(const void *a, const void *b)
{
	const uint64_t x = rank(a), y = rank(b);
	return (x > y) - (x < y);
}

static enum mk_err count_place(struct mk_policy *p, const struct place *at, void *arg)
{
	(void)arg;
	(void)at;
	return p->index.n_shapes++ < MK_ENTRIES_MAX ? MK_OK : MK_TOO_LARGE;
}

static enum mk_err note_shape(struct mk_policy *p, const struct place *at, void *arg)
{
	(void)arg;
	p->index.shapes[p->index.n_shapes++] = shape_of(p, at);
	return MK_OK;
}

static void keep_different(struct mk_index *x)
{
	uint32_t kept = 0;
	qsort(x->shapes, x->n_shapes, sizeof *x->shapes, order);
	for (uint32_t i = 0; i < x->n_shapes; i++)
		if (kept == 0 || order(&x->shapes[kept - 1], &x->shapes[i]) != 0)
			x->shapes[kept++] = x->shapes[i];
	x->n_shapes = kept;
}

static mk_must gather_shapes(struct mk_policy *p, struct mk_why *why)
{
	struct mk_index *x = &p->index;
	const size_t whos = p->rules.n_services + p->rules.n_groups;
	const enum mk_err e = each(p, count_place, NULL);
	if (e != MK_OK)
		return mk_why_set(why, e, "this policy has more than %u patterns, counting each with the tags that may be known: "
				  "use wildcards, groups or fewer tags", MK_ENTRIES_MAX);
	const size_t places = x->n_shapes;
	for (x->n_slots = SLOTS_MIN; x->n_slots < places * 2;)
		x->n_slots *= 2;
	x->shapes = calloc(places + 1, sizeof *x->shapes);
	x->shape_at = calloc(whos + 1, sizeof *x->shape_at);
	x->entries = calloc(places + 1, sizeof *x->entries);
	x->slots = calloc(x->n_slots, sizeof *x->slots);
	if (!x->shapes || !x->shape_at || !x->entries || !x->slots)
		return MK_NO_MEMORY;
	x->n_shapes = 0;
	MK_TRY(each(p, note_shape, NULL));
	keep_different(x);
	for (uint32_t i = 0; i < x->n_shapes; i++)
		x->shape_at[x->shapes[i].who + 1] = i + 1;
	for (size_t i = 0; i < whos; i++) /* one without any begins where the next does */
		if (x->shape_at[i + 1] < x->shape_at[i])
			x->shape_at[i + 1] = x->shape_at[i];
	return MK_OK;
}

/* ---- entries ---- */

static bool same_place(const struct mk_policy *p, const struct mk_entry_ *a, const struct mk_entry_ *b)
{
	const struct mk_rule *ra = &p->rules.rules[a->rule], *rb = &p->rules.rules[b->rule];
	const struct mk_literal la = mk_literal_of(&ra->patterns[a->pattern]), lb = mk_literal_of(&rb->patterns[b->pattern]);
	if (a->shape != b->shape || memcmp(la.p, lb.p, la.n) != 0)
		return false; /* of one shape, they are as long, but for whole names */
	for (size_t i = 0; i < ra->n_tags; i++)
		if ((p->index.shapes[a->shape].mask & 1u << i) && strcmp(ra->tags[i].value, rb->tags[i].value) != 0)
			return false;
	return true;
}

static bool same_pattern(const struct mk_policy *p, const struct mk_entry_ *a, const struct mk_entry_ *b)
{
	return strcmp(p->rules.rules[a->rule].patterns[a->pattern].s, p->rules.rules[b->rule].patterns[b->pattern].s) == 0;
}

static uint32_t *slot_for(struct mk_policy *p, const struct mk_entry_ *e)
{
	struct mk_index *x = &p->index;
	const struct mk_rule *r = &p->rules.rules[e->rule];
	const struct mk_literal l = mk_literal_of(&r->patterns[e->pattern]);
	uint64_t tags = MK_HASH_START, literal = MK_HASH_START;
	for (unsigned i = 0; i < r->n_tags; i++)
		if (x->shapes[e->shape].mask & 1u << i)
			tags = mk_hash_value(tags, r->tags[i].value);
	for (size_t i = 0; i < l.n; i++)
		literal = mk_hash_more(literal, (uint8_t)l.p[l.kind == MK_SHAPE_TAIL ? l.n - 1 - i : i]);
	return &x->slots[mk_hash_slot(x, literal, tags, e->shape)];
}

static mk_must too_many(const struct mk_policy *p, const struct mk_entry_ *e, struct mk_why *why)
{
	const struct mk_rule *r = &p->rules.rules[e->rule];
	const struct mk_pattern *pattern = &r->patterns[e->pattern];
	return mk_why_at(why, MK_BAD_REQUEST, "", r->line,
			 "\"%s\" is one of more than %u patterns for \"%s\" that have a star inside and begin with \"%.*s\": "
			 "put the star last, write the names out, or split the service",
			 pattern->s, MK_MIXED_MAX, r->service.s, (int)mk_literal_of(pattern).n, pattern->s);
}

static enum mk_err add_entry(struct mk_policy *p, const struct place *at, void *arg)
{
	struct mk_index *x = &p->index;
	const struct mk_shape shape = shape_of(p, at);
	const struct mk_shape *found = bsearch(&shape, x->shapes, x->n_shapes, sizeof shape, order);
	if (!found)
		return MK_BUG;
	struct mk_entry_ e = { .shape = (uint32_t)(found - x->shapes), .rule = at->rule, .pattern = at->pattern,
			       .actions = p->rules.rules[at->rule].actions };
	unsigned alike = 0;
	uint32_t *link = slot_for(p, &e);
	for (; *link != 0; link = &x->entries[*link - 1].next) {
		const struct mk_entry_ *old = &x->entries[*link - 1];
		if (!same_place(p, old, &e))
			continue;
		alike++;
		if (same_pattern(p, old, &e))
			e.actions &= ~old->actions;
	}
	if (e.actions == 0)
		return MK_OK;
	if (shape.kind == MK_SHAPE_MIXED && alike >= MK_MIXED_MAX)
		return too_many(p, &e, arg);
	x->entries[x->n_entries++] = e;
	*link = x->n_entries;
	return MK_OK;
}

mk_must mk_index_make(struct mk_policy *p, struct mk_why *why)
{
	MK_TRY(gather_keysets(p, why));
	MK_TRY(gather_shapes(p, why));
	return each(p, add_entry, why);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy document's memory, and the words of its actions. Arrays grow in powers of
 * two, up to the limits of limits.h.
 */
#include "mk/rules.h"

#include <stdlib.h>

static const char *const words[MK_ACTION_COUNT] = {
#define WORD(name, word) [MK_ACTION_##name] = (word),
	MK_ACTION_LIST(WORD)
#undef WORD
};
_Static_assert(MK_ACTION_COUNT <= 32, "a rule's actions are bits of a uint32_t");

const char *mk_action_word(enum mk_action a)
{
	mk_assert((unsigned)a < MK_ACTION_COUNT);
	return words[a];
}

mk_must mk_action_of(struct mk_span word, enum mk_action *ret)
{
	for (unsigned i = 0; i < MK_ACTION_COUNT; i++) {
		if (!mk_span_is(word, words[i]))
			continue;
		*ret = (enum mk_action)i;
		return MK_OK;
	}
	return MK_BAD_REQUEST;
}

void mk_rule_done(struct mk_rule *r)
{
	free(r->patterns);
	free(r->tags);
	free(r->fields);
	*r = (struct mk_rule){ 0 };
}

void mk_group_done(struct mk_group *g)
{
	free(g->services);
	*g = (struct mk_group){ 0 };
}

void mk_rules_done(struct mk_rules *r)
{
	for (size_t i = 0; i < r->n_rules; i++)
		mk_rule_done(&r->rules[i]);
	for (size_t i = 0; i < r->n_groups; i++)
		mk_group_done(&r->groups[i]);
	free(r->rules);
	free(r->groups);
	free(r->services);
	*r = (struct mk_rules){ 0 };
}

/* An array of n items is full when n is 0 or a power of two; makes room for twice as many. */
static mk_must grow(void **items, size_t n, size_t max, size_t size)
{
	if (n >= max)
		return MK_TOO_LARGE;
	if ((n & (n - 1)) != 0)
		return MK_OK;
	void *bigger = reallocarray(*items, n ? n * 2 : 1, size);
	if (!bigger)
		return MK_NO_MEMORY;
	*items = bigger;
	return MK_OK;
}

mk_must mk_rules_add_service(struct mk_rules *r, const struct mk_service *s)
{
	void *items = r->services;
	MK_TRY(grow(&items, r->n_services, MK_SERVICES_MAX, sizeof *s));
	r->services = items;
	r->services[r->n_services++] = *s;
	return MK_OK;
}

mk_must mk_rules_add_group(struct mk_rules *r, struct mk_group *group)
{
	void *items = r->groups;
	MK_TRY(grow(&items, r->n_groups, MK_GROUPS_OF_SERVICES_MAX, sizeof *group));
	r->groups = items;
	r->groups[r->n_groups++] = *group;
	*group = (struct mk_group){ 0 };
	return MK_OK;
}

mk_must mk_rules_add_rule(struct mk_rules *r, struct mk_rule *rule)
{
	void *items = r->rules;
	MK_TRY(grow(&items, r->n_rules, MK_RULES_MAX, sizeof *rule));
	r->rules = items;
	r->rules[r->n_rules++] = *rule;
	*rule = (struct mk_rule){ 0 };
	return MK_OK;
}

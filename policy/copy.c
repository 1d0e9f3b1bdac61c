/* SPDX-License-Identifier: Apache-2.0
 *
 * The document, copied and checked rule by rule: what no rule may say, whatever the
 * others say. A rule's tags are brought into the order of their keys.
 */
#include "policy/policy_.h"

#include "mk/own.h"

#include <stdlib.h>

/* ---- rules ---- */

static mk_must check_actions(const struct mk_rule *r, struct mk_why *why)
{
	if (r->actions >> MK_ACTION_COUNT || (r->deny && (!r->actions || !r->n_patterns)))
		return mk_why_at(why, MK_BAD_REQUEST, "", r->line, "this rule has unknown actions, or denies nothing");
	if (r->deny && r->fields_set)
		return mk_why_at(why, MK_BAD_REQUEST, "", r->line, "this deny has fields, which only an allow gives");
	if (r->n_tags > MK_RULE_TAGS_MAX)
		return mk_why_at(why, MK_BAD_REQUEST, "", r->line, "this rule has more than %d tags", MK_RULE_TAGS_MAX);
	return MK_OK;
}

static int by_text(const void *a, const void *b)
{
	const struct mk_pattern *const *x = a, *const *y = b;
	return strcmp((*x)->s, (*y)->s);
}

static mk_must check_twice(const struct mk_rule *r, struct mk_why *why)
{
	mk_auto(mk_freep) const struct mk_pattern **sorted = calloc(r->n_patterns + 1, sizeof *sorted);
	if (!sorted)
		return MK_NO_MEMORY;
	for (size_t i = 0; i < r->n_patterns; i++)
		sorted[i] = &r->patterns[i];
	qsort(sorted, r->n_patterns, sizeof *sorted, by_text);
	for (size_t i = 1; i < r->n_patterns; i++)
		if (by_text(&sorted[i - 1], &sorted[i]) == 0)
			return mk_why_at(why, MK_BAD_REQUEST, "", r->line, "this rule names \"%s\" twice: remove one of them",
					 sorted[i]->s);
	return MK_OK;
}

static mk_must copy_patterns(struct mk_rule *to, const struct mk_rule *from, struct mk_why *why)
{
	to->patterns = calloc(from->n_patterns + 1, sizeof *to->patterns);
	if (!to->patterns)
		return MK_NO_MEMORY;
	for (; to->n_patterns < from->n_patterns; to->n_patterns++) {
		const struct mk_pattern *p = &from->patterns[to->n_patterns];
		if (mk_pattern_of(mk_span(p->s, strnlen(p->s, sizeof p->s)), &to->patterns[to->n_patterns]) != MK_OK)
			return mk_why_at(why, MK_BAD_REQUEST, "", from->line, "this rule has a pattern that is none");
	}
	return check_twice(to, why);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct mk_rule_tag *)a)->key, ((const struct mk_rule_tag *)b)->key);
}

static mk_must copy_tags(struct mk_rule *to, const struct mk_rule *from, struct mk_why *why)
{
	to->tags = calloc(from->n_tags + 1, sizeof *to->tags);
	if (!to->tags)
		return MK_NO_MEMORY;
	to->n_tags = from->n_tags;
	if (from->n_tags > 0)
		memcpy(to->tags, from->tags, from->n_tags * sizeof *to->tags);
	qsort(to->tags, to->n_tags, sizeof *to->tags, by_key);
	for (size_t i = 0; i < to->n_tags; i++)
		if (!to->tags[i].key[0] || (i > 0 && by_key(&to->tags[i - 1], &to->tags[i]) == 0))
			return mk_why_at(why, MK_BAD_REQUEST, "", from->line,
					 "this rule asks for the tag \"%s\" twice, and no connection has it twice: remove one of them",
					 to->tags[i].key);
	return MK_OK;
}

static mk_must copy_fields(struct mk_rule *to, const struct mk_rule *from)
{
	to->fields = calloc(from->n_fields + 1, sizeof *to->fields);
	if (!to->fields)
		return MK_NO_MEMORY;
	to->n_fields = from->n_fields;
	if (from->n_fields > 0)
		memcpy(to->fields, from->fields, from->n_fields * sizeof *to->fields);
	return MK_OK;
}

static mk_must copy_rule(struct mk_rules *to, const struct mk_rule *from, struct mk_why *why)
{
	mk_auto(mk_rule_done) struct mk_rule r = {
		.deny = from->deny, .service = from->service, .actions = from->actions, .fields_set = from->fields_set,
		.rate_per_hour = from->rate_per_hour, .line = from->line,
	};
	MK_TRY(copy_patterns(&r, from, why));
	MK_TRY(check_actions(from, why));
	MK_TRY(copy_tags(&r, from, why));
	MK_TRY(copy_fields(&r, from));
	if (r.actions & (1u << MK_ACTION_GET))
		r.actions |= 1u << MK_ACTION_LIST; /* get includes list, whether given or taken away */
	return mk_rules_add_rule(to, &r);
}

static mk_must copy_group(struct mk_rules *to, const struct mk_group *from)
{
	mk_auto(mk_group_done) struct mk_group g = { .name = from->name, .n_services = from->n_services, .line = from->line };
	g.services = calloc(from->n_services + 1, sizeof *g.services);
	if (!g.services)
		return MK_NO_MEMORY;
	if (from->n_services > 0)
		memcpy(g.services, from->services, from->n_services * sizeof *g.services);
	return mk_rules_add_group(to, &g);
}

static mk_must copy(struct mk_rules *to, const struct mk_rules *from, struct mk_why *why)
{
	to->environment = from->environment;
	for (size_t i = 0; i < from->n_services; i++)
		MK_TRY(mk_rules_add_service(to, &from->services[i]));
	for (size_t i = 0; i < from->n_groups; i++)
		MK_TRY(copy_group(to, &from->groups[i]));
	for (size_t i = 0; i < from->n_rules; i++)
		MK_TRY(copy_rule(to, &from->rules[i], why));
	return MK_OK;
}

/* ---- names ---- */

struct named {
	struct mk_word name;
	uint32_t who;
	unsigned line;
};

struct names {
	struct named *of;
	size_t n;
};

static void names_done(struct names *n)
{
	free(n->of);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name.s, ((const struct named *)b)->name.s);
}

static int by_name_then_line(const void *a, const void *b)
{
	const int c = by_name(a, b);
	return c != 0 ? c : (int)((const struct named *)a)->who - (int)((const struct named *)b)->who;
}

/* Services and groups share one space of names, so that a rule's name means one thing. */
static mk_must gather_names(const struct mk_rules *r, struct names *ret, struct mk_why *why)
{
	ret->of = calloc(r->n_services + r->n_groups + 1, sizeof *ret->of);
	if (!ret->of)
		return MK_NO_MEMORY;
	for (size_t i = 0; i < r->n_services; i++, ret->n++)
		ret->of[ret->n] = (struct named){ r->services[i].name, (uint32_t)ret->n, r->services[i].line };
	for (size_t i = 0; i < r->n_groups; i++, ret->n++)
		ret->of[ret->n] = (struct named){ r->groups[i].name, (uint32_t)ret->n, r->groups[i].line };
	qsort(ret->of, ret->n, sizeof *ret->of, by_name_then_line);
	for (size_t i = 1; i < ret->n; i++)
		if (by_name(&ret->of[i - 1], &ret->of[i]) == 0)
			return mk_why_at(why, MK_BAD_REQUEST, "", ret->of[i].line,
					 "%s \"%s\" is already defined on line %u: rename or remove one of them",
					 ret->of[i].who < r->n_services ? "service" : "group", ret->of[i].name.s, ret->of[i - 1].line);
	return MK_OK;
}

static uint32_t who_of(const struct names *names, const struct mk_word *name)
{
	const struct named key = { .name = *name };
	const struct named *found = names->n ? bsearch(&key, names->of, names->n, sizeof key, by_name) : NULL;
	return found ? found->who : MK_NO_SERVICE;
}

/* owner[i]: whom rule i is for. */
static mk_must find_owners(struct mk_policy *p, const struct names *names, struct mk_why *why)
{
	const struct mk_rules *r = &p->rules;
	for (size_t i = 0; i < r->n_rules; i++) {
		p->owner[i] = who_of(names, &r->rules[i].service);
		if (p->owner[i] == MK_NO_SERVICE)
			return mk_why_at(why, MK_BAD_REQUEST, "", r->rules[i].line,
					 "this rule is for \"%s\", which is no service and no group: define it under services or "
					 "groups, or correct the name",
					 r->rules[i].service.s);
	}
	return MK_OK;
}

/* ---- groups ---- */

static mk_must check_member(const struct mk_rules *r, const struct mk_group *g, size_t at, uint32_t who, struct mk_why *why)
{
	if (who == MK_NO_SERVICE || who >= r->n_services)
		return mk_why_at(why, MK_BAD_REQUEST, "", g->line,
				 "group \"%s\" holds \"%s\", which is no service%s: define it under services, or correct the name",
				 g->name.s, g->services[at].s, who == MK_NO_SERVICE ? "" : " (no group holds a group)");
	for (size_t i = 0; i < at; i++)
		if (mk_word_eq(&g->services[i], &g->services[at]))
			return mk_why_at(why, MK_BAD_REQUEST, "", g->line, "group \"%s\" holds \"%s\" twice: remove one of them",
					 g->name.s, g->services[at].s);
	return MK_OK;
}

static mk_must check_group(const struct mk_rules *r, const struct names *names, const struct mk_group *g, uint32_t *count,
			   struct mk_why *why)
{
	if (g->n_services == 0)
		return mk_why_at(why, MK_BAD_REQUEST, "", g->line,
				 "group \"%s\" has no services, so that its rules could never match: name some, or remove it", g->name.s);
	for (size_t i = 0; i < g->n_services; i++) {
		const uint32_t who = who_of(names, &g->services[i]);
		MK_TRY(check_member(r, g, i, who, why));
		count[who + 1]++;
	}
	return MK_OK;
}

/* A counting sort: the groups of service 0, of service 1, … */
static mk_must find_members(struct mk_policy *p, const struct names *names, struct mk_why *why)
{
	const struct mk_rules *r = &p->rules;
	mk_auto(mk_freep) uint32_t *at = NULL;
	for (size_t i = 0; i < r->n_groups; i++)
		MK_TRY(check_group(r, names, &r->groups[i], p->member_at, why));
	for (size_t i = 1; i <= r->n_services; i++)
		p->member_at[i] += p->member_at[i - 1];
	p->member = calloc(p->member_at[r->n_services] + 1u, sizeof *p->member);
	at = calloc(r->n_services + 1, sizeof *at);
	if (!p->member || !at)
		return MK_NO_MEMORY;
	memcpy(at, p->member_at, (r->n_services + 1) * sizeof *at);
	for (uint32_t g = 0; g < r->n_groups; g++)
		for (size_t i = 0; i < r->groups[g].n_services; i++)
			p->member[at[who_of(names, &r->groups[g].services[i])]++] = (uint32_t)r->n_services + g;
	return MK_OK;
}

mk_must mk_policy_copy_(struct mk_policy *p, const struct mk_rules *from, struct mk_why *why)
{
	mk_auto(names_done) struct names names = { 0 };
	MK_TRY(copy(&p->rules, from, why));
	p->owner = calloc(from->n_rules + 1, sizeof *p->owner);
	p->member_at = calloc(from->n_services + 1, sizeof *p->member_at);
	p->next_peer = calloc(from->n_services + 1, sizeof *p->next_peer);
	p->next_unit = calloc(from->n_services + 1, sizeof *p->next_unit);
	if (!p->owner || !p->member_at || !p->next_peer || !p->next_unit)
		return MK_NO_MEMORY;
	MK_TRY(gather_names(&p->rules, &names, why));
	MK_TRY(find_members(p, &names, why));
	return find_owners(p, &names, why);
}

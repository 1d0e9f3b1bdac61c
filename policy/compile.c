/* SPDX-License-Identifier: Apache-2.0
 *
 * From rules as written to rules as decided. Copies the document, refuses what cannot
 * mean what it says (with the line and the remedy), and sorts the rules by service.
 */
#include "policy/policy_.h"

#include "mk/own.h"

#include <stdlib.h>

static void freep(struct mk_policy **p)
{
	*p = mk_policy_free(*p);
}

struct mk_policy *mk_policy_free(struct mk_policy *p)
{
	if (!p)
		return NULL;
	mk_rules_done(&p->rules);
	free(p->grants);
	free(p->index);
	free(p);
	return NULL;
}

static mk_must copy_rule(struct mk_rules *to, const struct mk_rule *from, struct mk_why *why)
{
	struct mk_rule r = *from;
	if (r.actions >> MK_ACTION_COUNT || (r.deny && (!r.actions || !r.n_patterns)))
		return mk_why_at(why, MK_BAD_REQUEST, "", r.line, "this rule has unknown actions, or denies nothing");
	mk_auto(mk_freep) struct mk_pattern *patterns = calloc(from->n_patterns + 1, sizeof *patterns);
	if (!patterns)
		return MK_NO_MEMORY;
	for (size_t i = 0; i < from->n_patterns; i++) {
		const struct mk_pattern *p = &from->patterns[i];
		if (mk_pattern_of(mk_span(p->s, strnlen(p->s, sizeof p->s)), &patterns[i]) != MK_OK)
			return mk_why_at(why, MK_BAD_REQUEST, "", from->line, "this rule has a pattern that is none");
	}
	if (r.actions & (1u << MK_ACTION_GET))
		r.actions |= 1u << MK_ACTION_LIST; /* get includes list, whether given or taken away */
	r.patterns = patterns;
	r.n_patterns = from->n_patterns;
	MK_TRY(mk_rules_add_rule(to, &r));
	patterns = NULL; /* the document's now */
	return MK_OK;
}

static mk_must copy(struct mk_rules *to, const struct mk_rules *from, struct mk_why *why)
{
	to->environment = from->environment;
	for (size_t i = 0; i < from->n_services; i++)
		MK_TRY(mk_rules_add_service(to, &from->services[i]));
	for (size_t i = 0; i < from->n_rules; i++)
		MK_TRY(copy_rule(to, &from->rules[i], why));
	return MK_OK;
}

/* Two services that no evidence tells apart would both be nobody, for ever: an error, not a surprise. */
static mk_must tell_apart(const struct mk_service *a, const struct mk_service *b, struct mk_why *why)
{
	const bool a_in_b = mk_identity_within_(&a->identity, &b->identity);
	const bool b_in_a = mk_identity_within_(&b->identity, &a->identity);
	const char *narrow = a_in_b ? a->name.s : b->name.s;
	const char *wide = a_in_b ? b->name.s : a->name.s;
	if (mk_word_eq(&a->name, &b->name))
		return mk_why_at(why, MK_BAD_REQUEST, "", b->line,
				 "service \"%s\" is already defined on line %u: rename or remove one of them", b->name.s,
				 a->line);
	if (a_in_b && b_in_a)
		return mk_why_at(why, MK_BAD_REQUEST, "", b->line,
				 "services \"%s\" (line %u) and \"%s\" have the same identity, so a caller would be "
				 "neither: give each a user, uid, group or socket of its own",
				 a->name.s, a->line, b->name.s);
	if (a_in_b || b_in_a)
		return mk_why_at(why, MK_BAD_REQUEST, "", b->line,
				 "services \"%s\" (line %u) and \"%s\" cannot be told apart: every caller that is \"%s\" is "
				 "also \"%s\", and so is neither: add a user, uid or group to \"%s\", or give one of them a "
				 "socket of its own",
				 a->name.s, a->line, b->name.s, narrow, wide, wide);
	return MK_OK;
}

static mk_must check_services(const struct mk_rules *r, struct mk_why *why)
{
	for (size_t b = 1; b < r->n_services; b++)
		for (size_t a = 0; a < b; a++)
			MK_TRY(tell_apart(&r->services[a], &r->services[b], why));
	return MK_OK;
}

static uint32_t service_of(const struct mk_rules *r, const struct mk_word *name)
{
	for (size_t i = 0; i < r->n_services; i++)
		if (mk_word_eq(&r->services[i].name, name))
			return (uint32_t)i;
	return MK_NO_SERVICE;
}

/* owner[i]: the service that rule i speaks of. */
static mk_must find_owners(const struct mk_rules *r, uint32_t *owner, struct mk_why *why)
{
	for (size_t i = 0; i < r->n_rules; i++) {
		owner[i] = service_of(r, &r->rules[i].service);
		if (owner[i] == MK_NO_SERVICE)
			return mk_why_at(why, MK_BAD_REQUEST, "", r->rules[i].line,
					 "this rule is for \"%s\", which is no service: define it under services, or "
					 "correct the name",
					 r->rules[i].service.s);
	}
	return MK_OK;
}

/* A counting sort: all allows of service 0, its denies, those of service 1, … in file order each. */
static void sort_rules(struct mk_policy *p, const uint32_t *owner, size_t *start)
{
	const struct mk_rules *r = &p->rules;
	for (size_t i = 0; i < r->n_rules; i++)
		start[owner[i] * 2 + r->rules[i].deny + 1]++;
	for (size_t i = 1; i <= r->n_services * 2; i++)
		start[i] += start[i - 1];
	for (size_t i = 0; i < r->n_services; i++) {
		p->grants[i].allow = (struct mk_run){ p->index + start[i * 2], start[i * 2 + 1] - start[i * 2] };
		p->grants[i].deny = (struct mk_run){ p->index + start[i * 2 + 1], start[i * 2 + 2] - start[i * 2 + 1] };
	}
	for (size_t i = 0; i < r->n_rules; i++)
		p->index[start[owner[i] * 2 + r->rules[i].deny]++] = (uint32_t)i;
}

mk_must mk_policy_new(const struct mk_rules *rules, struct mk_policy **ret, struct mk_why *why)
{
	mk_auto(freep) struct mk_policy *p = calloc(1, sizeof *p);
	if (!p)
		return MK_NO_MEMORY;
	MK_TRY(copy(&p->rules, rules, why));
	p->grants = calloc(rules->n_services + 1, sizeof *p->grants);
	p->index = calloc(rules->n_rules + 1, sizeof *p->index);
	mk_auto(mk_freep) uint32_t *owner = calloc(rules->n_rules + 1, sizeof *owner);
	mk_auto(mk_freep) size_t *start = calloc(rules->n_services * 2 + 1, sizeof *start);
	if (!p->grants || !p->index || !owner || !start)
		return MK_NO_MEMORY;
	MK_TRY(check_services(&p->rules, why));
	MK_TRY(find_owners(&p->rules, owner, why));
	sort_rules(p, owner, start);
	*ret = MK_TAKE(p);
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * From rules as written to rules as decided. Refuses what cannot mean what it says (with
 * the line and the remedy), and makes the index.
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
	mk_index_done(&p->index);
	free(p->owner);
	free(p->member_at);
	free(p->member);
	free(p->next_peer);
	free(p->next_unit);
	free(p);
	return NULL;
}

/* Two services that no evidence tells apart would both be nobody, for ever: an error, not a surprise. */
static mk_must tell_apart(const struct mk_service *a, const struct mk_service *b, struct mk_why *why)
{
	const bool a_in_b = mk_identity_within_(&a->identity, &b->identity);
	const bool b_in_a = mk_identity_within_(&b->identity, &a->identity);
	const char *narrow = a_in_b ? a->name.s : b->name.s;
	const char *wide = a_in_b ? b->name.s : a->name.s;
	if (a_in_b && b_in_a)
		return mk_why_at(why, MK_BAD_REQUEST, "", b->line,
				 "services \"%s\" (line %u) and \"%s\" have the same identity, so a caller would be "
				 "neither: give each a user, uid, group, unit or socket of its own",
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

mk_must mk_policy_new(const struct mk_rules *rules, struct mk_policy **ret, struct mk_why *why)
{
	mk_auto(freep) struct mk_policy *p = calloc(1, sizeof *p);
	if (!p)
		return MK_NO_MEMORY;
	MK_TRY(mk_policy_copy_(p, rules, why));
	MK_TRY(check_services(&p->rules, why));
	mk_policy_index_services_(p);
	MK_TRY(mk_index_make(p, why));
	MK_TRY(mk_policy_no_dead_rules_(p, why));
	*ret = MK_TAKE(p);
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The compiled policy's inside, private to this folder. Immutable once made.
 *
 * A rule is for a `who`: a service (0 to n_services - 1) or a group of services (from
 * n_services on). A decision looks into the index (index.h) once for the service and once
 * for each group that it is in; it never walks the rules.
 */
#ifndef MK_POLICY_PRIVATE_H
#define MK_POLICY_PRIVATE_H

#include "policy/index.h"
#include "policy/policy.h"

struct mk_policy {
	struct mk_rules rules;   /* a copy of its own; a rule's tags are in the order of their keys */
	uint32_t *owner;         /* by rule: its who */
	uint32_t *member_at;     /* by service, and one more: where its groups begin in `member` */
	uint32_t *member;        /* whos of groups */
	struct mk_index index;
	/* Services by what their identity names; chains that end with MK_NO_SERVICE. */
	uint32_t by_peer[MK_SERVICES_MAX], by_unit[MK_SERVICES_MAX]; /* heads, by hash */
	uint32_t *next_peer, *next_unit;
};

#define MK_CREDENTIAL "credential" /* the socket where systemd asks for a unit */

/* copy.c: the document, checked rule by rule, its groups, and whom each rule is for. */
mk_must mk_policy_copy_(struct mk_policy *p, const struct mk_rules *from, struct mk_why *why);

/* identity.c */
void mk_policy_index_services_(struct mk_policy *p);
/* Whoever fits `narrow` fits `wide` too, so that nobody can ever be `narrow`. */
bool mk_identity_within_(const struct mk_identity *narrow, const struct mk_identity *wide);

/* dead.c: an allow that can never decide is an error. */
mk_must mk_policy_no_dead_rules_(const struct mk_policy *p, struct mk_why *why);

/* check.c: mk_policy_check, and how many lookups and comparisons it took. */
struct mk_verdict mk_policy_decide_(const struct mk_policy *p, uint32_t service, enum mk_action action,
				    const struct mk_subject *about, unsigned *work);

#endif

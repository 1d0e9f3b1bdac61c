/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a caller is. Starts from nobody and stays there unless exactly one service fits
 * all that the kernel said. Never guesses: evidence that is incomplete fits nothing.
 */
#include "policy/policy_.h"

static bool in_group(const struct mk_evidence *e, gid_t gid)
{
	if (e->gid == gid)
		return true;
	for (size_t i = 0; i < e->n_groups; i++)
		if (e->groups[i] == gid)
			return true;
	return false;
}

/* Evidence that makes nobody, whatever the policy says. */
static bool is_nobody(const struct mk_evidence *e, const struct mk_nobody *n)
{
	if (!e->known || e->n_groups > MK_GROUPS_MAX || !e->socket.s[0])
		return true;
	if (e->uid == n->own_uid || e->uid == n->overflow_uid || e->uid == (uid_t)-1)
		return true;
	return n->pid_required && e->pid <= 0;
}

static bool fits(const struct mk_identity *id, const struct mk_evidence *e)
{
	const bool names_uid = id->set & MK_EVIDENCE_UID;
	if (!mk_word_eq(&id->socket, &e->socket))
		return false;
	if (names_uid && id->uid != e->uid)
		return false;
	if (!names_uid && e->uid == 0)
		return false; /* root is a service only where it is named */
	return !(id->set & MK_EVIDENCE_GROUP) || in_group(e, id->gid);
}

uint32_t mk_policy_who(const struct mk_policy *p, const struct mk_evidence *e, const struct mk_nobody *n)
{
	uint32_t found = MK_NO_SERVICE;
	if (is_nobody(e, n))
		return MK_NO_SERVICE;
	for (size_t i = 0; i < p->rules.n_services; i++) {
		if (!fits(&p->rules.services[i].identity, e))
			continue;
		if (found != MK_NO_SERVICE)
			return MK_NO_SERVICE; /* two fit: nobody */
		found = (uint32_t)i;
	}
	return found;
}

bool mk_identity_within_(const struct mk_identity *narrow, const struct mk_identity *wide)
{
	const bool narrow_is_root = (narrow->set & MK_EVIDENCE_UID) && narrow->uid == 0;
	if (!mk_word_eq(&narrow->socket, &wide->socket) || (wide->set & ~narrow->set) != 0)
		return false;
	if ((wide->set & MK_EVIDENCE_UID) ? narrow->uid != wide->uid : narrow_is_root)
		return false; /* a service that names no uid never takes uid 0 */
	return !(wide->set & MK_EVIDENCE_GROUP) || narrow->gid == wide->gid;
}

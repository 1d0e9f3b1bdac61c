/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a caller is. Starts from nobody and stays there unless exactly one service fits
 * all that the kernel said. Never guesses: evidence that is incomplete fits nothing.
 */
#include "policy/policy_.h"

#define HEADS MK_SERVICES_MAX

/* ---- the chains: services that name this uid on this socket, or this unit ---- */

static uint32_t head_of(const char *text, uint64_t more)
{
	uint64_t h = mk_hash_value(MK_HASH_START, text);
	for (unsigned i = 0; i < 8; i++)
		h = mk_hash_more(h, (uint8_t)(more >> (i * 8)));
	return (uint32_t)((h ^ h >> 32) % HEADS);
}

/* One number for "names no uid" beside those for all uids. */
static uint32_t peer_head(const struct mk_word *socket, bool names_uid, uid_t uid)
{
	return head_of(socket->s, names_uid ? (uint64_t)uid : UINT64_MAX);
}

void mk_policy_index_services_(struct mk_policy *p)
{
	_Static_assert(MK_NO_SERVICE == UINT32_MAX, "all its bytes are 0xff");
	memset(p->by_peer, 0xff, sizeof p->by_peer);
	memset(p->by_unit, 0xff, sizeof p->by_unit);
	for (uint32_t i = 0; i < p->rules.n_services; i++) {
		const struct mk_identity *id = &p->rules.services[i].identity;
		uint32_t *peer = &p->by_peer[peer_head(&id->socket, id->set & MK_EVIDENCE_UID, id->uid)];
		uint32_t *unit = &p->by_unit[head_of(id->unit, 0)];
		p->next_peer[i] = *peer;
		*peer = i;
		p->next_unit[i] = *unit;
		*unit = i;
	}
}

/* ---- one service ---- */

static bool in_group(const struct mk_evidence *e, gid_t gid)
{
	if (e->gid == gid)
		return true;
	for (size_t i = 0; i < e->n_groups; i++)
		if (e->groups[i] == gid)
			return true;
	return false;
}

static bool same_unit(const struct mk_identity *id, const char *unit)
{
	return id->unit[0] && strcmp(id->unit, unit) == 0;
}

static bool same_account(const struct mk_account *a, const struct mk_account *b)
{
	return a->ns[0] && a->name[0] && strcmp(a->ns, b->ns) == 0 && strcmp(a->name, b->name) == 0;
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

/* All that the kernel tells; what a token tells stands apart. */
static bool fits_peer(const struct mk_identity *id, const struct mk_evidence *e)
{
	const bool names_uid = id->set & MK_EVIDENCE_UID;
	if (!mk_word_eq(&id->socket, &e->socket))
		return false;
	if (names_uid && id->uid != e->uid)
		return false;
	if (!names_uid && e->uid == 0)
		return false; /* root is a service only where it is named */
	if ((id->set & MK_EVIDENCE_UNIT) && !same_unit(id, e->unit))
		return false;
	return !(id->set & MK_EVIDENCE_GROUP) || in_group(e, id->gid);
}

static bool fits(const struct mk_identity *id, const struct mk_evidence *e)
{
	return fits_peer(id, e) && (!(id->set & MK_EVIDENCE_ACCOUNT) || same_account(&id->account, &e->account));
}

/* ---- all of them ---- */

typedef bool fit_fn(const struct mk_identity *id, const struct mk_evidence *e);

/* The services that name the caller's uid and those that name none; two that fit are nobody. */
static uint32_t the_one(const struct mk_policy *p, const struct mk_evidence *e, fit_fn *fit)
{
	uint32_t found = MK_NO_SERVICE;
	for (unsigned names_uid = 0; names_uid < 2; names_uid++)
		for (uint32_t i = p->by_peer[peer_head(&e->socket, names_uid, e->uid)]; i != MK_NO_SERVICE; i = p->next_peer[i]) {
			const struct mk_identity *id = &p->rules.services[i].identity;
			const unsigned of_uids = (id->set & MK_EVIDENCE_UID) ? 1 : 0;
			if (of_uids != names_uid || !fit(id, e))
				continue; /* of_uids: both chains may begin at one head */
			if (found != MK_NO_SERVICE)
				return MK_NO_SERVICE;
			found = i;
		}
	return found;
}

/* systemd asks for a unit: its own uid and cgroup say nothing. */
static uint32_t vouched(const struct mk_policy *p, const struct mk_evidence *e)
{
	uint32_t named = MK_NO_SERVICE, other = MK_NO_SERVICE;
	size_t n_named = 0, n_other = 0;
	for (uint32_t i = p->by_unit[head_of(e->unit, 0)]; i != MK_NO_SERVICE; i = p->next_unit[i]) {
		const struct mk_identity *id = &p->rules.services[i].identity;
		if (!(id->set & MK_EVIDENCE_UNIT) || (id->set & MK_EVIDENCE_ACCOUNT) || !same_unit(id, e->unit))
			continue;
		if (strcmp(id->socket.s, MK_CREDENTIAL) == 0) {
			named = i;
			n_named++;
		} else {
			other = i;
			n_other++;
		}
	}
	if (n_named > 0)
		return n_named == 1 ? named : MK_NO_SERVICE;
	return n_other == 1 ? other : MK_NO_SERVICE;
}

uint32_t mk_policy_who(const struct mk_policy *p, const struct mk_evidence *e, const struct mk_nobody *n)
{
	if (is_nobody(e, n))
		return MK_NO_SERVICE;
	if (e->vouched != (strcmp(e->socket.s, MK_CREDENTIAL) == 0))
		return MK_NO_SERVICE;
	return e->vouched ? vouched(p, e) : the_one(p, e, fits);
}

static bool lacks_account_only(const struct mk_identity *id, const struct mk_evidence *e)
{
	return (id->set & MK_EVIDENCE_ACCOUNT) && fits_peer(id, e);
}

bool mk_policy_wants_account(const struct mk_policy *p, const struct mk_evidence *e, const struct mk_nobody *n)
{
	if (is_nobody(e, n) || e->vouched || e->account.ns[0] || mk_policy_who(p, e, n) != MK_NO_SERVICE)
		return false;
	for (uint32_t i = 0; i < p->rules.n_services; i++) /* only on the way to a refusal */
		if (lacks_account_only(&p->rules.services[i].identity, e))
			return true;
	return false;
}

bool mk_identity_within_(const struct mk_identity *narrow, const struct mk_identity *wide)
{
	const bool narrow_is_root = (narrow->set & MK_EVIDENCE_UID) && narrow->uid == 0;
	if (!mk_word_eq(&narrow->socket, &wide->socket) || (wide->set & ~narrow->set) != 0)
		return false;
	if (strcmp(wide->socket.s, MK_CREDENTIAL) == 0)
		return strcmp(narrow->unit, wide->unit) == 0; /* there the unit alone counts */
	if ((wide->set & MK_EVIDENCE_UID) ? narrow->uid != wide->uid : narrow_is_root)
		return false; /* a service that names no uid never takes uid 0 */
	if ((wide->set & MK_EVIDENCE_UNIT) && strcmp(narrow->unit, wide->unit) != 0)
		return false;
	if ((wide->set & MK_EVIDENCE_ACCOUNT) && !same_account(&narrow->account, &wide->account))
		return false;
	return !(wide->set & MK_EVIDENCE_GROUP) || narrow->gid == wide->gid;
}

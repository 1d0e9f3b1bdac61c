/* SPDX-License-Identifier: Apache-2.0
 *
 * Order is all here. A freeze is in force first and written afterwards, as a disk that is
 * full must not keep the doors open; all else is written first.
 */
#include "agent/broker/acts.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/acts_revoke.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/pages.h"
#include "agent/broker/now.h"
#include "agent/broker/tell.h"

#include <sodium.h>
#include <stdio.h>

static mk_must write_act(struct mk_broker *b, struct mk_audit_rec *rec, const char *event, const char *detail)
{
	rec->event = event;
	rec->detail = detail;
	return mk_audit_write_synced(b->audit, rec);
}

const struct mk_frozen *mk_act_frozen(const struct mk_broker *b)
{
	return &b->frozen;
}

/* What follows from a change of what is kept. */
static void changed(struct mk_broker *b)
{
	mk_audit_state(b->audit, b->db ? mk_statedb_generation(b->db) : 0);
	mk_health_check(b);
}

static void freeze_changed(struct mk_broker *b)
{
	changed(b);
	mk_tell_resync(b);
}

enum mk_err mk_act_kept(const struct mk_broker *b, enum mk_err e, const char *act)
{
	if (e == MK_SYSTEM)
		mk_log(MK_ERROR, "state_not_written", MK_KV_S("act", act), MK_KV_S("fault", mk_statedb_fault(b->db)),
		       MK_KV_S("remedy", "nothing was changed: make room in state_dir, or repair its disk, and try again"));
	return e;
}

static mk_must keep_frozen(struct mk_broker *b, struct mk_audit_rec *rec)
{
	const enum mk_err recorded = write_act(b, rec, "freeze", b->frozen.reason);
	const enum mk_err written = b->db ? mk_statedb_freeze(b->db, &b->frozen) : MK_SYSTEM;
	if (written != MK_OK)
		mk_log(MK_ERROR, "freeze_not_kept", MK_KV_S("fault", b->db ? mk_statedb_fault(b->db) : ""),
		       MK_KV_S("remedy", "it is in force until this process ends: free the disk and freeze again"));
	return written != MK_OK ? written : recorded;
}

mk_must mk_act_freeze(struct mk_broker *b, struct mk_caller *c, const char *reason)
{
	struct mk_audit_rec rec;
	MK_TRY(mk_gate_may(b, c, MK_ACTION_FREEZE, &rec));
	const struct mk_service *s = mk_gate_who(b, c);
	struct mk_frozen f = { .on = true, .at_ms = mk_wall_ms(), .uid = c->evidence.uid };
	if (s)
		f.by = s->name;
	snprintf(f.reason, sizeof f.reason, "%s", reason);
	b->frozen = f;
	mk_pages_move_all(b);
	mk_log(MK_WARN, "frozen", MK_KV_S("by", f.by.s), MK_KV_S("reason", f.reason));
	const enum mk_err e = keep_frozen(b, &rec);
	freeze_changed(b);
	return e;
}

mk_must mk_act_thaw(struct mk_broker *b)
{
	if (!b->db)
		return MK_NOT_READY;
	MK_TRY(mk_act_kept(b, mk_statedb_thaw(b->db), "thaw"));
	b->frozen = (struct mk_frozen){ .on = false };
	mk_log(MK_INFO, "thawed", MK_KV_S("state", "hand-outs go on"));
	freeze_changed(b);
	return MK_OK;
}

/* Over what makes the act: another proposal, another digest. */
static void digest_of(const struct mk_broker *b, struct mk_proposal *p)
{
	char text[sizeof *p + 2 * sizeof(struct mk_word) + 64];
	uint8_t hash[MK_PROPOSAL_DIGEST / 2];
	snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%s\n%u\n%lld\n", b->environment.s, p->id, mk_action_word(p->action),
			       p->detail, p->by.s, p->uid, (long long)p->expires_ms);
	crypto_generichash(hash, sizeof hash, (const uint8_t *)text, strlen(text), NULL, 0);
	sodium_bin2hex(p->digest, sizeof p->digest, hash, sizeof hash);
}

/* A thaw ends the freeze that its proposer saw, and no later one. */
static void pin(const struct mk_broker *b, enum mk_action action, const char *detail, char to[MK_REASON_TEXT_MAX + 1])
{
	char at[MK_RFC3339_MAX];
	if (action != MK_ACTION_THAW) {
		snprintf(to, MK_REASON_TEXT_MAX + 1, "%s", detail);
		return;
	}
	mk_rfc3339(b->frozen.at_ms, true, at);
	snprintf(to, MK_REASON_TEXT_MAX + 1, "the freeze of %s by %s (uid %u)", at, b->frozen.by.s, b->frozen.uid);
}

/* Before it is on record: one that finds no room was never made. */
static mk_must room(struct mk_broker *b, struct mk_audit_rec *rec, const struct mk_proposal *p)
{
	struct mk_proposal all[MK_PROPOSALS_MAX];
	size_t n = 0, own = 0;
	MK_TRY(mk_act_kept(b, mk_statedb_proposals(b->db, p->at_ms, all, &n), "proposal"));
	for (size_t i = 0; i < n; i++)
		own += all[i].uid == p->uid;
	return n < MK_PROPOSALS_MAX && own < MK_PROPOSALS_PER_UID ? MK_OK : mk_gate_deny(b, rec, MK_CONFLICT);
}

static mk_must propose(struct mk_broker *b, struct mk_audit_rec *rec, struct mk_proposal *p)
{
	MK_TRY(room(b, rec, p));
	uint8_t id[MK_PROPOSAL_ID / 2];
	char detail[MK_PROPOSAL_ID + MK_PROPOSAL_DIGEST + 2];
	randombytes_buf(id, sizeof id);
	sodium_bin2hex(p->id, sizeof p->id, id, sizeof id);
	digest_of(b, p);
	snprintf(detail, sizeof detail, "%s %s", p->id, p->digest);
	MK_TRY(write_act(b, rec, "proposal", detail));
	MK_TRY(mk_act_kept(b, mk_statedb_propose(b->db, p), "proposal"));
	changed(b);
	return MK_OK;
}

static bool takes_two(const struct mk_broker *b, enum mk_action action)
{
	return (b->two_person & UINT32_C(1) << action) && (action != MK_ACTION_THAW || b->frozen.on);
}

mk_must mk_act_begin(struct mk_broker *b, struct mk_caller *c, const struct mk_act *act, struct mk_proposal *ret, bool *ret_waits)
{
	struct mk_audit_rec rec;
	MK_TRY(mk_gate_may_with(b, c, act->action, act->about, &rec));
	if (!takes_two(b, act->action)) {
		*ret_waits = false;
		return write_act(b, &rec, "admin", act->detail);
	}
	if (!b->db)
		return MK_NOT_READY;
	const int64_t now = mk_now_ms(b);
	struct mk_proposal p = { .action = act->action, .uid = c->evidence.uid, .at_ms = now, .expires_ms = now + MK_PROPOSAL_MS };
	const struct mk_service *s = mk_gate_who(b, c);
	if (s)
		p.by = s->name;
	pin(b, act->action, act->detail, p.detail);
	MK_TRY(propose(b, &rec, &p));
	*ret = p;
	*ret_waits = true;
	return MK_OK;
}

/* Does the service that proposed it still have the right? */
static bool still_may(const struct mk_broker *b, const struct mk_proposal *p)
{
	struct mk_restore r;
	const bool named = p->action == MK_ACTION_RESTORE;
	if (named && mk_restore_of_text(p->detail, &r) != MK_OK)
		return false;
	const struct mk_subject instance = { .name = NULL }, about = named ? mk_gate_subject(b, &r.name) : instance;
	return mk_policy_check(b->policy, mk_policy_service_of(b->policy, &p->by), p->action, &about).decision == MK_ALLOW;
}

/* Is the freeze that it would end the one that is? A later one that could not be written has left the proposal there. */
static bool is_in_force(const struct mk_broker *b, const struct mk_proposal *p)
{
	char now[MK_REASON_TEXT_MAX + 1];
	pin(b, p->action, p->detail, now);
	return b->frozen.on && strcmp(now, p->detail) == 0;
}

static enum mk_approval judge(const struct mk_broker *b, const struct mk_caller *c, const char *digest, const struct mk_proposal *p)
{
	struct mk_proposal again = *p;
	digest_of(b, &again);
	if (c->evidence.uid == p->uid)
		return MK_APPROVAL_SAME_PERSON;
	if (strcmp(digest, p->digest) != 0 || strcmp(again.digest, p->digest) != 0)
		return MK_APPROVAL_DIGEST;
	if (!still_may(b, p))
		return MK_APPROVAL_WITHDRAWN;
	return p->action == MK_ACTION_THAW && !is_in_force(b, p) ? MK_APPROVAL_OVERTAKEN : MK_APPROVAL_OK;
}

mk_must mk_act_approve(struct mk_broker *b, struct mk_caller *c, const char *id, const char *digest, struct mk_proposal *ret,
		       enum mk_approval *ret_why)
{
	struct mk_audit_rec rec;
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	char detail[MK_PROPOSAL_ID + MK_PROPOSAL_DIGEST + 2];
	size_t n = 0;
	MK_TRY(mk_gate_may(b, c, MK_ACTION_APPROVE, &rec));
	if (!b->db)
		return MK_NOT_READY;
	MK_TRY(mk_act_kept(b, mk_statedb_proposals(b->db, mk_now_ms(b), all, &n), "approval")); /* what is over goes */
	const enum mk_err found = mk_act_kept(b, mk_statedb_proposal(b->db, id, &p), "approval");
	if (found != MK_OK)
		return found == MK_NOT_FOUND ? mk_gate_deny(b, &rec, MK_NOT_FOUND) : found;
	*ret_why = judge(b, c, digest, &p);
	if (*ret_why != MK_APPROVAL_OK)
		return mk_gate_deny(b, &rec, MK_CONFLICT);
	snprintf(detail, sizeof detail, "%s %s", p.id, p.digest);
	MK_TRY(write_act(b, &rec, "approval", detail));
	MK_TRY(mk_act_kept(b, mk_statedb_drop(b->db, id), "approval")); /* before it is done: it is done once, or not at all */
	changed(b);
	*ret = p;
	return MK_OK;
}

mk_must mk_act_proposals(struct mk_broker *b, struct mk_proposal ret[MK_PROPOSALS_MAX], size_t *ret_n)
{
	*ret_n = 0;
	return b->db ? mk_statedb_proposals(b->db, mk_now_ms(b), ret, ret_n) : MK_OK;
}

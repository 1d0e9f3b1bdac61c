/* SPDX-License-Identifier: Apache-2.0
 *
 * The undoing of a revocation, and how one is found again at a start. Unlike a revocation a
 * restore is on disk before it is in force.
 */
#include "agent/broker/acts_revoke.h"

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/broker/core.h"
#include "agent/broker/environment.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <inttypes.h>
#include <stdio.h>

static const char values_word[] = " value", in_store_word[] = " in-store";

void mk_restore_text(const struct mk_restore *r, char out[MK_RESTORE_TEXT])
{
	snprintf(out, MK_RESTORE_TEXT, "restore %s%s%s", r->name.s, r->values_too ? values_word : "", r->in_store ? in_store_word : "");
}

static bool takes(const char **text, const char *word)
{
	const size_t n = strlen(word);
	if (strncmp(*text, word, n) != 0)
		return false;
	*text += n;
	return true;
}

mk_must mk_restore_of_text(const char *text, struct mk_restore *ret)
{
	const size_t head = strlen("restore "), n = strlen(text);
	if (n <= head || memcmp(text, "restore ", head) != 0)
		return MK_BAD_REQUEST;
	const size_t name_n = strcspn(text + head, " ");
	const char *rest = text + head + name_n;
	struct mk_restore r = { .values_too = takes(&rest, values_word) };
	r.in_store = takes(&rest, in_store_word);
	MK_TRY(mk_name_of(mk_span((const uint8_t *)text + head, name_n), &r.name));
	if (*rest)
		return MK_BAD_REQUEST;
	*ret = r;
	return MK_OK;
}

bool mk_act_restorable(const struct mk_broker *b, const struct mk_restore *r)
{
	return mk_revoked_name(&b->revoked, &r->name) || (r->values_too && mk_revoked_values_of(&b->revoked, &r->name) > 0);
}

mk_must mk_act_restore(struct mk_broker *b, const struct mk_restore *r)
{
	if (!mk_act_restorable(b, r))
		return MK_NOT_FOUND;
	if (!b->db)
		return MK_NOT_READY;
	MK_TRY(mk_act_kept(b, mk_statedb_restore(b->db, &r->name, r->values_too), "restore"));
	if (r->values_too)
		mk_revoked_twins_return(b, &r->name);
	mk_revoked_drop(&b->revoked, &r->name, r->values_too);
	mk_store_remove(b->store, &r->name, MK_SLOT_CURRENT); /* what is served from now on is fetched from now on */
	mk_environment_settle(b);
	mk_missing_clear(b->missing);
	mk_audit_state(b->audit, mk_statedb_generation(b->db));
	mk_tell_event(b, MK_TOLD_RESTORED, &r->name, NULL);
	mk_log(MK_INFO, "restored", MK_KV_S("connection", r->name.s), MK_KV_S("values", r->values_too ? "too" : "stay dead"));
	return MK_OK;
}

/* ---- at a start ---- */

static enum mk_err take_name(void *arg, const struct mk_name *name, uint8_t unseen)
{
	struct mk_broker *b = arg;
	MK_TRY(mk_revoked_room(&b->revoked, 1, 0));
	mk_revoked_add(&b->revoked, name);
	mk_revoked_name(&b->revoked, name)->unseen = unseen;
	return MK_OK;
}

static enum mk_err take_value(void *arg, const struct mk_retired *value)
{
	struct mk_broker *b = arg;
	MK_TRY(mk_revoked_room(&b->revoked, 0, 1));
	mk_revoked_retire(&b->revoked, value);
	return MK_OK;
}

mk_must mk_revoked_load(struct mk_broker *b, const char *key_file, struct mk_why *why)
{
	const struct mk_statekey_from from = { .dir = b->state_dir, .file = key_file, .in_pod = b->in_pod, .environment = &b->environment };
	const struct mk_revoked_taker to = { take_name, take_value, b };
	MK_TRY(mk_statekey_load(&from, b->db, &b->statekey, why));
	mk_store_print(b->store, b->statekey);
	const enum mk_err e = mk_statedb_revoked(b->db, &to);
	if (e != MK_OK)
		return mk_why_set(why, e, "what is revoked cannot be read from %s/state.db, or is more than fits", b->state_dir);
	return MK_OK;
}

static uint64_t found_in_log(const struct mk_broker *b)
{
	struct mk_audit_status s;
	mk_audit_status(b->audit, &s);
	return s.state_found;
}

static mk_must accept_it(struct mk_broker *b, uint64_t found, struct mk_why *why)
{
	const struct mk_audit_rec rec = { .event = "alarm", .reason = mk_alarm_word(MK_ALARM_STATE_ROLLED_BACK), .rule_line = -1 };
	const uint64_t was = mk_statedb_generation(b->db);
	if (mk_statedb_catch_up(b->db, found) != MK_OK)
		return mk_why_set(why, MK_SYSTEM, "%s/state.db cannot be written: make room", b->state_dir);
	mk_log(MK_ALARM, "state_rolled_back", MK_KV_N("generation", was), MK_KV_N("recorded", found));
	mk_alarm_raise(b, MK_ALARM_STATE_ROLLED_BACK, "");
	mk_ignore(mk_audit_write(b->audit, &rec), "the alarm stands");
	return MK_OK;
}

mk_must mk_rollback_check(struct mk_broker *b, struct mk_why *why)
{
	const uint64_t found = found_in_log(b);
	if (!b->db || found <= mk_statedb_generation(b->db))
		return MK_OK;
	if (b->accept_rollback)
		return accept_it(b, found, why);
	return mk_why_set(why, MK_CONFLICT, "%s/state.db is older than the audit log: its generation is %" PRIu64 ", and %" PRIu64 " was recorded, so "
			  "that revocations or a freeze may be missing. Put the newest copy back with its -wal file; where there is none, start once with "
			  "revocation = { rollback = \"accept\"; } and revoke again what `makinictl audit tail` shows", b->state_dir,
			  mk_statedb_generation(b->db), found);
}

bool mk_rollback_found(struct mk_broker *b)
{
	struct mk_why why = { 0 };
	const enum mk_err e = mk_rollback_check(b, &why);
	if (e != MK_OK)
		mk_log_why(MK_ERROR, "state_refused", e, &why);
	return e != MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log's part: that stores are asked stands there before the first question, and
 * each outcome after it. And what an enabled token changes here.
 */
#include "agent/broker/in_store_part.h"

#include "agent/base/log.h"
#include "agent/broker/environment.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/tell.h"

#include <stdio.h>

static struct mk_audit_rec record_of(const struct mk_in_store *j, const struct mk_name *name)
{
	const enum mk_action action = j->verb == MK_VERB_ENABLE ? MK_ACTION_RESTORE : MK_ACTION_REVOKE;
	return (struct mk_audit_rec){
		.event = "in_store", .service = j->service.s[0] ? j->service.s : NULL, .listener = j->evidence.socket.s,
		.peer = j->evidence.known, .uid = j->evidence.uid, .gid = j->evidence.gid, .pid = j->evidence.pid,
		.account = j->evidence.account.ns[0] ? &j->evidence.account : NULL, .action = mk_action_word(action),
		.connection = name->s, .rule_line = -1,
	};
}

mk_must mk_in_store_record_begin(struct mk_in_store *j)
{
	for (size_t i = 0; i < j->n; i++) {
		struct mk_audit_rec rec = record_of(j, &j->names[i]);
		rec.state = "asked";
		MK_TRY(i + 1 < j->n ? mk_audit_write(j->b->audit, &rec) : mk_audit_write_synced(j->b->audit, &rec));
	}
	return MK_OK;
}

/* The last outcome is synced: who is told of it may rely on the log. */
void mk_in_store_record(struct mk_in_store *j, const struct mk_in_store_work *w)
{
	const size_t at = (size_t)(w - j->works);
	const struct mk_name *name = &j->names[at / j->n_stores];
	const struct mk_word *store = &j->stores[at % j->n_stores];
	const char *word = mk_stored_word(j->verb, w->is.outcome), *why = w->is.err != MK_OK ? mk_err_word(w->is.err) : "";
	struct mk_audit_rec rec = record_of(j, name);
	rec.version = w->is.version;
	rec.state = word;
	rec.reason = why;
	rec.detail = store->s;
	mk_log(w->is.outcome <= MK_STORED_DONE ? MK_INFO : MK_WARN, "in_store", MK_KV_S("connection", name->s), MK_KV_S("store", store->s),
	       MK_KV_S("outcome", word), MK_KV_S("err", why), MK_KV_N("ms", w->is.ms));
	if (!j->b->audit)
		return;
	const enum mk_err e = j->open > 0 ? mk_audit_write(j->b->audit, &rec) : mk_audit_write_synced(j->b->audit, &rec);
	if (e != MK_OK)
		mk_log(MK_ERROR, "in_store_not_recorded", MK_KV_S("connection", name->s), MK_KV_S("store", store->s));
}

/* What is fetched from now on is what counts, and who was told that it is restored is told again. */
void mk_in_store_enabled(struct mk_in_store *j, const struct mk_name *name)
{
	struct mk_broker *b = j->b;
	size_t at = 0;
	if (mk_revoked_name(&b->revoked, name))
		return; /* again, meanwhile */
	mk_store_remove(b->store, name, MK_SLOT_CURRENT);
	mk_environment_settle(b);
	mk_missing_drop(b->missing, name, false);
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		if (f->key.kind == MK_FLIGHT_GET && mk_name_eq(&f->key.name, name))
			f->joinable = false;
	mk_tell_event(b, MK_TOLD_RESTORED, name, NULL);
}

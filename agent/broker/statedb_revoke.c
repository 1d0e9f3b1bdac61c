/* SPDX-License-Identifier: Apache-2.0
 *
 * Revoked connections, retired values, and which state key their fingerprints go with. No
 * column of a time is ever compared: a clock that is set back brings nothing back.
 */
#include "agent/broker/statedb_.h"

mk_must mk_statedb_key(struct mk_statedb *db, uint8_t ret[MK_STATEKEY_ID])
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "SELECT id FROM state_key", &s));
	memset(ret, 0, MK_STATEKEY_ID);
	const int rc = sqlite3_step(s);
	if (rc == SQLITE_DONE)
		return MK_OK;
	if (rc != SQLITE_ROW)
		return MK_SYSTEM;
	if (sqlite3_column_bytes(s, 0) != MK_STATEKEY_ID)
		return MK_BAD_REQUEST;
	memcpy(ret, sqlite3_column_blob(s, 0), MK_STATEKEY_ID);
	return MK_OK;
}

static mk_must set_key(struct mk_statedb *db, const uint8_t id[MK_STATEKEY_ID])
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "INSERT OR REPLACE INTO state_key VALUES (1, ?1)", &s));
	sqlite3_bind_blob(s, 1, id, MK_STATEKEY_ID, SQLITE_STATIC);
	return mk_stmt_run(s);
}

mk_must mk_statedb_set_key(struct mk_statedb *db, const uint8_t id[MK_STATEKEY_ID])
{
	MK_TRY(mk_statedb_begin(db));
	return mk_statedb_end(db, set_key(db, id));
}

/* As mk_restore_text writes them, whatever stands behind the name. */
static mk_must drop_proposals(struct mk_statedb *db, const struct mk_name *name)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "DELETE FROM proposal WHERE action = ?1 AND (detail || ' ') LIKE ('restore ' || ?2 || ' %')", &s));
	mk_stmt_text(s, 1, mk_action_word(MK_ACTION_RESTORE));
	mk_stmt_text(s, 2, name->s);
	return mk_stmt_run(s);
}

static mk_must revoke(struct mk_statedb *db, const struct mk_revocation *how, const struct mk_name *name)
{
	MK_STMT s = NULL;
	MK_TRY(drop_proposals(db, name));
	MK_TRY(mk_stmt_new(db, "INSERT OR REPLACE INTO revocation VALUES (?1, ?2, ?3, ?4, ?5, ?6)", &s));
	mk_stmt_text(s, 1, name->s);
	sqlite3_bind_int64(s, 2, how->at_ms);
	mk_stmt_text(s, 3, how->by.s);
	sqlite3_bind_int64(s, 4, how->uid);
	mk_stmt_text(s, 5, how->reason);
	sqlite3_bind_int(s, 6, MK_UNSEEN_ALL);
	return mk_stmt_run(s);
}

static mk_must retire(struct mk_statedb *db, const struct mk_retired *v)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "INSERT INTO retired VALUES (?1, ?2, ?3) ON CONFLICT (fingerprint) DO NOTHING", &s));
	sqlite3_bind_blob(s, 1, v->print, MK_PRINT, SQLITE_STATIC);
	mk_stmt_text(s, 2, v->name.s);
	sqlite3_bind_int64(s, 3, v->at_ms);
	return mk_stmt_run(s);
}

mk_must mk_statedb_revoke(struct mk_statedb *db, const struct mk_revocation *how, const struct mk_name *names, size_t n,
			  const struct mk_retired *values, size_t n_values)
{
	enum mk_err e = MK_OK;
	MK_TRY(mk_statedb_begin(db));
	for (size_t i = 0; i < n && e == MK_OK; i++)
		e = revoke(db, how, &names[i]);
	for (size_t i = 0; i < n_values && e == MK_OK; i++)
		e = retire(db, &values[i]);
	return mk_statedb_end(db, e);
}

static mk_must seen(struct mk_statedb *db, const struct mk_seen *one)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "UPDATE revocation SET unseen = ?2 WHERE connection = ?1", &s));
	mk_stmt_text(s, 1, one->name.s);
	sqlite3_bind_int(s, 2, one->unseen);
	return mk_stmt_run(s);
}

mk_must mk_statedb_seen(struct mk_statedb *db, const struct mk_seen *all, size_t n, const struct mk_retired *value)
{
	MK_TRY(mk_statedb_begin(db));
	enum mk_err e = value ? retire(db, value) : MK_OK;
	for (size_t i = 0; i < n && e == MK_OK; i++)
		e = seen(db, &all[i]);
	return mk_statedb_end(db, e);
}

static mk_must drop(struct mk_statedb *db, const char *sql, const struct mk_name *name)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, sql, &s));
	mk_stmt_text(s, 1, name->s);
	return mk_stmt_run(s);
}

mk_must mk_statedb_restore(struct mk_statedb *db, const struct mk_name *name, bool values_too)
{
	MK_TRY(mk_statedb_begin(db));
	enum mk_err e = drop(db, "DELETE FROM revocation WHERE connection = ?1", name);
	if (e == MK_OK && values_too)
		e = drop(db, "DELETE FROM retired WHERE connection = ?1", name);
	e = mk_statedb_end(db, e);
	if (e != MK_OK)
		mk_statedb_write_over(db);
	return e;
}

static mk_must read_name(sqlite3_stmt *s, int at, struct mk_name *ret)
{
	char text[sizeof ret->s];
	MK_TRY(mk_stmt_get(s, at, text, sizeof text));
	return mk_name_of(mk_span_of(text), ret);
}

static mk_must names_into(struct mk_statedb *db, const struct mk_revoked_taker *to)
{
	int rc;
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "SELECT connection, unseen FROM revocation ORDER BY connection", &s));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct mk_name name;
		MK_TRY(read_name(s, 0, &name));
		MK_TRY(to->name(to->arg, &name, (uint8_t)(sqlite3_column_int(s, 1) & MK_UNSEEN_ALL)));
	}
	return rc == SQLITE_DONE ? MK_OK : MK_SYSTEM;
}

mk_must mk_statedb_revoked(struct mk_statedb *db, const struct mk_revoked_taker *to)
{
	int rc;
	MK_STMT s = NULL;
	MK_TRY(names_into(db, to));
	MK_TRY(mk_stmt_new(db, "SELECT fingerprint, connection, at FROM retired ORDER BY fingerprint", &s));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct mk_retired v = { .at_ms = sqlite3_column_int64(s, 2) };
		if (sqlite3_column_bytes(s, 0) != MK_PRINT)
			return MK_BAD_REQUEST;
		memcpy(v.print, sqlite3_column_blob(s, 0), MK_PRINT);
		MK_TRY(read_name(s, 1, &v.name));
		MK_TRY(to->value(to->arg, &v));
	}
	return rc == SQLITE_DONE ? MK_OK : MK_SYSTEM;
}

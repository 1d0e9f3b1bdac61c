/* SPDX-License-Identifier: Apache-2.0
 *
 * The freeze, and the acts that wait for a second person.
 */
#include "agent/broker/statedb_.h"

#define CLOCK_STEP_MS 60000 /* what a clock may be set back in its daily life */

mk_must mk_statedb_frozen(struct mk_statedb *db, struct mk_frozen *ret)
{
	struct mk_frozen f = { .on = false };
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "SELECT at, service, uid, reason FROM freeze", &s));
	const int rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		f.on = true;
		f.at_ms = sqlite3_column_int64(s, 0);
		f.uid = (uid_t)sqlite3_column_int64(s, 2);
		MK_TRY(mk_stmt_get(s, 1, f.by.s, sizeof f.by.s));
		MK_TRY(mk_stmt_get(s, 3, f.reason, sizeof f.reason));
	} else if (rc != SQLITE_DONE) {
		return MK_SYSTEM;
	}
	*ret = f;
	return MK_OK;
}

static mk_must drop_thaws(struct mk_statedb *db)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "DELETE FROM proposal WHERE action = ?1", &s));
	mk_stmt_text(s, 1, mk_action_word(MK_ACTION_THAW));
	return mk_stmt_run(s);
}

static mk_must freeze(struct mk_statedb *db, const struct mk_frozen *f)
{
	MK_STMT s = NULL;
	MK_TRY(drop_thaws(db));
	MK_TRY(mk_stmt_new(db, "INSERT OR REPLACE INTO freeze VALUES (1, ?1, ?2, ?3, ?4)", &s));
	sqlite3_bind_int64(s, 1, f->at_ms);
	mk_stmt_text(s, 2, f->by.s);
	sqlite3_bind_int64(s, 3, f->uid);
	mk_stmt_text(s, 4, f->reason);
	return mk_stmt_run(s);
}

mk_must mk_statedb_freeze(struct mk_statedb *db, const struct mk_frozen *f)
{
	MK_TRY(mk_statedb_begin(db));
	return mk_statedb_end(db, freeze(db, f));
}

static mk_must thaw(struct mk_statedb *db)
{
	MK_STMT s = NULL;
	MK_TRY(drop_thaws(db));
	MK_TRY(mk_stmt_new(db, "DELETE FROM freeze", &s));
	return mk_stmt_run(s);
}

mk_must mk_statedb_thaw(struct mk_statedb *db)
{
	MK_TRY(mk_statedb_begin(db));
	const enum mk_err e = mk_statedb_end(db, thaw(db));
	if (e != MK_OK)
		mk_statedb_write_over(db);
	return e;
}

/* One that begins in the future is over, too: the clock was set back, and nobody knows how long it waited. */
static mk_must drop_over(struct mk_statedb *db, int64_t now_ms, int *ret_gone)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "DELETE FROM proposal WHERE expires <= ?1 OR at > ?2", &s));
	sqlite3_bind_int64(s, 1, now_ms);
	sqlite3_bind_int64(s, 2, now_ms + CLOCK_STEP_MS);
	MK_TRY(mk_stmt_run(s));
	*ret_gone = sqlite3_changes(db->sql);
	return MK_OK;
}

static mk_must count(struct mk_statedb *db, uid_t uid, int64_t *ret_all, int64_t *ret_uid)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "SELECT count(*), count(*) FILTER (WHERE uid = ?1) FROM proposal", &s));
	sqlite3_bind_int64(s, 1, uid);
	if (sqlite3_step(s) != SQLITE_ROW)
		return MK_SYSTEM;
	*ret_all = sqlite3_column_int64(s, 0);
	*ret_uid = sqlite3_column_int64(s, 1);
	return MK_OK;
}

static mk_must propose(struct mk_statedb *db, const struct mk_proposal *p)
{
	int64_t all = 0, of_uid = 0;
	int gone = 0;
	MK_STMT s = NULL;
	MK_TRY(drop_over(db, p->at_ms, &gone));
	MK_TRY(count(db, p->uid, &all, &of_uid));
	if (all >= MK_PROPOSALS_MAX || of_uid >= MK_PROPOSALS_PER_UID)
		return MK_RATE_LIMITED;
	MK_TRY(mk_stmt_new(db, "INSERT INTO proposal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", &s));
	mk_stmt_text(s, 1, p->id);
	mk_stmt_text(s, 2, mk_action_word(p->action));
	mk_stmt_text(s, 3, p->detail);
	mk_stmt_text(s, 4, p->digest);
	mk_stmt_text(s, 5, p->by.s);
	sqlite3_bind_int64(s, 6, p->uid);
	sqlite3_bind_int64(s, 7, p->at_ms);
	sqlite3_bind_int64(s, 8, p->expires_ms);
	return mk_stmt_run(s);
}

mk_must mk_statedb_propose(struct mk_statedb *db, const struct mk_proposal *p)
{
	MK_TRY(mk_statedb_begin(db));
	return mk_statedb_end(db, propose(db, p));
}

#define COLUMNS "SELECT id, action, detail, digest, service, uid, at, expires FROM proposal "

static mk_must read_proposal(sqlite3_stmt *s, struct mk_proposal *ret)
{
	char action[16];
	struct mk_proposal p = { .uid = (uid_t)sqlite3_column_int64(s, 5), .at_ms = sqlite3_column_int64(s, 6),
				 .expires_ms = sqlite3_column_int64(s, 7) };
	MK_TRY(mk_stmt_get(s, 0, p.id, sizeof p.id));
	MK_TRY(mk_stmt_get(s, 1, action, sizeof action));
	MK_TRY(mk_action_of(mk_span_of(action), &p.action));
	MK_TRY(mk_stmt_get(s, 2, p.detail, sizeof p.detail));
	MK_TRY(mk_stmt_get(s, 3, p.digest, sizeof p.digest));
	MK_TRY(mk_stmt_get(s, 4, p.by.s, sizeof p.by.s));
	*ret = p;
	return MK_OK;
}

mk_must mk_statedb_proposal(struct mk_statedb *db, const char *id, struct mk_proposal *ret)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, COLUMNS "WHERE id = ?1", &s));
	mk_stmt_text(s, 1, id);
	const int rc = sqlite3_step(s);
	if (rc == SQLITE_DONE)
		return MK_NOT_FOUND;
	return rc == SQLITE_ROW ? read_proposal(s, ret) : MK_SYSTEM;
}

static mk_must drop(struct mk_statedb *db, const char *id)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "DELETE FROM proposal WHERE id = ?1", &s));
	mk_stmt_text(s, 1, id);
	MK_TRY(mk_stmt_run(s));
	return sqlite3_changes(db->sql) == 1 ? MK_OK : MK_NOT_FOUND;
}

mk_must mk_statedb_drop(struct mk_statedb *db, const char *id)
{
	MK_TRY(mk_statedb_begin(db));
	return mk_statedb_end(db, drop(db, id));
}

static mk_must sweep(struct mk_statedb *db, int64_t now_ms)
{
	int gone = 0;
	MK_TRY(mk_statedb_begin(db));
	const enum mk_err e = drop_over(db, now_ms, &gone);
	if (e == MK_OK && gone == 0) { /* nothing changed: no generation */
		mk_ignore(mk_statedb_end(db, MK_NOT_FOUND), "undoing nothing");
		return MK_OK;
	}
	return mk_statedb_end(db, e);
}

mk_must mk_statedb_proposals(struct mk_statedb *db, int64_t now_ms, struct mk_proposal ret[MK_PROPOSALS_MAX], size_t *ret_n)
{
	size_t n = 0;
	MK_STMT s = NULL;
	MK_TRY(sweep(db, now_ms));
	MK_TRY(mk_stmt_new(db, COLUMNS "ORDER BY at, id", &s));
	int rc = SQLITE_DONE;
	while (n < MK_PROPOSALS_MAX && (rc = sqlite3_step(s)) == SQLITE_ROW)
		MK_TRY(read_proposal(s, &ret[n++]));
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		return MK_SYSTEM;
	*ret_n = n;
	return MK_OK;
}

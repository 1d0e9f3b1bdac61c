/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening, and the frame of each change. What cannot be trusted is refused with the
 * remedy: to start without a freeze that was ordered would be worse than not to start.
 */
#include "agent/broker/statedb_.h"

#include "agent/base/file.h"
#include "agent/broker/wall.h"
#include "mk/own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HANDOVER_MS    5000 /* the broker before this one may be ending just now */
#define APPLICATION_ID 0x4d4b4931 /* "MKI1" in the file's head: what it is and the form of its tables */

static const char schema[] =
	"CREATE TABLE instance (environment TEXT NOT NULL, generation INTEGER NOT NULL);"
	"CREATE TABLE freeze (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL, service TEXT NOT NULL,"
	" uid INTEGER NOT NULL, reason TEXT NOT NULL);"
	"CREATE TABLE proposal (id TEXT PRIMARY KEY, action TEXT NOT NULL, detail TEXT NOT NULL, digest TEXT NOT NULL,"
	" service TEXT NOT NULL, uid INTEGER NOT NULL, at INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;";
/* What a database of before has not. */
static const char schema_more[] =
	"CREATE TABLE IF NOT EXISTS opening (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS state_key (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL);"
	"CREATE TABLE IF NOT EXISTS revocation (connection TEXT PRIMARY KEY, at INTEGER NOT NULL, service TEXT NOT NULL, uid INTEGER NOT NULL,"
	" reason TEXT NOT NULL, unseen INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS retired (fingerprint BLOB PRIMARY KEY, connection TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS newest_seen (one INTEGER PRIMARY KEY CHECK (one = 1), boot_id TEXT NOT NULL, at INTEGER NOT NULL,"
	" boot INTEGER NOT NULL, before_at INTEGER NOT NULL, before_boot INTEGER NOT NULL, jumped INTEGER NOT NULL, handed INTEGER NOT NULL);";

/* Its own for as long as the process lives: then there is no shared memory file, and no lock is taken again. */
static const char settings[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
			       "PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON; PRAGMA journal_mode=WAL;"
			       "PRAGMA synchronous=FULL; PRAGMA mmap_size=0;";

void mk_stmt_donep(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}

static void statedb_freep(struct mk_statedb **db)
{
	*db = mk_statedb_free(*db);
}

struct mk_statedb *mk_statedb_free(struct mk_statedb *db)
{
	if (!db)
		return NULL;
	sqlite3_close(db->sql);
	free(db);
	return NULL;
}

uint64_t mk_statedb_generation(const struct mk_statedb *db)
{
	return db->generation;
}

mk_must mk_stmt_new(struct mk_statedb *db, const char *sql, sqlite3_stmt **ret)
{
	return sqlite3_prepare_v2(db->sql, sql, -1, ret, NULL) == SQLITE_OK ? MK_OK : MK_SYSTEM;
}

void mk_stmt_text(sqlite3_stmt *s, int at, const char *text)
{
	sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC); /* what was not bound is NULL, which no column takes */
}

mk_must mk_stmt_run(sqlite3_stmt *s)
{
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		;
	return rc == SQLITE_DONE ? MK_OK : MK_SYSTEM;
}

mk_must mk_stmt_get(sqlite3_stmt *s, int at, char *to, size_t cap)
{
	const void *text = sqlite3_column_type(s, at) == SQLITE_TEXT ? sqlite3_column_text(s, at) : NULL;
	const size_t n = text ? (size_t)sqlite3_column_bytes(s, at) : cap;
	if (!text || n >= cap || memchr(text, 0, n))
		return MK_BAD_REQUEST;
	memcpy(to, text, n);
	to[n] = '\0';
	return MK_OK;
}

static mk_must exec(struct mk_statedb *db, const char *sql)
{
	return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? MK_OK : MK_SYSTEM;
}

mk_must mk_statedb_begin(struct mk_statedb *db)
{
	const enum mk_err e = exec(db, "BEGIN IMMEDIATE");
	if (e != MK_OK)
		db->rc = sqlite3_extended_errcode(db->sql);
	return e;
}

static mk_must commit(struct mk_statedb *db, enum mk_err e)
{
	if (e == MK_OK)
		e = exec(db, "COMMIT");
	if (e == MK_OK)
		return MK_OK;
	db->rc = sqlite3_extended_errcode(db->sql);
	mk_ignore(exec(db, "ROLLBACK"), "where this fails too, the transaction ends with the process");
	return e;
}

mk_must mk_statedb_end(struct mk_statedb *db, enum mk_err e)
{
	if (e == MK_OK)
		e = exec(db, "UPDATE instance SET generation = generation + 1");
	MK_TRY(commit(db, e));
	db->generation++;
	return MK_OK;
}

void mk_statedb_write_over(struct mk_statedb *db)
{
	mk_ignore(exec(db, "UPDATE opening SET n = n + 1"), "the disk fails again: see statedb_.h");
}

static mk_must set_generation(struct mk_statedb *db, uint64_t generation)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "UPDATE instance SET generation = ?1", &s));
	sqlite3_bind_int64(s, 1, (int64_t)generation);
	return mk_stmt_run(s);
}

mk_must mk_statedb_catch_up(struct mk_statedb *db, uint64_t generation)
{
	if (generation <= db->generation)
		return MK_OK;
	MK_TRY(mk_statedb_begin(db));
	MK_TRY(commit(db, set_generation(db, generation)));
	db->generation = generation;
	return MK_OK;
}

mk_must mk_statedb_newest(struct mk_statedb *db, struct mk_wall_saved *ret)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "SELECT boot_id, at, boot, before_at, before_boot, jumped, handed FROM newest_seen", &s));
	const int rc = sqlite3_step(s);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? MK_NOT_FOUND : MK_SYSTEM;
	struct mk_wall_saved got = {
		.newest = { sqlite3_column_int64(s, 1), sqlite3_column_int64(s, 2) },
		.before = { sqlite3_column_int64(s, 3), sqlite3_column_int64(s, 4) },
		.jumped_ms = sqlite3_column_int64(s, 5), .handed = sqlite3_column_int64(s, 6) != 0,
	};
	MK_TRY(mk_stmt_get(s, 0, got.boot_id, sizeof got.boot_id));
	*ret = got;
	return MK_OK;
}

static mk_must set_newest(struct mk_statedb *db, const struct mk_wall_saved *saved)
{
	const int64_t numbers[] = { saved->newest.wall_ms, saved->newest.boot_ms, saved->before.wall_ms, saved->before.boot_ms,
				    saved->jumped_ms, saved->handed };
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "INSERT OR REPLACE INTO newest_seen VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)", &s));
	mk_stmt_text(s, 1, saved->boot_id);
	for (size_t i = 0; i < MK_COUNT(numbers); i++)
		sqlite3_bind_int64(s, (int)i + 2, numbers[i]);
	return mk_stmt_run(s);
}

mk_must mk_statedb_set_newest(struct mk_statedb *db, const struct mk_wall_saved *saved)
{
	MK_TRY(mk_statedb_begin(db));
	return commit(db, set_newest(db, saved));
}

const char *mk_statedb_fault(const struct mk_statedb *db)
{
	return sqlite3_errstr(db->rc & 0xff);
}

/* ---- opening ---- */

static const char remedy[] = "restore it from a backup, or move it away with its -wal file: a new one is made then, in which nothing "
			     "is frozen, revoked or proposed";

static mk_must refuse(const char *path, struct mk_why *why)
{
	return mk_why_at(why, MK_BAD_REQUEST, path, 0, "is not this agent's database, or is damaged: %s", remedy);
}

static mk_must number_of(struct mk_statedb *db, const char *sql, int64_t *ret)
{
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, sql, &s));
	if (sqlite3_step(s) != SQLITE_ROW)
		return MK_BAD_REQUEST;
	*ret = sqlite3_column_int64(s, 0);
	return MK_OK;
}

static mk_must create(struct mk_statedb *db, const struct mk_word *environment)
{
	char id[64];
	MK_STMT s = NULL;
	snprintf(id, sizeof id, "PRAGMA application_id=%d", APPLICATION_ID);
	MK_TRY(exec(db, id));
	MK_TRY(exec(db, schema));
	MK_TRY(mk_stmt_new(db, "INSERT INTO instance VALUES (?1, 0)", &s));
	mk_stmt_text(s, 1, environment->s);
	return mk_stmt_run(s);
}

static mk_must is_sound(struct mk_statedb *db)
{
	char word[8];
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "PRAGMA quick_check(1)", &s));
	if (sqlite3_step(s) != SQLITE_ROW)
		return MK_BAD_REQUEST;
	MK_TRY(mk_stmt_get(s, 0, word, sizeof word));
	return strcmp(word, "ok") == 0 ? MK_OK : MK_BAD_REQUEST;
}

static mk_must whose(struct mk_statedb *db, const struct mk_word *environment, const char *path, struct mk_why *why)
{
	struct mk_word found = { "" };
	MK_STMT s = NULL;
	MK_TRY(mk_stmt_new(db, "SELECT environment, generation FROM instance", &s));
	if (sqlite3_step(s) != SQLITE_ROW || mk_stmt_get(s, 0, found.s, sizeof found.s) != MK_OK)
		return MK_BAD_REQUEST;
	db->generation = (uint64_t)sqlite3_column_int64(s, 1);
	if (mk_word_eq(&found, environment))
		return MK_OK;
	return mk_why_at(why, MK_CONFLICT, path, 0, "is the database of environment \"%s\", not of \"%s\": give each instance a state_dir "
			 "of its own", found.s, environment->s);
}

/* One transaction: what is not wholly made is made again at the next start. Openings are counted, as only a write that changes
 * something takes the locks for ever and finds a full disk. The generation stays: an old database must not catch up with the
 * audit log by being opened again and again. */
static mk_must settle(struct mk_statedb *db, const struct mk_word *environment, const char *path, struct mk_why *why)
{
	int64_t id = 0, tables = 0;
	MK_TRY(number_of(db, "PRAGMA application_id", &id));
	MK_TRY(number_of(db, "SELECT count(*) FROM sqlite_schema", &tables));
	if (id != APPLICATION_ID && (id != 0 || tables != 0))
		return MK_BAD_REQUEST;
	if (tables == 0)
		MK_TRY(create(db, environment));
	else
		MK_TRY(is_sound(db));
	MK_TRY(exec(db, schema_more));
	MK_TRY(whose(db, environment, path, why));
	return exec(db, "INSERT OR REPLACE INTO opening SELECT 1, ifnull(max(n), 0) + 1 FROM opening");
}

static mk_must open_file(struct mk_statedb *db, const char *path)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE |
			  SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int keep = 1;
	if (sqlite3_open_v2(path, &db->sql, flags, NULL) != SQLITE_OK)
		return MK_SYSTEM;
	sqlite3_busy_timeout(db->sql, HANDOVER_MS);
	if (exec(db, settings) != MK_OK)
		return MK_SYSTEM;
	sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_PERSIST_WAL, &keep); /* else closing it would unlink */
	return MK_OK;
}

static mk_must failed(struct mk_statedb *db, const char *path, enum mk_err e, struct mk_why *why)
{
	const int rc = (db->rc != SQLITE_OK ? db->rc : sqlite3_extended_errcode(db->sql)) & 0xff;
	if (e == MK_CONFLICT)
		return e;
	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return mk_why_at(why, MK_CONFLICT, path, 0, "is held by another process: end it (fuser %s)", path);
	if (e == MK_BAD_REQUEST || rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT)
		return refuse(path, why);
	return mk_why_at(why, MK_SYSTEM, path, 0, "cannot be opened or written (%s): its directory must be the agent's (uid %u) to write, "
			 "and the disk must have room", sqlite3_errstr(rc), geteuid());
}

/* A file that others can write, or a link, is not opened at all. */
static mk_must check_file(const char *path, struct mk_why *why)
{
	mk_fd fd = -1;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return MK_OK;
	return mk_file_open(path, MK_FILE_PRIVATE, &fd, why);
}

mk_must mk_statedb_open(const char *dir, const struct mk_word *environment, struct mk_statedb **ret, struct mk_why *why)
{
	char path[MK_PATH_MAX];
	MK_TRY(mk_path_join(dir, "state.db", path, sizeof path));
	MK_TRY(check_file(path, why));
	mk_auto(statedb_freep) struct mk_statedb *db = calloc(1, sizeof *db);
	if (!db || sqlite3_initialize() != SQLITE_OK)
		return MK_NO_MEMORY;
	enum mk_err e = open_file(db, path);
	if (e == MK_OK)
		e = mk_statedb_begin(db);
	if (e == MK_OK)
		e = commit(db, settle(db, environment, path, why));
	if (e != MK_OK)
		return failed(db, path, e, why);
	*ret = MK_TAKE(db);
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the state database share: a statement that ends with its scope, and a
 * change as one transaction.
 */
#ifndef MK_STATEDB_PART_H
#define MK_STATEDB_PART_H

#include "agent/broker/statedb.h"

#include <sqlite3.h>

struct mk_statedb {
	sqlite3 *sql;
	uint64_t generation;
	int rc; /* of the last change that failed, by SQLite's numbers */
};

void mk_stmt_donep(sqlite3_stmt **s);
#define MK_STMT __attribute__((cleanup(mk_stmt_donep))) sqlite3_stmt *

mk_must mk_stmt_new(struct mk_statedb *db, const char *sql, sqlite3_stmt **ret);
void mk_stmt_text(sqlite3_stmt *s, int at, const char *text); /* borrowed until the statement ends */
mk_must mk_stmt_run(sqlite3_stmt *s);                         /* to its end, without rows */
/* Column `at` into to; BAD_REQUEST where it is no text that fits. */
mk_must mk_stmt_get(sqlite3_stmt *s, int at, char *to, size_t cap);

/* begin, …, end(MK_OK) commits and moves the generation on; end(an error) undoes all and returns that error. */
mk_must mk_statedb_begin(struct mk_statedb *db);
mk_must mk_statedb_end(struct mk_statedb *db, enum mk_err e);
/* After a change that failed and would have opened a door: a commit whose sync failed stands whole in the -wal file, where the
 * next start would find it. What is written next takes its place; where that fails as well, nobody can tell. */
void mk_statedb_write_over(struct mk_statedb *db);

#endif

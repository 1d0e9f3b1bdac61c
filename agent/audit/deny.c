/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of denials. Found by uid and listener; a linear look is cheap beside the
 * request that led here.
 */
#include "agent/audit/deny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLERS_MAX 256
#define WINDOW_MS 1000
#define OTHERS CALLERS_MAX /* the shared row */

struct mk_deny_row {
	bool used;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool peer;
	char service[MK_WORD_MAX + 1], listener[MK_WORD_MAX + 1], action[24], connection[MK_NAME_MAX + 1], reason[32];
	char detail[64];
	struct mk_account account;
	int64_t rule_line;
	int64_t since_ms;
	uint64_t count;
};

struct mk_deny {
	struct mk_deny_row rows[CALLERS_MAX + 1];
};

mk_must mk_deny_new(struct mk_deny **ret)
{
	struct mk_deny *d = calloc(1, sizeof *d);
	if (!d)
		return MK_NO_MEMORY;
	*ret = d;
	return MK_OK;
}

struct mk_deny *mk_deny_free(struct mk_deny *d)
{
	free(d);
	return NULL;
}

static void copy(char *to, size_t cap, const char *from)
{
	const size_t n = from ? strnlen(from, cap - 1) : 0;
	if (n > 0)
		memcpy(to, from, n);
	to[n] = '\0';
}

static bool same_caller(const struct mk_deny_row *row, const struct mk_audit_rec *rec)
{
	return row->used && row->peer == rec->peer && row->uid == rec->uid &&
	       strncmp(row->listener, rec->listener ? rec->listener : "", MK_WORD_MAX) == 0;
}

static struct mk_deny_row *row_of(struct mk_deny *d, const struct mk_audit_rec *rec)
{
	struct mk_deny_row *unused = NULL;
	for (size_t i = 0; i < CALLERS_MAX; i++) {
		if (same_caller(&d->rows[i], rec))
			return &d->rows[i];
		if (!unused && !d->rows[i].used)
			unused = &d->rows[i];
	}
	return unused ? unused : &d->rows[OTHERS];
}

static void remember(struct mk_deny_row *row, const struct mk_audit_rec *rec)
{
	row->peer = rec->peer;
	row->uid = rec->uid;
	row->gid = rec->gid;
	row->pid = rec->pid;
	row->rule_line = rec->rule_line;
	copy(row->service, sizeof row->service, rec->service);
	copy(row->listener, sizeof row->listener, rec->listener);
	copy(row->action, sizeof row->action, rec->action);
	copy(row->connection, sizeof row->connection, rec->connection);
	copy(row->reason, sizeof row->reason, rec->reason);
	copy(row->detail, sizeof row->detail, rec->detail);
	row->account = rec->account ? *rec->account : (struct mk_account){ .ns = "" };
}

struct mk_deny_row *mk_deny_count(struct mk_deny *d, const struct mk_audit_rec *rec, int64_t now_ms)
{
	struct mk_deny_row *row = row_of(d, rec);
	const bool quiet = !row->used || (row->count == 0 && now_ms - row->since_ms >= WINDOW_MS);
	if (row != &d->rows[OTHERS])
		remember(row, rec);
	if (quiet)
		row->since_ms = now_ms;
	row->used = true;
	row->count += rec->count > 1 ? rec->count : 1;
	return quiet ? row : NULL;
}

struct mk_deny_row *mk_deny_due(struct mk_deny *d, int64_t now_ms, bool all)
{
	for (size_t i = 0; i <= CALLERS_MAX; i++) {
		struct mk_deny_row *row = &d->rows[i];
		const bool over = row->used && now_ms - row->since_ms >= WINDOW_MS;
		if (over && row->count == 0)
			row->used = false;
		if (row->used && row->count > 0 && (all || over))
			return row;
	}
	return NULL;
}

struct mk_audit_rec mk_deny_rec(const struct mk_deny_row *row)
{
	return (struct mk_audit_rec){
		.event = "deny",
		.service = row->service,
		.listener = row->listener,
		.peer = row->peer,
		.uid = row->uid,
		.gid = row->gid,
		.pid = row->pid,
		.action = row->action,
		.connection = row->connection,
		.reason = row->reason,
		.rule_line = row->rule_line,
		.count = row->count,
		.account = &row->account,
		.detail = row->listener[0] || row->peer ? row->detail : "callers beyond those told apart",
	};
}

void mk_deny_written(struct mk_deny_row *row, int64_t now_ms)
{
	row->count = 0;
	row->since_ms = now_ms;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Body of a record. The limits below, keys and numbers included, stay under
 * MK_RECORD_MAX by the sum asserted here, whatever a caller sends.
 */
#include "agent/audit/record.h"

#include "agent/audit/chain.h"
#include "agent/base/clock.h"

#include <stdio.h>

/* Bytes as written: escaping makes up to six of one. */
#define EVENT_MAX 32
#define WORD_MAX 64
#define NAME_MAX_ 128
#define VERSION_MAX 192
#define DETAIL_MAX 400
#define ACCOUNT_MAX (MK_K8S_NAMESPACE_MAX + 1 + MK_K8S_ACCOUNT_MAX) /* nothing in it is escaped */
#define FIXED_MAX 640 /* keys, quotes, numbers, time, environment, mac */

_Static_assert(EVENT_MAX + 5 * WORD_MAX + NAME_MAX_ + VERSION_MAX + DETAIL_MAX + ACCOUNT_MAX + FIXED_MAX <= MK_RECORD_MAX,
	       "a record always fits");

static bool is_event(const char *s)
{
	size_t n = 0;
	for (; s[n]; n++)
		if (!((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= '0' && s[n] <= '9') || s[n] == '_'))
			return false;
	return n > 0 && n <= EVENT_MAX;
}

void mk_record_begin(struct mk_jw *w, uint64_t seq, const struct mk_word *environment, const char *event)
{
	char time[MK_RFC3339_MAX];
	mk_assert(is_event(event)); /* a text of ours */
	mk_rfc3339(mk_wall_ms(), true, time);
	mk_jw_open(w, '{');
	mk_jw_knum(w, "seq", (int64_t)seq);
	mk_jw_kstr(w, "time", time);
	mk_jw_knum(w, "mono", mk_boot_ms());
	mk_jw_kstr(w, "env", environment->s);
	mk_jw_kstr(w, "event", event);
}

void mk_record_text(struct mk_jw *w, const char *key, const char *s, size_t limit)
{
	if (!s || !s[0])
		return;
	const size_t whole = strnlen(s, limit + 1);
	for (size_t n = whole > limit ? limit : whole; n > 0; n -= n > 8 ? 8 : 1) {
		const struct mk_jw before = *w;
		mk_jw_key(w, key);
		const size_t from = w->len;
		mk_jw_str(w, mk_span(s, n));
		if (!w->bad && w->len - from - 2 <= limit)
			return;
		*w = before;
	}
}

static void account(struct mk_jw *w, const struct mk_account *a)
{
	char text[ACCOUNT_MAX + 1];
	if (!a || !a->ns[0])
		return;
	snprintf(text, sizeof text, "%s/%s", a->ns, a->name);
	mk_record_text(w, "account", text, ACCOUNT_MAX);
}

void mk_record_fields(struct mk_jw *w, const struct mk_audit_rec *r)
{
	if (r->service && r->service[0])
		mk_record_text(w, "service", r->service, WORD_MAX);
	else if (r->peer)
		mk_jw_knull(w, "service"); /* nobody */
	mk_record_text(w, "listener", r->listener, WORD_MAX);
	if (r->peer) {
		mk_jw_knum(w, "uid", (int64_t)r->uid);
		mk_jw_knum(w, "gid", (int64_t)r->gid);
		mk_jw_knum(w, "pid", (int64_t)r->pid);
	}
	account(w, r->account);
	mk_record_text(w, "action", r->action, WORD_MAX);
	mk_record_text(w, "connection", r->connection, NAME_MAX_);
	mk_record_text(w, "version", r->version, VERSION_MAX);
	mk_record_text(w, "state", r->state, WORD_MAX);
	mk_record_text(w, "reason", r->reason, WORD_MAX);
	if (r->rule_line > 0)
		mk_jw_knum(w, "rule", r->rule_line);
	if (r->count > 1)
		mk_jw_knum(w, "count", (int64_t)r->count);
	mk_record_text(w, "detail", r->detail, DETAIL_MAX);
}

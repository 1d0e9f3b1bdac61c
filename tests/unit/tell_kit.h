/* SPDX-License-Identifier: Apache-2.0
 *
 * Those who wait for a change at a gate: polls, and streams.
 */
#ifndef MK_TEST_TELL_KIT_H
#define MK_TEST_TELL_KIT_H

#include "gate_fix.h"
#include "agent/broker/tell_part.h"

static const struct mk_name erp = { "acme-erp" }, crm = { "acme-crm" }, payroll = { "acme-payroll" };
static char tag[MK_ETAG_MAX + 2];

/* acme-erp at v1, and its tag. */
static inline void known(const char *expires)
{
	struct call k;
	warm("v1", "token-one", expires);
	call_get(&k, BILLING_UID, "acme-erp");
	assert_int_equal(k.err, MK_OK);
	snprintf(tag, sizeof tag, "\"%s\"", k.a.etag);
	mk_answer_done(&k.a);
}

/* The store says that something in it is another: what is followed is asked for. */
static inline void store_changed(void)
{
	mk_fetch_changed(fix.b, 0);
	pump();
}

static inline void passes(int64_t ms)
{
	for (; ms > 0; ms -= 1000) {
		advance(ms < 1000 ? ms : 1000);
		mk_tell_tick(fix.b);
	}
}

/* ---- streams ---- */

struct listener {
	struct mk_watcher w;
	struct mk_caller c;
	struct mk_waiter wait;
	struct mk_name names[4];
	unsigned woken;
};

static inline void listener_woken(struct mk_watcher *w)
{
	((struct listener *)w)->woken++;
}

static inline void wait_woken(struct mk_waiter *w)
{
	(void)w;
}

static inline enum mk_err listen_to(struct listener *l, uid_t uid, const char *last_id, size_t n, ...)
{
	va_list names;
	*l = (struct listener){ .w.woken = listener_woken, .wait.woken = wait_woken };
	l->w.names = l->names;
	l->w.n = n;
	va_start(names, n);
	for (size_t i = 0; i < n; i++)
		snprintf(l->names[i].s, sizeof l->names[i].s, "%s", va_arg(names, const char *));
	va_end(names);
	l->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = uid, .gid = uid, .pid = 77 };
	const struct mk_watch_ask ask = { .last_id = mk_span_of(last_id) };
	unsigned retry = 0;
	return mk_gate_watch(fix.b, &l->c, &ask, &l->wait, &l->w, &retry);
}

static inline void hears(struct listener *l, enum mk_told kind, const char *name, const char *version)
{
	struct mk_event e;
	pump();
	assert_true(mk_watcher_next(fix.b, &l->c, &l->w, &e));
	assert_int_equal(e.kind, kind);
	assert_string_equal(e.name.s, name);
	assert_string_equal(e.version, version);
}

static inline void hears_nothing(struct listener *l)
{
	struct mk_event e;
	pump();
	assert_false(mk_watcher_next(fix.b, &l->c, &l->w, &e));
}

#endif

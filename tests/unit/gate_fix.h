/* SPDX-License-Identifier: Apache-2.0
 *
 * A gate to test: a broker with a policy, an audit log in a directory of its own, a fake
 * fetcher on the other end of a link, and clocks that stand still until they are moved.
 */
#ifndef MK_TEST_GATE_FIX_H
#define MK_TEST_GATE_FIX_H

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/fetch.h"
#include "agent/broker/gate_part.h"
#include "agent/broker/pending.h"
#include "agent/ipc/msg_write.h"
#include "mk/own.h"
#include "tests/unit/pump.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* no test file uses all of it */

#define BILLING_UID 4001u
#define SYNC_UID    4002u
#define TTL         300000
#define STALE       3600000

struct gate_fix {
	struct mk_broker *b;
	struct mk_link *fetcher; /* the fake's end */
	struct mk_timer *stop;
	int64_t boot, wall;
	char dir[64], log[128];
	unsigned gets, lists;          /* questions that came */
	struct mk_msg_fetch get, previous; /* the last ones; previous: for that version */
	struct mk_msg_list list;
	struct mk_ref refs[16];        /* of the first questions */
	unsigned writes;
	struct mk_msg_write write[64]; /* the first ones */
};
static struct gate_fix fix;

static enum mk_err fake_frame(void *arg, struct mk_frame *f)
{
	(void)arg;
	if (f->type == MK_MSG_FETCH_BEGIN) {
		assert_int_equal(mk_msg_fetch_read(f->body, &fix.get), MK_OK);
		if (fix.gets < MK_COUNT(fix.refs))
			fix.refs[fix.gets] = fix.get.ref;
		if (fix.get.previous)
			fix.previous = fix.get;
		fix.gets++;
	} else if (f->type == MK_MSG_WRITE_BEGIN) {
		assert_true(fix.writes < MK_COUNT(fix.write));
		assert_int_equal(mk_msg_write_read(f->body, &fix.write[fix.writes++]), MK_OK);
	} else {
		assert_int_equal(f->type, MK_MSG_LIST_BEGIN);
		assert_int_equal(mk_msg_list_read(f->body, &fix.list), MK_OK);
		fix.lists++;
	}
	return MK_OK;
}

static void fake_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	(void)arg;
	(void)e;
	(void)at;
	fix.fetcher = mk_link_free(fix.fetcher);
}

/* Lets everything that is on its way arrive. */
static void pump(void)
{
	pump_loop(fix.b->loop, fix.stop);
}

static void fetcher_comes(void)
{
	int broker_end, fake_end;
	assert_int_equal(mk_link_pair(&broker_end, &fake_end), MK_OK);
	mk_link_free(fix.fetcher); /* one that is replaced: the broker lets go of its end before it could notice */
	assert_int_equal(mk_link_new(fix.b->loop, fake_end, MK_ROLE_FETCHER, MK_ROLE_BROKER, fake_frame, fake_gone, NULL,
				     &fix.fetcher), MK_OK);
	assert_int_equal(mk_fetch_peer(fix.b, broker_end), MK_OK);
	pump();
}

static void fetcher_dies(void)
{
	fix.fetcher = mk_link_free(fix.fetcher);
	pump();
}

/* ---- the policy ---- */

static void add_service(struct mk_rules *r, const char *name, uid_t uid)
{
	struct mk_service s = { .identity = { .socket = { "api" }, .set = MK_EVIDENCE_UID, .uid = uid }, .line = 3 };
	snprintf(s.name.s, sizeof s.name.s, "%s", name);
	assert_int_equal(mk_rules_add_service(r, &s), MK_OK);
}

static void add_rule(struct mk_rules *r, bool deny, const char *service, const char *pattern, unsigned line)
{
	struct mk_rule rule = { .deny = deny, .line = line, .n_patterns = 1,
				.actions = 1u << MK_ACTION_GET | 1u << MK_ACTION_LIST | 1u << MK_ACTION_WATCH };
	if (strcmp(service, "secteam") == 0)
		rule.actions = 1u << MK_ACTION_STATUS;
	snprintf(rule.service.s, sizeof rule.service.s, "%s", service);
	rule.patterns = calloc(1, sizeof *rule.patterns);
	assert_non_null(rule.patterns);
	snprintf(rule.patterns[0].s, sizeof rule.patterns[0].s, "%s", pattern);
	assert_int_equal(mk_rules_add_rule(r, &rule), MK_OK);
}

/* billing may get acme-* but acme-payroll; sync may nothing. taken_away: nor may billing. */
static struct mk_pending *configuration(uint32_t generation, bool taken_away)
{
	static const uint8_t no_key[32];
	struct mk_pending *p = calloc(1, sizeof *p);
	assert_non_null(p);
	p->begin = (struct mk_msg_begin){ .generation = generation, .environment = { "production" }, .platform = MK_HOST };
	p->has_limits = p->has_audit = p->has_state = true;
	p->limits.refresh = (struct mk_conf_refresh){ .ttl_ms = TTL, .serve_stale_ms = STALE };
	p->limits.limits = (struct mk_conf_limits){ .connections = 4096, .waiters_per_uid = 1000 };
	snprintf(p->audit.audit.file, sizeof p->audit.audit.file, "%s", fix.log);
	p->audit.audit.max_size = 1u << 30;
	p->audit.audit.keep = 3;
	memcpy(p->audit.audit.recipient, fix.b->generation ? fix.b->audit_conf.recipient : no_key, 32);
	if (!fix.b->generation) {
		uint8_t secret[32];
		crypto_box_keypair(p->audit.audit.recipient, secret);
	}
	p->rules.environment = p->begin.environment;
	add_service(&p->rules, "billing", BILLING_UID);
	add_service(&p->rules, "sync", SYNC_UID);
	add_service(&p->rules, "secteam", 4003);
	if (!taken_away)
		add_rule(&p->rules, false, "billing", "acme-*", 7);
	add_rule(&p->rules, true, "billing", "acme-payroll", 8);
	add_rule(&p->rules, false, "secteam", "*", 9);
	p->n_stores = 2;
	p->stores[0] = (struct mk_msg_store){ .index = 0, .name = { "first" }, .type = "local" };
	p->stores[1] = (struct mk_msg_store){ .index = 1, .name = { "second" }, .type = "local" };
	p->n_listeners = 1;
	p->listeners[0].name = (struct mk_word){ "api" };
	p->listeners[0].fd = p->head_fd = -1;
	return p;
}

static void pending_drop(struct mk_pending *p)
{
	fix.b->pending = p;
	mk_config_forget(fix.b);
}

static void swap_in(struct mk_pending *p)
{
	struct mk_why why = { 0 };
	if (!fix.b->generation) {
		assert_int_equal(mk_policy_new(&p->rules, &p->policy, &why), MK_OK);
		assert_int_equal(mk_start_parts(fix.b, p, &why), MK_OK);
	} else {
		assert_int_equal(mk_config_judge(fix.b, p, &why), MK_OK);
	}
	assert_int_equal(mk_config_swap(fix.b, p, &why), MK_OK);
	pending_drop(p);
}

static int fix_group(void **state)
{
	bool locked = false;
	(void)state;
	mk_log_level(MK_ALARM);
	return mk_secret_arena_init(64, 8, &locked) == MK_OK ? 0 : -1;
}

static int fix_make(void **state)
{
	(void)state;
	fix = (struct gate_fix){ .boot = 1000000, .wall = INT64_C(1798761600000) };
	mk_clock_fake(&fix.boot, &fix.wall);
	snprintf(fix.dir, sizeof fix.dir, "/tmp/mk-gate-XXXXXX");
	if (!mkdtemp(fix.dir) || mk_broker_new(&fix.b) != MK_OK)
		return -1;
	snprintf(fix.log, sizeof fix.log, "%s/audit.jsonl", fix.dir);
	fix.stop = stop_timer(fix.b->loop);
	swap_in(configuration(1, false));
	fetcher_comes();
	return 0;
}

static int fix_drop(void **state)
{
	(void)state;
	mk_timer_free(fix.stop);
	mk_link_free(fix.fetcher);
	mk_audit_close(fix.b->audit);
	mk_broker_free(fix.b);
	mk_clock_fake(NULL, NULL);
	unlink(fix.log);
	rmdir(fix.dir);
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static void advance(int64_t ms)
{
	fix.boot += ms;
	fix.wall += ms;
}

/* ---- the fetcher's answers ---- */

static void send_fetched(const struct mk_msg_fetched *m)
{
	static uint8_t body[73728];
	size_t len = 0;
	struct mk_wr w = mk_wr_of(body, sizeof body);
	mk_msg_fetched_write(&w, m);
	assert_int_equal(mk_wr_end(&w, &len), MK_OK);
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_FETCH_DONE, mk_span(body, len), -1), MK_OK);
	pump();
}

static void answer_with(struct mk_ref ref, enum mk_err err, const char *version, const char *token, const char *expires)
{
	static uint8_t leaves[MK_SECRET_MAX];
	size_t n = 0;
	struct mk_msg_fetched m = { .ref = ref, .err = err, .meta = { .created_ms = MK_TIME_NONE } };
	if (err == MK_OK) {
		const struct mk_leaf t = { mk_span_of("/access_token"), MK_LEAF_STRING, mk_span_of(token) };
		assert_int_equal(mk_leaves_add(leaves, sizeof leaves, &n, &t), MK_OK);
		if (expires) {
			const struct mk_leaf e = { mk_span_of("/expires_at"), MK_LEAF_STRING, mk_span_of(expires) };
			assert_int_equal(mk_leaves_add(leaves, sizeof leaves, &n, &e), MK_OK);
		}
		snprintf(m.meta.version, sizeof m.meta.version, "%s", version);
		m.leaves = mk_span(leaves, n);
	}
	send_fetched(&m);
}

static void answer_token(const char *version, const char *token)
{
	answer_with(fix.get.ref, MK_OK, version, token, NULL);
}

static void answer_error(enum mk_err e)
{
	answer_with(fix.get.ref, e, "", "", NULL);
}

static void answer_names(bool more, const char *const *names, size_t n)
{
	static uint8_t body[65536];
	static struct mk_listed items[MK_LIST_PAGE_MAX];
	size_t len = 0;
	memset(items, 0, sizeof items);
	for (size_t i = 0; i < n; i++) {
		snprintf(items[i].name.s, sizeof items[i].name.s, "%s", names[i]);
		snprintf(items[i].version, sizeof items[i].version, "v1");
	}
	const struct mk_msg_listed m = { .ref = fix.list.ref, .more = more, .items = items, .n = n };
	struct mk_wr w = mk_wr_of(body, sizeof body);
	mk_msg_listed_write(&w, &m);
	assert_int_equal(mk_wr_end(&w, &len), MK_OK);
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_LIST_DONE, mk_span(body, len), -1), MK_OK);
	pump();
}

/* ---- callers ---- */

struct call {
	struct mk_waiter w; /* first: woken gets its address */
	struct mk_caller c;
	struct mk_ask ask;
	struct mk_answer a;
	enum mk_err err;
	unsigned woken, retry;
};

static void call_woken(struct mk_waiter *w)
{
	struct call *k = (struct call *)w;
	k->woken++;
	k->ask.waited = true;
	k->err = mk_gate_get(fix.b, &k->c, &k->ask, &k->w, &k->a, &k->retry);
}

static void call_get(struct call *k, uid_t uid, const char *name)
{
	*k = (struct call){ .w.woken = call_woken };
	k->c.evidence = (struct mk_evidence){ .known = true, .socket = { "api" }, .uid = uid, .gid = uid, .pid = 77 };
	snprintf(k->ask.name.s, sizeof k->ask.name.s, "%s", name);
	k->err = mk_gate_get(fix.b, &k->c, &k->ask, &k->w, &k->a, &k->retry);
}

static enum mk_err once(uid_t uid, const char *name)
{
	struct call k;
	call_get(&k, uid, name);
	assert_false(k.w.waiting);
	mk_answer_done(&k.a);
	return k.err;
}

/* billing's acme-erp, fetched and served. */
static void warm(const char *version, const char *token, const char *expires)
{
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp");
	assert_true(k.w.waiting);
	pump();
	answer_with(fix.get.ref, MK_OK, version, token, expires);
	assert_int_equal(k.woken, 1);
	assert_int_equal(k.err, MK_OK);
	assert_true(mk_span_is(k.a.token, token));
	mk_answer_done(&k.a);
}

/* Asks; the store's answer comes where one is waited for. */
static void get(struct call *k, const char *version, const char *token)
{
	call_get(k, BILLING_UID, "acme-erp");
	pump();
	if (k->w.waiting)
		answer_token(version, token);
}

static void serves(const char *token, enum mk_cache cache)
{
	struct call k;
	get(&k, "v2", "token-two");
	assert_int_equal(k.err, MK_OK);
	assert_true(mk_span_is(k.a.token, token));
	assert_int_equal(k.a.cache, cache);
	assert_int_equal(k.a.stale, cache == MK_CACHE_STALE);
	mk_answer_done(&k.a);
}

static void fails(struct call *k, enum mk_err of_store)
{
	call_get(k, BILLING_UID, "acme-erp");
	pump();
	for (int i = 0; i < 2 && k->w.waiting; i++) /* both replicas */
		answer_error(of_store);
}

static unsigned records(const char *text)
{
	static char log[1u << 20];
	const int fd = open(fix.log, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	const ssize_t n = read(fd, log, sizeof log - 1);
	close(fd);
	assert_true(n > 0);
	log[n] = '\0';
	unsigned found = 0;
	for (const char *p = log; (p = strstr(p, text)); p++)
		found++;
	return found;
}

static uint64_t grants(void)
{
	struct mk_audit_status s;
	mk_audit_status(fix.b->audit, &s);
	return s.grants;
}

/* From now on the log cannot grow by a byte (SIGXFSZ is blocked). */
static void log_is_full(bool full)
{
	struct rlimit l;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	mk_fd fd = open(fix.log, O_RDONLY | O_CLOEXEC);
	const off_t size = lseek(fd, 0, SEEK_END);
	l.rlim_cur = full ? (rlim_t)size : l.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

#endif

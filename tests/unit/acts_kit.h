/* SPDX-License-Identifier: Apache-2.0
 *
 * Administrators at a gate: two of them and a reader, a state database, disks that fail, and a
 * broker that begins again on what the last one left.
 */
#ifndef MK_TEST_ACTS_KIT_H
#define MK_TEST_ACTS_KIT_H

#include "gate_fix.h"
#include "agent/broker/acts.h"

#include <signal.h>
#include <sys/stat.h>

#define FIRST  5001u
#define SECOND 5002u
#define READER 5003u

static char log_dir[80], moved_dir[90], state_dir[80];

static inline void add_admin(struct mk_rules *r, const char *name, const char *socket, uid_t uid, uint32_t actions)
{
	struct mk_service s = { .identity = { .set = MK_EVIDENCE_UID, .uid = uid }, .line = 20 };
	struct mk_rule rule = { .actions = actions, .line = 21, .n_patterns = 1 };
	snprintf(s.name.s, sizeof s.name.s, "%s", name);
	snprintf(s.identity.socket.s, sizeof s.identity.socket.s, "%s", socket);
	assert_int_equal(mk_rules_add_service(r, &s), MK_OK);
	rule.service = s.name;
	rule.patterns = calloc(1, sizeof *rule.patterns);
	assert_non_null(rule.patterns);
	snprintf(rule.patterns[0].s, sizeof rule.patterns[0].s, "*");
	assert_int_equal(mk_rules_add_rule(r, &rule), MK_OK);
}

#define BIT(a) (UINT32_C(1) << MK_ACTION_##a)

/* `of_first`: what the first administrator may. */
static inline struct mk_pending *administered(uint32_t generation, uint32_t of_first)
{
	struct mk_pending *p = configuration(generation, false);
	add_admin(&p->rules, "first", "admin", FIRST, of_first);
	add_admin(&p->rules, "first-too", "ops", FIRST, BIT(APPROVE) | BIT(THAW));
	add_admin(&p->rules, "second", "admin", SECOND, BIT(FREEZE) | BIT(THAW) | BIT(APPROVE) | BIT(RELOAD));
	add_admin(&p->rules, "reader", "admin", READER, BIT(STATUS));
	snprintf(p->state.dir, sizeof p->state.dir, "%s", state_dir);
	p->state.two_person = BIT(THAW) | BIT(RELOAD);
	return p;
}

static const uint32_t all_of_first = BIT(FREEZE) | BIT(THAW) | BIT(APPROVE) | BIT(RELOAD);

static inline int begin(void **state)
{
	(void)state;
	fix = (struct gate_fix){ .boot = 1000000, .wall = INT64_C(1798761600000) };
	mk_clock_fake(&fix.boot, &fix.wall);
	snprintf(fix.dir, sizeof fix.dir, "/tmp/mk-acts-XXXXXX");
	umask(077);
	if (!mkdtemp(fix.dir) || mk_broker_new(&fix.b) != MK_OK)
		return -1;
	snprintf(log_dir, sizeof log_dir, "%s/log", fix.dir);
	snprintf(moved_dir, sizeof moved_dir, "%s/moved", fix.dir);
	snprintf(state_dir, sizeof state_dir, "%s/state", fix.dir);
	if (mkdir(log_dir, 0700) < 0 || mkdir(state_dir, 0700) < 0)
		return -1;
	snprintf(fix.log, sizeof fix.log, "%s/audit.jsonl", log_dir);
	fix.stop = stop_timer(fix.b->loop);
	swap_in(administered(1, all_of_first));
	fetcher_comes();
	warm("v1", "tok-1", NULL);
	return 0;
}

static inline void remove_all(const char *dir, const char *const *names)
{
	char path[160];
	for (size_t i = 0; names[i]; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static inline int end(void **state)
{
	static const char *const logs[] = { "audit.jsonl", NULL }, *const dbs[] = { "state.db", "state.db-wal", "state.key", "db-then", "wal-then", NULL };
	const int rc = fix_drop(state);
	remove_all(moved_dir, logs);
	remove_all(log_dir, logs);
	remove_all(state_dir, dbs);
	rmdir(fix.dir);
	return rc;
}

/* The broker ends without a word, and another begins on what is on disk. */
static inline void restart_on(struct mk_pending *p)
{
	mk_link_free(fix.fetcher);
	fix.fetcher = NULL;
	mk_timer_free(fix.stop);
	mk_audit_close(fix.b->audit);
	mk_broker_free(fix.b);
	assert_int_equal(mk_broker_new(&fix.b), MK_OK);
	fix.stop = stop_timer(fix.b->loop);
	swap_in(p);
	fetcher_comes();
}

static inline void restart(void)
{
	restart_on(administered(1, all_of_first));
}

static inline struct mk_caller admin(uid_t uid)
{
	return (struct mk_caller){ .service = MK_NO_SERVICE, .evidence = { .known = true, .socket = { "admin" }, .uid = uid, .gid = uid, .pid = 9 } };
}

static inline enum mk_err freeze(uid_t uid, const char *reason)
{
	struct mk_caller c = admin(uid);
	return mk_act_freeze(fix.b, &c, reason);
}

static inline enum mk_err propose_as(uid_t uid, enum mk_action action, struct mk_proposal *ret, bool *ret_waits)
{
	struct mk_caller c = admin(uid);
	const struct mk_act act = { .action = action, .detail = mk_action_word(action) };
	return mk_act_begin(fix.b, &c, &act, ret, ret_waits);
}

static inline struct mk_proposal proposed(uid_t uid)
{
	struct mk_proposal p = { .uid = 0 };
	bool waits = false;
	assert_int_equal(propose_as(uid, MK_ACTION_THAW, &p, &waits), MK_OK);
	assert_true(waits);
	return p;
}

static inline enum mk_err approve_on(const char *socket, uid_t uid, const struct mk_proposal *p, enum mk_approval *why)
{
	struct mk_caller c = admin(uid);
	struct mk_proposal got;
	c.evidence.socket = (struct mk_word){ "" };
	snprintf(c.evidence.socket.s, sizeof c.evidence.socket.s, "%s", socket);
	*why = MK_APPROVAL_OK;
	return mk_act_approve(fix.b, &c, p->id, p->digest, &got, why);
}

static inline enum mk_err approve(uid_t uid, const struct mk_proposal *p)
{
	enum mk_approval why;
	return approve_on("admin", uid, p, &why);
}

static inline enum mk_err served(void)
{
	return once(BILLING_UID, "acme-erp");
}

static inline bool logged(const char *text)
{
	static char all[262144];
	const int fd = open(fix.log, O_RDONLY);
	assert_true(fd >= 0);
	const ssize_t n = read(fd, all, sizeof all - 1);
	close(fd);
	assert_true(n >= 0);
	all[n] = '\0';
	return strstr(all, text) != NULL;
}

/* Bytes that a file may have from now on: the database's log is longer than the audit log. */
static inline void files_end_at(rlim_t bytes)
{
	struct rlimit r;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes ? bytes : r.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static inline off_t size_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static inline void database_fails(void)
{
	char wal[120];
	snprintf(wal, sizeof wal, "%s/state.db-wal", state_dir);
	const off_t audit = size_of(fix.log) + 8192;
	assert_true(size_of(wal) > audit);
	files_end_at((rlim_t)audit);
}

/* What waits for a second person now. */
static inline size_t waiting(struct mk_proposal all[MK_PROPOSALS_MAX])
{
	size_t n = 0;
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	return n;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Freeze, thaw and the second person, below HTTP: what is in force when policy, the audit
 * log or the state database says no, and what a proposal is worth later.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate_fix.h"

#include "agent/broker/acts.h"
#include "agent/broker/now.h"
#include "agent/broker/tell_part.h"

#include <signal.h>
#include <sys/stat.h>

#define FIRST  5001u
#define SECOND 5002u
#define READER 5003u

static char log_dir[80], moved_dir[90], state_dir[80];

static void add_admin(struct mk_rules *r, const char *name, const char *socket, uid_t uid, uint32_t actions)
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
static struct mk_pending *administered(uint32_t generation, uint32_t of_first)
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

static int begin(void **state)
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
	if (mk_timer_new(fix.b->loop, stop_now, NULL, &fix.stop) != MK_OK)
		return -1;
	swap_in(administered(1, all_of_first));
	fetcher_comes();
	warm("v1", "tok-1", NULL);
	return 0;
}

static void remove_all(const char *dir, const char *const *names)
{
	char path[160];
	for (size_t i = 0; names[i]; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static int end(void **state)
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
static void restart_on(struct mk_pending *p)
{
	mk_link_free(fix.fetcher);
	fix.fetcher = NULL;
	mk_timer_free(fix.stop);
	mk_audit_close(fix.b->audit);
	mk_broker_free(fix.b);
	assert_int_equal(mk_broker_new(&fix.b), MK_OK);
	assert_int_equal(mk_timer_new(fix.b->loop, stop_now, NULL, &fix.stop), MK_OK);
	swap_in(p);
	fetcher_comes();
}

static void restart(void)
{
	restart_on(administered(1, all_of_first));
}

static struct mk_caller admin(uid_t uid)
{
	return (struct mk_caller){ .service = MK_NO_SERVICE, .evidence = { .known = true, .socket = { "admin" }, .uid = uid, .gid = uid, .pid = 9 } };
}

static enum mk_err freeze(uid_t uid, const char *reason)
{
	struct mk_caller c = admin(uid);
	return mk_act_freeze(fix.b, &c, reason);
}

static enum mk_err propose_as(uid_t uid, enum mk_action action, struct mk_proposal *ret, bool *ret_waits)
{
	struct mk_caller c = admin(uid);
	const struct mk_act act = { .action = action, .detail = mk_action_word(action) };
	return mk_act_begin(fix.b, &c, &act, ret, ret_waits);
}

static struct mk_proposal proposed(uid_t uid)
{
	struct mk_proposal p = { .uid = 0 };
	bool waits = false;
	assert_int_equal(propose_as(uid, MK_ACTION_THAW, &p, &waits), MK_OK);
	assert_true(waits);
	return p;
}

static enum mk_err approve_on(const char *socket, uid_t uid, const struct mk_proposal *p, enum mk_approval *why)
{
	struct mk_caller c = admin(uid);
	struct mk_proposal got;
	c.evidence.socket = (struct mk_word){ "" };
	snprintf(c.evidence.socket.s, sizeof c.evidence.socket.s, "%s", socket);
	*why = MK_APPROVAL_OK;
	return mk_act_approve(fix.b, &c, p->id, p->digest, &got, why);
}

static enum mk_err approve(uid_t uid, const struct mk_proposal *p)
{
	enum mk_approval why;
	return approve_on("admin", uid, p, &why);
}

static enum mk_approval why_not(uid_t uid, const struct mk_proposal *p)
{
	enum mk_approval why;
	assert_int_equal(approve_on("admin", uid, p, &why), MK_CONFLICT);
	return why;
}

static enum mk_err served(void)
{
	return once(BILLING_UID, "acme-erp");
}

static bool logged(const char *text)
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
static void files_end_at(rlim_t bytes)
{
	struct rlimit r;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes ? bytes : r.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static off_t size_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void database_fails(void)
{
	char wal[120];
	snprintf(wal, sizeof wal, "%s/state.db-wal", state_dir);
	const off_t audit = size_of(fix.log) + 8192;
	assert_true(size_of(wal) > audit);
	files_end_at((rlim_t)audit);
}

static void audit_fails(void)
{
	assert_int_equal(rename(log_dir, moved_dir), 0);
	advance(1000);
	mk_audit_tick(fix.b->audit); /* notices */
}

/* ---- policy ---- */

static void who_may_not_freeze_freezes_nothing(void **state)
{
	(void)state;
	assert_int_equal(freeze(READER, "x"), MK_DENIED);
	assert_int_equal(freeze(4999, "x"), MK_DENIED);
	assert_false(mk_act_frozen(fix.b)->on);
	assert_int_equal(served(), MK_OK);
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(served(), MK_FROZEN);
}

static void who_may_not_thaw_proposes_nothing(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = false;
	size_t n = 7;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(propose_as(READER, MK_ACTION_THAW, &p, &waits), MK_DENIED);
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	assert_int_equal(n, 0);
	p = proposed(FIRST);
	assert_int_equal(approve(READER, &p), MK_DENIED);
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	assert_int_equal(n, 1);
	assert_true(mk_act_frozen(fix.b)->on);
}

static void before_the_first_configuration_nothing_is_done(void **state)
{
	struct mk_broker *b = NULL;
	struct mk_caller c = admin(FIRST);
	(void)state;
	assert_int_equal(mk_broker_new(&b), MK_OK);
	assert_int_equal(mk_act_freeze(b, &c, "x"), MK_NOT_READY);
	assert_false(mk_act_frozen(b)->on);
	mk_broker_free(b);
}

/* ---- the second person ---- */

static void one_uid_is_one_person_through_whichever_service(void **state)
{
	enum mk_approval why;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	assert_int_equal(why_not(FIRST, &p), MK_APPROVAL_SAME_PERSON);
	assert_int_equal(approve_on("ops", FIRST, &p, &why), MK_CONFLICT); /* another service, let through by policy */
	assert_int_equal(why, MK_APPROVAL_SAME_PERSON);
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void unheard(struct mk_watcher *w)
{
	(void)w;
}

/* So many were told until now. */
static uint64_t events(void)
{
	struct mk_watcher w = { .woken = unheard };
	struct mk_caller c = admin(FIRST);
	assert_int_equal(mk_watcher_enter(fix.b, &c, mk_span_of(""), &w), MK_OK);
	const uint64_t n = mk_watcher_read_up_to(&w);
	mk_watcher_leave(fix.b, &w);
	return n;
}

static void services_hear_of_a_freeze_and_a_thaw_and_not_of_proposals(void **state)
{
	(void)state;
	const uint64_t before = events();
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(events(), before + 1);
	const struct mk_proposal p = proposed(FIRST);
	assert_int_equal(approve(SECOND, &p), MK_OK);
	assert_int_equal(events(), before + 1);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	assert_int_equal(events(), before + 2);
}

static void a_proposal_is_approved_once_also_over_a_restart(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST), other = proposed(FIRST);
	restart();
	assert_true(mk_act_frozen(fix.b)->on);
	assert_int_equal(approve(SECOND, &p), MK_OK);
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	restart(); /* approved, and ended before it was done */
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	assert_true(mk_act_frozen(fix.b)->on);
	assert_int_equal(approve(SECOND, &other), MK_OK);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	restart();
	assert_false(mk_act_frozen(fix.b)->on);
}

static void a_digest_of_another_proposal_approves_nothing(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	struct mk_proposal p = proposed(FIRST);
	const struct mk_proposal other = proposed(FIRST);
	assert_string_not_equal(p.digest, other.digest);
	memcpy(p.digest, other.digest, sizeof p.digest);
	assert_int_equal(why_not(SECOND, &p), MK_APPROVAL_DIGEST);
	assert_int_equal(approve(SECOND, &other), MK_OK);
}

static void fifteen_minutes_and_no_longer(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	struct mk_proposal p = proposed(FIRST);
	advance(MK_PROPOSAL_MS);
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	p = proposed(FIRST);
	advance(MK_PROPOSAL_MS - 1);
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void a_clock_that_is_set_back_or_stands_still_neither_ends_nor_prolongs_what_waits(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	struct mk_proposal p = proposed(FIRST);
	fix.wall -= 3600000;
	fix.boot += MK_PROPOSAL_MS;
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	p = proposed(FIRST);
	fix.boot += MK_PROPOSAL_MS - 1; /* the wall clock stands */
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void what_waits_does_not_outlive_a_start_with_a_clock_that_is_behind(void **state)
{
	struct mk_proposal all[MK_PROPOSALS_MAX];
	size_t n = 0;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	proposed(FIRST);
	mk_now_start(fix.b); /* the control */
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	assert_int_equal(n, 1);
	fix.wall -= 3600000;
	mk_now_start(fix.b);
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	assert_int_equal(n, 0);
}

static void a_right_that_was_taken_away_is_not_used_by_an_approval(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	swap_in(administered(2, BIT(FREEZE)));
	assert_int_equal(why_not(SECOND, &p), MK_APPROVAL_WITHDRAWN);
	swap_in(administered(3, all_of_first));
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void an_approval_ends_no_later_freeze(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "the drill"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	advance(1000);
	assert_int_equal(freeze(SECOND, "a real one"), MK_OK);
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	assert_true(mk_act_frozen(fix.b)->on);
	const struct mk_proposal of_this = proposed(FIRST);
	assert_non_null(strstr(of_this.detail, "second")); /* whoever approves reads which freeze */
	assert_int_equal(approve(SECOND, &of_this), MK_OK);
}

static void nor_one_that_the_disk_did_not_take(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "the drill"), MK_OK);
	const struct mk_proposal p = proposed(FIRST);
	database_fails();
	advance(1000);
	assert_int_equal(freeze(SECOND, "a real one"), MK_SYSTEM);
	files_end_at(0);
	assert_int_equal(why_not(SECOND, &p), MK_APPROVAL_OVERTAKEN);
	assert_true(mk_act_frozen(fix.b)->on);
}

static void a_freeze_that_is_over_leaves_nothing_to_approve(void **state)
{
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal p = proposed(FIRST), late = proposed(FIRST);
	assert_int_equal(approve(SECOND, &p), MK_OK);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	assert_int_equal(approve(SECOND, &late), MK_NOT_FOUND);
	advance(1000);
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	assert_int_equal(approve(SECOND, &late), MK_NOT_FOUND);
	assert_int_equal(served(), MK_FROZEN);
}

static void nobody_keeps_a_thaw_of_nothing_at_hand(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = true;
	size_t n = 7;
	(void)state;
	assert_int_equal(propose_as(FIRST, MK_ACTION_THAW, &p, &waits), MK_OK);
	assert_false(waits);
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	assert_int_equal(n, 0);
	assert_int_equal(propose_as(FIRST, MK_ACTION_RELOAD, &p, &waits), MK_OK); /* other acts wait as ever */
	assert_true(waits);
}

static void too_many_are_refused_before_they_are_on_record_and_room_comes_by_itself(void **state)
{
	struct mk_proposal p;
	bool waits = false;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	for (unsigned i = 0; i < MK_PROPOSALS_PER_UID; i++)
		p = proposed(FIRST);
	const off_t before = size_of(fix.log);
	assert_int_equal(propose_as(FIRST, MK_ACTION_THAW, &p, &waits), MK_CONFLICT);
	assert_true(size_of(fix.log) > before && logged("\"event\":\"deny\""));
	assert_int_equal(propose_as(SECOND, MK_ACTION_THAW, &p, &waits), MK_OK);
	advance(MK_PROPOSAL_MS); /* nobody looked meanwhile */
	p = proposed(FIRST);
	assert_int_equal(approve(SECOND, &p), MK_OK);
}

static void an_approval_of_nothing_is_on_record(void **state)
{
	const struct mk_proposal p = { .id = "0123456789abcdef", .digest = "0" };
	(void)state;
	assert_false(logged("not_found"));
	assert_int_equal(approve(SECOND, &p), MK_NOT_FOUND);
	assert_true(logged("\"reason\":\"not_found\""));
}

/* ---- what fails ---- */

static void a_freeze_that_the_disk_does_not_take_is_in_force_until_the_end(void **state)
{
	(void)state;
	database_fails();
	assert_int_equal(freeze(FIRST, "full disk"), MK_SYSTEM);
	assert_int_equal(served(), MK_FROZEN);
	assert_true(logged("full disk"));
	files_end_at(0);
	advance(1);
	assert_int_equal(freeze(FIRST, "again"), MK_OK); /* as the log's remedy says */
	restart();
	assert_string_equal(mk_act_frozen(fix.b)->reason, "again");
}

static void a_freeze_without_a_record_is_in_force_and_kept(void **state)
{
	(void)state;
	audit_fails();
	assert_int_equal(freeze(FIRST, "no log"), MK_AUDIT);
	assert_int_equal(served(), MK_AUDIT); /* a denial that cannot be recorded */
	assert_int_equal(rename(moved_dir, log_dir), 0);
	advance(5000);
	mk_audit_tick(fix.b->audit);
	assert_int_equal(served(), MK_FROZEN);
	restart();
	assert_true(mk_act_frozen(fix.b)->on);
}

static void what_cannot_be_kept_is_neither_proposed_nor_thawed(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = false;
	size_t n = 0;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal before = proposed(FIRST);
	database_fails();
	assert_int_equal(propose_as(FIRST, MK_ACTION_THAW, &p, &waits), MK_SYSTEM);
	assert_int_equal(approve(SECOND, &before), MK_SYSTEM);
	assert_int_equal(mk_act_thaw(fix.b), MK_SYSTEM);
	assert_true(mk_act_frozen(fix.b)->on);
	assert_int_equal(served(), MK_FROZEN);
	files_end_at(0);
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	assert_int_equal(n, 1); /* it was not used up */
	assert_int_equal(approve(SECOND, &before), MK_OK);
	assert_int_equal(mk_act_thaw(fix.b), MK_OK);
	assert_int_equal(served(), MK_OK);
}

static void what_cannot_be_recorded_is_neither_proposed_nor_approved(void **state)
{
	struct mk_proposal p, all[MK_PROPOSALS_MAX];
	bool waits = false;
	size_t n = 0;
	(void)state;
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	const struct mk_proposal before = proposed(FIRST);
	audit_fails();
	assert_int_equal(propose_as(SECOND, MK_ACTION_THAW, &p, &waits), MK_AUDIT);
	assert_int_equal(approve(SECOND, &before), MK_AUDIT);
	assert_int_equal(rename(moved_dir, log_dir), 0);
	assert_int_equal(mk_act_proposals(fix.b, all, &n), MK_OK);
	assert_int_equal(n, 1);
	assert_string_equal(all[0].id, before.id);
}

/* ---- an older database ---- */

static void copy(const char *from, const char *to)
{
	char a[120], b[120];
	static uint8_t bytes[1 << 20];
	snprintf(a, sizeof a, "%s/%s", state_dir, from);
	snprintf(b, sizeof b, "%s/%s", state_dir, to);
	const int in = open(a, O_RDONLY), out = open(b, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(in >= 0 && out >= 0);
	const ssize_t n = read(in, bytes, sizeof bytes);
	assert_true(n >= 0 && write(out, bytes, (size_t)n) == n);
	close(in);
	close(out);
}

static bool stands(enum mk_alarm_code code)
{
	for (size_t i = 0; i < fix.b->alarms.n; i++)
		if (fix.b->alarms.items[i].code == code)
			return true;
	return false;
}

static void an_older_database_that_is_accepted_is_an_alarm_and_on_record(void **state)
{
	struct mk_pending *accepting = administered(1, all_of_first);
	accepting->state.accept_rollback = true;
	(void)state;
	restart();
	assert_false(stands(MK_ALARM_STATE_ROLLED_BACK));
	copy("state.db", "db-then");
	copy("state.db-wal", "wal-then");
	assert_int_equal(freeze(FIRST, "x"), MK_OK);
	restart();
	assert_true(mk_act_frozen(fix.b)->on);
	assert_false(stands(MK_ALARM_STATE_ROLLED_BACK));
	fix.b->audit = mk_audit_close(fix.b->audit);
	fix.b->db = mk_statedb_free(fix.b->db);
	copy("db-then", "state.db");
	copy("wal-then", "state.db-wal");
	restart_on(accepting);
	assert_false(mk_act_frozen(fix.b)->on); /* it cannot know what was lost, but that something was */
	assert_true(stands(MK_ALARM_STATE_ROLLED_BACK));
	assert_true(logged("state_rolled_back"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_may_not_freeze_freezes_nothing),
		TEST(who_may_not_thaw_proposes_nothing),
		TEST(before_the_first_configuration_nothing_is_done),
		TEST(one_uid_is_one_person_through_whichever_service),
		TEST(services_hear_of_a_freeze_and_a_thaw_and_not_of_proposals),
		TEST(a_proposal_is_approved_once_also_over_a_restart),
		TEST(a_digest_of_another_proposal_approves_nothing),
		TEST(fifteen_minutes_and_no_longer),
		TEST(a_clock_that_is_set_back_or_stands_still_neither_ends_nor_prolongs_what_waits),
		TEST(what_waits_does_not_outlive_a_start_with_a_clock_that_is_behind),
		TEST(a_right_that_was_taken_away_is_not_used_by_an_approval),
		TEST(an_approval_ends_no_later_freeze),
		TEST(nor_one_that_the_disk_did_not_take),
		TEST(a_freeze_that_is_over_leaves_nothing_to_approve),
		TEST(nobody_keeps_a_thaw_of_nothing_at_hand),
		TEST(too_many_are_refused_before_they_are_on_record_and_room_comes_by_itself),
		TEST(an_approval_of_nothing_is_on_record),
		TEST(a_freeze_that_the_disk_does_not_take_is_in_force_until_the_end),
		TEST(a_freeze_without_a_record_is_in_force_and_kept),
		TEST(what_cannot_be_kept_is_neither_proposed_nor_thawed),
		TEST(what_cannot_be_recorded_is_neither_proposed_nor_approved),
		TEST(an_older_database_that_is_accepted_is_an_alarm_and_on_record),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

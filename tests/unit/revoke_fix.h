/* SPDX-License-Identifier: Apache-2.0
 *
 * A gate with a state database, which may be ended and begun again as a stop or a kill leaves it.
 */
#ifndef MK_TEST_REVOKE_FIX_H
#define MK_TEST_REVOKE_FIX_H

#include "agent/broker/acts_revoke.h"
#include "gate_fix.h"

#include <sys/stat.h>

#define ADMIN_UID 4003u

static struct mk_pending *with_state(uint32_t generation)
{
	struct mk_pending *p = configuration(generation, false);
	struct mk_rule rule = { .line = 20, .n_patterns = 1, .actions = 1u << MK_ACTION_REVOKE | 1u << MK_ACTION_RESTORE, .service = { "secteam" } };
	rule.patterns = calloc(1, sizeof *rule.patterns);
	assert_non_null(rule.patterns);
	rule.patterns[0] = (struct mk_pattern){ "*" };
	assert_int_equal(mk_rules_add_rule(&p->rules, &rule), MK_OK);
	snprintf(p->state.dir, sizeof p->state.dir, "%s", fix.dir);
	return p;
}

static int begin(void)
{
	if (mk_broker_new(&fix.b) != MK_OK)
		return -1;
	fix.stop = stop_timer(fix.b->loop);
	swap_in(with_state(1));
	fetcher_comes();
	return 0;
}

static int make(void **state)
{
	(void)state;
	umask(077);
	fix = (struct gate_fix){ .boot = 1000000, .wall = INT64_C(1798761600000) };
	mk_clock_fake(&fix.boot, &fix.wall);
	snprintf(fix.dir, sizeof fix.dir, "/tmp/mk-revoke-XXXXXX");
	if (!mkdtemp(fix.dir))
		return -1;
	snprintf(fix.log, sizeof fix.log, "%s/audit.jsonl", fix.dir);
	return begin();
}

/* As a stop leaves it. */
static void end(void)
{
	mk_timer_free(fix.stop);
	fix.fetcher = mk_link_free(fix.fetcher);
	mk_audit_close(fix.b->audit);
	fix.b = mk_broker_free(fix.b);
}

static void again(void)
{
	end();
	assert_int_equal(begin(), 0);
}

/* As `kill -9` leaves it: what is on disk at this moment is what the next one finds. */
static void killed(void)
{
	char command[512];
	snprintf(command, sizeof command, "rm -rf %s.now && cp -a %s %s.now", fix.dir, fix.dir, fix.dir);
	assert_int_equal(system(command), 0);
	end();
	snprintf(command, sizeof command, "rm -rf %s && mv %s.now %s", fix.dir, fix.dir, fix.dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(begin(), 0);
}

static int drop(void **state)
{
	char command[128];
	(void)state;
	end();
	mk_clock_fake(NULL, NULL);
	static const char *const names[] = { "audit.jsonl", "state.db", "state.db-wal", "state.key", "old.db" };
	for (size_t i = 0; i < MK_COUNT(names); i++) {
		snprintf(command, sizeof command, "%s/%s", fix.dir, names[i]);
		unlink(command);
	}
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static enum mk_err revoked(const char *name)
{
	struct mk_name names[1] = { { "" } };
	struct mk_revoke r = { .names = names, .n = 1, .reason = "INC-1" };
	struct mk_caller c = { .evidence = { .known = true, .socket = { "api" }, .uid = ADMIN_UID, .gid = ADMIN_UID, .pid = 5 } };
	snprintf(names[0].s, sizeof names[0].s, "%s", name);
	return mk_act_revoke(fix.b, &c, &r);
}

static enum mk_err restore(const char *name, bool values_too)
{
	struct mk_restore r = { .values_too = values_too };
	snprintf(r.name.s, sizeof r.name.s, "%s", name);
	return mk_act_restore(fix.b, &r);
}

/* What asking for it comes to, where the store has that token. */
static enum mk_err asked(const char *name, const char *token)
{
	struct call k;
	call_get(&k, BILLING_UID, name);
	pump();
	if (k.w.waiting)
		answer_with(fix.get.ref, MK_OK, token[0] == ' ' ? "vx" : token, token, NULL);
	if (k.w.waiting) {
		mk_waiter_cancel(fix.b, &k.w);
		return MK_TIMEOUT;
	}
	mk_answer_done(&k.a);
	return k.err;
}

static void stands(const char *alarm, bool does)
{
	bool found = false;
	for (size_t i = 0; i < fix.b->alarms.n; i++)
		found = found || strcmp(mk_alarm_word(fix.b->alarms.items[i].code), alarm) == 0;
	assert_int_equal(found, does);
}

static void copy_db(const char *from, const char *to)
{
	char command[256];
	snprintf(command, sizeof command, "cp %s/%s %s/%s && rm -f %s/state.db-wal", fix.dir, from, fix.dir, to, fix.dir); /* all is in the file after a close */
	assert_int_equal(system(command), 0);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker makes of a fetcher's words about its backends, the forecast beside what
 * the schedule really does, and the table of alarms.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate_fix.h"

#include "agent/broker/ahead.h"
#include "agent/broker/endpoints.h"
#include "agent/broker/schedule.h"
#include "conf_files.h"

#include <sys/mman.h>
#include <time.h>

static void say(const struct mk_msg_endpoint *m)
{
	uint8_t body[512];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(body, sizeof body);
	mk_msg_endpoint_write(&w, m);
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_ENDPOINT_STATE, mk_span(body, n), -1), MK_OK);
	pump();
}

static struct mk_msg_endpoint well(uint8_t backend)
{
	return (struct mk_msg_endpoint){ .backend = backend, .err_at_ms = MK_TIME_NONE, .ok_at_ms = fix.wall, .login_until_ms = MK_TIME_NONE };
}

static const struct mk_store_status *status_of(size_t backend)
{
	static struct mk_broker_status s;
	mk_broker_status(fix.b, &s);
	return &s.stores[backend];
}

static void what_the_fetcher_says_is_shown_of_that_backend_only(void **state)
{
	(void)state;
	assert_false(status_of(1)->told);
	struct mk_msg_endpoint m = well(1);
	m.err = MK_BACKEND;
	m.err_at_ms = fix.wall - 7000;
	m.calls_hour = 42;
	snprintf(m.fault, sizeof m.fault, "the store refuses the connection");
	say(&m);
	assert_true(status_of(1)->told);
	assert_int_equal(status_of(1)->endpoint.calls_hour, 42);
	assert_string_equal(status_of(1)->endpoint.fault, "the store refuses the connection");
	assert_false(status_of(0)->told);
}

static void an_open_breakers_time_runs_down_here(void **state)
{
	(void)state;
	struct mk_msg_endpoint m = well(0);
	m.circuit = MK_CIRCUIT_OPEN;
	m.pause_ms = 4000;
	say(&m);
	advance(1500);
	assert_int_equal(status_of(0)->endpoint.circuit, MK_CIRCUIT_OPEN);
	assert_int_equal(status_of(0)->endpoint.pause_ms, 2500);
	advance(3000);
	assert_int_equal(status_of(0)->endpoint.circuit, MK_CIRCUIT_HALF_OPEN);
	assert_int_equal(status_of(0)->endpoint.pause_ms, 0);
}

static void a_fresh_fetcher_does_not_make_the_last_error_forgotten(void **state)
{
	(void)state;
	struct mk_msg_endpoint m = well(0);
	m.err = MK_TIMEOUT;
	m.err_at_ms = fix.wall;
	snprintf(m.fault, sizeof m.fault, "slow");
	say(&m);
	fetcher_dies();
	fetcher_comes();
	m = well(0);
	say(&m);
	assert_int_equal(status_of(0)->endpoint.err, MK_TIMEOUT);
	assert_string_equal(status_of(0)->endpoint.fault, "slow");
}

static void a_message_about_a_backend_that_is_not_here_changes_nothing(void **state)
{
	(void)state;
	struct mk_msg_endpoint m = well(9);
	m.unwrap_failed = true;
	say(&m);
	assert_non_null(fix.b->fetcher); /* it may be of the configuration before or after */
	assert_int_equal(fix.b->alarms.n, 0);
}

static void a_message_against_the_rules_costs_the_fetcher_its_link(void **state)
{
	static const uint8_t body[60];
	(void)state;
	assert_non_null(fix.b->fetcher);
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_ENDPOINT_STATE, mk_span(body, sizeof body), -1), MK_OK);
	pump();
	assert_null(fix.b->fetcher);
}

/* ---- alarms ---- */

static void an_unwrap_that_failed_is_an_alarm_of_its_backend_until_a_login_succeeds(void **state)
{
	(void)state;
	struct mk_msg_endpoint m = well(1);
	m.unwrap_failed = true;
	say(&m);
	advance(10000);
	m.calls_hour++;
	say(&m);
	assert_int_equal(fix.b->alarms.n, 1);
	assert_int_equal(fix.b->alarms.items[0].code, MK_ALARM_UNWRAP_FAILED);
	assert_string_equal(fix.b->alarms.items[0].subject, "second");
	assert_int_equal(fix.b->alarms.items[0].count, 1); /* it failed once, however often it is told */
	m.unwrap_failed = false;
	say(&m);
	assert_int_equal(fix.b->alarms.n, 0);
}

static void an_alarm_of_a_backend_that_is_configured_no_more_is_gone(void **state)
{
	(void)state;
	struct mk_msg_endpoint m = well(1);
	m.unwrap_failed = true;
	say(&m);
	assert_int_equal(fix.b->alarms.n, 1);
	struct mk_pending *p = configuration(2, false);
	p->n_stores = 1;
	swap_in(p);
	assert_int_equal(fix.b->alarms.n, 0);
}

static void a_fresh_fetcher_or_one_backend_more_does_not_end_the_alarm(void **state)
{
	(void)state;
	struct mk_msg_endpoint m = well(0);
	m.login = MK_LOGIN_FAILING;
	m.unwrap_failed = true;
	say(&m);
	fetcher_dies();
	fetcher_comes();
	m.login = MK_LOGIN_PENDING; /* it has not tried yet */
	m.unwrap_failed = false;
	say(&m);
	assert_int_equal(fix.b->alarms.n, 1);
	struct mk_pending *p = configuration(2, false);
	p->stores[p->n_stores++] = (struct mk_msg_store){ .index = 2, .name = { "third" }, .type = "local" };
	swap_in(p);
	fetcher_comes();
	say(&m);
	m.login = MK_LOGIN_FAILING; /* for another reason */
	say(&m);
	assert_int_equal(fix.b->alarms.n, 1);
	m.login = MK_LOGIN_OK;
	say(&m);
	assert_int_equal(fix.b->alarms.n, 0);
}

static void code_and_subject_make_one_alarm_with_its_first_time_and_count(void **state)
{
	(void)state;
	const int64_t began = fix.wall;
	mk_alarm_raise(fix.b, MK_ALARM_STORE_FULL, "");
	advance(5000);
	mk_alarm_raise(fix.b, MK_ALARM_STORE_FULL, "");
	mk_alarm_raise(fix.b, MK_ALARM_STORE_FULL, "first");
	assert_int_equal(fix.b->alarms.n, 2);
	assert_int_equal(fix.b->alarms.items[0].count, 2);
	assert_int_equal(fix.b->alarms.items[0].since_ms, began);
	mk_alarm_clear(fix.b, MK_ALARM_STORE_FULL, "");
	assert_int_equal(fix.b->alarms.n, 1);
	assert_string_equal(fix.b->alarms.items[0].subject, "first");
	mk_alarm_clear(fix.b, MK_ALARM_STORE_FULL, "other"); /* does not stand */
	assert_int_equal(fix.b->alarms.n, 1);
}

static void crowd(unsigned n)
{
	char subject[100];
	for (unsigned i = 0; i < n; i++) {
		snprintf(subject, sizeof subject, "%u-and-a-name-that-is-too-long-for-the-table-and-for-any-backend-anyway", i);
		mk_alarm_raise(fix.b, MK_ALARM_ENVIRONMENT_MISMATCH, subject);
	}
}

static void alarms_beyond_the_table_are_counted(void **state)
{
	(void)state;
	crowd(MK_ALARMS_MAX - MK_ALARM_COUNT + 3);
	assert_int_equal(fix.b->alarms.n, MK_ALARMS_MAX - MK_ALARM_COUNT);
	assert_int_equal(fix.b->alarms.unlisted, 3);
}

static void a_crowd_of_one_code_hides_no_other(void **state)
{
	(void)state;
	crowd(2 * MK_ALARMS_MAX);
	mk_alarm_raise(fix.b, MK_ALARM_AUDIT_UNAVAILABLE, "");
	mk_alarm_raise(fix.b, MK_ALARM_UNSEAL_FAILED, "");
	const size_t n = fix.b->alarms.n;
	assert_int_equal(n, MK_ALARMS_MAX - MK_ALARM_COUNT + 2);
	assert_int_equal(fix.b->alarms.items[n - 1].code, MK_ALARM_UNSEAL_FAILED);
	for (unsigned c = 0; c < MK_ALARM_COUNT; c++)
		mk_alarm_raise(fix.b, (enum mk_alarm_code)c, "another");
	assert_true(fix.b->alarms.n <= MK_ALARMS_MAX);
}

/* What the process log was told meanwhile: lines. */
static unsigned told(const char *fragment, enum mk_alarm_code code, const char *subject)
{
	static char text[8192];
	const int kept = dup(STDERR_FILENO), log = memfd_create("log", MFD_CLOEXEC);
	assert_true(kept >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
	mk_alarm_raise(fix.b, code, subject);
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	const ssize_t n = pread(log, text, sizeof text - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(log);
	close(kept);
	return strstr(text, fragment) != NULL;
}

static void an_alarm_is_logged_also_when_others_found_no_room_before(void **state)
{
	(void)state;
	crowd(MK_ALARMS_MAX - MK_ALARM_COUNT + 3);
	assert_int_equal(fix.b->alarms.unlisted, 3);
	assert_true(told("audit_unavailable", MK_ALARM_AUDIT_UNAVAILABLE, ""));
	assert_true(told("unheard-of", MK_ALARM_ENVIRONMENT_MISMATCH, "unheard-of")); /* the fourth without room: a doubling */
	assert_false(told("unheard-of", MK_ALARM_ENVIRONMENT_MISMATCH, "unheard-of"));
}

static void every_alarm_stands_in_the_manual(void **state)
{
	static char text[TEXT_MAX];
	size_t n = 0;
	(void)state;
	assert_true(source_text("docs/api.md", text, &n));
	for (unsigned c = 0; c < MK_ALARM_COUNT; c++) {
		char row[80];
		snprintf(row, sizeof row, "| `%s` |", mk_alarm_word((enum mk_alarm_code)c));
		if (!strstr(text, row))
			fail_msg("docs/api.md has no row %s", row);
		assert_true(strlen(mk_alarm_text((enum mk_alarm_code)c)) > 20);
	}
}

/* ---- the forecast ---- */

/* So many fetches in an hour, each entry with its own jitter, looked at when the broker looks. */
static unsigned played(unsigned names, int64_t ttl, uint8_t percent)
{
	unsigned fetches = 0;
	for (unsigned i = 0; i < names; i++) {
		struct mk_fetched_at at = { .boot_ms = 0, .expires_ms = MK_TIME_NONE, .jitter = (uint16_t)(i * 65535u / names) };
		for (int64_t now = (int64_t)(i % 16) * MK_TICK_MS; now < 3600000; now += mk_ahead_round_ms(ttl))
			if (now >= mk_schedule_refresh(&at, ttl, percent, now, 0)) {
				fetches++;
				at.boot_ms = now;
			}
	}
	return fetches;
}

static void the_forecast_is_what_the_schedule_does_within_a_twentieth(void **state)
{
	static const struct {
		int64_t ttl;
		uint8_t percent;
	} rows[] = { { 300000, 20 }, { 300000, 0 }, { 60000, 50 }, { 2000, 10 }, { 3600000 / 2, 20 }, { 10000, 100 } };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		const double said = mk_forecast_fetches(200, rows[i].ttl, rows[i].percent);
		const double did = played(200, rows[i].ttl, rows[i].percent);
		if (said > did * 1.05 + 200 || said < did * 0.95 - 200) /* 200: an hour may end just before one more of each */
			fail_msg("ttl %lld, jitter %u %%: forecast %.0f, played %.0f", (long long)rows[i].ttl, rows[i].percent, said, did);
	}
}

static void the_forecast_counts_what_policy_can_hand_out(void **state)
{
	static const char *const names[] = { "acme-crm", "acme-erp", "acme-payroll", "globex" };
	(void)state;
	mk_fetch_start(fix.b, &(struct mk_flight_key){ .kind = MK_FLIGHT_LIST }, BILLING_UID);
	pump();
	answer_names(false, names, 4);
	const double two = mk_forecast_fetches(2, TTL, 0), lists = 3600000.0 / TTL; /* billing may list */
	assert_true(two > 20);
	assert_in_range(status_of(0)->forecast, (uint32_t)(two + lists - 1), (uint32_t)(two + lists + 1));
	warm("v1", "token-one", NULL); /* one of the two is known by now; it does not count twice */
	assert_in_range(status_of(0)->forecast, (uint32_t)((two + lists) * 0.7), (uint32_t)((two + lists) * 1.4));
}

/* ms of computing, while the clock is the true one. */
static double took(void (*what)(const struct mk_name *name), const struct mk_name *name)
{
	struct timespec a, z;
	mk_clock_fake(NULL, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a); /* what else the machine does meanwhile does not count */
	what(name);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &z);
	mk_clock_fake(&fix.boot, &fix.wall);
	return (double)(z.tv_sec - a.tv_sec) * 1e3 + (double)(z.tv_nsec - a.tv_nsec) / 1e6;
}

static void ask_for_status(const struct mk_name *name)
{
	(void)name;
	status_of(0);
}

static void judge_256(const struct mk_name *name)
{
	for (unsigned i = 0; i < 256; i++)
		assert_false(mk_ahead_can_be_handed_out(fix.b, name));
}

static void a_policy_of_many_services_does_not_make_status_hold_the_loop_up(void **state)
{
	char text[32];
	(void)state;
	struct mk_pending *p = configuration(2, false);
	for (unsigned i = 0; i < 1000; i++) { /* each name is judged for each service */
		struct mk_service s = { .identity = { .socket = { "api" }, .set = MK_EVIDENCE_UID, .uid = 100000 + i } };
		snprintf(s.name.s, sizeof s.name.s, "service-%u", i);
		assert_int_equal(mk_rules_add_service(&p->rules, &s), MK_OK);
		snprintf(text, sizeof text, "zeta-%u-*", i);
		add_rule(&p->rules, false, s.name.s, text, 10);
	}
	swap_in(p);
	for (unsigned i = 0; i < 2000; i++) {
		struct mk_listed l = { .version = "v1" };
		snprintf(l.name.s, sizeof l.name.s, "zeta-%04u", i);
		assert_int_equal(mk_names_add(&fix.b->directory.names, &l, 1), MK_OK);
	}
	const double all = took(judge_256, &fix.b->directory.names.items[0].name), status = took(ask_for_status, NULL);
	if (status > all * 3 / 4)
		fail_msg("status took %.1f ms, 256 decisions take %.1f ms", status, all);
}

static void logins_are_part_of_their_backends_forecast(void **state)
{
	(void)state;
	const uint32_t without = status_of(0)->forecast;
	struct mk_msg_endpoint m = well(0);
	m.login_every_ms = 60000;
	say(&m);
	assert_int_equal(status_of(0)->forecast, without + 60);
	assert_int_equal(status_of(1)->forecast, without);
}

int main(void)
{
#define WITH(fn) cmocka_unit_test_setup_teardown(fn, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		WITH(what_the_fetcher_says_is_shown_of_that_backend_only),
		WITH(an_open_breakers_time_runs_down_here),
		WITH(a_fresh_fetcher_does_not_make_the_last_error_forgotten),
		WITH(a_message_about_a_backend_that_is_not_here_changes_nothing),
		WITH(a_message_against_the_rules_costs_the_fetcher_its_link),
		WITH(an_unwrap_that_failed_is_an_alarm_of_its_backend_until_a_login_succeeds),
		WITH(an_alarm_of_a_backend_that_is_configured_no_more_is_gone),
		WITH(a_fresh_fetcher_or_one_backend_more_does_not_end_the_alarm),
		WITH(code_and_subject_make_one_alarm_with_its_first_time_and_count),
		WITH(alarms_beyond_the_table_are_counted),
		WITH(a_crowd_of_one_code_hides_no_other),
		WITH(an_alarm_is_logged_also_when_others_found_no_room_before),
		cmocka_unit_test(every_alarm_stands_in_the_manual),
		cmocka_unit_test(the_forecast_is_what_the_schedule_does_within_a_twentieth),
		WITH(the_forecast_counts_what_policy_can_hand_out),
		WITH(a_policy_of_many_services_does_not_make_status_hold_the_loop_up),
		WITH(logins_are_part_of_their_backends_forecast),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Logins under a script and a clock that jumps: one for all who wait, renewed ahead of
 * their end, replaced when refused, and healed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver_kit.h"

#define TIMEOUT_MS 10000

static struct {
	struct mk_instance at;
	struct mk_run runs[64];
	size_t ends, good;
	enum mk_err err;
	const char *fault;
	unsigned logins, renewals;
	int64_t ttl_ms, renew_ttl_ms;
	bool renewable, alarm, once, unsure;
	enum mk_err renew_err;
} t;

static enum mk_step store_step(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	*out = (struct mk_req){ .kind = MK_REQ_HTTP, .max = 100, .method = MK_HTTP_GET, .url = "get",
				.headers = { { "X-Vault-Token", "", op->credential } }, .n_headers = 1, .once = t.once };
	if (!res)
		return MK_STEP_SEND;
	if (res->err != MK_OK)
		return mk_step_fail(op, res->err, "the backend's word");
	if (res->status == 403)
		return MK_STEP_LOGIN;
	return res->status == 200 ? MK_STEP_DONE : mk_step_fail(op, MK_BACKEND, "the store's status");
}

static enum mk_step refuse(struct mk_login_op *op, enum mk_err e, const char *fault)
{
	op->err = e;
	op->fault = fault;
	op->alarm = t.alarm;
	return MK_STEP_FAIL;
}

static enum mk_step login_step(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out)
{
	*out = (struct mk_req){ .kind = MK_REQ_HTTP, .max = 100, .method = MK_HTTP_POST, .url = op->renew ? "renew" : "login",
				.headers = { { "X-Vault-Token", "", op->old } }, .n_headers = op->renew ? 1 : 0 };
	if (!res) {
		op->renew ? t.renewals++ : t.logins++;
		return MK_STEP_SEND;
	}
	if (op->renew && t.renew_err != MK_OK)
		return refuse(op, t.renew_err, "not renewed");
	if (res->err != MK_OK)
		return refuse(op, res->err, "the method's word");
	if (res->status != 200)
		return refuse(op, MK_DENIED, "the store refused the login");
	op->ttl_ms = op->renew ? t.renew_ttl_ms : t.ttl_ms;
	op->renewable = t.renewable;
	char name[16];
	snprintf(name, sizeof name, "cred-%u", t.logins);
	return op->renew || mk_secret_copy(mk_span_of(name), &op->credential) == MK_OK ? MK_STEP_DONE : MK_STEP_FAIL;
}

static const struct mk_backend store = { .name = "toy", .verbs = MK_VERB_GET | MK_VERB_HEALTH | MK_VERB_DISABLE, .step = store_step };
static const struct mk_login method = { .name = "toy", .step = login_step };

static void ended(struct mk_run *run)
{
	t.ends++;
	t.good += run->op.err == MK_OK;
	t.err = run->op.err;
	t.fault = run->op.fault;
	t.unsure = run->unsure;
	mk_run_done(run);
}

static void begin(size_t i)
{
	t.runs[i] = (struct mk_run){ .at = &t.at, .op.verb = MK_VERB_GET, .ended = ended };
	mk_run_begin(&t.runs[i]);
}

static enum mk_err run(int64_t ms)
{
	const size_t before = t.ends;
	begin(0);
	kit_pass(ms);
	assert_int_equal(t.ends, before + 1);
	return t.err;
}

static int fresh(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	kit.random = 0;
	t.ttl_ms = t.renew_ttl_ms = 60000;
	t.renewable = true;
	t.at = (struct mk_instance){ .backend = &store, .login = &method, .conf = { .timeout_ms = TIMEOUT_MS, .name.s = "toy" } };
	return mk_instance_init(&t.at, &kit.driver) == MK_OK ? 0 : -1;
}

static int clean(void **state)
{
	(void)state;
	mk_instance_stop(&t.at);
	assert_int_equal(mk_secret_in_use(), 0);
	return 0;
}

static void one_login_serves_all_who_wait(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200, .after_ms = 50 });
	for (size_t i = 0; i < 30; i++)
		begin(i);
	kit_pass(1000);
	assert_int_equal(t.logins, 1);
	assert_int_equal(t.good, 30);
	assert_int_equal(kit.n_calls, 31);
	for (size_t i = 1; i < 31; i++)
		assert_string_equal(kit.calls[i].head, "cred-1");
	assert_int_equal(run(100), MK_OK);
	assert_int_equal(t.logins, 1);
}

static void a_credential_is_renewed_at_two_thirds(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	kit_pass(39990);
	assert_int_equal(t.renewals, 0);
	kit_pass(20);
	assert_int_equal(t.renewals, 1);
	assert_string_equal(kit.calls[kit.n_calls - 1].head, "cred-1");
	kit_pass(400000);
	assert_int_equal(t.renewals, 11);
	assert_int_equal(t.logins, 1);
	assert_int_equal(run(1), MK_OK);
	assert_int_equal(t.logins, 1);
}

static void what_is_not_renewable_is_replaced_ahead_of_its_end(void **state)
{
	(void)state;
	t.renewable = false;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	kit_pass(41000);
	assert_int_equal(t.renewals, 0);
	assert_int_equal(t.logins, 2);
}

static void a_refused_renewal_is_a_fresh_login(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	t.renew_err = MK_DENIED;
	kit_pass(41000);
	assert_int_equal(t.renewals, 1);
	assert_int_equal(t.logins, 2);
}

static void near_the_longest_life_a_fresh_login_follows(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	t.renew_ttl_ms = 20000;
	kit_pass(41000);
	assert_int_equal(t.renewals, 1);
	assert_int_equal(t.logins, 1);
	kit_pass(15000);
	assert_int_equal(t.renewals, 1);
	assert_int_equal(t.logins, 2);
}

static void a_renewal_that_fails_is_tried_again_while_the_credential_serves(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	t.renew_err = MK_BACKEND;
	kit_pass(45000);
	assert_true(t.renewals > 1);
	assert_int_equal(run(1), MK_OK);
	assert_int_equal(t.logins, 1);
	t.renew_err = MK_OK;
	kit_pass(60000);
	assert_int_equal(t.logins, 1);
	assert_int_equal(run(1), MK_OK);
}

static void an_expired_credential_is_not_used(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	t.renew_err = MK_BACKEND;
	kit_pass(70000);
	assert_int_equal(run(10), MK_OK);
	assert_int_equal(t.logins, 2);
	assert_string_equal(kit.calls[kit.n_calls - 1].head, "cred-2");
}

static void a_refusal_brings_one_fresh_login_and_the_operation_again(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	KIT_SCRIPT({ .status = 403 }, { .status = 200 });
	assert_int_equal(run(10), MK_OK);
	assert_int_equal(t.logins, 2);
	assert_string_equal(kit.calls[0].head, "cred-1");
	assert_string_equal(kit.calls[2].head, "cred-2");
}

static void a_second_refusal_is_the_stores_error(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 }, { .status = 403 }, { .status = 200 }, { .status = 403 });
	assert_int_equal(run(10), MK_BACKEND); /* never the caller's "denied" */
	assert_non_null(strstr(t.fault, "policy"));
	assert_int_equal(t.logins, 2);
	assert_int_equal(run(10), MK_BACKEND); /* nor a login for each question */
	assert_int_equal(t.logins, 2);
}

static void change(const struct kit_answer *answers, size_t n, bool once)
{
	t.once = once;
	kit_script(answers, n);
	t.runs[0] = (struct mk_run){ .at = &t.at, .op.verb = MK_VERB_DISABLE, .ended = ended };
	mk_run_begin(&t.runs[0]);
	kit_pass(2 * TIMEOUT_MS);
	t.once = false;
}

static void a_change_that_the_role_may_not_make_is_denied_and_surely_not_made(void **state)
{
	static const struct kit_answer refused[] = { { .status = 200 }, { .status = 403 }, { .status = 200 }, { .status = 403 } };
	(void)state;
	change(refused, MK_COUNT(refused), true);
	assert_int_equal(t.err, MK_DENIED);
	assert_non_null(strstr(t.fault, "policy"));
	assert_false(t.unsure);
}

static void a_change_without_an_answer_may_have_been_made(void **state)
{
	static const struct {
		struct kit_answer answer;
		bool once, unsure;
	} rows[] = {
		{ { .err = MK_BACKEND }, true, true },    { { .status = 500 }, true, true },  { { .after_ms = NEVER_ANSWERS }, true, true },
		{ { .status = 400 }, true, false },       { { .status = 200 }, true, false }, { { .err = MK_BACKEND }, false, false },
		{ { .after_ms = NEVER_ANSWERS }, false, false },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		mk_breaker_success(&t.at.breaker);
		KIT_SCRIPT({ .status = 200 });
		run(1); /* logs in, or has */
		change(&rows[i].answer, 1, rows[i].once);
		assert_int_equal(t.unsure, rows[i].unsure);
	}
}

static void many_refusals_at_once_bring_one_login(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200 });
	run(1);
	KIT_SCRIPT({ .status = 403 }, { .status = 403 }, { .status = 403 }, { .status = 403 }, { .status = 200, .after_ms = 20 });
	for (size_t i = 1; i < 5; i++)
		begin(i);
	kit_pass(100);
	assert_int_equal(t.good, 5);
	assert_int_equal(t.logins, 2);
}

static void a_login_that_is_refused_is_not_repeated_at_once_and_heals(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 400 });
	assert_int_equal(run(1), MK_BACKEND);
	assert_string_equal(t.fault, "the store refused the login");
	for (int i = 0; i < 10; i++)
		assert_int_equal(run(1), MK_BACKEND);
	assert_int_equal(t.logins, 1);
	KIT_SCRIPT({ .status = 200 });
	kit_pass(1000);
	assert_int_equal(run(10), MK_OK);
	assert_int_equal(t.logins, 2);
}

static void without_a_network_it_fails_in_time_and_heals(void **state)
{
	(void)state;
	KIT_SCRIPT({ .after_ms = NEVER_ANSWERS });
	assert_int_equal(run(TIMEOUT_MS), MK_TIMEOUT);
	assert_string_equal(t.fault, "the script says so"); /* the login's, not only that it took too long */
	KIT_SCRIPT({ .status = 200 });
	kit_pass(MK_BREAKER_OPEN_MS);
	assert_int_equal(run(10), MK_OK);
}

static void a_failed_unwrap_is_still_an_error_of_the_store(void **state)
{
	(void)state;
	t.alarm = true;
	KIT_SCRIPT({ .status = 400 });
	assert_int_equal(run(1), MK_BACKEND);
}

static void stopping_ends_a_login_under_way(void **state)
{
	(void)state;
	KIT_SCRIPT({ .after_ms = NEVER_ANSWERS });
	begin(0);
	begin(1);
	kit_pass(10);
	mk_instance_stop(&t.at);
	assert_int_equal(t.ends, 2);
	assert_int_equal(kit.cancelled, 1);
	kit_pass(TIMEOUT_MS);
	assert_int_equal(t.ends, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_login_serves_all_who_wait),
		TEST(a_credential_is_renewed_at_two_thirds),
		TEST(what_is_not_renewable_is_replaced_ahead_of_its_end),
		TEST(a_refused_renewal_is_a_fresh_login),
		TEST(near_the_longest_life_a_fresh_login_follows),
		TEST(a_renewal_that_fails_is_tried_again_while_the_credential_serves),
		TEST(an_expired_credential_is_not_used),
		TEST(a_refusal_brings_one_fresh_login_and_the_operation_again),
		TEST(a_second_refusal_is_the_stores_error),
		TEST(a_change_that_the_role_may_not_make_is_denied_and_surely_not_made),
		TEST(a_change_without_an_answer_may_have_been_made),
		TEST(many_refusals_at_once_bring_one_login),
		TEST(a_login_that_is_refused_is_not_repeated_at_once_and_heals),
		TEST(without_a_network_it_fails_in_time_and_heals),
		TEST(a_failed_unwrap_is_still_an_error_of_the_store),
		TEST(stopping_ends_a_login_under_way),
	};
	return cmocka_run_group_tests_name("login", tests, kit_setup, kit_teardown);
}

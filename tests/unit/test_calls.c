/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations over HTTP under a script and a clock that jumps: deadlines, tries again,
 * Retry-After, the breaker, the bucket, and turns.
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
	size_t ends;
	enum mk_err err;
	const char *fault;
	bool once;
	int64_t ended_at;
} t;

static enum mk_step toy_step(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	*out = (struct mk_req){ .kind = MK_REQ_HTTP, .max = 100, .method = MK_HTTP_GET, .url = "https://store.example/x", .once = t.once };
	if (!res)
		return MK_STEP_SEND;
	if (res->err != MK_OK)
		return mk_step_fail(op, res->err, "the backend's word");
	return res->status == 200 ? MK_STEP_DONE : mk_step_fail(op, MK_BACKEND, "the store's status");
}

static const struct mk_backend toy = { .name = "toy", .verbs = MK_VERB_GET | MK_VERB_HEALTH, .step = toy_step };

static void ended(struct mk_run *run)
{
	t.ends++;
	t.err = run->op.err;
	t.fault = run->op.fault;
	t.ended_at = kit.boot;
	mk_run_done(run);
}

static void begin(size_t i, enum mk_verb verb)
{
	t.runs[i] = (struct mk_run){ .at = &t.at, .op.verb = verb, .ended = ended };
	mk_run_begin(&t.runs[i]);
}

static int fresh(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	kit.random = UINT32_MAX / 2;
	t.at = (struct mk_instance){ .backend = &toy, .conf = { .timeout_ms = TIMEOUT_MS } };
	return mk_instance_init(&t.at, &kit.driver) == MK_OK ? 0 : -1;
}

static int clean(void **state)
{
	(void)state;
	mk_instance_stop(&t.at);
	assert_int_equal(mk_secret_in_use(), 0);
	return 0;
}

static enum mk_err run(int64_t ms)
{
	const size_t before = t.ends;
	begin(0, MK_VERB_GET);
	kit_pass(ms);
	assert_int_equal(t.ends, before + 1);
	return t.err;
}

static void what_passes_is_tried_again(void **state)
{
	(void)state;
	KIT_SCRIPT({ .err = MK_BACKEND }, { .status = 503 }, { .status = 429 }, { .status = 200, .body = "x" });
	assert_int_equal(run(TIMEOUT_MS), MK_OK);
	assert_int_equal(kit.n_calls, 4);
}

static void what_does_not_pass_is_not_tried_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		KIT_SCRIPT({ .status = i == 0 ? 400 : i == 1 ? 404 : 501 });
		assert_int_equal(run(TIMEOUT_MS), MK_BACKEND);
		assert_int_equal(kit.n_calls, 1);
	}
	KIT_SCRIPT({ .err = MK_TOO_LARGE });
	assert_int_equal(run(TIMEOUT_MS), MK_TOO_LARGE);
	assert_int_equal(kit.n_calls, 1);
}

static void a_request_that_may_have_had_its_effect_is_sent_once(void **state)
{
	(void)state;
	t.once = true;
	KIT_SCRIPT({ .err = MK_BACKEND }, { .status = 200 });
	assert_int_equal(run(TIMEOUT_MS), MK_BACKEND);
	assert_int_equal(kit.n_calls, 1);
}

static void health_is_asked_once(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 503 }, { .status = 200 });
	begin(0, MK_VERB_HEALTH);
	kit_pass(TIMEOUT_MS);
	assert_int_equal(kit.n_calls, 1);
}

static void the_transports_fault_is_told_not_the_backends(void **state)
{
	(void)state;
	t.once = true;
	KIT_SCRIPT({ .err = MK_BACKEND });
	run(TIMEOUT_MS);
	assert_string_equal(t.fault, "the script says so");
	KIT_SCRIPT({ .status = 400 });
	run(TIMEOUT_MS);
	assert_string_equal(t.fault, "the store's status");
}

static void a_black_hole_ends_at_the_deadline_after_several_tries(void **state)
{
	const int64_t begun = kit.boot;
	(void)state;
	KIT_SCRIPT({ .after_ms = NEVER_ANSWERS });
	assert_int_equal(run(TIMEOUT_MS), MK_TIMEOUT);
	assert_in_range(kit.n_calls, 3, 5);
	assert_in_range(t.ended_at - begun, TIMEOUT_MS / 2, TIMEOUT_MS);
}

static void every_try_ends_before_the_deadline(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 503, .after_ms = 900 });
	const int64_t begun = kit.boot;
	run(2 * TIMEOUT_MS);
	assert_in_range(t.ended_at - begun, 0, TIMEOUT_MS);
	for (size_t i = 0; i < kit.n_calls; i++)
		assert_true(kit.calls[i].begun + kit.calls[i].timeout <= begun + TIMEOUT_MS);
}

static void retry_after_is_honoured_within_the_deadline(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 429, .retry_after_ms = 3000 }, { .status = 200 });
	assert_int_equal(run(TIMEOUT_MS), MK_OK);
	assert_in_range(kit.calls[1].begun - kit.calls[0].begun, 3000, 3200);
	KIT_SCRIPT({ .status = 429, .retry_after_ms = TIMEOUT_MS + 1 }, { .status = 200 });
	const int64_t begun = kit.boot;
	assert_int_equal(run(1), MK_BACKEND); /* at once: there is no use in waiting */
	assert_int_equal(t.ended_at, begun);
	assert_int_equal(kit.n_calls, 1);
}

static void too_many_that_does_not_say_how_long_is_a_pause_of_a_second_for_all(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 429 });
	for (size_t i = 0; i < 3; i++)
		begin(i, MK_VERB_GET);
	kit_pass(TIMEOUT_MS);
	assert_in_range(kit.n_calls, 4, 3 * (TIMEOUT_MS / 1000 + 1));
	for (size_t i = 3; i < kit.n_calls; i++)
		assert_true(kit.calls[i].begun - kit.calls[i - 3].begun >= 1000);
}

static void an_endpoint_that_asks_for_a_pause_has_it_from_all(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 429, .retry_after_ms = 4000 }, { .status = 200 });
	begin(0, MK_VERB_GET);
	kit_pass(100);
	begin(1, MK_VERB_GET);
	kit_pass(3800);
	assert_int_equal(kit.n_calls, 1);
	kit_pass(1000);
	assert_int_equal(kit.n_calls, 3);
	assert_int_equal(t.ends, 2);
}

/* One a second, a burst of 60 of which one is left. */
static void spend_the_burst(void)
{
	mk_bucket_init(&t.at.bucket, 3600);
	KIT_SCRIPT({ .status = 200 });
	for (size_t i = 0; i < 59; i++)
		assert_int_equal(run(0), MK_OK);
}

/* It had its token already, and only waited for that one's time. */
static void a_pause_that_is_asked_for_meanwhile_holds_for_who_waits_for_the_rate(void **state)
{
	(void)state;
	spend_the_burst();
	KIT_SCRIPT({ .status = 429, .after_ms = 100, .retry_after_ms = 4000 }, { .status = 200 });
	begin(0, MK_VERB_GET);
	begin(1, MK_VERB_GET); /* in a second */
	kit_pass(3000);
	assert_int_equal(kit.n_calls, 1);
	kit_pass(4000);
	assert_int_equal(kit.n_calls, 3);
	assert_int_equal(t.err, MK_OK);
	spend_the_burst();
	KIT_SCRIPT({ .status = 429, .after_ms = 100, .retry_after_ms = 2 * TIMEOUT_MS }, { .status = 200 });
	const size_t ends = t.ends;
	begin(0, MK_VERB_GET);
	begin(1, MK_VERB_GET);
	kit_pass(3000); /* longer than they can wait: not asked, and told so at once */
	assert_int_equal(t.ends, ends + 2);
	assert_int_equal(kit.n_calls, 1);
	assert_int_equal(t.err, MK_NOT_READY);
}

static void an_endpoint_that_fails_is_left_alone_and_probed_by_one(void **state)
{
	(void)state;
	t.once = true;
	KIT_SCRIPT({ .err = MK_BACKEND });
	for (unsigned i = 0; i < MK_BREAKER_FAILURES; i++)
		assert_int_equal(run(1), MK_BACKEND);
	assert_int_equal(run(1), MK_NOT_READY);
	assert_int_equal(kit.n_calls, MK_BREAKER_FAILURES);
	kit_pass(MK_BREAKER_OPEN_MS);
	KIT_SCRIPT({ .status = 200, .after_ms = 50 });
	begin(1, MK_VERB_GET);
	begin(2, MK_VERB_GET);
	kit_pass(1);
	assert_int_equal(kit.n_calls, 1);
	assert_int_equal(t.err, MK_NOT_READY); /* the other */
	kit_pass(100);
	assert_int_equal(t.err, MK_OK);
	assert_int_equal(run(100), MK_OK);
}

static void a_run_that_opened_the_breaker_says_what_it_saw(void **state)
{
	(void)state;
	KIT_SCRIPT({ .err = MK_BACKEND });
	assert_int_equal(run(TIMEOUT_MS), MK_BACKEND);
	assert_int_equal(kit.n_calls, MK_BREAKER_FAILURES);
}

static void calls_beyond_the_rate_wait_or_are_refused(void **state)
{
	(void)state;
	mk_bucket_init(&t.at.bucket, 360); /* one in ten seconds, a burst of 20 */
	KIT_SCRIPT({ .status = 200 });
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(run(1), MK_OK);
	begin(1, MK_VERB_GET);
	begin(2, MK_VERB_GET);
	kit_pass(1);
	assert_int_equal(t.ends, 21);
	assert_int_equal(t.err, MK_NOT_READY);
	kit_pass(TIMEOUT_MS);
	assert_int_equal(t.ends, 22);
	assert_int_equal(t.err, MK_OK);
}

static void runs_take_turns(void **state)
{
	(void)state;
	KIT_SCRIPT({ .status = 200, .after_ms = 100 });
	for (size_t i = 0; i < 20; i++)
		begin(i, MK_VERB_GET);
	kit_pass(1);
	assert_int_equal(kit.n_calls, MK_RUNS_AT_ONCE);
	kit_pass(150);
	assert_int_equal(kit.n_calls, 2 * MK_RUNS_AT_ONCE);
	kit_pass(200);
	assert_int_equal(t.ends, 20);
}

static void a_turn_that_does_not_come_ends_at_the_deadline(void **state)
{
	(void)state;
	KIT_SCRIPT({ .after_ms = NEVER_ANSWERS });
	t.once = true;
	for (size_t i = 0; i < 2 * MK_RUNS_AT_ONCE; i++)
		begin(i, MK_VERB_GET);
	kit_pass(TIMEOUT_MS + 1);
	assert_int_equal(t.ends, 2 * MK_RUNS_AT_ONCE);
	assert_int_equal(t.err, MK_TIMEOUT);
}

static void what_is_under_way_when_the_configuration_goes_is_ended(void **state)
{
	(void)state;
	KIT_SCRIPT({ .after_ms = NEVER_ANSWERS });
	for (size_t i = 0; i < 2 * MK_RUNS_AT_ONCE; i++)
		begin(i, MK_VERB_GET);
	kit_pass(1);
	mk_instance_stop(&t.at);
	assert_int_equal(t.ends, 2 * MK_RUNS_AT_ONCE);
	assert_int_equal(t.err, MK_NOT_READY);
	assert_int_equal(kit.cancelled, MK_RUNS_AT_ONCE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_passes_is_tried_again),
		TEST(what_does_not_pass_is_not_tried_again),
		TEST(a_request_that_may_have_had_its_effect_is_sent_once),
		TEST(health_is_asked_once),
		TEST(the_transports_fault_is_told_not_the_backends),
		TEST(a_black_hole_ends_at_the_deadline_after_several_tries),
		TEST(every_try_ends_before_the_deadline),
		TEST(retry_after_is_honoured_within_the_deadline),
		TEST(too_many_that_does_not_say_how_long_is_a_pause_of_a_second_for_all),
		TEST(an_endpoint_that_asks_for_a_pause_has_it_from_all),
		TEST(a_pause_that_is_asked_for_meanwhile_holds_for_who_waits_for_the_rate),
		TEST(an_endpoint_that_fails_is_left_alone_and_probed_by_one),
		TEST(a_run_that_opened_the_breaker_says_what_it_saw),
		TEST(calls_beyond_the_rate_wait_or_are_refused),
		TEST(runs_take_turns),
		TEST(a_turn_that_does_not_come_ends_at_the_deadline),
		TEST(what_is_under_way_when_the_configuration_goes_is_ended),
	};
	return cmocka_run_group_tests_name("calls", tests, kit_setup, kit_teardown);
}

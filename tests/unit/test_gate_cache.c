/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about what the gate serves from memory: until when, and what a change of the store
 * or of the configuration does to it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/gate_fix.h"

static void a_token_is_fresh_for_its_ttl_and_says_its_age(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	advance(TTL - 1);
	call_get(&k, BILLING_UID, "acme-erp");
	assert_int_equal(k.a.age_s, (TTL - 1) / 1000);
	mk_answer_done(&k.a);
	serves("token-one", MK_CACHE_HIT);
	advance(1);
	serves("token-two", MK_CACHE_MISS);
	assert_int_equal(fix.gets, 2);
}

static void jitter_only_shortens_the_ttl(void **state)
{
	(void)state;
	fix.b->refresh.jitter_percent = 20;
	for (unsigned j = 0; j <= UINT16_MAX; j += 257) {
		const int64_t ttl = mk_gate_ttl(fix.b, (uint16_t)j);
		assert_true(ttl <= TTL && ttl >= TTL / 5 * 4);
	}
	assert_true(mk_gate_ttl(fix.b, 0) == TTL && mk_gate_ttl(fix.b, UINT16_MAX) == TTL / 5 * 4);
}

/* ---- the store changes ---- */

static void watch_store(char path[128])
{
	struct mk_watch w = { .fd = inotify_init1(IN_CLOEXEC), .backend = 0, .file = "tokens.sealed" };
	assert_true(w.fd >= 0);
	assert_true(inotify_add_watch(w.fd, fix.dir, IN_MOVED_TO | IN_CREATE | IN_CLOSE_WRITE) >= 0);
	assert_int_equal(mk_watch_add(fix.b, &w), MK_OK);
	snprintf(path, 128, "%s/tokens.sealed", fix.dir);
}

static void touch(const char *path)
{
	mk_fd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
}

static void a_change_by_rename_is_seen_by_the_very_next_request(void **state)
{
	(void)state;
	char path[128], beside[140];
	watch_store(path);
	snprintf(beside, sizeof beside, "%s.new", path);
	warm("v1", "token-one", NULL);
	touch(beside);
	serves("token-one", MK_CACHE_HIT); /* another file's change is none */
	assert_int_equal(rename(beside, path), 0);
	struct call k;
	call_get(&k, BILLING_UID, "acme-erp"); /* at once: the loop has not run */
	assert_true(k.w.waiting);
	pump();
	answer_token("v2", "token-two");
	assert_true(mk_span_is(k.a.token, "token-two"));
	mk_answer_done(&k.a);
	serves("token-two", MK_CACHE_HIT);
	unlink(path);
}

static void a_turn_sees_what_changed_before_it_began(void **state)
{
	(void)state;
	char path[128];
	struct call k;
	watch_store(path);
	warm("v1", "token-one", NULL);
	mk_gate_turn(fix.b, true);
	serves("token-one", MK_CACHE_HIT);
	touch(path);
	serves("token-one", MK_CACHE_HIT); /* all of a turn were asked before it */
	mk_gate_turn(fix.b, false);
	mk_gate_turn(fix.b, true);
	call_get(&k, BILLING_UID, "acme-erp");
	mk_gate_turn(fix.b, false);
	assert_true(k.w.waiting);
	pump();
	answer_token("v2", "token-two");
	assert_true(mk_span_is(k.a.token, "token-two"));
	mk_answer_done(&k.a);
	unlink(path);
}

static void who_asks_after_a_change_does_not_get_what_was_asked_before_it(void **state)
{
	(void)state;
	struct call before, after;
	call_get(&before, BILLING_UID, "acme-erp");
	pump();
	const struct mk_ref first = fix.get.ref;
	mk_fetch_changed(fix.b, 0);
	call_get(&after, BILLING_UID, "acme-erp");
	pump();
	assert_int_equal(fix.gets, 2);
	const struct mk_ref second = fix.get.ref;
	answer_with(second, MK_OK, "v2", "token-two", NULL);
	assert_true(mk_span_is(after.a.token, "token-two"));
	assert_int_equal(before.woken, 0);
	answer_with(first, MK_OK, "v1", "token-one", NULL);
	assert_int_equal(before.err, MK_OK);
	mk_answer_done(&before.a);
	mk_answer_done(&after.a);
	serves("token-two", MK_CACHE_HIT); /* the older answer put nothing back */
}

static void other_backends_make_everything_be_fetched_again(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	struct mk_pending *p = configuration(2, false);
	p->stores[0].name = (struct mk_word){ "elsewhere" };
	swap_in(p);
	assert_int_equal(mk_store_count(fix.b->store), 0);
	const unsigned asked = fix.gets;
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	assert_int_equal(fix.gets, asked); /* not the fetcher that knows the backends before: the next one is on its way */
	fetcher_comes();
	assert_int_equal(fix.gets, asked + 1);
	for (int i = 0; i < 2; i++)
		answer_error(MK_BACKEND);
	assert_int_equal(k.err, MK_BACKEND); /* not stale from a store that is not configured any more */
}

static void a_reload_of_the_same_backends_keeps_values_for_stale_service_only(void **state)
{
	(void)state;
	struct call k;
	warm("v1", "token-one", NULL);
	swap_in(configuration(2, false));
	fails(&k, MK_BACKEND);
	assert_int_equal(k.err, MK_OK);
	assert_true(k.a.stale);
	mk_answer_done(&k.a);
}

static void what_a_running_process_cannot_take_is_refused_with_the_remedy(void **state)
{
	(void)state;
	struct mk_why why = { 0 };
	struct mk_pending *p = configuration(2, false);
	p->audit.audit.keep++;
	assert_int_equal(mk_config_judge(fix.b, p, &why), MK_CONFLICT);
	assert_non_null(strstr(why.text, "restart"));
	pending_drop(p);
	p = configuration(2, false);
	p->begin.environment = (struct mk_word){ "development" };
	assert_int_equal(mk_config_judge(fix.b, p, &why), MK_CONFLICT);
	pending_drop(p);
	p = configuration(2, false);
	p->has_limits = false;
	assert_int_equal(mk_config_judge(fix.b, p, &why), MK_BAD_REQUEST);
	pending_drop(p);
	p = configuration(2, false);
	assert_int_equal(mk_config_judge(fix.b, p, &why), MK_OK);
	pending_drop(p);
	assert_int_equal(fix.b->generation, 1);
}

int main(void)
{
#define T(claim) cmocka_unit_test_setup_teardown(claim, fix_make, fix_drop)
	const struct CMUnitTest tests[] = {
		T(a_token_is_fresh_for_its_ttl_and_says_its_age),
		T(jitter_only_shortens_the_ttl),
		T(a_change_by_rename_is_seen_by_the_very_next_request),
		T(a_turn_sees_what_changed_before_it_began),
		T(who_asks_after_a_change_does_not_get_what_was_asked_before_it),
		T(other_backends_make_everything_be_fetched_again),
		T(a_reload_of_the_same_backends_keeps_values_for_stale_service_only),
		T(what_a_running_process_cannot_take_is_refused_with_the_remedy),
	};
	return cmocka_run_group_tests(tests, fix_group, NULL);
}

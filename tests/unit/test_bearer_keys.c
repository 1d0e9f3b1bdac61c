/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys that a request's token is verified with: where they come from, when they are asked
 * for again, and what becomes of those that nobody confirms.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bearer_kit.h"

#include <unistd.h>

static void pump(void)
{
	pump_loop(fix.b->loop, fix.stop);
}

static enum mk_err keys_come(const struct mk_msg_keys *m)
{
	static uint8_t buf[6144];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	size_t n = 0;
	mk_msg_keys_write(&w, m);
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	return mk_bearer_keys(fix.b, mk_span(buf, n));
}

static void new_keys_forget_what_was_seen(void **state)
{
	char k[1500], text[2048];
	struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	kit_jwk_rsa(other, "k", "", k, sizeof k); /* the old key is taken back */
	snprintf(text, sizeof text, "{\"keys\":[%s]}", k);
	assert_int_equal(mk_jwks_parse(mk_span_of(text), &m.set, NULL), MK_OK);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "wrong_signature");
}

static void before_the_first_keys_it_cannot_be_told(void **state)
{
	const struct mk_msg_keys failed = { .err = MK_BACKEND }, m = the_keys();
	struct mk_keys_status s;
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("", ""), MK_UNAUTHENTICATED);
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
	assert_int_equal(keys_come(&failed), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_int_equal(keys_come(&failed), MK_OK); /* the last good ones stay */
	assert_int_equal(take("Bearer ", good()), MK_OK);
	mk_bearer_status(fix.b, &s);
	assert_true(s.on && s.keys == 1 && s.fetched_ms == fix.wall);
	assert_string_equal(s.last_error, "backend_error");
}

static void keys_that_are_none_do_not_take_the_place_of_good_ones(void **state)
{
	struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	m.set.key[0].n[m.set.key[0].n_len - 1] &= 0xfe;
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_int_equal(mk_bearer_keys(fix.b, mk_span_of("garbage")), MK_BAD_REQUEST); /* costs the fetcher its link */
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	m = the_keys();
	m.set.key[0].kid[0] = 'z';
	assert_int_equal(keys_come(&m), MK_OK); /* a fetcher cannot replace the keys of a file */
	assert_int_equal(take("Bearer ", good()), MK_OK);
}

static void an_unknown_key_is_asked_for_once_in_thirty_seconds(void **state)
{
	struct mk_msg_keys m = the_keys();
	struct kit_token t;
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	kit_token(key, "{\"alg\":\"RS256\",\"kid\":\"new\"}", kit_claims(NULL, NULL), &t);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 1);
	fix.boot += 30 * SECOND;
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 2);
	memcpy(m.set.key[0].kid, "new", 4);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", t.s), MK_OK);
}

static void nobody_is_asked_for_the_keys_of_a_file_and_the_first_question_does_not_wait(void **state)
{
	const struct mk_msg_keys m = the_keys();
	struct kit_token t;
	(void)state;
	kit_token(key, "{\"alg\":\"RS256\",\"kid\":\"new\"}", kit_claims(NULL, NULL), &t);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 0);
	fix.boot = 10 * SECOND; /* the machine has just started */
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	struct mk_link *fetcher = MK_TAKE(fix.b->fetcher); /* it is being started anew */
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	fix.b->fetcher = fetcher;
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 1);
}

/* What the process log says meanwhile. */
static void logged(const struct mk_msg_keys *m, char *text, size_t cap)
{
	FILE *f = tmpfile();
	assert_non_null(f);
	const int kept = dup(2);
	assert_true(kept >= 0 && dup2(fileno(f), 2) == 2);
	const enum mk_err e = keys_come(m);
	assert_int_equal(dup2(kept, 2), 2);
	close(kept);
	assert_int_equal(e, MK_OK);
	rewind(f);
	text[fread(text, 1, cap - 1, f)] = '\0';
	fclose(f);
}

static void keys_of_the_api_server_that_are_none_are_told(void **state)
{
	const struct mk_msg_keys failed = { .err = MK_BACKEND };
	struct mk_msg_keys m = the_keys();
	struct mk_keys_status s;
	char text[2048];
	(void)state;
	mk_bearer_swap(fix.b, NULL);
	mk_bearer_status(fix.b, &s);
	assert_false(s.on);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	logged(&m, text, sizeof text);
	assert_null(strstr(text, "token_keys_unusable"));
	logged(&failed, text, sizeof text); /* that is the fetcher's to tell */
	assert_null(strstr(text, "token_keys_unusable"));
	m.set.key[0].n[m.set.key[0].n_len - 1] &= 0xfe;
	logged(&m, text, sizeof text);
	assert_non_null(strstr(text, "token_keys_unusable"));
}

static void keys_that_nobody_confirms_raise_an_alarm_and_end_after_a_day(void **state)
{
	const struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 0);
	fix.boot += 61 * SECOND; /* none have come */
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(fix.b->alarms.n, 0);
	fix.boot += HOUR - 1;
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 0);
	fix.boot += 1;
	mk_bearer_tick(fix.b);
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 23 * (int64_t)HOUR;
	mk_bearer_tick(fix.b);
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(fix.b->alarms.n, 0);
	assert_int_equal(take("Bearer ", good()), MK_OK);
}

static void an_alarm_ends_with_the_section_that_raised_it(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	fix.boot += 61 * SECOND;
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER)); /* the same server, which has still not answered */
	assert_int_equal(fix.b->alarms.n, 1);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(fix.b->alarms.n, 0);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	fix.boot += 61 * SECOND;
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	mk_bearer_swap(fix.b, NULL);
	assert_int_equal(fix.b->alarms.n, 0);
	mk_bearer_tick(fix.b);
}

static void keys_stay_over_a_reload_where_they_come_from_the_same_server(void **state)
{
	const struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, "https://another"));
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(new_keys_forget_what_was_seen, begin, end),
		cmocka_unit_test_setup_teardown(before_the_first_keys_it_cannot_be_told, begin, end),
		cmocka_unit_test_setup_teardown(keys_that_are_none_do_not_take_the_place_of_good_ones, begin, end),
		cmocka_unit_test_setup_teardown(an_unknown_key_is_asked_for_once_in_thirty_seconds, begin, end),
		cmocka_unit_test_setup_teardown(keys_that_nobody_confirms_raise_an_alarm_and_end_after_a_day, begin, end),
		cmocka_unit_test_setup_teardown(an_alarm_ends_with_the_section_that_raised_it, begin, end),
		cmocka_unit_test_setup_teardown(keys_stay_over_a_reload_where_they_come_from_the_same_server, begin, end),
		cmocka_unit_test_setup_teardown(nobody_is_asked_for_the_keys_of_a_file_and_the_first_question_does_not_wait, begin, end),
		cmocka_unit_test_setup_teardown(keys_of_the_api_server_that_are_none_are_told, begin, end),
	};
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about answers: what is served, what is refused and how, byte for byte.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "http_client.h"

#include <jansson.h>

static json_t *json_of(const char *text)
{
	json_t *o = json_loads(body_of(text), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	return o;
}

static void a_token_has_its_keys_in_order_and_its_headers(void **state)
{
	(void)state;
	const char *text = ask(GET("/v1/tokens/acme"), NULL);
	assert_int_equal(status_of(text), 200);
	assert_string_equal(body_of(text),
			    "{\"connection\":\"acme\",\"environment\":\"testing\",\"access_token\":\"secret-token\","
			    "\"token_type\":\"Bearer\",\"version\":\"v1\",\"state\":\"current\",\"expires_at\":null,\"age\":3,"
			    "\"stale\":false,\"fields\":{}}");
	assert_non_null(strstr(text, "ETag: \"tag\"\r\n"));
	assert_non_null(strstr(text, "Age: 3\r\n"));
	assert_non_null(strstr(text, "X-Cache: hit\r\n"));
	assert_non_null(strstr(text, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(text, "Content-Type: application/json\r\n"));
	*strstr(text, "\r\n\r\n") = '\0';
	assert_null(strstr(text, "secret"));
	assert_int_equal(mk_secret_in_use(), 0);
}

static void text_plain_is_the_bare_token(void **state)
{
	(void)state;
	const char *text = ask("GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n", NULL);
	assert_string_equal(body_of(text), "secret-token");
	assert_non_null(strstr(text, "Content-Type: text/plain"));
}

static void a_caller_that_has_it_gets_304_and_no_body(void **state)
{
	(void)state;
	const char *text = ask("GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"tag\"\r\n\r\n", NULL);
	assert_int_equal(status_of(text), 304);
	assert_string_equal(body_of(text), "");
	assert_non_null(strstr(text, "ETag: \"tag\"\r\n"));
	text = ask("GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"tag\"\r\n\r\n" GET("/v1/health"), NULL);
	assert_int_equal(count_of(text, "HTTP/1.1 200"), 1); /* the connection goes on */
	assert_int_equal(status_of(ask("GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n", NULL)), 200);
}

static void a_token_of_the_largest_size_and_the_worst_letters_fits(void **state)
{
	(void)state;
	world_b->token_bytes = 16384;
	const char *text = ask(GET("/v1/tokens/acme"), NULL);
	assert_int_equal(status_of(text), 200);
	assert_true(strlen(body_of(text)) > 16384);
	assert_int_equal(mk_secret_in_use(), 0);
}

static void all_denials_are_the_same_bytes(void **state)
{
	static char first[4096];
	static const char *const targets[] = { GET("/v1/tokens/acme"), GET("/v1/tokens/b"), GET("/v1/tokens/a-very-long-name-indeed-0"),
					       GET("/v1/tokens/acme?version=previous") };
	(void)state;
	world_b->err = MK_DENIED;
	for (size_t i = 0; i < MK_COUNT(targets); i++) {
		const char *text = ask(targets[i], NULL);
		assert_int_equal(status_of(text), 403);
		char *date = strstr(text, "Date: ");
		assert_non_null(date);
		memset(date, ' ', strcspn(date, "\r"));
		if (i == 0)
			snprintf(first, sizeof first, "%s", text);
		assert_string_equal(text, first);
	}
}

static void each_error_of_the_gate_has_its_status_and_code(void **state)
{
	(void)state;
	for (unsigned e = MK_REVOKED; e < MK_ERR_COUNT_; e++) {
		if (e == MK_TOO_LARGE)
			continue; /* of requests, never of the gate */
		world_b->err = (enum mk_err)e;
		world_b->retry_after = e == MK_RATE_LIMITED ? 7 : 0;
		const char *text = ask(GET("/v1/tokens/acme"), NULL);
		assert_int_equal(status_of(text), mk_err_http((enum mk_err)e));
		assert_int_equal(strstr(text, "Retry-After: 7\r\n") != NULL, e == MK_RATE_LIMITED);
		world_b->retry_after = 0; /* too many that wait: it is not known how long */
		if (e == MK_RATE_LIMITED)
			assert_non_null(strstr(ask(GET("/v1/tokens/acme"), NULL), "Retry-After: 1\r\n"));
		json_t *o = json_of(text);
		assert_string_equal(json_string_value(json_object_get(o, "code")), mk_err_word((enum mk_err)e));
		json_decref(o);
	}
	assert_int_equal(world_b->refused, 0);
}

static void the_list_goes_on_with_its_last_name(void **state)
{
	(void)state;
	world_b->list_size = 3;
	assert_string_equal(body_of(ask(GET("/v1/tokens?limit=1"), NULL)),
			    "{\"tokens\":[{\"connection\":\"acme-0000\",\"version\":null,\"state\":\"current\",\"expires_at\":null}],"
			    "\"next\":\"acme-0000\"}");
	json_t *o = json_of(ask(GET("/v1/tokens"), NULL));
	assert_int_equal(json_array_size(json_object_get(o, "tokens")), 3);
	assert_true(json_is_null(json_object_get(o, "next")));
	json_decref(o);
	world_b->list_size = 1000;
	o = json_of(ask(GET("/v1/tokens?limit=1000"), NULL));
	assert_int_equal(json_array_size(json_object_get(o, "tokens")), 1000);
	json_decref(o);
}

static void whoami_and_health_answer_nobody_too(void **state)
{
	(void)state;
	assert_string_equal(body_of(ask(GET("/v1/whoami"), NULL)),
			    "{\"service\":null,\"environment\":\"testing\",\"evidence\":{\"socket\":\"api\",\"uid\":1000,\"gid\":100,"
			    "\"groups\":[],\"unit\":null,\"account\":null},\"rules\":[]}");
	assert_string_equal(body_of(ask(GET("/v1/health"), NULL)), "{\"status\":\"ready\",\"environment\":\"testing\"}");
	world_b->reasons = 1u << MK_REASON_AUDIT | 1u << MK_REASON_BACKEND;
	const char *text = ask(GET("/v1/health"), NULL);
	assert_int_equal(status_of(text), 503);
	assert_non_null(strstr(text, "\"reasons\":[\"audit_unavailable\",\"backend_unavailable\"]"));
}

#define WITH(target, more) "GET " target " HTTP/1.1\r\nHost: a\r\n" more "\r\n"

static void who_needs_a_token_is_401_without_one_and_told_how(void **state)
{
	static const char *const without[] = { "", "Authorization: Basic Z29vZA==\r\n", "Authorization: Bearer bad\r\n", "Authorization:\r\n" };
	char request[256];
	(void)state;
	world_b->wants_token = true;
	for (size_t i = 0; i < MK_COUNT(without); i++) {
		snprintf(request, sizeof request, "GET /v1/tokens/acme HTTP/1.1\r\nHost: a\r\n%s\r\n", without[i]);
		const char *text = ask(request, NULL);
		assert_int_equal(status_of(text), 401);
		assert_non_null(strstr(text, "WWW-Authenticate: Bearer\r\n"));
		assert_non_null(strstr(text, "\"code\":\"unauthenticated\""));
		assert_null(strstr(text, "Connection: close"));
	}
	assert_int_equal(world_b->gets, 0);
	assert_int_equal(world_b->refused, MK_COUNT(without));
	assert_int_equal(world_b->last_refused, MK_UNAUTHENTICATED);
	assert_int_equal(status_of(ask(WITH("/v1/tokens", ""), NULL)), 401);
	assert_int_equal(status_of(ask(WITH("/v1/tokens/acme", "Authorization: Bearer good\r\n"), NULL)), 200);
	world_b->no_keys = true;
	assert_int_equal(status_of(ask(WITH("/v1/tokens/acme", "Authorization: Bearer good\r\n"), NULL)), 503);
}

static void whoami_tells_why_a_token_was_refused(void **state)
{
	(void)state;
	world_b->wants_token = true;
	assert_int_equal(status_of(ask(GET("/v1/health"), NULL)), 200);
	assert_non_null(strstr(ask(GET("/v1/whoami"), NULL), "\"account\":null,\"account_refused\":\"no_token\"}"));
	assert_non_null(strstr(ask(WITH("/v1/whoami", "Authorization: Bearer bad\r\n"), NULL), "\"account_refused\":\"wrong_signature\"}"));
	assert_non_null(strstr(ask(WITH("/v1/whoami", "Authorization: Bearer good\r\n"), NULL),
			       "\"account\":{\"namespace\":\"erp\",\"service_account\":\"sync\"}}"));
	assert_int_equal(world_b->refused, 0);
}

/* Each request of a connection by itself: the world asserts that nothing is left of the one before. */
static void an_account_ends_with_its_request(void **state)
{
	(void)state;
	world_b->wants_token = true;
	const char *text = ask(WITH("/v1/whoami", "Authorization: Bearer good\r\n") WITH("/v1/whoami", ""), NULL);
	assert_non_null(strstr(text, "\"service_account\":\"sync\""));
	assert_non_null(strstr(text, "\"account\":null,\"account_refused\":\"no_token\""));
}

static void a_wrong_method_is_told_the_right_one(void **state)
{
	static const char *const methods[] = { "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "TRACE" };
	char request[128];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(methods); i++) {
		snprintf(request, sizeof request, "%s /v1/tokens/acme HTTP/1.1\r\nHost: a\r\n\r\n", methods[i]);
		const char *text = ask(request, NULL);
		assert_int_equal(status_of(text), 405);
		assert_non_null(strstr(text, "Allow: GET\r\n"));
	}
	assert_int_equal(world_b->gets, 0);
	assert_int_equal(world_b->refused, MK_COUNT(methods));
}

static void each_listener_has_its_own_calls(void **state)
{
	(void)state;
	assert_int_equal(status_of(ask(GET("/v1/status"), NULL)), 404);
	assert_int_equal(status_of(ask("POST /v1/reload HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), 404);
	assert_int_equal(status_of(ask(GET("/v1/nothing"), NULL)), 404);
	snprintf(world_path, sizeof world_path, "%s/admin.sock", world_dir);
	assert_int_equal(status_of(ask(GET("/v1/tokens/acme"), NULL)), 404);
	assert_int_equal(status_of(ask(GET("/v1/tokens"), NULL)), 404);
	assert_int_equal(status_of(ask(GET("/v1/whoami"), NULL)), 200);
	json_t *o = json_of(ask(GET("/v1/status"), NULL));
	assert_int_equal(json_integer_value(json_object_get(o, "generation")), 7);
	assert_int_equal(json_array_size(json_object_get(o, "processes")), 1);
	const json_t *store = json_array_get(json_object_get(o, "stores"), 0);
	assert_string_equal(json_string_value(json_object_get(store, "breaker")), "open");
	assert_int_equal(json_integer_value(json_object_get(store, "retry_in")), 3);
	assert_string_equal(json_string_value(json_object_get(json_object_get(store, "last_error"), "code")), "timeout");
	assert_string_equal(json_string_value(json_object_get(json_object_get(store, "last_error"), "text")), "a \"text\", {with} \\ all");
	assert_string_equal(json_string_value(json_object_get(json_object_get(store, "login"), "state")), "failing");
	assert_int_equal(json_integer_value(json_object_get(store, "forecast_per_hour")), 12);
	assert_true(json_is_null(json_object_get(store, "limit_per_hour")));
	const json_t *alarm = json_array_get(json_object_get(o, "alarms"), 0);
	assert_string_equal(json_string_value(json_object_get(alarm, "code")), "audit_unavailable");
	assert_string_equal(json_string_value(json_object_get(alarm, "subject")), "of \"it\"");
	json_decref(o);
	assert_int_equal(world_b->gets, 0);
	world_b->admin = MK_DENIED;
	assert_int_equal(status_of(ask(GET("/v1/status"), NULL)), 403);
}

static void finish_reload(const struct mk_msg_result *how)
{
	struct mk_reload *r = MK_TAKE(world_b->reload);
	assert_non_null(r);
	r->done(r, how);
}

static void a_reload_says_how_it_went(void **state)
{
	const struct mk_msg_result good = { .generation = 9, .err = MK_OK };
	const struct mk_msg_result bad = { .generation = 9, .err = MK_BAD_REQUEST, .text = "/etc/makini/x/policy.conf:12: no such key" };
	(void)state;
	snprintf(world_path, sizeof world_path, "%s/admin.sock", world_dir);
	const int fd = connect_as(0);
	say(fd, "POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	assert_string_equal(hear(fd, NULL), "");
	assert_int_equal(status_of(ask("POST /v1/reload HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), 503); /* one at a time */
	finish_reload(&good);
	assert_string_equal(body_of(hear(fd, NULL)), "{\"generation\":9}");
	say(fd, "POST /v1/reload HTTP/1.1\r\nHost: a\r\n\r\n");
	run_ms(5);
	finish_reload(&bad);
	const char *text = hear(fd, NULL);
	assert_int_equal(status_of(text), 409);
	assert_non_null(strstr(text, "\"detail\":\"policy.conf:12: no such key\""));
	say(fd, "POST /v1/reload HTTP/1.1\r\nHost: a\r\n\r\n");
	run_ms(5);
	close(fd); /* the administrator leaves: nobody is told */
	run_ms(10);
	assert_null(world_b->reload);
	assert_int_equal(world_b->cancelled, 1);
}

static void what_waits_is_answered_when_woken(void **state)
{
	(void)state;
	world_b->waits = true;
	const int fd = connect_as(1000);
	say(fd, GET("/v1/tokens/acme"));
	assert_string_equal(hear(fd, NULL), "");
	struct mk_waiter *w = MK_TAKE(world_b->waiting);
	assert_non_null(w);
	w->waiting = false;
	w->fetched = true;
	w->woken(w);
	const char *text = hear(fd, NULL);
	assert_int_equal(status_of(text), 200);
	assert_non_null(strstr(text, "X-Cache: miss\r\n"));
	assert_int_equal(world_b->gets, 2);
	close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	static char all[64 * 200];
	char one[80];
	(void)state;
	all[0] = '\0';
	for (unsigned i = 0; i < 150; i++) {
		snprintf(one, sizeof one, "GET /v1/tokens/acme-%03u HTTP/1.1\r\nHost: a\r\n\r\n", i);
		strncat(all, one, sizeof all - strlen(all) - 1);
	}
	const int fd = connect_as(1000);
	say(fd, all);
	const char *text = hear(fd, NULL);
	assert_int_equal(count_of(text, "HTTP/1.1 200 "), 150);
	for (unsigned i = 0; i < 150; i++) {
		snprintf(one, sizeof one, "{\"connection\":\"acme-%03u\"", i);
		text = strstr(text, one);
		assert_non_null(text);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_token_has_its_keys_in_order_and_its_headers),
		CLAIM(text_plain_is_the_bare_token),
		CLAIM(a_caller_that_has_it_gets_304_and_no_body),
		CLAIM(a_token_of_the_largest_size_and_the_worst_letters_fits),
		CLAIM(all_denials_are_the_same_bytes),
		CLAIM(each_error_of_the_gate_has_its_status_and_code),
		CLAIM(the_list_goes_on_with_its_last_name),
		CLAIM(whoami_and_health_answer_nobody_too),
		CLAIM(who_needs_a_token_is_401_without_one_and_told_how),
		CLAIM(whoami_tells_why_a_token_was_refused),
		CLAIM(an_account_ends_with_its_request),
		CLAIM(a_wrong_method_is_told_the_right_one),
		CLAIM(each_listener_has_its_own_calls),
		CLAIM(a_reload_says_how_it_went),
		CLAIM(what_waits_is_answered_when_woken),
		CLAIM(pipelined_requests_are_answered_in_order),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about reading a request: the raw target, the headers, Accept, problem documents.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/http_request.h"
#include "mk/own.h"

#include <jansson.h>
#include <stdio.h>

static struct mk_uri parsed(const char *raw)
{
	struct mk_uri u;
	mk_uri_parse(mk_span_of(raw), &u);
	return u;
}

static void the_known_paths_are_found_exactly(void **state)
{
	static const struct {
		const char *raw;
		enum mk_resource resource;
	} good[] = {
		{ "/v1/tokens/acme", MK_RES_TOKEN }, { "/v1/tokens", MK_RES_TOKENS }, { "/v1/tokens?", MK_RES_TOKENS },
		{ "/v1/whoami", MK_RES_WHOAMI },     { "/v1/health", MK_RES_HEALTH }, { "/v1/status", MK_RES_STATUS },
		{ "/v1/reload", MK_RES_RELOAD },     { "/", MK_RES_NONE },            { "/v1", MK_RES_NONE },
		{ "/v1/token", MK_RES_NONE },        { "/V1/health", MK_RES_NONE },   { "/v1/healthy", MK_RES_NONE },
		{ "/v2/health", MK_RES_NONE },       { "/v1/nothing/at/all?x=1", MK_RES_NONE },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(good); i++) {
		const struct mk_uri u = parsed(good[i].raw);
		assert_int_equal(u.bad, MK_HINT_NONE);
		assert_int_equal(u.resource, good[i].resource);
	}
}

static void the_name_is_taken_as_it_stands(void **state)
{
	(void)state;
	assert_string_equal(parsed("/v1/tokens/acme-crm-2").name.s, "acme-crm-2");
	assert_int_equal(parsed("/v1/tokens/a").bad, MK_HINT_NONE);
	char longest[11 + 63 + 1] = "/v1/tokens/";
	memset(longest + 11, 'a', 63);
	assert_int_equal(parsed(longest).bad, MK_HINT_NONE);
}

static void what_is_not_a_name_is_refused(void **state)
{
	static const struct {
		const char *raw;
		enum mk_hint why;
	} bad[] = {
		{ "/v1/tokens/", MK_HINT_NAME },           { "/v1/tokens/ACME", MK_HINT_NAME },
		{ "/v1/tokens/a--b", MK_HINT_NAME },       { "/v1/tokens/-a", MK_HINT_NAME },
		{ "/v1/tokens/a/b", MK_HINT_NAME },        { "/v1/tokens/../x", MK_HINT_NAME },
		{ "/v1/tokens/.", MK_HINT_NAME },          { "/v1/tokens/a.b", MK_HINT_NAME },
		{ "/v1/tokens/a_b", MK_HINT_NAME },        { "/v1/tokens/acme/", MK_HINT_NAME },
		{ "/v1/tokens//acme", MK_HINT_NAME },      { "/v1/tokens/acme%00payroll", MK_HINT_PERCENT },
		{ "/v1/tokens/%2e%2e", MK_HINT_PERCENT },  { "/v1/tokens/ac%6de", MK_HINT_PERCENT },
		{ "/v1/tokens/acme%", MK_HINT_PERCENT },   { "/v1/%74okens/acme", MK_HINT_PERCENT },
		{ "/v1/tokens?limit=%31", MK_HINT_PERCENT }, { "/v1/tokens/\xd0\xb0""cme", MK_HINT_TARGET_BYTES },
		{ "/v1/tokens/a\xe2\x80\x8b""b", MK_HINT_TARGET_BYTES }, { "/v1/tokens/\xc0\xae", MK_HINT_TARGET_BYTES },
		{ "/v1/tokens/a b", MK_HINT_TARGET_BYTES }, { "/v1/tokens/a\tb", MK_HINT_TARGET_BYTES },
		{ "/v1/tokens/a#b", MK_HINT_TARGET_BYTES }, { "/v1/tokens/a\\b", MK_HINT_TARGET_BYTES },
		{ "/v1/tokens/a\x01", MK_HINT_TARGET_BYTES }, { "/v1/tokens/a;b", MK_HINT_TARGET_BYTES },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		assert_int_equal(parsed(bad[i].raw).bad, bad[i].why);
	char raw[11 + 64 + 1] = "/v1/tokens/";
	memset(raw + 11, 'a', 64);
	assert_int_equal(parsed(raw).bad, MK_HINT_NAME);
}

static void a_nul_ends_no_name(void **state)
{
	struct mk_uri u;
	(void)state;
	mk_uri_parse(mk_span("/v1/tokens/acme\0payroll", 23), &u);
	assert_int_equal(u.bad, MK_HINT_TARGET_BYTES);
	mk_uri_parse(mk_span(NULL, 0), &u);
	assert_int_equal(u.bad, MK_HINT_TARGET_FORM);
}

static void only_a_path_is_a_target(void **state)
{
	static const char *const bad[] = { "", "*", "http://agent/v1/health", "agent:443", "v1/health", "?x=1", "\\v1" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		assert_int_equal(parsed(bad[i]).bad, MK_HINT_TARGET_FORM);
}

static void a_path_is_never_normalised(void **state)
{
	static const char *const bad[] = { "//v1/health", "/v1//health", "/v1/./health", "/v1/../v1/health", "/v1/health/",
					   "/v1/health/..", "//", "/./", "/..", "/v1/tokens/../health" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		assert_int_not_equal(parsed(bad[i]).bad, MK_HINT_NONE);
		assert_int_not_equal(parsed(bad[i]).resource, MK_RES_HEALTH);
	}
}

static const struct {
	const char *raw;
	enum mk_hint why;
} queries[] = {
	{ "/v1/tokens/acme?version=previous", MK_HINT_NONE },
	{ "/v1/tokens?limit=1", MK_HINT_NONE },
	{ "/v1/tokens?limit=1000&after=acme", MK_HINT_NONE },
	{ "/v1/tokens?after=acme&limit=7", MK_HINT_NONE },
	{ "/v1/tokens/acme?version=current", MK_HINT_VERSION },
	{ "/v1/tokens/acme?version=", MK_HINT_VERSION },
	{ "/v1/tokens/acme?version", MK_HINT_QUERY },
	{ "/v1/tokens/acme?version=previous&version=previous", MK_HINT_QUERY },
	{ "/v1/tokens/acme?wait=30s&not=v1", MK_HINT_NONE },
	{ "/v1/tokens/acme?wait=60s", MK_HINT_NONE },
	{ "/v1/tokens/acme?wait=61s", MK_HINT_WAIT },
	{ "/v1/tokens/acme?wait=0s", MK_HINT_WAIT },
	{ "/v1/tokens/acme?wait=30", MK_HINT_WAIT },
	{ "/v1/tokens/acme?wait=1s&wait=1s", MK_HINT_QUERY },
	{ "/v1/watch", MK_HINT_NONE },
	{ "/v1/watch?connection=acme&connection=acme-erp", MK_HINT_NONE },
	{ "/v1/watch?connection=acme--x", MK_HINT_NAME },
	{ "/v1/watch?connection=acme&connection=", MK_HINT_NAME },
	{ "/v1/watch?connection", MK_HINT_QUERY },
	{ "/v1/watch?wait=1s", MK_HINT_QUERY_WATCH },
	{ "/v1/tokens/acme?Version=previous", MK_HINT_QUERY_TOKEN },
	{ "/v1/tokens/acme?env=production", MK_HINT_QUERY_TOKEN },
	{ "/v1/tokens/acme?version=previous&", MK_HINT_QUERY },
	{ "/v1/tokens/acme?&version=previous", MK_HINT_QUERY },
	{ "/v1/tokens/acme?=previous", MK_HINT_QUERY_TOKEN },
	{ "/v1/tokens/acme?max_age=10s", MK_HINT_NONE },
	{ "/v1/tokens/acme?max_age=0s&not=v1&version=previous", MK_HINT_NONE },
	{ "/v1/tokens/acme?max_age=10", MK_HINT_MAX_AGE },
	{ "/v1/tokens/acme?max_age=", MK_HINT_MAX_AGE },
	{ "/v1/tokens/acme?max_age=-1s", MK_HINT_MAX_AGE },
	{ "/v1/tokens/acme?max_age=1.5s", MK_HINT_MAX_AGE },
	{ "/v1/tokens/acme?max_age=99999999999999999999d", MK_HINT_MAX_AGE },
	{ "/v1/tokens/acme?max_age=1s&max_age=1s", MK_HINT_QUERY },
	{ "/v1/tokens/acme?not=", MK_HINT_NOT },
	{ "/v1/tokens/acme?not=v1&not=v2", MK_HINT_QUERY },
	{ "/v1/tokens?max_age=1s", MK_HINT_QUERY_LIST },
	{ "/v1/tokens?limit=0", MK_HINT_LIMIT },
	{ "/v1/tokens?limit=1001", MK_HINT_LIMIT },
	{ "/v1/tokens?limit=4294967297", MK_HINT_LIMIT },
	{ "/v1/tokens?limit=-1", MK_HINT_LIMIT },
	{ "/v1/tokens?limit=", MK_HINT_LIMIT },
	{ "/v1/tokens?after=", MK_HINT_AFTER },
	{ "/v1/tokens?after=A", MK_HINT_AFTER },
	{ "/v1/tokens?tag=a", MK_HINT_QUERY_LIST },
	{ "/v1/tokens?limit=1?limit=2", MK_HINT_LIMIT },
	{ "/v1/health?verbose=1", MK_HINT_QUERY_NONE },
};

static void a_query_holds_known_keys_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(queries); i++)
		assert_int_equal(parsed(queries[i].raw).bad, queries[i].why);
}

static void what_a_query_says_is_read(void **state)
{
	(void)state;
	assert_true(parsed("/v1/tokens/acme?version=previous").previous);
	assert_false(parsed("/v1/tokens/acme").previous);
	assert_int_equal(parsed("/v1/tokens/acme").max_age_ms, 0);
	assert_int_equal(parsed("/v1/tokens/acme?max_age=10s").max_age_ms, 10000);
	assert_int_equal(parsed("/v1/tokens/acme?max_age=0s").max_age_ms, 1); /* given, and as short as can be */
	assert_string_equal(parsed("/v1/tokens/acme").not_version, "");
	assert_string_equal(parsed("/v1/tokens/acme?not=4f~a.b_c=").not_version, "4f~a.b_c=");
	assert_int_equal(parsed("/v1/tokens/acme?wait=30s").wait_ms, 30000);
	assert_int_equal(parsed("/v1/watch?connection=acme&connection=acme-erp").names, 2);
	assert_int_equal(parsed("/v1/tokens").limit, 100);
	assert_int_equal(parsed("/v1/tokens?limit=1000&after=acme").limit, 1000);
	assert_string_equal(parsed("/v1/tokens?limit=1000&after=acme").after.s, "acme");
}

static void a_query_is_as_long_as_it_may_be(void **state)
{
	(void)state;
	char not_that[21 + 65 + 1] = "/v1/tokens/acme?not=";
	memset(not_that + 20, 'a', 64);
	assert_int_equal(parsed(not_that).bad, MK_HINT_NONE);
	not_that[84] = 'a';
	assert_int_equal(parsed(not_that).bad, MK_HINT_NOT);
	char many[16 + 33 * 13 + 1] = "/v1/watch?";
	for (unsigned i = 0; i < 33; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "%sconnection=a", i ? "&" : "");
	assert_int_equal(parsed(many).bad, MK_HINT_WATCH_NAMES);
	*strrchr(many, '&') = '\0';
	assert_int_equal(parsed(many).names, 32);
}

static struct mk_head headed(const char *key, const char *value, unsigned times)
{
	struct mk_head h = { 0 };
	for (unsigned i = 0; i < times; i++)
		mk_head_take(&h, mk_span_of(key), mk_span_of(value));
	return h;
}

static void headers_of_smugglers_browsers_and_proxies_are_refused(void **state)
{
	static const struct {
		const char *key, *value;
		unsigned times;
		enum mk_hint why;
	} cases[] = {
		{ "Transfer-Encoding", "chunked", 1, MK_HINT_TRANSFER },   { "transfer-ENCODING", "identity", 1, MK_HINT_TRANSFER },
		{ "Content-Length", "5", 2, MK_HINT_TWICE },               { "Content-Length", "+5", 1, MK_HINT_LENGTH },
		{ "Content-Length", "0x5", 1, MK_HINT_LENGTH },            { "Content-Length", "5 ,5", 1, MK_HINT_LENGTH },
		{ "Content-Length", "", 1, MK_HINT_LENGTH },               { "Content-Length", "-1", 1, MK_HINT_LENGTH },
		{ "Authorization", "Bearer x", 2, MK_HINT_TWICE },         { "authorization", "Bearer x", 1, MK_HINT_NONE },
		{ "Host", "a", 2, MK_HINT_TWICE },                         { "Origin", "http://evil", 1, MK_HINT_FORWARDED },
		{ "X-Forwarded-For", "1.2.3.4", 1, MK_HINT_FORWARDED },    { "x-forwarded-host", "x", 1, MK_HINT_FORWARDED },
		{ "Forwarded", "for=x", 1, MK_HINT_FORWARDED },            { "Via", "1.1 x", 1, MK_HINT_FORWARDED },
		{ "Proxy-Authorization", "x", 1, MK_HINT_FORWARDED },      { "Expect", "100-continue", 1, MK_HINT_EXPECT },
		{ "Content-Length ", "5", 1, MK_HINT_HEADER },             { "", "x", 1, MK_HINT_HEADER },
		{ "X-A", "a\x01z", 1, MK_HINT_HEADER },                    { "X-A", "a\rb", 1, MK_HINT_HEADER },
		{ "X\x80", "a", 1, MK_HINT_HEADER },                       { "Accept", "text/plain", 2, MK_HINT_NONE },
		{ "Host", "anything:1", 1, MK_HINT_NONE },                 { "User-Agent", "t\xc3\xa4st\t1", 1, MK_HINT_NONE },
		{ "Content-Length", "0", 1, MK_HINT_NONE },                { "Original", "x", 1, MK_HINT_NONE },
		{ "Viable", "x", 1, MK_HINT_NONE },                        { "Authorization", "Bearer x", 1, MK_HINT_NONE },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++)
		assert_int_equal(headed(cases[i].key, cases[i].value, cases[i].times).bad, cases[i].why);
}

static void a_length_beyond_all_numbers_is_large_not_small(void **state)
{
	(void)state;
	assert_true(headed("Content-Length", "18446744073709551616", 1).body > MK_REQ_BODY_MAX);
	assert_true(headed("Content-Length", "4294967296", 1).body > MK_REQ_BODY_MAX);
	assert_int_equal(headed("content-length", "8192", 1).body, 8192);
	assert_int_equal(headed("Content-Length", "007", 1).body, 7);
}

static void the_first_fault_of_a_head_is_kept(void **state)
{
	struct mk_head h = { 0 };
	(void)state;
	mk_head_take(&h, mk_span_of("Via"), mk_span_of("x"));
	mk_head_take(&h, mk_span_of("Host"), mk_span_of("x"));
	mk_head_take(&h, mk_span_of("Expect"), mk_span_of("x"));
	assert_int_equal(h.bad, MK_HINT_FORWARDED);
}

static void accept_is_weighed(void **state)
{
	static const struct {
		const char *accept;
		bool plain;
	} cases[] = {
		{ "", false },                                  { "*/*", false },
		{ "text/plain", true },                         { "TEXT/Plain ; charset=utf-8", true },
		{ "text/*", true },                             { "application/json, text/plain, */*", false },
		{ "text/plain, */*;q=0.01", true },             { "text/plain;q=0.5, application/json", false },
		{ "text/plain;q=0.5, application/json;q=0.25", true }, { "text/plain;q=0", false },
		{ "text/html, image/png", false },              { "text/plain;q=0, text/*", false },
		{ ",,;;,", false },                             { "text/plainish", false },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++)
		assert_int_equal(mk_accept_plain(mk_span_of(cases[i].accept)), cases[i].plain);
}

static void each_problem_is_json_and_says_its_status(void **state)
{
	(void)state;
	for (unsigned h = 1; h < MK_HINT_COUNT; h++) {
		const struct mk_span text = mk_problem_text((enum mk_hint)h);
		json_t *o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(o);
		assert_int_equal(json_object_size(o), 5);
		const enum mk_err e = mk_hint_err((enum mk_hint)h);
		assert_int_equal(json_integer_value(json_object_get(o, "status")), mk_err_http(e));
		assert_string_equal(json_string_value(json_object_get(o, "code")), mk_err_word(e));
		assert_true(strlen(json_string_value(json_object_get(o, "detail"))) > 10);
		json_decref(o);
	}
}

static void each_error_has_a_problem_of_its_own_status(void **state)
{
	(void)state;
	for (unsigned e = MK_DENIED; e < MK_ERR_COUNT_; e++) {
		if (e == MK_METHOD || e == MK_TOO_LARGE || e == MK_BAD_REQUEST || e == MK_UNAUTHENTICATED)
			continue; /* never the gate's */
		assert_int_equal(mk_err_http(mk_hint_err(mk_hint_of((enum mk_err)e))), mk_err_http((enum mk_err)e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_known_paths_are_found_exactly),
		cmocka_unit_test(the_name_is_taken_as_it_stands),
		cmocka_unit_test(what_is_not_a_name_is_refused),
		cmocka_unit_test(a_nul_ends_no_name),
		cmocka_unit_test(only_a_path_is_a_target),
		cmocka_unit_test(a_path_is_never_normalised),
		cmocka_unit_test(a_query_holds_known_keys_once),
		cmocka_unit_test(what_a_query_says_is_read),
		cmocka_unit_test(a_query_is_as_long_as_it_may_be),
		cmocka_unit_test(headers_of_smugglers_browsers_and_proxies_are_refused),
		cmocka_unit_test(a_length_beyond_all_numbers_is_large_not_small),
		cmocka_unit_test(the_first_fault_of_a_head_is_kept),
		cmocka_unit_test(accept_is_weighed),
		cmocka_unit_test(each_problem_is_json_and_says_its_status),
		cmocka_unit_test(each_error_has_a_problem_of_its_own_status),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

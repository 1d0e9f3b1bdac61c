/* SPDX-License-Identifier: Apache-2.0
 *
 * Vault's login methods, step by step: files asked for at each login, what is sent, what
 * is made of the answer, and which failures are alarms.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mk/limits.h"
#include "tests/unit/vault_world.h"

#define A "https://vault.example:8200/v1/"
#define AUTH(token, ttl, renewable) "{\"request_id\":\"x\",\"data\":null,\"auth\":{\"client_token\":\"" token "\",\"accessor\":\"a\",\"policies\":" \
				    "[\"default\"],\"metadata\":null,\"lease_duration\":" ttl ",\"renewable\":" renewable "}}"
#define LOOKUP(ttl, renewable) "{\"data\":{\"id\":\"s.file\",\"ttl\":" ttl ",\"renewable\":" renewable ",\"policies\":[\"default\"]}}"
#define N .token = NULL
#define REFUSED "{\"errors\":[\"invalid role or secret ID\"]}"

static struct world w;

#define LOGIN(...)                                                                             \
	run_login(&w, false, (const struct turn[]){ __VA_ARGS__ },                             \
		  sizeof((const struct turn[]){ __VA_ARGS__ }) / sizeof(struct turn))
#define RENEW(...)                                                                             \
	run_login(&w, true, (const struct turn[]){ __VA_ARGS__ },                              \
		  sizeof((const struct turn[]){ __VA_ARGS__ }) / sizeof(struct turn))

static void method(const char *name)
{
	snprintf(w.conf.auth.method, sizeof w.conf.auth.method, "%s", name);
	snprintf(w.conf.auth.mount, sizeof w.conf.auth.mount, "%s", name);
	free(w.keep);
	w.keep = calloc(1, mk_login_of(name)->keep_size + 1);
}

static int begin(void **state)
{
	(void)state;
	memset(&w, 0, sizeof w);
	w.conf = (struct mk_conf_backend){ .type = "vault", .address = "https://vault.example:8200", .mount = "secret", .path = "{connection}",
					   .kv = 2, .ns = "team",
					   .auth = { .role = "billing", .token_file = "/t", .role_id_file = "/r", .secret_id_file = "/s",
						     .jwt_file = "/j", .cert_file = "/c", .cert_key_file = "/k" } };
	assert_int_equal(mk_secret_copy(mk_span_of("s.old"), &w.credential), MK_OK);
	return 0;
}

static int end(void **state)
{
	const struct mk_login *m = mk_login_of(w.conf.auth.method);
	(void)state;
	if (m) {
		login_free(&w, m);
		if (m->forget)
			m->forget(w.keep);
	}
	free(w.keep);
	mk_secret_free(w.credential);
	return mk_secret_in_use() == 0 ? 0 : -1;
}

static void assert_credential(const char *token, int64_t ttl_ms, bool renewable)
{
	assert_non_null(w.login.credential);
	assert_true(mk_span_is(mk_secret_span(w.login.credential), token));
	assert_int_equal(w.login.ttl_ms, ttl_ms);
	assert_int_equal(w.login.renewable, renewable);
	assert_false(w.login.alarm);
}

static void assert_failed(enum mk_step s, enum mk_err e, const char *said, bool alarm)
{
	assert_int_equal(s, MK_STEP_FAIL);
	assert_int_equal(w.login.err, e);
	assert_int_equal(w.login.alarm, alarm);
	assert_null(w.login.credential);
	if (said && (!w.login.fault || !strstr(w.login.fault, said)))
		fail_msg("\"%s\" does not say \"%s\"", w.login.fault ? w.login.fault : "(none)", said);
}

static void the_table_knows_five_methods(void **state)
{
	static const char *const known[] = { "token", "approle", "kubernetes", "jwt", "cert" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(known); i++)
		assert_string_equal(mk_login_of(known[i])->name, known[i]);
	assert_null(mk_login_of(""));
	assert_null(mk_login_of("userpass"));
}

static void a_token_is_the_files_and_its_life_the_stores_to_say(void **state)
{
	(void)state;
	method("token");
	assert_int_equal(LOGIN({ "FILE /t", 0, "s.file\n", N },
			       { "GET " A "auth/token/lookup-self", 200, LOOKUP("3600", "true"), .token = "s.file" }), MK_STEP_DONE);
	assert_credential("s.file", 3600000, true);
	assert_int_equal(LOGIN({ "FILE /t", 0, "s.root", N }, { "GET " A "auth/token/lookup-self", 200, LOOKUP("0", "false"), .token = "s.root" }),
			 MK_STEP_DONE);
	assert_credential("s.root", 0, false);
	assert_failed(LOGIN({ "FILE /t", 0, "s.bad", N }, { "GET " A "auth/token/lookup-self", 403, REFUSED, .token = "s.bad" }), MK_BACKEND,
		      "token_file", false);
	assert_failed(LOGIN({ "FILE /t", 0, "s.x", N }, { "GET " A "auth/token/lookup-self", 200, LOOKUP("-1", "true"), .token = "s.x" }),
		      MK_BACKEND, "not what was asked for", false);
	assert_failed(LOGIN({ "FILE /t", 0, "s.x", N }, { "GET " A "auth/token/lookup-self", 200, LOOKUP("1", "1"), .token = "s.x" }),
		      MK_BACKEND, "not what was asked for", false);
}

static void a_credential_file_is_one_visible_line(void **state)
{
	static const char *const bad[] = { "", "\n", "a b", "a\r\n", "a\nb", "a\n\n", " a", "a\t", "\xc3\xa9", "a\x7f" };
	(void)state;
	method("token");
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		assert_failed(LOGIN({ "FILE /t", 0, bad[i], N }), MK_BACKEND, "one line", false);
}

static void a_files_error_names_the_key_and_the_remedy(void **state)
{
	static const struct {
		enum mk_err file, want;
		const char *said;
	} rows[] = {
		{ MK_NOT_FOUND, MK_BACKEND, "file of token_file is missing" }, { MK_DENIED, MK_BACKEND, "fsGroup" },
		{ MK_TOO_LARGE, MK_BACKEND, "one line" }, { MK_SYSTEM, MK_BACKEND, "cannot be read" }, { MK_NO_MEMORY, MK_NO_MEMORY, "no memory" },
	};
	(void)state;
	method("token");
	for (size_t i = 0; i < MK_COUNT(rows); i++)
		assert_failed(LOGIN({ "FILE /t", .err = rows[i].file, N }), rows[i].want, rows[i].said, false);
}

static void approle_sends_both_ids(void **state)
{
	(void)state;
	method("approle");
	assert_int_equal(LOGIN({ "FILE /r", 0, "role-1\n", N }, { "FILE /s", 0, "sec\"ret-1\n", N },
			       { "POST " A "auth/approle/login", 200, AUTH("s.new", "1200", "true"),
				 .wants_body = "{\"role_id\":\"role-1\",\"secret_id\":\"sec\\\"ret-1\"}", N }), MK_STEP_DONE);
	assert_credential("s.new", 1200000, true);
	assert_false(w.once);
	assert_failed(LOGIN({ "FILE /r", 0, "role-1\n", N }, { "FILE /s", 0, "secret-1\n", N },
			    { "POST " A "auth/approle/login", 400, REFUSED, .wants_body = "", N }), MK_BACKEND, "fresh secret id", false);
	assert_failed(LOGIN({ "FILE /r", 0, "role-1\n", N }, { "FILE /s", .err = MK_NOT_FOUND, N }), MK_BACKEND, "secret_id_file", false);
}

#define FILES(wrapping) { "FILE /r", 0, "role-1\n", N }, { "FILE /s", 0, wrapping, N }
#define UNWRAP(status, body, wrapping) { "POST " A "sys/wrapping/unwrap", status, body, .token = wrapping }
#define POST_AS(id) { "POST " A "auth/approle/login", 200, AUTH("s.new", "1200", "true"), \
		      .wants_body = "{\"role_id\":\"role-1\",\"secret_id\":\"" id "\"}", N }

static void a_wrapped_secret_id_is_opened_once_and_kept(void **state)
{
	(void)state;
	method("approle");
	w.conf.auth.wrapped = true;
	assert_int_equal(LOGIN(FILES("s.wrap1\n"), UNWRAP(200, "{\"data\":{\"secret_id\":\"id-1\",\"secret_id_ttl\":0}}", "s.wrap1"), POST_AS("id-1")),
			 MK_STEP_DONE);
	assert_credential("s.new", 1200000, true);
	assert_int_equal(LOGIN(FILES("s.wrap1\n"), POST_AS("id-1")), MK_STEP_DONE);
	assert_int_equal(LOGIN(FILES("s.wrap2\n"), UNWRAP(200, "{\"data\":{\"secret_id\":\"id-2\"}}", "s.wrap2"), POST_AS("id-2")), MK_STEP_DONE);
	assert_int_equal(LOGIN(FILES("s.wrap2"), POST_AS("id-2")), MK_STEP_DONE);
}

static void an_unwrap_that_fails_is_an_alarm(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum mk_err err;
		bool alarm;
	} rows[] = {
		{ 400, "{\"errors\":[\"wrapping token is not valid or does not exist\"]}", MK_OK, true },
		{ 403, "{}", MK_OK, true }, { 404, "{}", MK_OK, true },
		{ 200, "{\"data\":{\"secret_id\":1}}", MK_OK, true }, { 200, "{\"data\":{\"secret_id\":\"\"}}", MK_OK, true },
		{ 200, "{\"data\":{\"other\":\"x\"}}", MK_OK, true }, { 200, "nonsense", MK_OK, true },
		{ 429, "{}", MK_OK, false }, { 503, "{}", MK_OK, false }, { 0, "", MK_BACKEND, false },
	};
	(void)state;
	method("approle");
	w.conf.auth.wrapped = true;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		assert_failed(LOGIN(FILES("s.wrap"), { "POST " A "sys/wrapping/unwrap", rows[i].status, rows[i].body, rows[i].err, NULL, "s.wrap" }),
			      MK_BACKEND, rows[i].alarm ? "somebody else" : NULL, rows[i].alarm);
		assert_true(w.once); /* it may have had its effect: never sent twice by itself */
	}
}

static void kubernetes_and_jwt_send_role_and_token(void **state)
{
	static const char *const both[] = { "kubernetes", "jwt" };
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		method(both[i]);
		snprintf(w.conf.auth.mount, sizeof w.conf.auth.mount, "team/k8s");
		assert_int_equal(LOGIN({ "FILE /j", 0, "ey.J.x\n", N },
				       { "POST " A "auth/team/k8s/login", 200, AUTH("s.j", "60", "false"),
					 .wants_body = "{\"role\":\"billing\",\"jwt\":\"ey.J.x\"}", N }), MK_STEP_DONE);
		assert_credential("s.j", 60000, false);
		assert_failed(LOGIN({ "FILE /j", 0, "ey.J.x\n", N }, { "POST " A "auth/team/k8s/login", 403, REFUSED, .wants_body = "", N }),
			      MK_BACKEND, "jwt_file", false);
		login_free(&w, mk_login_of(both[i]));
	}
}

static void a_long_token_fits(void **state)
{
	static char jwt[MK_TOKEN_MAX + 1];
	(void)state;
	method("jwt");
	memset(jwt, '"', MK_TOKEN_MAX); /* each is written as two */
	assert_int_equal(LOGIN({ "FILE /j", 0, jwt, N }, { "POST " A "auth/jwt/login", 200, AUTH("s.j", "60", "false"), .wants_body = "", N }),
			 MK_STEP_DONE);
}

static void cert_sends_its_role_where_there_is_one(void **state)
{
	(void)state;
	method("cert");
	assert_int_equal(LOGIN({ "POST " A "auth/cert/login", 200, AUTH("s.c", "60", "true"), .wants_body = "{\"name\":\"billing\"}", N }),
			 MK_STEP_DONE);
	assert_credential("s.c", 60000, true);
	w.conf.auth.role[0] = '\0';
	assert_int_equal(LOGIN({ "POST " A "auth/cert/login", 200, AUTH("s.c", "0", "true"), .wants_body = "{}", N }), MK_STEP_DONE);
	assert_credential("s.c", 0, true);
	assert_failed(LOGIN({ "POST " A "auth/cert/login", 400, REFUSED, .wants_body = "", N }), MK_BACKEND, "cert_file", false);
	assert_failed(LOGIN({ "POST " A "auth/cert/login", 404, "", .wants_body = "", N }), MK_BACKEND, "login method", false);
	assert_failed(LOGIN({ "POST " A "auth/cert/login", 503, "", .wants_body = "", N }), MK_BACKEND, "unseal", false);
	assert_failed(LOGIN({ "POST " A "auth/cert/login", .err = MK_TIMEOUT, .wants_body = "", N }), MK_TIMEOUT, NULL, false);
}

static void a_malformed_login_answer_is_refused(void **state)
{
	static const char *const bodies[] = {
		"", "{}", "{\"auth\":null}", "{\"auth\":{}}", AUTH("", "60", "true"), AUTH("a b", "60", "true"), AUTH("a\\r\\nX: y", "60", "true"),
		AUTH("s.c", "-1", "true"), AUTH("s.c", "1.5", "true"), AUTH("s.c", "\"60\"", "true"), AUTH("s.c", "60", "null"),
		AUTH("s.c", "9223372036854775807", "true"), AUTH("s.c\\u0000", "60", "true"),
		"{\"auth\":{\"client_token\":\"a\",\"client_token\":\"b\",\"lease_duration\":1,\"renewable\":true}}",
	};
	(void)state;
	method("cert");
	for (size_t i = 0; i < MK_COUNT(bodies); i++)
		assert_failed(LOGIN({ "POST " A "auth/cert/login", 200, bodies[i], .wants_body = "", N }), MK_BACKEND, "not what was asked for", false);
}

static void each_method_renews_by_one_call(void **state)
{
	static const char *const known[] = { "token", "approle", "kubernetes", "jwt", "cert" };
	const char *const path = "POST " A "auth/token/renew-self";
	(void)state;
	for (size_t i = 0; i < MK_COUNT(known); i++) {
		method(known[i]);
		assert_int_equal(RENEW({ path, 200, AUTH("s.old", "1800", "true"), .token = "s.old" }), MK_STEP_DONE);
		assert_null(w.login.credential);
		assert_true(w.login.ttl_ms == 1800000 && w.login.renewable);
		assert_failed(RENEW({ path, 403, REFUSED, .token = "s.old" }), MK_DENIED, "fresh login", false);
		assert_failed(RENEW({ path, 400, REFUSED, .token = "s.old" }), MK_DENIED, "fresh login", false);
		assert_failed(RENEW({ path, 503, "", .token = "s.old" }), MK_BACKEND, "unseal", false);
		assert_failed(RENEW({ path, .err = MK_TIMEOUT, .token = "s.old" }), MK_TIMEOUT, NULL, false);
		assert_failed(RENEW({ path, 200, "{}", .token = "s.old" }), MK_BACKEND, "not what was asked for", false);
		login_free(&w, mk_login_of(known[i]));
	}
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(the_table_knows_five_methods),
		EACH(a_token_is_the_files_and_its_life_the_stores_to_say),
		EACH(a_credential_file_is_one_visible_line),
		EACH(a_files_error_names_the_key_and_the_remedy),
		EACH(approle_sends_both_ids),
		EACH(a_wrapped_secret_id_is_opened_once_and_kept),
		EACH(an_unwrap_that_fails_is_an_alarm),
		EACH(kubernetes_and_jwt_send_role_and_token),
		EACH(a_long_token_fits),
		EACH(cert_sends_its_role_where_there_is_one),
		EACH(a_malformed_login_answer_is_refused),
		EACH(each_method_renews_by_one_call),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The `vault` backend, step by step, against answers as the documented API has them: what
 * it asks for, what it makes of each answer, and what it refuses to believe.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "backends/url.h"
#include "tests/unit/vault_world.h"

#define A "https://vault.example:8200/v1/"
#define DATA A "secret/data/makini/acme-crm"
#define META A "secret/metadata/makini/acme-crm"
#define ENVELOPE(data) "{\"request_id\":\"87c4b170\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\"data\":" data \
		       ",\"wrap_info\":null,\"warnings\":null,\"auth\":null}"
#define METADATA(version, deletion, destroyed)                                                                      \
	"{\"created_time\":\"2026-11-24T08:21:59.178902738Z\",\"custom_metadata\":{\"system\":\"sap\"},\"deletion_time\":\"" \
	deletion "\",\"destroyed\":" destroyed ",\"version\":" version "}"
#define VALUE "{\"access_token\":\"t3\",\"expires_in\":3600}"
#define SECRET(version, deletion) ENVELOPE("{\"data\":" VALUE ",\"metadata\":" METADATA(version, deletion, "false") "}")
#define GONE(version) ENVELOPE("{\"data\":null,\"metadata\":" METADATA(version, "2026-11-24T08:21:59.239657394Z", "false") "}")
#define MISSING "{\"errors\":[]}"
#define T .token = "s.token"
#define N .token = NULL

static struct world w;

#define RUN(verb, name, previous, ...)                                                                          \
	run_op(&w, verb, name, previous, (const struct turn[]){ __VA_ARGS__ }, sizeof((const struct turn[]){ __VA_ARGS__ }) / sizeof(struct turn))
#define GET(...) RUN(MK_VERB_GET, "acme-crm", false, __VA_ARGS__)
#define GET_PREVIOUS(...) RUN(MK_VERB_GET, "acme-crm", true, __VA_ARGS__)
#define LIST(after, ...) RUN(MK_VERB_LIST, after, false, __VA_ARGS__)
#define HEALTH(...) RUN(MK_VERB_HEALTH, "", false, __VA_ARGS__)

static int begin(void **state)
{
	(void)state;
	vault_begin(&w);
	return 0;
}

static int end(void **state)
{
	(void)state;
	return vault_end(&w);
}

static void assert_leaf(const char *pointer, const char *value)
{
	struct mk_leaf l;
	assert_non_null(w.op.leaves);
	assert_int_equal(mk_leaves_find(mk_secret_span(w.op.leaves), pointer, &l), MK_OK);
	assert_true(mk_span_is(l.value, value));
}

static void assert_failed(enum mk_step s, enum mk_err e, const char *said)
{
	assert_int_equal(s, MK_STEP_FAIL);
	assert_int_equal(w.op.err, e);
	assert_null(w.op.leaves);
	assert_non_null(w.op.fault);
	if (!strstr(w.op.fault, said))
		fail_msg("\"%s\" does not say \"%s\"", w.op.fault, said);
}

static void a_secret_comes_with_version_time_and_tags(void **state)
{
	(void)state;
	assert_int_equal(GET({ "GET " DATA, 200, SECRET("3", ""), T }), MK_STEP_DONE);
	assert_leaf("/access_token", "t3");
	assert_leaf("/expires_in", "3600");
	assert_string_equal(w.op.meta.version, "3");
	assert_int_equal(w.op.meta.created_ms, 1795508519178);
	assert_int_equal(w.op.meta.n_tags, 1);
	assert_string_equal(w.op.meta.tags[0].key, "system");
	assert_string_equal(w.op.meta.tags[0].value, "sap");
	assert_false(w.op.meta.disabled);
}

static void a_deletion_time_in_the_future_is_still_valid(void **state)
{
	(void)state;
	assert_int_equal(GET({ "GET " DATA, 200, SECRET("3", "2999-01-01T00:00:00Z"), T }), MK_STEP_DONE);
	assert_leaf("/access_token", "t3");
}

static void what_is_not_there_or_was_destroyed_is_not_found(void **state)
{
	(void)state;
	assert_failed(GET({ "GET " DATA, 404, MISSING, T }), MK_NOT_FOUND, "no such name");
	assert_failed(GET({ "GET " DATA, 404, ENVELOPE("{\"data\":null,\"metadata\":" METADATA("3", "", "true") "}"), T }), MK_NOT_FOUND,
		      "no such name");
}

/* It is still there, and can be had back. */
static void what_was_deleted_is_disabled(void **state)
{
	(void)state;
	assert_failed(GET({ "GET " DATA, 404, GONE("3"), T }), MK_DISABLED, "undelete");
	assert_failed(GET({ "GET " DATA, 404, ENVELOPE("{\"data\":null,\"metadata\":{\"version\":3}}"), T }), MK_BACKEND, "not what was asked for");
}

/* Else a mistake in the mount, or a proxy's page, would look like a token that was taken away. */
static void a_404_of_somebody_else_is_not_not_found(void **state)
{
	(void)state;
	assert_failed(GET({ "GET " DATA, 404, "{\"errors\":[\"no handler for route \\\"secret/\\\"\"]}", T }), MK_BACKEND, "no such engine");
	assert_failed(GET({ "GET " DATA, 404, "<html>not here</html>", T }), MK_BACKEND, "no such engine");
	assert_failed(GET({ "GET " DATA, 404, "", T }), MK_BACKEND, "no such engine");
	assert_failed(GET({ "GET " DATA, 404, ENVELOPE("null"), T }), MK_BACKEND, "no such engine");
}

static void each_status_has_its_fault(void **state)
{
	static const struct {
		long status;
		const char *said;
	} rows[] = {
		{ 204, "not what was asked for" }, { 301, "redirects" }, { 307, "redirects" }, { 400, "check mount" }, { 412, "412" },
		{ 429, "quota" },		   { 472, "standby" },	 { 473, "standby" },   { 500, "5xx" },	       { 502, "5xx" },
		{ 503, "unseal" },		   { 418, "its API does not" }, { 0, "its API does not" },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++)
		assert_failed(GET({ "GET " DATA, rows[i].status, "{\"errors\":[\"secret words\"]}", T }), MK_BACKEND, rows[i].said);
}

static void a_refused_credential_asks_for_a_login(void **state)
{
	(void)state;
	assert_int_equal(GET({ "GET " DATA, 403, "{\"errors\":[\"permission denied\"]}", T }), MK_STEP_LOGIN);
	assert_int_equal(LIST("", { "LIST " A "secret/metadata/makini?limit=200", 403, "", T }), MK_STEP_LOGIN);
	w.credential = mk_secret_free(w.credential);
	assert_int_equal(run_op(&w, MK_VERB_GET, "acme-crm", false, NULL, 0), MK_STEP_LOGIN);
	assert_int_equal(HEALTH({ "GET " A "sys/health?standbyok=true&perfstandbyok=true", 200, "{}", N }), MK_STEP_DONE);
}

static void an_answer_that_is_malformed_anywhere_is_refused(void **state)
{
#define D(value, meta) ENVELOPE("{\"data\":" value ",\"metadata\":" meta "}")
#define M(created, custom, deletion, destroyed, version) "{\"created_time\":" created ",\"custom_metadata\":" custom \
	",\"deletion_time\":" deletion ",\"destroyed\":" destroyed ",\"version\":" version "}"
#define NOW "\"2026-11-24T08:21:59Z\""
	static const char *const bodies[] = {
		"", "{", "[]", "null", "{}", ENVELOPE("null"), ENVELOPE("{}"), ENVELOPE("{\"data\":" VALUE "}"),
		ENVELOPE("{\"data\":null,\"metadata\":" METADATA("3", "", "false") "}"),
		D("[]", METADATA("3", "", "false")), D("\"t\"", METADATA("3", "", "false")), D(VALUE, "null"), D(VALUE, "[]"),
		D(VALUE, METADATA("3", "", "true")), D(VALUE, METADATA("0", "", "false")), D(VALUE, METADATA("-1", "", "false")),
		D(VALUE, METADATA("\"3\"", "", "false")), D(VALUE, METADATA("3.0", "", "false")), D(VALUE, METADATA("3", "soon", "false")),
		D(VALUE, METADATA("99999999999999999999", "", "false")),
		D(VALUE, M("null", "null", "\"\"", "false", "3")), D(VALUE, M("\"yesterday\"", "null", "\"\"", "false", "3")),
		D(VALUE, M(NOW, "[]", "\"\"", "false", "3")), D(VALUE, M(NOW, "{\"a\":1}", "\"\"", "false", "3")),
		D(VALUE, M(NOW, "null", "null", "false", "3")), D(VALUE, M(NOW, "null", "\"\"", "0", "3")),
		D("{\"a\":\"1\",\"a\":\"2\"}", METADATA("3", "", "false")), D("{\"a\":\"\\u0000\"}", METADATA("3", "", "false")),
		D("{\"a\":\"\xff\"}", METADATA("3", "", "false")), D("{\"a\":123456789012345678901}", METADATA("3", "", "false")),
		D("{\"a\":1e999}", METADATA("3", "", "false")), SECRET("3", "") "x", "\xef\xbb\xbf" SECRET("3", ""),
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(bodies); i++)
		assert_failed(GET({ "GET " DATA, 200, bodies[i], T }), MK_BACKEND, "not what was asked for");
	assert_int_equal(GET({ "GET " DATA, 200, D(VALUE, M(NOW, "null", "\"\"", "false", "3")), T }), MK_STEP_DONE);
}

static void deep_and_wide_secrets_are_refused(void **state)
{
	static char body[200000];
	size_t n = (size_t)snprintf(body, sizeof body, "%s", "{\"data\":{\"metadata\":" METADATA("3", "", "false") ",\"data\":{\"a\":");
	(void)state;
	memset(body + n, '[', 3000);
	memset(body + n + 3000, ']', 3000);
	memcpy(body + n + 6000, "}}}", 4);
	assert_failed(GET({ "GET " DATA, 200, body, T }), MK_BACKEND, "not what was asked for");
	memset(body + n, '[', 40);
	memset(body + n + 40, ']', 40);
	memcpy(body + n + 80, "}}}", 4);
	assert_failed(GET({ "GET " DATA, 200, body, T }), MK_BACKEND, "not what was asked for");
	body[n++] = '[';
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(body + n, sizeof body - n, "%s1", i ? "," : "");
	snprintf(body + n, sizeof body - n, "]}}}");
	assert_failed(GET({ "GET " DATA, 200, body, T }), MK_BACKEND, "256 values");
}

static void tags_that_do_not_fit_are_left_out(void **state)
{
	char body[4096], many[2048] = "";
	(void)state;
	for (int i = 0; i < 20; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), ",\"k%d\":\"v\"", i);
	snprintf(body, sizeof body, "{\"data\":{\"data\":{},\"metadata\":{\"created_time\":\"2026-11-24T08:21:59Z\",\"deletion_time\":\"\","
		 "\"destroyed\":false,\"version\":1,\"custom_metadata\":{\"a b\":\"x\",\"c\":\"\",\"d\":\"a\\nb\",\"e\":\"%0300d\"%s}}}}", 1, many);
	assert_int_equal(GET({ "GET " DATA, 200, body, T }), MK_STEP_DONE);
	assert_int_equal(w.op.meta.n_tags, MK_TAGS_MAX);
	assert_string_equal(w.op.meta.tags[0].key, "k0");
}

#define VERSIONS(list) ENVELOPE("{\"cas_required\":false,\"current_version\":5,\"oldest_version\":0,\"versions\":{" list "}}")
#define V(n, deletion, destroyed) "\"" n "\":{\"created_time\":\"2026-11-24T08:21:59Z\",\"deletion_time\":\"" deletion \
				  "\",\"destroyed\":" destroyed "}"

static void the_previous_version_is_the_newest_valid_one_before_the_current(void **state)
{
	(void)state;
	assert_int_equal(GET_PREVIOUS({ "GET " META, 200, VERSIONS(V("3", "", "false") "," V("4", "", "false") "," V("5", "", "false")), T },
				      { "GET " DATA "?version=4", 200, SECRET("4", ""), T }), MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, "4");
	/* destroyed: passed over unasked; a deletion time: the store's clock says */
	assert_int_equal(GET_PREVIOUS({ "GET " META, 200, VERSIONS(V("1", "", "false") "," V("2", "2026-01-01T00:00:00Z", "false") ","
								    V("3", "2999-01-01T00:00:00Z", "false") "," V("4", "", "true") ","
								    V("5", "", "false")), T },
				      { "GET " DATA "?version=3", 404, GONE("3"), T }, { "GET " DATA "?version=2", 404, GONE("2"), T },
				      { "GET " DATA "?version=1", 200, SECRET("1", ""), T }), MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, "1");
}

static void without_a_valid_one_there_is_no_previous(void **state)
{
	(void)state;
	assert_failed(GET_PREVIOUS({ "GET " META, 200, VERSIONS(V("5", "", "false")), T }), MK_NOT_FOUND, "no such");
	assert_failed(GET_PREVIOUS({ "GET " META, 200, VERSIONS(""), T }), MK_NOT_FOUND, "no such");
	assert_failed(GET_PREVIOUS({ "GET " META, 404, MISSING, T }), MK_NOT_FOUND, "no such");
	assert_failed(GET_PREVIOUS({ "GET " META, 200, VERSIONS(V("4", "", "false") "," V("5", "", "false")), T },
				   { "GET " DATA "?version=4", 404, GONE("4"), T }), MK_NOT_FOUND, "no such");
	assert_failed(GET_PREVIOUS({ "GET " META, 200, VERSIONS(V("x", "", "false")), T }), MK_BACKEND, "not what was asked for");
	assert_failed(GET_PREVIOUS({ "GET " META, 200, VERSIONS("\"4\":{}"), T }), MK_BACKEND, "not what was asked for");
	assert_failed(GET_PREVIOUS({ "GET " META, 200, "{\"data\":{\"versions\":{}}}", T }), MK_BACKEND, "not what was asked for");
}

static void not_more_than_five_versions_are_tried(void **state)
{
#define DEL(n) V(n, "2026-01-01T00:00:00Z", "false")
#define TRY(n) { "GET " DATA "?version=" n, 404, GONE(n), T }
	(void)state;
	assert_failed(GET_PREVIOUS({ "GET " META, 200, "{\"data\":{\"current_version\":12,\"versions\":{" DEL("1") "," DEL("2") "," DEL("11") ","
				     DEL("10") "," DEL("9") "," DEL("8") "," DEL("7") "," DEL("12") "}}}", T },
				   TRY("11"), TRY("10"), TRY("9"), TRY("8"), TRY("7")), MK_NOT_FOUND, "no such");
}

static void another_version_than_the_one_asked_for_is_refused(void **state)
{
	(void)state;
	assert_failed(GET_PREVIOUS({ "GET " META, 200, VERSIONS(V("4", "", "false") "," V("5", "", "false")), T },
				   { "GET " DATA "?version=4", 200, SECRET("5", ""), T }), MK_BACKEND, "not what was asked for");
}

static void kv1_has_a_version_that_changes_with_its_value(void **state)
{
	char first[MK_VERSION_MAX + 1];
	const struct turn one = { "GET " A "secret/makini/acme-crm", 200, ENVELOPE(VALUE), T };
	(void)state;
	w.conf.kv = 1;
	assert_int_equal(run_op(&w, MK_VERB_GET, "acme-crm", false, &one, 1), MK_STEP_DONE);
	assert_leaf("/access_token", "t3");
	assert_int_equal(w.op.meta.created_ms, MK_TIME_NONE);
	memcpy(first, w.op.meta.version, sizeof first);
	assert_int_equal(strlen(first), 32);
	assert_int_equal(run_op(&w, MK_VERB_GET, "acme-crm", false, &one, 1), MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, first);
	assert_int_equal(GET({ "GET " A "secret/makini/acme-crm", 200, ENVELOPE("{\"access_token\":\"t4\"}"), T }), MK_STEP_DONE);
	assert_string_not_equal(w.op.meta.version, first);
	mk_backend_of("vault")->forget(w.keep); /* another process: no telling a value from its version */
	assert_int_equal(run_op(&w, MK_VERB_GET, "acme-crm", false, &one, 1), MK_STEP_DONE);
	assert_string_not_equal(w.op.meta.version, first);
	assert_failed(run_op(&w, MK_VERB_GET, "acme-crm", true, NULL, 0), MK_NOT_FOUND, "no previous");
	assert_failed(GET({ "GET " A "secret/makini/acme-crm", 404, MISSING, T }), MK_NOT_FOUND, "no such");
	assert_failed(GET({ "GET " A "secret/makini/acme-crm", 200, ENVELOPE("null"), T }), MK_BACKEND, "not what was asked for");
	assert_int_equal(LIST("", { "LIST " A "secret/makini?limit=200", 200, ENVELOPE("{\"keys\":[\"a\"]}"), T }), MK_STEP_DONE);
	assert_int_equal(w.op.n_listed, 1);
}

static void health_is_what_the_codes_say(void **state)
{
	static const struct {
		long status;
		enum mk_err err;
		const char *said;
	} rows[] = {
		{ 200, MK_OK, NULL }, { 429, MK_OK, NULL }, { 473, MK_OK, NULL }, { 472, MK_NOT_READY, "disaster recovery" },
		{ 501, MK_NOT_READY, "initialise" }, { 503, MK_NOT_READY, "unseal" }, { 302, MK_NOT_READY, "redirects" },
		{ 404, MK_NOT_READY, "address" },
	};
	(void)state;
	snprintf(w.conf.ns, sizeof w.conf.ns, "team"); /* sys/health is outside of namespaces */
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		const enum mk_step s = HEALTH({ "GET " A "sys/health?standbyok=true&perfstandbyok=true", rows[i].status, "{}", N });
		if (rows[i].err == MK_OK)
			assert_int_equal(s, MK_STEP_DONE);
		else
			assert_failed(s, rows[i].err, rows[i].said);
	}
}

static void without_an_answer_the_transports_error_is_the_operations(void **state)
{
	static const struct {
		enum mk_err transport, want;
	} rows[] = { { MK_TIMEOUT, MK_TIMEOUT }, { MK_BACKEND, MK_BACKEND }, { MK_NOT_READY, MK_NOT_READY }, { MK_TOO_LARGE, MK_BACKEND },
		     { MK_SYSTEM, MK_BACKEND }, { MK_NO_MEMORY, MK_NO_MEMORY }, { MK_NOT_FOUND, MK_BACKEND } };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		assert_int_equal(GET({ "GET " DATA, .err = rows[i].transport, T }), MK_STEP_FAIL);
		assert_int_equal(w.op.err, rows[i].want);
	}
}

static void a_namespace_goes_into_its_header(void **state)
{
	(void)state;
	snprintf(w.conf.ns, sizeof w.conf.ns, "team/a");
	assert_int_equal(GET({ "GET " DATA, 200, SECRET("3", ""), T }), MK_STEP_DONE); /* looked at by the world */
}

static void urls_are_escaped_and_bounded(void **state)
{
	char buf[128];
	struct mk_url u = mk_url_of(buf, sizeof buf, "https://h:1");
	const struct mk_name name = { "acme-crm" };
	(void)state;
	mk_url_path_of(&u, "a b/x~{connection}.y", &name);
	mk_url_param(&u, "after", "a/b&c=d#\xff%");
	mk_url_param(&u, "limit", "2");
	assert_int_equal(mk_url_end(&u), MK_OK);
	assert_string_equal(buf, "https://h:1/a%20b/x~acme-crm.y?after=a%2Fb%26c%3Dd%23%FF%25&limit=2");
	static const char *const bad[] = { "", "/a", "a/", "a//b", ".", "a/../b", "..", "a/." };
	for (size_t i = 0; i < MK_COUNT(bad); i++) {
		u = mk_url_of(buf, sizeof buf, "https://h");
		mk_url_path(&u, bad[i]);
		assert_int_equal(mk_url_end(&u), MK_BAD_REQUEST);
	}
	for (size_t cap = 0; cap <= 14; cap++) {
		memset(buf, 'x', sizeof buf);
		u = mk_url_of(buf, cap, "https://h/");
		mk_url_param(&u, "a", "b");
		assert_int_equal(mk_url_end(&u), MK_BAD_REQUEST);
		assert_int_equal(buf[cap], 'x');
	}
	u = mk_url_of(buf, 15, "https://h/");
	mk_url_param(&u, "a", "b");
	assert_int_equal(mk_url_end(&u), MK_OK);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_secret_comes_with_version_time_and_tags),
		EACH(a_deletion_time_in_the_future_is_still_valid),
		EACH(what_is_not_there_or_was_destroyed_is_not_found),
		EACH(what_was_deleted_is_disabled),
		EACH(a_404_of_somebody_else_is_not_not_found),
		EACH(each_status_has_its_fault),
		EACH(a_refused_credential_asks_for_a_login),
		EACH(an_answer_that_is_malformed_anywhere_is_refused),
		EACH(deep_and_wide_secrets_are_refused),
		EACH(tags_that_do_not_fit_are_left_out),
		EACH(the_previous_version_is_the_newest_valid_one_before_the_current),
		EACH(without_a_valid_one_there_is_no_previous),
		EACH(not_more_than_five_versions_are_tried),
		EACH(another_version_than_the_one_asked_for_is_refused),
		EACH(kv1_has_a_version_that_changes_with_its_value),
		EACH(health_is_what_the_codes_say),
		EACH(without_an_answer_the_transports_error_is_the_operations),
		EACH(a_namespace_goes_into_its_header),
		EACH(urls_are_escaped_and_bounded),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the `vault` backend writes, step by step: every path of a put, a promotion, a
 * discard, and what each of them makes of an answer that is late, lost, or another's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends/flatten.h"
#include "tests/unit/vault_world.h"

#define A "https://vault.example:8200/v1/secret/"
#define DATA A "data/makini/acme-crm"
#define META A "metadata/makini/acme-crm"
#define P "--pending"
#define ONE A "makini/acme-crm" /* KV 1 */
#define VALUE "{\"access_token\":\"t9\",\"scopes\":[\"a\",{}],\"n\":1.5}"
#define OTHER "{\"access_token\":\"t3\"}"
#define WRITTEN(version) "{\"data\":{\"created_time\":\"2026-11-24T08:21:59.178Z\",\"custom_metadata\":null,\"deletion_time\":\"\"," \
			 "\"destroyed\":false,\"version\":" version "}}"
#define META_OF(version, deletion, destroyed) "{\"created_time\":\"2026-11-24T08:21:59.178Z\",\"custom_metadata\":null,\"deletion_time\":\"" \
			 deletion "\",\"destroyed\":" destroyed ",\"version\":" version "}"
#define SECRET(value, version) "{\"data\":{\"data\":" value ",\"metadata\":" META_OF(version, "", "false") "}}"
#define GONE(version) "{\"data\":{\"data\":null,\"metadata\":" META_OF(version, "2026-11-24T08:22:00Z", "false") "}}"
#define GONE_FOR_GOOD(version) "{\"data\":{\"data\":null,\"metadata\":" META_OF(version, "2026-11-24T08:22:00Z", "true") "}}" /* deleted, then destroyed */
#define DESTROYED(version) "{\"data\":{\"data\":null,\"metadata\":" META_OF(version, "", "true") "}}"
#define STANDING(current, versions) "{\"data\":{\"current_version\":" current ",\"versions\":{" versions "}}}"
#define V(n) "\"" n "\":{\"created_time\":\"2026-11-24T08:21:59Z\",\"deletion_time\":\"\",\"destroyed\":false}"
#define VX(n) "\"" n "\":{\"created_time\":\"2026-11-24T08:21:59Z\",\"deletion_time\":\"\",\"destroyed\":true}"
#define VD(n, at) "\"" n "\":{\"created_time\":\"2026-11-24T08:21:59Z\",\"deletion_time\":\"" at "\",\"destroyed\":false}"
#define BODY(cas) "{\"options\":{\"cas\":" cas "},\"data\":" VALUE "}"
#define MISSING "{\"errors\":[]}"
#define CAS "{\"errors\":[\"check-and-set parameter did not match the current version\"]}"
#define T .token = "s.token"
#define TB(text) .wants_body = text, .token = "s.token"

static struct world w;
static struct mk_secret *value;

#define RUN(verb, ...)                                                                                          \
	run_op(&w, verb, "acme-crm", false, (const struct turn[]){ __VA_ARGS__ }, sizeof((const struct turn[]){ __VA_ARGS__ }) / sizeof(struct turn))

static int begin(void **state)
{
	(void)state;
	vault_begin(&w);
	assert_int_equal(mk_flatten(mk_span_of(VALUE), &value), MK_OK);
	w.value = value;
	return 0;
}

static int end(void **state)
{
	(void)state;
	value = mk_secret_free(value);
	return vault_end(&w);
}

static void assert_failed(enum mk_step s, enum mk_err e, const char *said)
{
	assert_int_equal(s, MK_STEP_FAIL);
	assert_int_equal(w.op.err, e);
	if (!w.op.fault || !strstr(w.op.fault, said))
		fail_msg("\"%s\" does not say \"%s\"", w.op.fault ? w.op.fault : "", said);
}

static void a_put_lies_beside_the_current_value(void **state)
{
	(void)state;
	assert_int_equal(RUN(MK_VERB_PUT, { "POST " DATA P, 200, WRITTEN("1"), TB(BODY("0")) }), MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, "1@1795508519178");
	w.pending = true;
	assert_int_equal(RUN(MK_VERB_GET, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }), MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, "1@1795508519178");
	assert_true(mk_secret_same(w.op.leaves, value));
	assert_failed(RUN(MK_VERB_GET, { "GET " DATA P, 404, MISSING, T }), MK_NOT_FOUND, "no such");
	assert_failed(RUN(MK_VERB_GET, { "GET " DATA P, 404, GONE("1"), T }), MK_DISABLED, "deleted");
}

static void a_put_holds_only_for_the_version_that_was_expected(void **state)
{
	(void)state;
	w.expect = "3";
	assert_int_equal(RUN(MK_VERB_PUT, { "GET " META, 200, STANDING("3", V("3")), T }, { "POST " DATA P, 200, WRITTEN("1"), TB(BODY("0")) }),
			 MK_STEP_DONE);
	assert_failed(RUN(MK_VERB_PUT, { "GET " META, 200, STANDING("4", V("4")), T }), MK_CONFLICT, "another one");
	assert_failed(RUN(MK_VERB_PUT, { "GET " META, 404, MISSING, T }), MK_CONFLICT, "another one");
	assert_failed(RUN(MK_VERB_PUT, { "GET " META, 404, "<html>", T }), MK_BACKEND, "no such engine");
	assert_failed(RUN(MK_VERB_PUT, { "GET " META, 200, "{}", T }), MK_BACKEND, "not what was asked for");
}

/* The store's words for a 400 are never read: what is there is. */
static void a_put_that_was_refused_is_a_conflict_only_where_something_is_pending(void **state)
{
	(void)state;
	assert_failed(RUN(MK_VERB_PUT, { "POST " DATA P, 400, CAS, TB("") }, { "GET " META P, 200, STANDING("1", V("1")), T }), MK_CONFLICT,
		      "pending version of that name already");
	assert_failed(RUN(MK_VERB_PUT, { "POST " DATA P, 400, CAS, TB("") }, { "GET " META P, 404, MISSING, T }), MK_BACKEND, "400");
	assert_failed(RUN(MK_VERB_PUT, { "POST " DATA P, 400, CAS, TB("") }, { "GET " META P, 500, "", T }), MK_BACKEND, "5xx");
}

static void a_write_without_an_answer_says_so_and_is_not_sent_again(void **state)
{
	(void)state;
	assert_int_equal(RUN(MK_VERB_PUT, { "POST " DATA P, 0, NULL, MK_TIMEOUT, TB("") }), MK_STEP_FAIL);
	assert_int_equal(w.op.err, MK_TIMEOUT);
	assert_true(w.once);
	assert_int_equal(RUN(MK_VERB_PUT, { "POST " DATA P, 0, NULL, MK_BACKEND, TB("") }), MK_STEP_FAIL);
	assert_int_equal(w.op.err, MK_BACKEND);
	assert_int_equal(RUN(MK_VERB_PUT, { "POST " DATA P, 403, "", TB("") }), MK_STEP_LOGIN);
	assert_failed(RUN(MK_VERB_PUT, { "POST " DATA P, 503, "", TB("") }), MK_BACKEND, "unseal");
	assert_failed(RUN(MK_VERB_PUT, { "POST " DATA P, 200, "{}", TB("") }), MK_BACKEND, "not what was asked for");
}

static void a_value_that_is_none_or_too_large_is_not_sent(void **state)
{
	mk_auto(mk_secret_freep) struct mk_secret *bad = NULL, *large = NULL;
	size_t n = 0;
	static char text[15000]; /* six bytes each, as JSON */
	(void)state;
	assert_int_equal(mk_secret_copy(mk_span("", 0), &bad), MK_OK);
	w.value = bad;
	assert_failed(run_op(&w, MK_VERB_PUT, "acme-crm", false, NULL, 0), MK_BAD_REQUEST, "no secret");
	bad = mk_secret_free(bad);
	assert_int_equal(mk_flatten(mk_span_of("{\"n\":9007199254740993}"), &bad), MK_OK);
	w.value = bad;
	assert_failed(run_op(&w, MK_VERB_PUT, "acme-crm", false, NULL, 0), MK_BAD_REQUEST, "53 bits");
	memset(text, 1, sizeof text);
	assert_int_equal(mk_secret_new(MK_SECRET_MAX, &large), MK_OK);
	const struct mk_leaf l = { mk_span_of("/a"), MK_LEAF_STRING, mk_span(text, sizeof text) };
	assert_int_equal(mk_leaves_add(mk_secret_buf(large), MK_SECRET_MAX, &n, &l), MK_OK);
	mk_secret_set_len(large, n);
	w.value = large;
	assert_failed(run_op(&w, MK_VERB_PUT, "acme-crm", false, NULL, 0), MK_TOO_LARGE, "80 KiB");
}

static void a_promotion_writes_what_is_pending_where_the_expected_version_still_is_current(void **state)
{
	(void)state;
	w.expect = "3";
	assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 200, SECRET(OTHER, "3"), T },
			     { "POST " DATA, 200, WRITTEN("4"), TB(BODY("3")) }, { "DELETE " META P, 204, "", T }),
			 MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, "4");
	assert_failed(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 200, SECRET(OTHER, "4"), T }),
		      MK_CONFLICT, "another one");
	assert_failed(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 404, MISSING, T }), MK_CONFLICT,
		      "another one");
	/* deleted, but still the expected one */
	assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 404, GONE("3"), T },
			     { "POST " DATA, 200, WRITTEN("4"), TB(BODY("3")) }, { "DELETE " META P, 204, "", T }),
			 MK_STEP_DONE);
	assert_failed(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 404, MISSING, T }), MK_NOT_FOUND, "no pending");
	assert_failed(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 404, GONE("1"), T }), MK_DISABLED, "deleted");
	assert_failed(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 404, DESTROYED("1"), T }), MK_NOT_FOUND, "no pending");
	assert_failed(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 404, GONE_FOR_GOOD("1"), T }), MK_NOT_FOUND, "no pending");
}

static void a_first_token_is_promoted_onto_nothing(void **state)
{
	(void)state;
	assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 404, MISSING, T },
			     { "POST " DATA, 200, WRITTEN("1"), TB(BODY("0")) }, { "DELETE " META P, 204, "", T }),
			 MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, "1");
}

static void a_promotion_that_lost_the_race_is_a_conflict_and_what_is_pending_stays(void **state)
{
	(void)state;
#define UP_TO_WRITE { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 200, SECRET(OTHER, "3"), T }, { "POST " DATA, 400, CAS, TB(BODY("3")) }
	assert_failed(RUN(MK_VERB_PROMOTE, UP_TO_WRITE, { "GET " META, 200, STANDING("4", V("4")), T }), MK_CONFLICT, "another one");
	assert_failed(RUN(MK_VERB_PROMOTE, UP_TO_WRITE, { "GET " META, 404, MISSING, T }), MK_CONFLICT, "another one");
	assert_failed(RUN(MK_VERB_PROMOTE, UP_TO_WRITE, { "GET " META, 200, STANDING("3", V("3")), T }), MK_BACKEND, "400");
	assert_failed(RUN(MK_VERB_PROMOTE, UP_TO_WRITE, { "GET " META, 200, "[]", T }), MK_BACKEND, "not what was asked for");
}

/* The value went in, and the pending one's end, or the answer, was lost: asked again, only the rest is done. */
static void a_promotion_that_was_half_done_is_finished_and_nothing_is_written_twice(void **state)
{
	static const char *const expected[] = { "3", NULL };
	(void)state;
	assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 200, SECRET(OTHER, "3"), T },
			     { "POST " DATA, 200, WRITTEN("4"), TB(BODY("3")) }, { "DELETE " META P, 0, NULL, MK_TIMEOUT, T }),
			 MK_STEP_FAIL);
	assert_int_equal(w.op.err, MK_TIMEOUT);
	for (size_t i = 0; i < MK_COUNT(expected); i++) {
		w.expect = expected[i];
		assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 200, SECRET(VALUE, "4"), T },
				     { "DELETE " META P, 204, "", T }),
				 MK_STEP_DONE);
		assert_string_equal(w.op.meta.version, "4");
	}
	/* the same value as before is a new version all the same, where it was expected */
	w.expect = "3";
	assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " DATA P, 200, SECRET(VALUE, "1"), T }, { "GET " DATA, 200, SECRET(VALUE, "3"), T },
			     { "POST " DATA, 200, WRITTEN("4"), TB(BODY("3")) }, { "DELETE " META P, 204, "", T }),
			 MK_STEP_DONE);
}

static void a_discard_takes_all_that_was_pending(void **state)
{
	(void)state;
	assert_int_equal(RUN(MK_VERB_DISCARD, { "GET " META P, 200, STANDING("1", VX("1")), T }, { "DELETE " META P, 204, "", T }), MK_STEP_DONE);
	assert_int_equal(RUN(MK_VERB_DISCARD, { "GET " META P, 200, STANDING("1", V("1")), T }, { "DELETE " META P, 404, MISSING, T }),
			 MK_STEP_DONE); /* another one was faster */
	assert_failed(RUN(MK_VERB_DISCARD, { "GET " META P, 404, MISSING, T }), MK_NOT_FOUND, "no pending");
	assert_failed(RUN(MK_VERB_DISCARD, { "GET " META P, 404, "nginx", T }), MK_BACKEND, "no such engine");
	assert_failed(RUN(MK_VERB_DISCARD, { "GET " META P, 200, STANDING("1", V("1")), T }, { "DELETE " META P, 500, "", T }), MK_BACKEND, "5xx");
}

static void a_version_is_disabled_and_enabled(void **state)
{
	(void)state;
	assert_int_equal(RUN(MK_VERB_DISABLE, { "GET " META, 200, STANDING("4", V("3") "," V("4")), T },
			     { "POST " A "delete/makini/acme-crm", 204, "", TB("{\"versions\":[4]}") }),
			 MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, "4");
	w.expect = "3";
	assert_int_equal(RUN(MK_VERB_ENABLE, { "GET " META, 200, STANDING("4", V("3") "," V("4")), T },
			     { "POST " A "undelete/makini/acme-crm", 204, "", TB("{\"versions\":[3]}") }),
			 MK_STEP_DONE);
	assert_failed(RUN(MK_VERB_ENABLE, { "GET " META, 200, STANDING("4", VX("3") "," V("4")), T }), MK_NOT_FOUND, "no such");
	assert_failed(RUN(MK_VERB_DISABLE, { "GET " META, 200, STANDING("4", V("4")), T }), MK_NOT_FOUND, "no such");
	assert_failed(RUN(MK_VERB_DISABLE, { "GET " META, 404, MISSING, T }), MK_NOT_FOUND, "no such");
	w.expect = "x";
	assert_failed(RUN(MK_VERB_DISABLE, { "GET " META, 200, STANDING("4", V("4")), T }), MK_NOT_FOUND, "no such");
}

/* The request goes out all the same: the store's clock counts, not this one's. */
static void what_was_so_before_is_told(void **state)
{
	static const struct {
		enum mk_verb verb;
		const char *standing, *path;
		bool already;
	} rows[] = {
		{ MK_VERB_DISABLE, STANDING("4", V("4")), "POST " A "delete/makini/acme-crm", false },
		{ MK_VERB_DISABLE, STANDING("4", VD("4", "2020-01-01T00:00:00Z")), "POST " A "delete/makini/acme-crm", true },
		{ MK_VERB_DISABLE, STANDING("4", VD("4", "9000-01-01T00:00:00Z")), "POST " A "delete/makini/acme-crm", false },
		{ MK_VERB_ENABLE, STANDING("4", V("4")), "POST " A "undelete/makini/acme-crm", true },
		{ MK_VERB_ENABLE, STANDING("4", VD("4", "2020-01-01T00:00:00Z")), "POST " A "undelete/makini/acme-crm", false },
		{ MK_VERB_ENABLE, STANDING("4", VD("4", "9000-01-01T00:00:00Z")), "POST " A "undelete/makini/acme-crm", true },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		assert_int_equal(RUN(rows[i].verb, { "GET " META, 200, rows[i].standing, T }, { rows[i].path, 204, "", TB("{\"versions\":[4]}") }),
				 MK_STEP_DONE);
		assert_int_equal(w.op.already, rows[i].already);
	}
}

/* --- KV 1 */

static void plain(char version[MK_VERSION_MAX + 1])
{
	w.conf.kv = 1;
	w.expect = NULL;
	assert_int_equal(RUN(MK_VERB_GET, { "GET " ONE, 200, "{\"data\":" OTHER "}", T }), MK_STEP_DONE);
	memcpy(version, w.op.meta.version, MK_VERSION_MAX + 1);
	assert_int_equal(strlen(version), 32);
}

static void kv1_puts_and_promotes_by_looking_first(void **state)
{
	char version[MK_VERSION_MAX + 1], put[MK_VERSION_MAX + 1];
	(void)state;
	plain(version);
	w.expect = version;
	assert_int_equal(RUN(MK_VERB_PUT, { "GET " ONE, 200, "{\"data\":" OTHER "}", T }, { "GET " ONE P, 404, MISSING, T },
			     { "POST " ONE P, 204, "", TB(VALUE) }, { "GET " ONE P, 200, "{\"data\":" VALUE "}", T }),
			 MK_STEP_DONE);
	memcpy(put, w.op.meta.version, sizeof put);
	assert_failed(RUN(MK_VERB_PUT, { "GET " ONE, 200, "{\"data\":" VALUE "}", T }), MK_CONFLICT, "another one");
	assert_failed(RUN(MK_VERB_PUT, { "GET " ONE, 200, "{\"data\":" OTHER "}", T }, { "GET " ONE P, 200, "{\"data\":{}}", T }), MK_CONFLICT,
		      "already");
	assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " ONE P, 200, "{\"data\":" VALUE "}", T }, { "GET " ONE, 200, "{\"data\":" OTHER "}", T },
			     { "POST " ONE, 204, "", TB(VALUE) }, { "DELETE " ONE P, 204, "", T }),
			 MK_STEP_DONE);
	assert_string_equal(w.op.meta.version, put);
	assert_int_equal(RUN(MK_VERB_PROMOTE, { "GET " ONE P, 200, "{\"data\":" VALUE "}", T }, { "GET " ONE, 200, "{\"data\":" VALUE "}", T },
			     { "DELETE " ONE P, 204, "", T }),
			 MK_STEP_DONE); /* half done before */
	assert_failed(RUN(MK_VERB_PROMOTE, { "GET " ONE P, 200, "{\"data\":" VALUE "}", T }, { "GET " ONE, 200, "{\"data\":{}}", T }),
		      MK_CONFLICT, "another one");
	assert_int_equal(RUN(MK_VERB_DISCARD, { "GET " ONE P, 200, "{\"data\":" VALUE "}", T }, { "DELETE " ONE P, 204, "", T }), MK_STEP_DONE);
	assert_failed(RUN(MK_VERB_PUT, { "GET " ONE, 200, "{\"data\":" OTHER "}", T }, { "GET " ONE P, 404, MISSING, T },
			  { "POST " ONE P, 400, "{}", TB(VALUE) }), MK_BACKEND, "400");
}

static void kv1_cannot_disable(void **state)
{
	(void)state;
	w.conf.kv = 1;
	assert_failed(run_op(&w, MK_VERB_DISABLE, "acme-crm", false, NULL, 0), MK_METHOD, "kv = 2");
	assert_failed(run_op(&w, MK_VERB_ENABLE, "acme-crm", false, NULL, 0), MK_METHOD, "kv = 2");
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_put_lies_beside_the_current_value),
		EACH(a_put_holds_only_for_the_version_that_was_expected),
		EACH(a_put_that_was_refused_is_a_conflict_only_where_something_is_pending),
		EACH(a_write_without_an_answer_says_so_and_is_not_sent_again),
		EACH(a_value_that_is_none_or_too_large_is_not_sent),
		EACH(a_promotion_writes_what_is_pending_where_the_expected_version_still_is_current),
		EACH(a_first_token_is_promoted_onto_nothing),
		EACH(a_promotion_that_lost_the_race_is_a_conflict_and_what_is_pending_stays),
		EACH(a_promotion_that_was_half_done_is_finished_and_nothing_is_written_twice),
		EACH(a_discard_takes_all_that_was_pending),
		EACH(a_version_is_disabled_and_enabled),
		EACH(what_was_so_before_is_told),
		EACH(kv1_puts_and_promotes_by_looking_first),
		EACH(kv1_cannot_disable),
	};
	return cmocka_run_group_tests(tests, arena, NULL);
}

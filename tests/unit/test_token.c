/* SPDX-License-Identifier: Apache-2.0
 *
 * Service-account tokens: the good ones, and forms and claims that are not ours.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "token_forge.h"

static void a_good_token_tells_whose_it_is(void **state)
{
	struct kit_token t;
	struct mk_token_who who;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &t);
	assert_int_equal(at(t.s, KIT_NOW, &who), MK_TOKEN_GOOD);
	assert_string_equal(who.account.ns, "erp");
	assert_string_equal(who.account.name, "sync");
	assert_true(who.expires_ms == INT64_C(1800000600000));
	assert_int_equal(with(ES, kit_claims(NULL, NULL)), MK_TOKEN_GOOD);
	assert_int_equal(with("{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"typ\":\"JWT\"}", kit_claims(NULL, NULL)), MK_TOKEN_GOOD);
	assert_int_equal(with(RS, kit_claims("aud", "\"" KIT_AUDIENCE "\"")), MK_TOKEN_GOOD);
}

static void claims_must_be_ours_exactly(void **state)
{
	static const struct {
		const char *key, *value;
		enum mk_token_verdict v;
	} wrong[] = {
		{ "iss", "\"https://kubernetes.default.svc\"", MK_TOKEN_ISSUER }, { "iss", "\"" KIT_ISSUER "/\"", MK_TOKEN_ISSUER },
		{ "iss", NULL, MK_TOKEN_ISSUER }, { "iss", "[\"" KIT_ISSUER "\"]", MK_TOKEN_ISSUER }, { "iss", "\"\"", MK_TOKEN_ISSUER },
		{ "aud", "[\"makini-development\"]", MK_TOKEN_AUDIENCE }, { "aud", "[]", MK_TOKEN_AUDIENCE }, { "aud", NULL, MK_TOKEN_AUDIENCE },
		{ "aud", "\"makini-productio\"", MK_TOKEN_AUDIENCE }, { "aud", "\"makini-production2\"", MK_TOKEN_AUDIENCE },
		{ "aud", "[\"" KIT_AUDIENCE "\",\"vault\"]", MK_TOKEN_AUDIENCE }, { "aud", "[[\"" KIT_AUDIENCE "\"]]", MK_TOKEN_AUDIENCE },
		{ "aud", "{\"" KIT_AUDIENCE "\":1}", MK_TOKEN_AUDIENCE }, { "aud", "true", MK_TOKEN_AUDIENCE },
		{ "exp", NULL, MK_TOKEN_CLAIMS }, { "exp", "\"1800000600\"", MK_TOKEN_CLAIMS }, { "exp", "1800000600.5", MK_TOKEN_CLAIMS },
		{ "exp", "-1", MK_TOKEN_CLAIMS }, { "exp", "9223372036854775807", MK_TOKEN_CLAIMS }, { "exp", "null", MK_TOKEN_CLAIMS },
		{ "nbf", "\"0\"", MK_TOKEN_CLAIMS }, { "iat", "true", MK_TOKEN_CLAIMS },
		{ "sub", "\"system:serviceaccount:erp:billing\"", MK_TOKEN_CLAIMS }, { "sub", NULL, MK_TOKEN_CLAIMS },
		{ "sub", "\"system:serviceaccount:erp:sync:x\"", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", NULL, MK_TOKEN_CLAIMS }, { "kubernetes.io", "\"erp\"", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":{\"name\":\"sync\"}}", MK_TOKEN_POD },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"\"}}", MK_TOKEN_POD },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"0b8b6a1e-7f0e-4b52-8f8e-000000000002\"}}",
		  MK_TOKEN_POD },
		{ "kubernetes.io", "{\"namespace\":\"erp/../dev\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", "{\"namespace\":\"ERP\",\"serviceaccount\":{\"name\":\"sync\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}", MK_TOKEN_CLAIMS },
		{ "kubernetes.io", "{\"namespace\":\"erp\",\"serviceaccount\":\"sync\",\"pod\":{\"uid\":\"" KIT_POD "\"}}", MK_TOKEN_CLAIMS },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(wrong); i++)
		if (with(RS, kit_claims(wrong[i].key, wrong[i].value)) != wrong[i].v)
			fail_msg("%s %s: %s", wrong[i].key, wrong[i].value ? wrong[i].value : "missing",
				 mk_jwt_word(with(RS, kit_claims(wrong[i].key, wrong[i].value))));
}

/* A token that is right in all but these two names, which its subject repeats. */
static enum mk_token_verdict named(const char *ns, const char *name)
{
	char claims[4096];
	snprintf(claims, sizeof claims,
		 "{\"iss\":\"" KIT_ISSUER "\",\"aud\":[\"" KIT_AUDIENCE "\"],\"exp\":1800000600,\"sub\":\"system:serviceaccount:%s:%s\","
		 "\"kubernetes.io\":{\"namespace\":\"%s\",\"serviceaccount\":{\"name\":\"%s\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}}",
		 ns, name, ns, name);
	return with(RS, claims);
}

static void names_are_those_that_kubernetes_gives(void **state)
{
	static const char *const good[][2] = { { "a", "a" }, { "az-09", "a.z-0.9" }, { "z", "0" }, { "9", "z" }, { "0", "9" } };
	static const char *const bad[][2] = {
		{ "", "sync" }, { "erp", "" }, { "e.rp", "sync" }, { "erp", "sy_nc" }, { "erp", "Sync" }, { "erP", "sync" }, { "erp", "sy nc" },
		{ "erp", "sy:nc" }, { "erp", "sy/nc" }, { "e{p", "sync" }, { "e`p", "sync" }, { "erp", "sy\xc3\xa4" }, { "erp", "sync\\n" },
		{ "/", "sync" }, { ":", "sync" }, { "erp", "-/0" },
	};
	char ns[MK_K8S_NAMESPACE_MAX + 2], name[MK_K8S_ACCOUNT_MAX + 2];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(good); i++)
		assert_int_equal(named(good[i][0], good[i][1]), MK_TOKEN_GOOD);
	for (size_t i = 0; i < MK_COUNT(bad); i++)
		assert_int_equal(named(bad[i][0], bad[i][1]), MK_TOKEN_CLAIMS);
	memset(ns, 'n', sizeof ns);
	memset(name, 'a', sizeof name);
	ns[MK_K8S_NAMESPACE_MAX] = name[MK_K8S_ACCOUNT_MAX] = '\0';
	assert_int_equal(named(ns, name), MK_TOKEN_GOOD);
	ns[MK_K8S_NAMESPACE_MAX] = 'n';
	ns[MK_K8S_NAMESPACE_MAX + 1] = '\0';
	assert_int_equal(named(ns, name), MK_TOKEN_CLAIMS);
	name[MK_K8S_ACCOUNT_MAX] = 'a';
	name[MK_K8S_ACCOUNT_MAX + 1] = '\0';
	assert_int_equal(named("erp", name), MK_TOKEN_CLAIMS);
}

/* What is no name is not taken for none, which a subject could leave out as well. */
static void a_subject_does_not_stand_for_a_name_that_is_none(void **state)
{
	static const char *const names[][2] = { { "e.rp", "sync" }, { "erp", "sy_nc" }, { "", "sync" } };
	char claims[4096];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(names); i++) {
		snprintf(claims, sizeof claims,
			 "{\"iss\":\"" KIT_ISSUER "\",\"aud\":\"" KIT_AUDIENCE "\",\"exp\":1800000600,\"sub\":\"system:serviceaccount:%s:%s\","
			 "\"kubernetes.io\":{\"namespace\":\"%s\",\"serviceaccount\":{\"name\":\"%s\"},\"pod\":{\"uid\":\"" KIT_POD "\"}}}",
			 i == 1 ? "erp" : "", i == 1 ? "" : "sync", names[i][0], names[i][1]);
		assert_int_equal(with(RS, claims), MK_TOKEN_CLAIMS);
	}
}

static void every_verdict_has_a_word(void **state)
{
	(void)state;
	assert_string_equal(mk_jwt_word(MK_TOKEN_GOOD), "good");
	for (unsigned v = 0; v < MK_TOKEN_REFUSALS; v++)
		assert_non_null(mk_jwt_word((enum mk_token_verdict)v));
	assert_string_equal(mk_jwt_word(MK_TOKEN_POD), "another_pod");
	assert_string_equal(mk_jwt_word(MK_TOKEN_REFUSALS), "malformed");
}

static void clocks_may_differ_by_half_a_minute_and_not_more(void **state)
{
	struct kit_token t;
	struct mk_token_who who;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &t); /* from NOW to NOW + 600 */
	assert_int_equal(at(t.s, KIT_NOW + 629, &who), MK_TOKEN_GOOD);
	assert_int_equal(at(t.s, KIT_NOW + 630, &who), MK_TOKEN_EXPIRED);
	assert_int_equal(at(t.s, KIT_NOW - 30, &who), MK_TOKEN_GOOD);
	assert_int_equal(at(t.s, KIT_NOW - 31, &who), MK_TOKEN_NOT_YET);
	kit_token(rsa, RS, kit_claims("nbf", "1800000031"), &t);
	assert_int_equal(check(&t), MK_TOKEN_NOT_YET);
	kit_token(rsa, RS, kit_claims("iat", "1800000031"), &t);
	assert_int_equal(check(&t), MK_TOKEN_NOT_YET);
	kit_token(rsa, RS, kit_claims("nbf", NULL), &t);
	assert_int_equal(check(&t), MK_TOKEN_GOOD);
	assert_int_equal(with(RS, kit_claims("nbf", "0")), MK_TOKEN_GOOD); /* the first moment and the last are some */
	assert_int_equal(with(RS, kit_claims("exp", "253402300799")), MK_TOKEN_GOOD);
	assert_int_equal(with(RS, kit_claims("exp", "253402300800")), MK_TOKEN_CLAIMS);
	assert_int_equal(with(RS, kit_claims("exp", "0")), MK_TOKEN_EXPIRED);
}

static void a_payload_that_says_a_thing_twice_is_refused(void **state)
{
	char text[8192];
	(void)state;
	const char *good = kit_claims(NULL, NULL);
	snprintf(text, sizeof text, "{\"iss\":\"" KIT_ISSUER "\",%s", good + 1);
	assert_int_equal(with(RS, text), MK_TOKEN_CLAIMS);
	snprintf(text, sizeof text, "{\"extra\":\"" KIT_ISSUER "\",%s", good + 1);
	assert_int_equal(with(RS, text), MK_TOKEN_GOOD); /* unlike in a header, others may be there */
	assert_int_equal(with(RS, "no JSON"), MK_TOKEN_CLAIMS);
	assert_int_equal(with(RS, "[]"), MK_TOKEN_CLAIMS);
}

static void a_payload_of_brackets_is_refused_before_it_is_parsed(void **state)
{
	char text[8192];
	(void)state;
	memset(text, '[', 1500);
	memset(text + 1500, '\0', 1);
	assert_int_equal(with(RS, text), MK_TOKEN_CLAIMS);
	snprintf(text, sizeof text, "{\"deep\":%.60s%.60s,%s", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", kit_claims(NULL, NULL) + 1);
	assert_int_equal(with(RS, text), MK_TOKEN_CLAIMS);
	static const char left[] = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
	static const char right[] = "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
	for (int more = 58; more <= 59; more++) { /* beside 6 of its own: 64 may be */
		snprintf(text, sizeof text, "{\"deep\":%.*s%.*s,%s", more, left, more, right, kit_claims(NULL, NULL) + 1);
		assert_int_equal(with(RS, text), more == 58 ? MK_TOKEN_GOOD : MK_TOKEN_CLAIMS);
	}
}

static void the_form_is_three_parts_of_bare_base64url(void **state)
{
	struct kit_token a, t;
	char *dot;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &a);
	static const char *const odd[] = { "", ".", "..", "...", "a.b.c", "a..c", "x", "a.b.c.d" };
	for (size_t i = 0; i < MK_COUNT(odd); i++)
		assert_int_equal(at(odd[i], KIT_NOW, &(struct mk_token_who){ 0 }), MK_TOKEN_MALFORMED);
	static const char *const tails[] = { "=", "==", ".", ".e30", " ", "\n", "!" };
	for (size_t i = 0; i < MK_COUNT(tails); i++) {
		snprintf(t.s, sizeof t.s, "%.6000s%s", a.s, tails[i]);
		assert_int_not_equal(check(&t), MK_TOKEN_GOOD);
	}
	snprintf(t.s, sizeof t.s, " %.6000s", a.s);
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	assert_int_equal(mk_token_check(keys, mk_span(NULL, 0), &want, KIT_NOW * 1000, &(struct mk_token_who){ 0 }), MK_TOKEN_MALFORMED);
	dot = strrchr(a.s, '.');
	snprintf(t.s, sizeof t.s, "%.*s.%s", (int)(dot - a.s), a.s, dot); /* a dot too many */
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	dot = strchr(a.s, '.');
	snprintf(t.s, sizeof t.s, "%.*s=%s", (int)(dot - a.s), a.s, dot); /* a padded header */
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	for (t = a; (dot = strpbrk(t.s, "-_"));) /* the other alphabet */
		*dot = *dot == '-' ? '+' : '/';
	if (strcmp(t.s, a.s) != 0)
		assert_int_not_equal(check(&t), MK_TOKEN_GOOD);
}

static void what_is_longer_than_a_token_is_not_looked_at(void **state)
{
	static char text[6000];
	struct kit_token t;
	char claims[8192];
	(void)state;
	snprintf(claims, sizeof claims, "{\"pad\":\"%0*d\",%s", 2600, 0, kit_claims(NULL, NULL) + 1);
	kit_token(rsa, RS, claims, &t);
	assert_true(strlen(t.s) > MK_BEARER_MAX);
	assert_int_equal(check(&t), MK_TOKEN_MALFORMED);
	memset(text, 'a', sizeof text - 1);
	assert_int_equal(at(text, KIT_NOW, &(struct mk_token_who){ 0 }), MK_TOKEN_MALFORMED);
	static const char header[] = "{\"alg\":\"RS256\", \"kid\":\"rsa-1\"}";
	for (int pad = 1800; strlen(t.s) != MK_BEARER_MAX; pad++) { /* as long as it may be */
		assert_true(pad < 2600);
		snprintf(claims, sizeof claims, "{\"pad\":\"%0*d\",%s", pad, 0, kit_claims(NULL, NULL) + 1);
		kit_text(header, claims, &t);
		if (strlen(t.s) + 1 + 342 == MK_BEARER_MAX)
			kit_token(rsa, header, claims, &t);
	}
	assert_int_equal(check(&t), MK_TOKEN_GOOD);
}

static void without_keys_nothing_is_good(void **state)
{
	struct kit_token t;
	(void)state;
	kit_token(rsa, RS, kit_claims(NULL, NULL), &t);
	assert_int_equal(mk_token_check(NULL, mk_span_of(t.s), &want, KIT_NOW * 1000, &(struct mk_token_who){ 0 }), MK_TOKEN_UNKNOWN_KEY);
	const struct mk_token_want nothing = { "", "", "" };
	kit_token(rsa, RS, "{\"iss\":\"\",\"aud\":\"\"}", &t);
	assert_int_equal(mk_token_check(keys, mk_span_of(t.s), &nothing, KIT_NOW * 1000, &(struct mk_token_who){ 0 }), MK_TOKEN_ISSUER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_token_tells_whose_it_is),
		cmocka_unit_test(claims_must_be_ours_exactly),
		cmocka_unit_test(names_are_those_that_kubernetes_gives),
		cmocka_unit_test(a_subject_does_not_stand_for_a_name_that_is_none),
		cmocka_unit_test(every_verdict_has_a_word),
		cmocka_unit_test(clocks_may_differ_by_half_a_minute_and_not_more),
		cmocka_unit_test(a_payload_that_says_a_thing_twice_is_refused),
		cmocka_unit_test(a_payload_of_brackets_is_refused_before_it_is_parsed),
		cmocka_unit_test(the_form_is_three_parts_of_bare_base64url),
		cmocka_unit_test(what_is_longer_than_a_token_is_not_looked_at),
		cmocka_unit_test(without_keys_nothing_is_good),
	};
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the configuration in a pod: accounts, listeners in volumes of their own, and the
 * files that a pod is told by.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_read.h"

static void an_account_is_read_in_a_pod_and_its_names_are_checked(void **state)
{
	static const struct {
		const char *ns, *account;
		enum mk_err err;
	} cases[] = {
		{ "erp", "sync", MK_OK }, { "e", "a.b-c.d", MK_OK }, { "erp.x", "sync", MK_BAD_REQUEST }, { "-erp", "sync", MK_BAD_REQUEST },
		{ "erp-", "sync", MK_BAD_REQUEST }, { "erp", "Sync", MK_BAD_REQUEST }, { "erp", "a..b", MK_BAD_REQUEST },
		{ "erp", ".a", MK_BAD_REQUEST }, { "erp", "a.", MK_BAD_REQUEST }, { "erp", "a-.b", MK_BAD_REQUEST }, { "", "a", MK_BAD_REQUEST },
		{ "erp", "", MK_BAD_REQUEST }, { "e/p", "a", MK_BAD_REQUEST },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++) {
		char text[512];
		struct mk_rules r = { 0 };
		struct mk_why why = { 0 };
		snprintf(text, sizeof text, "environment = \"x\"; rules = (); services = ( { name = \"a\"; identity = { socket = \"s\"; kubernetes = "
			 "{ namespace = \"%s\"; service_account = \"%s\"; }; }; } );", cases[i].ns, cases[i].account);
		assert_int_equal(mk_conf_parse_policy(mk_span_of(text), "policy.conf", NULL, true, &r, &why), cases[i].err);
		if (cases[i].err == MK_OK)
			assert_string_equal(r.services[0].identity.account.name, cases[i].account);
		mk_rules_done(&r);
	}
	struct mk_rules r = { 0 };
	struct mk_why why = { 0 };
	assert_int_equal(mk_conf_parse_policy(mk_span_of("environment = \"x\"; rules = (); services = ( { name = \"a\"; identity = { unit = "
							 "\"a.service\"; }; } );"), "policy.conf", NULL, true, &r, &why), MK_BAD_REQUEST);
	assert_non_null(strstr(why.text, "no systemd units in a pod"));
}

/* `expect`: the first line is FILE:LINE: fragment of the message. */
static void the_example_of_a_pod_is_read(void **state)
{
	static char text[TEXT_MAX];
	size_t n = 0;
	(void)state;
	assert_true(source_text("examples/pod.conf", text, &n));
	struct mk_conf c = good(text);
	assert_int_equal(c.platform, MK_POD);
	assert_true(c.kubernetes.on);
	assert_string_equal(c.kubernetes.audience, "makini-production");
	assert_string_equal(c.kubernetes.pod_uid_file, "/etc/podinfo/uid");
	assert_string_equal(c.kubernetes.address, "https://kubernetes.default.svc");
	assert_string_equal(c.kubernetes.token_file, "/run/secrets/kubernetes.io/serviceaccount/token");
	assert_string_equal(c.listeners[c.n_listeners - 1].path, "/sockets/sync/makini.sock");
	mk_conf_done(&c);
}

static void in_a_pod_a_listener_may_lie_in_a_volume_of_its_own(void **state)
{
	static const char *const paths[][2] = {
		{ "/sockets/sync/makini.sock", "" }, { "makini.sock", "" }, { "/a.sock", "" }, { "sync/makini.sock", "path" },
		{ "/sockets/../etc/x.sock", "path" }, { "/sockets//x.sock", "path" }, { "/sockets/x.client.sock", "path" },
		{ "/sockets/.x.sock", "path" }, { "/sockets/x.sock/", "path" }, { "/sockets/sync", "path" }, { "/run/makini/production/api.sock", "same path" },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(paths); i++)
		for (unsigned pod = 0; pod < 2; pod++) {
			char text[1024];
			struct mk_conf c = { 0 };
			struct mk_why why = { 0 };
			snprintf(text, sizeof text,
				 "environment = \"production\"; platform = \"%s\"; listeners = ( { name = \"sync\"; path = \"%s\"; } );"
				 "backends = ( { name = \"a\"; type = \"local\"; file = \"store/s\"; key_file = \"keys/k\"; } );"
				 "audit = { recipient = \"" KEY "\"; };", pod ? "pod" : "host", paths[i][0]);
			const bool fits = !paths[i][1][0] && (pod || paths[i][0][0] != '/');
			const enum mk_err e = parse(text, &c, &why);
			if ((e == MK_OK) != fits)
				fail_msg("%s %s: %s", pod ? "pod" : "host", paths[i][0], why.text);
			if (!fits && pod)
				assert_non_null(strstr(why.text, paths[i][1]));
			mk_conf_done(&c);
		}
}

static void what_a_pod_is_told_is_read_from_its_files(void **state)
{
	static const struct {
		const char *uid, *jwks, *fault; /* NULL: not there */
	} cases[] = {
		{ "0b8b6a1e-7f0e-4b52-8f8e-00000000000a", "{}", NULL }, { "0b8b6a1e-7f0e-4b52-8f8e-00000000000a\n", "{}", NULL },
		{ "", "{}", "no pod's uid" }, { "\n", "{}", "no pod's uid" }, { "metadata.uid", "{}", "no pod's uid" },
		{ "0b8b6a1e 7f0e", "{}", "no pod's uid" }, { NULL, "{}", "does not exist" }, { "0b8b6a1e", "", "no JSON Web Key Set" }, { "0b8b6a1e", NULL, "does not exist" },
		{ "0b8b6a1e-7f0e-4b52-8f8e-00000000000a0b8b6a1e-7f0e-4b52-8f8e-00000", "{}", "no pod's uid" },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(cases); i++) {
		struct dir d = dir_new();
		struct mk_conf c = { 0 };
		struct mk_why why = { 0 };
		c.kubernetes.on = true;
		path_in(&d, "uid", c.kubernetes.pod_uid_file);
		path_in(&d, "keys.json", c.kubernetes.jwks_file);
		if (cases[i].uid)
			put_text(&d, "uid", cases[i].uid);
		if (cases[i].jwks)
			put_text(&d, "keys.json", cases[i].jwks);
		const enum mk_err e = mk_conf_load_pod(&c, &why);
		assert_int_equal(e == MK_OK, cases[i].fault == NULL);
		if (e != MK_OK && !strstr(why.text, cases[i].fault))
			fail_msg("%zu: %s", i, why.text);
		if (e == MK_OK) {
			assert_string_equal(c.kubernetes.pod_uid, "0b8b6a1e-7f0e-4b52-8f8e-00000000000a");
			assert_int_equal(c.kubernetes.n_jwks, 2);
		}
		mk_conf_done(&c);
		dir_free(&d);
	}
	struct mk_conf none = { 0 };
	assert_int_equal(mk_conf_load_pod(&none, NULL), MK_OK); /* without the section nothing is opened */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_a_pod_is_read),
		cmocka_unit_test(what_a_pod_is_told_is_read_from_its_files),
		cmocka_unit_test(in_a_pod_a_listener_may_lie_in_a_volume_of_its_own),
		cmocka_unit_test(an_account_is_read_in_a_pod_and_its_names_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about how a Vault is configured: what is read, safe defaults, and what is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_read.h"

/* A vault with such an auth group; more: further keys. */
static struct mk_conf vault_conf(const char *address, const char *auth, const char *more)
{
	char text[2048];
	snprintf(text, sizeof text,
		 "environment = \"production\"; backends = ( { name = \"v\"; type = \"vault\"; address = \"%s\"; mount = \"kv/team\"; "
		 "path = \"makini/x-{connection}\"; auth = { %s }; %s } ); audit = { recipient = \"" KEY "\"; };"
		 "proxy = { url = \"http://proxy.example:3128/\"; };", address, auth, more);
	return good(text);
}

static void a_vault_is_read_as_it_is_written(void **state)
{
	struct mk_conf c = vault_conf("https://Vault.example:8200/", "method = \"approle\"; role_id_file = \"keys/r\"; secret_id_file = \"/x/s\"; "
				      "wrapped = true; mount = \"a/b\"; cert_file = \"keys/c\"; cert_key_file = \"keys/k\";",
				      "namespace = \"team/a\"; kv = 1; rate = \"7/m\"; ca_file = \"tls/ca.pem\"; trust_tags = true;");
	const struct mk_conf_backend *b = c.backends;
	(void)state;
	assert_string_equal(b->type, "vault");
	assert_string_equal(b->address, "https://Vault.example:8200");
	assert_string_equal(b->mount, "kv/team");
	assert_string_equal(b->path, "makini/x-{connection}");
	assert_string_equal(b->ns, "team/a");
	assert_string_equal(b->ca_file, "/etc/makini/tls/ca.pem");
	assert_string_equal(b->proxy, "http://proxy.example:3128");
	assert_true(b->kv == 1 && b->calls_per_hour == 420 && b->trust_tags);
	assert_string_equal(b->auth.method, "approle");
	assert_string_equal(b->auth.mount, "a/b");
	assert_string_equal(b->auth.role_id_file, "/etc/makini/keys/r");
	assert_string_equal(b->auth.secret_id_file, "/x/s");
	assert_string_equal(b->auth.cert_key_file, "/etc/makini/keys/k");
	assert_true(b->auth.wrapped && b->auth.role[0] == '\0' && b->file[0] == '\0');
	mk_conf_done(&c);
}

static void a_vaults_defaults_are_safe(void **state)
{
	struct mk_conf c = vault_conf("https://[2001:db8::1]", "method = \"kubernetes\"; role = \"billing\";", "");
	(void)state;
	assert_true(c.backends[0].kv == 2 && c.backends[0].calls_per_hour == 180000 && c.backends[0].timeout_ms == 10000);
	assert_string_equal(c.backends[0].auth.mount, "kubernetes");
	assert_string_equal(c.backends[0].auth.jwt_file, "/run/secrets/kubernetes.io/serviceaccount/token");
	assert_string_equal(c.backends[0].ca_file, "");
	mk_conf_done(&c);
}

static void http_is_for_this_host_and_never_through_a_proxy(void **state)
{
	static const char *const here[] = { "http://127.0.0.1:8200", "http://127.1.2.3", "http://localhost:8200", "http://[::1]:8200" };
	static const char *const not_here[] = { "http://127.0.0.1.example", "http://10.0.0.1", "http://[::2]", "http://localhost.example",
						"http://0.0.0.0", "ftp://localhost", "https://", "https://h:0", "https://h:65536", "https://h:",
						"https://h?x", "https://h#x", "https://h//", "https://a b", "https://[::1", "https://[::1]x",
						"https://[localhost]", "https://-h", "h:8200", "https://h\\@x" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(here); i++) {
		struct mk_conf c = vault_conf(here[i], "method = \"token\"; token_file = \"keys/t\";", "");
		assert_string_equal(c.backends[0].address, here[i]);
		assert_string_equal(c.backends[0].proxy, "");
		mk_conf_done(&c);
	}
	for (size_t i = 0; i < MK_COUNT(not_here); i++) {
		char text[1024];
		struct mk_conf c = { 0 };
		snprintf(text, sizeof text, "environment = \"production\"; backends = ( { name = \"v\"; type = \"vault\"; address = \"%s\"; "
			 "mount = \"kv\"; path = \"{connection}\"; auth = { method = \"token\"; token_file = \"keys/t\"; }; } ); "
			 "audit = { recipient = \"" KEY "\"; };", not_here[i]);
		if (parse(text, &c, NULL) == MK_OK)
			fail_msg("%s was taken", not_here[i]);
	}
}

static void no_file_of_a_vault_lies_beside_the_configuration(void **state)
{
	static const char *const wrong[][2] = {
		{ "method = \"token\"; token_file = \"x\";", "" },
		{ "method = \"approle\"; role_id_file = \"x\"; secret_id_file = \"keys/x\";", "" },
		{ "method = \"approle\"; role_id_file = \"keys/x\"; secret_id_file = \"x\";", "" },
		{ "method = \"jwt\"; role = \"r\"; jwt_file = \"/etc/x\";", "" }, /* above it */
		{ "method = \"cert\"; cert_file = \"x\"; cert_key_file = \"keys/x\";", "" },
		{ "method = \"cert\"; cert_file = \"keys/x\"; cert_key_file = \"x\";", "" },
		{ "method = \"token\"; token_file = \"keys/x\";", "ca_file = \"x\";" },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(wrong); i++) {
		char text[1024];
		struct mk_conf c = { 0 };
		struct mk_why why = { 0 };
		snprintf(text, sizeof text, "environment = \"production\"; backends = ( { name = \"v\"; type = \"vault\"; address = \"https://h\"; "
			 "mount = \"kv\"; path = \"{connection}\"; auth = { %s }; %s } ); audit = { recipient = \"" KEY "\"; };",
			 wrong[i][0], wrong[i][1]);
		if (parse(text, &c, &why) == MK_OK || !strstr(why.text, "lies in a directory that holds this file"))
			fail_msg("%s %s: %s", wrong[i][0], wrong[i][1], why.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vault_is_read_as_it_is_written),
		cmocka_unit_test(a_vaults_defaults_are_safe),
		cmocka_unit_test(http_is_for_this_host_and_never_through_a_proxy),
		cmocka_unit_test(no_file_of_a_vault_lies_beside_the_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

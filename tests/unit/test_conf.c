/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about agent.conf and policy.conf: what is read from them, what is assumed
 * where they are silent, and that each wrong one is refused with line and remedy.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_read.h"

#include "policy/policy.h"

#include <sodium.h>

static struct mk_rules good_policy(const char *text)
{
	struct mk_rules r = { 0 };
	struct mk_why why = { 0 };
	if (mk_conf_parse_policy(mk_span_of(text), "policy.conf", NULL, false, &r, &why) != MK_OK)
		fail_msg("line %u: %s", why.line, why.text);
	return r;
}

static void the_right_configuration_is_read_as_it_is_written(void **state)
{
	struct dir d = dir_new();
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	char path[256];
	(void)state;
	copy_source(&d, "agent.conf", "tests/wrong/00-right", "agent.conf");
	copy_source(&d, "policy.conf", "tests/wrong/00-right", "policy.conf");
	if (load(&d, &c, &why) != MK_OK)
		fail_msg("%s:%u: %s", why.file, why.line, why.text);
	path_in(&d, "agent.conf", path);
	assert_string_equal(c->file, path);
	assert_string_equal(c->environment.s, "production");
	assert_int_equal(c->platform, MK_HOST);
	assert_int_equal(c->n_backends, 2);
	assert_string_equal(c->backends[0].file, "/var/lib/makini/production/store/main"); /* from state_dir */
	path_in(&d, "keys/store.key", path);
	assert_string_equal(c->backends[0].key_file, path); /* from the file's own directory */
	assert_string_equal(c->backends[0].type, "local");
	assert_true(c->backends[0].timeout_ms == 5000 && c->backends[1].timeout_ms == 10000);
	assert_string_equal(c->backends[1].key_file, "");
	assert_int_equal(c->n_listeners, 4);
	assert_string_equal(c->listeners[0].name.s, "admin");
	assert_int_equal(c->listeners[0].mode, 0660);
	assert_int_equal(c->listeners[0].gid, 1);
	assert_string_equal(c->listeners[1].path, "/run/makini/production/api.sock");
	assert_int_equal(c->listeners[1].mode, 0666);
	assert_string_equal(c->listeners[2].name.s, "sync");
	assert_string_equal(c->listeners[3].path, "/run/makini/production/batch.sock");
	assert_true(c->listeners[3].mode == 0660 && c->listeners[3].gid == (gid_t)-1);
	assert_true(c->audit.max_size == 1u << 30 && c->audit.keep == 10 && c->limits.head_timeout_ms == 5000);
	assert_int_equal(c->rules.n_services, 5);
	assert_int_equal(c->rules.n_rules, 5);
	assert_int_equal(c->rules.services[0].identity.uid, 2001);
	assert_int_equal(c->rules.services[1].line, 6);
	assert_int_equal(c->rules.rules[0].rate_per_hour, 360000);
	assert_int_equal(c->rules.rules[1].actions, (1u << MK_ACTION_COUNT) - 1); /* a deny that names none: all */
	assert_int_equal(c->rules.rules[3].n_patterns, 0);
	mk_conf_free(c);
	dir_free(&d);
}

static void what_is_not_written_has_its_default(void **state)
{
	struct mk_conf c = good(LEAST);
	const struct sockaddr_in *a = (const struct sockaddr_in *)&c.reporter_addr;
	(void)state;
	assert_string_equal(c.runtime_dir, "/run/makini/production");
	assert_string_equal(c.state_dir, "/var/lib/makini/production");
	assert_string_equal(c.policy_file, "/etc/makini/policy.conf");
	assert_string_equal(c.audit.file, "/var/log/makini/production/audit.jsonl");
	assert_true(c.audit.max_size == 1u << 30 && c.audit.keep == 10);
	assert_true(c.refresh.ttl_ms == 300000 && c.refresh.jitter_percent == 20 && c.refresh.serve_stale_ms == 3600000);
	assert_true(c.limits.connections == 4096 && c.limits.connections_per_uid == 1024 && c.limits.waiters_per_uid == 256);
	assert_true(c.limits.head_timeout_ms == 5000 && c.limits.write_timeout_ms == 5000 && c.limits.idle_timeout_ms == 60000);
	assert_true(c.reporter_on && a->sin_port == htons(9464) && a->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	assert_int_equal(c.n_listeners, 2);
	assert_int_equal(c.listeners[0].mode, 0600);
	assert_true(c.listeners[0].gid == (gid_t)-1 && c.lockdown_exceptions == 0 && !c.backends[0].trust_tags);
	mk_conf_done(&c);
}

static void the_ends_of_each_range_are_within_it(void **state)
{
	struct mk_conf c = good(LEAST "refresh = { ttl = \"1s\"; jitter = \"0%\"; serve_stale = \"0s\"; };"
				      "limits = { connections = 16; connections_per_uid = 8; waiters_per_uid = 4096; };"
				      "reporter = { listen = \"[::1]:65535\"; }; platform = \"pod\";"
				      "lockdown = { exceptions = [ \"landlock\", \"memory_lock\" ]; };");
	const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&c.reporter_addr;
	(void)state;
	assert_true(c.refresh.ttl_ms == 1000 && c.refresh.jitter_percent == 0 && c.refresh.serve_stale_ms == 0);
	assert_true(c.limits.connections_per_uid == 8 && c.limits.waiters_per_uid == 4096);
	assert_true(a->sin6_family == AF_INET6 && a->sin6_port == htons(65535) && a->sin6_addr.s6_addr[15] == 1);
	assert_int_equal(c.platform, MK_POD);
	assert_int_equal(c.lockdown_exceptions, 1u << 4 | 1u << 6);
	mk_conf_done(&c);
	c = good(LEAST "reporter = { listen = \"none\"; };");
	assert_false(c.reporter_on);
	mk_conf_done(&c);
}

static void one_path_in_two_spellings_is_one_path(void **state)
{
	struct mk_conf c = good(LEAST "runtime_dir = \"/run//makini/./x/\"; state_dir = \"./state/.\"; policy = \"/p\";");
	(void)state;
	assert_string_equal(c.runtime_dir, "/run/makini/x");
	assert_string_equal(c.state_dir, "/etc/makini/state");
	assert_string_equal(c.backends[0].file, "/etc/makini/state/store/s");
	assert_string_equal(c.policy_file, "/p");
	mk_conf_done(&c);
}

static void uids_beyond_31_bits_are_digits_in_quotes(void **state)
{
	struct mk_rules r = good_policy("environment = \"x\"; services = ( { name = \"a\"; identity = { uid = \"4294967294\"; "
					"group = 7; }; }, { name = \"b\"; identity = { user = \"root\"; socket = \"admin\"; }; } ); "
					"rules = ();");
	(void)state;
	assert_true(r.services[0].identity.uid == 4294967294u && r.services[0].identity.gid == 7);
	assert_int_equal(r.services[0].identity.set, MK_EVIDENCE_UID | MK_EVIDENCE_GROUP);
	assert_int_equal(r.services[1].identity.uid, 0);
	assert_string_equal(r.services[0].identity.socket.s, "api");
	assert_string_equal(r.services[1].identity.socket.s, "admin");
	mk_rules_done(&r);
}

static void empty_lists_are_legal_and_allow_nothing(void **state)
{
	struct mk_rules r = good_policy("environment = \"x\"; services = (); rules = [];");
	struct mk_policy *p = NULL;
	const struct mk_name name = { "acme" };
	(void)state;
	assert_true(r.n_services == 0 && r.n_rules == 0);
	assert_int_equal(mk_policy_new(&r, &p, NULL), MK_OK);
	assert_int_equal(mk_policy_check(p, 0, MK_ACTION_GET, &(struct mk_subject){ .name = &name }).decision, MK_DENY);
	mk_policy_free(p);
	mk_rules_done(&r);
}

static void groups_tags_fields_and_units_are_read_as_they_are_written(void **state)
{
	(void)state;
	struct mk_rules r = good_policy(
		"environment = \"x\"; services = ( { name = \"a\"; identity = { uid = 5; unit = \"a@eu.service\"; }; },"
		"{ name = \"b\"; identity = { socket = \"credential\"; unit = \"b.service\"; }; } );"
		"groups = ( { name = \"g\"; services = [ \"b\", \"a\" ]; } );"
		"rules = ( { allow = \"g\"; actions = [ \"get\" ]; tags = { zone = \"eu\"; system = \"sap\"; }; fields = [ \"x\", \"y_1\" ]; },"
		"{ allow = \"a\"; actions = [ \"get\" ]; connections = [ \"acme\" ]; fields = []; },"
		"{ deny = \"a\"; tags = { zone = \"us\"; }; connections = [ \"b*\" ]; } );");
	assert_string_equal(r.services[0].identity.unit, "a@eu.service");
	assert_int_equal(r.services[0].identity.set, MK_EVIDENCE_UID | MK_EVIDENCE_UNIT);
	assert_string_equal(r.services[1].identity.socket.s, "credential");
	assert_int_equal(r.n_groups, 1);
	assert_string_equal(r.groups[0].name.s, "g");
	assert_int_equal(r.groups[0].n_services, 2);
	assert_string_equal(r.groups[0].services[0].s, "b");
	const struct mk_rule *x = r.rules;
	assert_true(x[0].n_tags == 2 && x[0].fields_set && x[0].n_fields == 2 && x[0].n_patterns == 1);
	assert_string_equal(x[0].patterns[0].s, "*");
	assert_string_equal(x[0].tags[1].key, "system");
	assert_string_equal(x[0].tags[1].value, "sap");
	assert_string_equal(x[0].fields[1].s, "y_1");
	assert_true(x[1].fields_set && x[1].n_fields == 0 && x[1].n_tags == 0);
	assert_true(x[2].deny && x[2].n_tags == 1 && !x[2].fields_set && x[2].actions == (1u << MK_ACTION_COUNT) - 1);
	mk_rules_done(&r);
}

static void a_policy_in_the_shadow_is_loaded_beside_the_other(void **state)
{
	static const char policy[] = "environment = \"production\"; services = (); rules = ();";
	static const char next[] = "environment = \"production\"; services = ( { name = \"a\"; identity = { uid = 5; }; } ); rules = ();";
	struct dir d = dir_new();
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	(void)state;
	put_text(&d, "agent.conf", LEAST "policy_shadow = \"next.conf\";");
	put_text(&d, "policy.conf", policy);
	assert_int_not_equal(load(&d, &c, &why), MK_OK); /* it is not there */
	put_text(&d, "next.conf", next);
	assert_int_equal(load(&d, &c, &why), MK_OK);
	assert_int_equal(c->rules.n_services, 0);
	assert_int_equal(c->shadow.n_services, 1);
	c = mk_conf_free(c);
	put_text(&d, "next.conf", "environment = \"other\"; services = (); rules = ();");
	assert_int_equal(load(&d, &c, &why), MK_BAD_REQUEST);
	assert_non_null(strstr(why.file, "next.conf"));
	put_text(&d, "next.conf", "environment = \"production\"; rules = (); services = ( { name = \"a\"; identity = { socket = \"none\"; }; } );");
	assert_int_equal(load(&d, &c, &why), MK_BAD_REQUEST);
	assert_non_null(strstr(why.text, "which is no listener"));
	put_text(&d, "agent.conf", LEAST "policy_shadow = \"policy.conf\";");
	assert_int_equal(load(&d, &c, &why), MK_BAD_REQUEST);
	assert_non_null(strstr(why.text, "nothing to compare"));
	dir_free(&d);
}

static void the_policy_is_known_by_its_bytes(void **state)
{
	static const char policy[] = "environment = \"production\"; services = (); rules = ();";
	struct dir d = dir_new();
	struct mk_conf *c = NULL;
	uint8_t right[32];
	(void)state;
	put_text(&d, "agent.conf", LEAST);
	put_text(&d, "policy.conf", policy);
	assert_int_equal(load(&d, &c, NULL), MK_OK);
	crypto_generichash(right, sizeof right, (const uint8_t *)policy, strlen(policy), NULL, 0);
	assert_memory_equal(c->policy_digest, right, sizeof right);
	mk_conf_free(c);
	dir_free(&d);
}

static void check_wrong(const char *name)
{
	static char expect[TEXT_MAX];
	struct dir d = dir_new();
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	char from[300], at[320];
	size_t n = 0;
	snprintf(from, sizeof from, "tests/wrong/%s", name);
	copy_source(&d, "agent.conf", from, "agent.conf");
	copy_source(&d, "policy.conf", from, "policy.conf");
	snprintf(at, sizeof at, "%s/expect", from);
	if (!source_text(at, expect, &n))
		fail_msg("%s is not there", at);
	expect[strcspn(expect, "\n")] = '\0';
	if (load(&d, &c, &why) == MK_OK || c)
		fail_msg("%s was not refused", name);
	const char *file = strrchr(why.file, '/');
	snprintf(at, sizeof at, "%s:%u: ", file ? file + 1 : why.file, why.line);
	const size_t head = strlen(at);
	if (strncmp(expect, at, head) != 0 || !strstr(why.text, expect + head))
		fail_msg("%s: expected \"%s\", got \"%s%s\"", name, expect, at, why.text);
	dir_free(&d);
}

static void each_wrong_configuration_is_refused_with_line_and_remedy(void **state)
{
	struct dirent **list = NULL;
	unsigned seen = 0;
	(void)state;
	const int n = scandir(MK_SOURCE_DIR "/tests/wrong", &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		if (name[0] >= '0' && name[0] <= '9' && strncmp(name, "00-", 3) != 0) {
			check_wrong(name);
			seen++;
		}
		free(list[i]);
	}
	free(list);
	assert_true(seen >= 30);
}

static void a_failed_parse_leaves_the_callers_conf_alone(void **state)
{
	struct mk_conf c;
	struct mk_rules r;
	(void)state;
	memset(&c, 0x5a, sizeof c);
	memset(&r, 0x5a, sizeof r);
	const struct mk_conf before = c;
	assert_int_equal(parse(LEAST "colour = 1;", &c, NULL), MK_BAD_REQUEST);
	assert_memory_equal(&c, &before, sizeof c);
	assert_int_equal(mk_conf_parse_policy(mk_span_of("environment = 1;"), "p", NULL, false, &r, NULL), MK_BAD_REQUEST);
	assert_memory_equal(&r, &before, sizeof r);
}

static void the_examples_are_configurations(void **state)
{
	struct dir d = dir_new();
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	(void)state;
	copy_source(&d, "agent.conf", "examples", "agent.conf");
	copy_source(&d, "policy.conf", "examples", "policy.conf");
	if (load(&d, &c, &why) != MK_OK)
		fail_msg("%s:%u: %s", why.file, why.line, why.text);
	assert_true(c->n_backends > 0 && c->rules.n_rules > 0);
	mk_conf_free(c);
	dir_free(&d);
}

static void many_services_and_rules_are_read_in_their_order(void **state)
{
	const size_t cap = 1u << 20;
	char *text = malloc(cap);
	(void)state;
	assert_non_null(text);
	size_t n = (size_t)snprintf(text, cap, "environment = \"x\"; services = (\n");
	for (unsigned i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, cap - n, "%s{ name = \"s%u\"; identity = { uid = %u; }; }\n", i ? "," : "", i, 1000 + i);
	n += (size_t)snprintf(text + n, cap - n, "); rules = (\n");
	for (unsigned i = 0; i < 10000; i++)
		n += (size_t)snprintf(text + n, cap - n, "%s{ allow = \"s%u\"; actions = [ \"get\" ]; connections = [ \"c%u\" ]; }\n",
				      i ? "," : "", i % 1000, i);
	snprintf(text + n, cap - n, ");");
	struct mk_rules r = good_policy(text);
	assert_true(r.n_services == 1000 && r.n_rules == 10000);
	assert_string_equal(r.rules[9999].patterns[0].s, "c9999");
	assert_int_equal(r.rules[9999].line, 1003 + 9999);
	mk_rules_done(&r);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_configuration_is_read_as_it_is_written),
		cmocka_unit_test(what_is_not_written_has_its_default),
		cmocka_unit_test(the_ends_of_each_range_are_within_it),
		cmocka_unit_test(one_path_in_two_spellings_is_one_path),
		cmocka_unit_test(uids_beyond_31_bits_are_digits_in_quotes),
		cmocka_unit_test(empty_lists_are_legal_and_allow_nothing),
		cmocka_unit_test(groups_tags_fields_and_units_are_read_as_they_are_written),
		cmocka_unit_test(a_policy_in_the_shadow_is_loaded_beside_the_other),
		cmocka_unit_test(the_policy_is_known_by_its_bytes),
		cmocka_unit_test(each_wrong_configuration_is_refused_with_line_and_remedy),
		cmocka_unit_test(a_failed_parse_leaves_the_callers_conf_alone),
		cmocka_unit_test(the_examples_are_configurations),
		cmocka_unit_test(many_services_and_rules_are_read_in_their_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

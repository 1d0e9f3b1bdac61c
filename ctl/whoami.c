/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl whoami: who this caller is taken for, and what it may do.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>

static void words_of(const char *label, const json_t *list)
{
	size_t i;
	json_t *item;
	printf(" %s", label);
	json_array_foreach(list, i, item)
		printf("%s%s", i ? ", " : " ", mk_ctl_text(item));
	if (json_array_size(list) == 0)
		fputs(" none", stdout);
}

static void show_account(const json_t *evidence)
{
	const json_t *account = json_object_get(evidence, "account"), *refused = json_object_get(evidence, "account_refused");
	if (json_is_object(account))
		printf(", service account %s/%s", mk_ctl_text_of(account, "namespace"), mk_ctl_text_of(account, "service_account"));
	else if (refused)
		printf(", no service account (%s)", mk_ctl_text(refused));
}

static void show_evidence(const json_t *evidence)
{
	size_t i;
	json_t *gid;
	printf("evidence:    socket %s, uid %lld, gid %lld", mk_ctl_text_of(evidence, "socket"),
	       (long long)json_integer_value(json_object_get(evidence, "uid")),
	       (long long)json_integer_value(json_object_get(evidence, "gid")));
	json_array_foreach(json_object_get(evidence, "groups"), i, gid)
		printf("%s%lld", i ? " " : ", groups ", (long long)json_integer_value(gid));
	show_account(evidence);
	putchar('\n');
}

static int show(const json_t *root)
{
	const char *service = json_string_value(json_object_get(root, "service"));
	size_t i;
	json_t *rule;
	printf("service:     %s\n", service ? service : "nobody (no service of the policy fits this caller)");
	printf("environment: %s\n", mk_ctl_text_of(root, "environment"));
	show_evidence(json_object_get(root, "evidence"));
	json_array_foreach(json_object_get(root, "rules"), i, rule) {
		const bool deny = json_object_get(rule, "deny") != NULL;
		printf("%s", deny ? "deny " : "allow");
		words_of("", json_object_get(rule, "actions"));
		words_of(" on", json_object_get(rule, "connections"));
		putchar('\n');
	}
	return MK_EXIT_DONE;
}

int mk_ctl_whoami(int argc, char **argv)
{
	return mk_ctl_show(argc, argv, "api", "/v1/whoami", show);
}

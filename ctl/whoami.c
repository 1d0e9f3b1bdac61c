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
		printf("%s%s", i ? ", " : " ", json_string_value(item));
	if (json_array_size(list) == 0)
		fputs(" none", stdout);
}

static int show(const json_t *root)
{
	const char *service = json_string_value(json_object_get(root, "service"));
	const json_t *evidence = json_object_get(root, "evidence");
	size_t i;
	json_t *rule;
	printf("service:     %s\n", service ? service : "nobody (no service of the policy fits this caller)");
	printf("environment: %s\n", json_string_value(json_object_get(root, "environment")));
	printf("evidence:    socket %s, uid %lld, gid %lld\n", json_string_value(json_object_get(evidence, "socket")),
	       (long long)json_integer_value(json_object_get(evidence, "uid")),
	       (long long)json_integer_value(json_object_get(evidence, "gid")));
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
	struct mk_target t = { .name = "api" };
	const char *words[1];
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &json },
	};
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	return rc != MK_EXIT_DONE ? rc : mk_ctl_show(&t, "/v1/whoami", json, show);
}

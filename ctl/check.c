/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl config check: by the agent's own parser, without an agent.
 */
#include "agent/conf/conf.h"
#include "ctl/apart.h"
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define CONFIGS_MAX 16

/* *ret is the caller's, NULL on an error. */
static int config_check(const char *file, struct mk_conf **ret)
{
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	const enum mk_err e = mk_conf_load(file, &c, &why);
	if (e != MK_OK)
		return mk_ctl_why(e, &why);
	printf("%s: ok: environment %s, %zu backend%s, %zu listener%s, %zu service%s, %zu rule%s\n", file, c->environment.s,
	       c->n_backends, c->n_backends == 1 ? "" : "s", c->n_listeners, c->n_listeners == 1 ? "" : "s",
	       c->rules.n_services, c->rules.n_services == 1 ? "" : "s", c->rules.n_rules, c->rules.n_rules == 1 ? "" : "s");
	for (size_t i = 0; i < c->n_backends; i++)
		if (c->backends[i].writable)
			printf("%s: backend \"%s\" is writable: revoke --in-store and restore --in-store change it\n", file, c->backends[i].name.s);
	*ret = c;
	return MK_EXIT_DONE;
}

/* Each alone, then all together. */
static int configs_check(const char *const *files, size_t n)
{
	struct mk_conf *confs[CONFIGS_MAX] = { NULL };
	int rc = n > 1 ? mk_ctl_guard(4, 0, false) : MK_EXIT_DONE; /* credentials are compared */
	for (size_t i = 0; i < n && rc == MK_EXIT_DONE; i++)
		rc = config_check(files[i], &confs[i]);
	if (rc == MK_EXIT_DONE && n > 1) {
		rc = mk_apart_check(confs, n) == 0 ? MK_EXIT_DONE : MK_EXIT_FAILED;
		if (rc == MK_EXIT_DONE)
			printf("%zu instances: apart\n", n);
	}
	for (size_t i = 0; i < n; i++)
		mk_conf_free(confs[i]);
	return rc;
}

int mk_ctl_config(int argc, char **argv)
{
	const char *words[1 + CONFIGS_MAX];
	size_t n = 0;
	const int rc = mk_ctl_options(argc, argv, NULL, 0, words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n == 0 || strcmp(words[0], "check") != 0)
		return mk_ctl_usage("config", "config knows one word: check");
	if (n < 2)
		return mk_ctl_usage("config", "config check wants the path of an agent.conf, or of several");
	return configs_check(words + 1, n - 1);
}

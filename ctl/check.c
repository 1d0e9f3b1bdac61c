/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl config check and policy check: by the agent's own parser, without an agent.
 */
#include "agent/conf/conf.h"
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

static int config_check(const char *file)
{
	struct mk_conf *c = NULL;
	struct mk_why why = { 0 };
	const enum mk_err e = mk_conf_load(file, &c, &why);
	if (e != MK_OK)
		return mk_ctl_why(e, &why);
	printf("%s: ok: environment %s, %zu backend%s, %zu listener%s, %zu service%s, %zu rule%s\n", file, c->environment.s,
	       c->n_backends, c->n_backends == 1 ? "" : "s", c->n_listeners, c->n_listeners == 1 ? "" : "s",
	       c->rules.n_services, c->rules.n_services == 1 ? "" : "s", c->rules.n_rules, c->rules.n_rules == 1 ? "" : "s");
	mk_conf_free(c);
	return MK_EXIT_DONE;
}

int mk_ctl_config(int argc, char **argv)
{
	const char *words[2];
	size_t n = 0;
	const int rc = mk_ctl_options(argc, argv, NULL, 0, words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n == 0 || strcmp(words[0], "check") != 0)
		return mk_ctl_usage("config", "config knows one word: check");
	if (n != 2)
		return mk_ctl_usage("config", "config check wants the path of an agent.conf");
	return config_check(words[1]);
}

static int policy_check(const char *file, const char *env)
{
	struct mk_word environment = { 0 };
	struct mk_rules rules = { 0 };
	struct mk_why why = { 0 };
	if (env && mk_word_of(mk_span_of(env), &environment) != MK_OK)
		return mk_ctl_usage("policy", "not the name of an environment: %s", env);
	const enum mk_err e = mk_conf_load_policy(file, &environment, false, &rules, &why);
	if (e == MK_OK)
		printf("%s: ok: environment %s, %zu service%s, %zu rule%s\n", file, rules.environment.s, rules.n_services,
		       rules.n_services == 1 ? "" : "s", rules.n_rules, rules.n_rules == 1 ? "" : "s");
	mk_rules_done(&rules);
	return e == MK_OK ? MK_EXIT_DONE : mk_ctl_why(e, &why);
}

int mk_ctl_policy(int argc, char **argv)
{
	const char *words[2], *env = NULL;
	size_t n = 0;
	const struct mk_option options[] = { { "--env", &env, NULL } };
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n == 0 || strcmp(words[0], "check") != 0)
		return mk_ctl_usage("policy", "policy knows one word: check");
	if (n != 2)
		return mk_ctl_usage("policy", "policy check wants the path of a policy.conf");
	return policy_check(words[1], env);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl policy: its words, and how a policy is found and loaded.
 */
#include "ctl/policy.h"

#include "agent/base/file.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#define ETC "/etc/makini"

void mk_loaded_done(struct mk_loaded *l)
{
	mk_policy_free(l->policy);
	mk_rules_done(&l->rules);
	*l = (struct mk_loaded){ 0 };
}

static mk_must load_config(const char *file, struct mk_loaded *l, struct mk_why *why)
{
	struct mk_conf *c = NULL;
	MK_TRY(mk_conf_load(file, &c, why));
	memcpy(l->file, c->policy_file, sizeof l->file);
	l->rules = c->rules;
	c->rules = (struct mk_rules){ 0 };
	for (size_t i = 0; i < c->n_backends; i++)
		l->trust_tags = l->trust_tags || c->backends[i].trust_tags;
	mk_conf_free(c);
	return MK_OK;
}

static mk_must load_policy(const char *file, bool in_pod, struct mk_loaded *l, struct mk_why *why)
{
	const struct mk_word any = { "" };
	if (strlen(file) >= sizeof l->file)
		return mk_why_set(why, MK_TOO_LARGE, "the path of the policy is too long");
	memcpy(l->file, file, strlen(file) + 1);
	l->trust_tags = true;
	return mk_conf_load_policy(file, &any, in_pod, &l->rules, why);
}

/* The only agent.conf under /etc/makini, or that of one environment. */
static int find_config(const char *env, char path[MK_PATH_MAX])
{
	struct mk_word word;
	if (env && mk_word_of(mk_span_of(env), &word) != MK_OK)
		return mk_ctl_usage("policy", "not the name of an environment: %s", env);
	if (env) {
		snprintf(path, MK_PATH_MAX, ETC "/%s/agent.conf", env);
		return MK_EXIT_DONE;
	}
	glob_t found;
	const int rc = glob(ETC "/*/agent.conf", 0, NULL, &found);
	const size_t n = rc == 0 ? found.gl_pathc : 0;
	if (n == 1)
		snprintf(path, MK_PATH_MAX, "%s", found.gl_pathv[0]);
	if (rc == 0)
		globfree(&found);
	if (n == 1)
		return MK_EXIT_DONE;
	return mk_ctl_usage("policy", "which policy? %zu instances are under " ETC ": give --env NAME, --config FILE or --policy FILE", n);
}

int mk_policy_load(const struct mk_policy_source *from, struct mk_loaded *ret)
{
	struct mk_loaded l = { .policy = NULL };
	struct mk_why why = { 0 };
	char path[MK_PATH_MAX];
	if (!!from->policy + !!from->config + !!from->env > 1)
		return mk_ctl_usage("policy", "give one of --policy, --config and --env");
	if (!from->policy && !from->config) {
		const int rc = find_config(from->env, path);
		if (rc != MK_EXIT_DONE)
			return rc;
	}
	enum mk_err e = from->policy ? load_policy(from->policy, from->in_pod, &l, &why)
				     : load_config(from->config ? from->config : path, &l, &why);
	if (e == MK_OK)
		e = mk_policy_new(&l.rules, &l.policy, &why);
	if (e != MK_OK) {
		mk_loaded_done(&l);
		return mk_ctl_why(e, &why);
	}
	*ret = l;
	return MK_EXIT_DONE;
}

int mk_policy_as(const struct mk_loaded *l, const char *name, uint32_t *ret)
{
	const char *known[MK_SERVICES_MAX];
	struct mk_word word = { "" };
	for (size_t i = 0; i < l->rules.n_services; i++)
		known[i] = l->rules.services[i].name.s;
	if (mk_word_of(mk_span_of(name), &word) == MK_OK)
		*ret = mk_policy_service_of(l->policy, &word);
	else
		*ret = MK_NO_SERVICE;
	if (*ret != MK_NO_SERVICE)
		return MK_EXIT_DONE;
	for (size_t i = 0; i < l->rules.n_groups; i++)
		if (strcmp(l->rules.groups[i].name.s, name) == 0)
			return mk_ctl_fail(MK_EXIT_USAGE, "%s is a group in %s: name one of its services, such as %s", name, l->file,
					   l->rules.groups[i].services[0].s);
	const char *near = mk_ctl_nearest(name, known, l->rules.n_services);
	return mk_ctl_fail(MK_EXIT_USAGE, "%s defines no service %s%s%s", l->file, name, near ? "; did you mean " : "", near ? near : "");
}

static int check(int argc, char **argv)
{
	struct mk_word environment = { 0 };
	struct mk_rules rules = { 0 };
	struct mk_why why = { 0 };
	const char *words[1], *env = NULL;
	size_t n = 0;
	bool in_pod = false;
	const struct mk_option options[] = { { "--env", &env, NULL }, { "--pod", NULL, &in_pod } };
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n != 1)
		return mk_ctl_usage("policy", "policy check wants the path of a policy.conf");
	if (env && mk_word_of(mk_span_of(env), &environment) != MK_OK)
		return mk_ctl_usage("policy", "not the name of an environment: %s", env);
	const enum mk_err e = mk_conf_load_policy(words[0], &environment, in_pod, &rules, &why);
	if (e == MK_OK)
		printf("%s: ok: environment %s, %zu service%s, %zu rule%s\n", words[0], rules.environment.s, rules.n_services,
		       rules.n_services == 1 ? "" : "s", rules.n_rules, rules.n_rules == 1 ? "" : "s");
	mk_rules_done(&rules);
	return e == MK_OK ? MK_EXIT_DONE : mk_ctl_why(e, &why);
}

static const struct word {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "check", check },
	{ "explain", mk_policy_explain_command },
	{ "test", mk_policy_test_command },
	{ "diff", mk_policy_diff_command },
};

int mk_ctl_policy(int argc, char **argv)
{
	for (size_t i = 0; argc > 0 && i < MK_COUNT(verbs); i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return mk_ctl_usage("policy", "policy knows the words check, explain, test and diff, and wants one of them first");
}

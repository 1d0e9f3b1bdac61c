/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl policy test: a file of cases against a policy, for CI. Each case that comes
 * out otherwise is one line: FILE:LINE, what was asked, expected and decided, by which rule.
 */
#include "agent/base/jw.h"
#include "agent/conf/cases.h"
#include "ctl/policy.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 20
#define JSON_MAX  2048

struct run {
	const struct mk_loaded *l;
	const char *file;
	bool json;
	size_t wrong, shown, strangers;
};

static struct mk_verdict decide(const struct mk_loaded *l, const struct mk_case *c, uint32_t service)
{
	struct mk_tag tags[MK_RULE_TAGS_MAX] = { { "", "" } };
	struct mk_subject about = { .name = c->name.s[0] ? &c->name : NULL, .tags = tags, .n_tags = c->n_tags,
				    .tags_known = c->tags_set, .tags_trusted = l->trust_tags };
	for (size_t i = 0; i < c->n_tags; i++) {
		memcpy(tags[i].key, c->tags[i].key, sizeof tags[i].key);
		memcpy(tags[i].value, c->tags[i].value, sizeof tags[i].value);
	}
	return mk_policy_check(l->policy, service, c->action, &about);
}

static void show_line(struct run *r, const struct mk_case *c, const struct mk_verdict *v)
{
	const struct mk_rule *rule = mk_policy_rule(r->l->policy, v->rule);
	printf("%s:%u: %s %s %s: expected %s", r->file, c->line, c->as.s, mk_action_word(c->action), c->name.s[0] ? c->name.s : "(the instance)",
	       c->allow ? "allow" : "deny");
	if (c->rule_line)
		printf(" by line %u", c->rule_line);
	printf(", got %s", v->decision == MK_ALLOW ? "allow" : "deny");
	if (rule)
		printf(" by %s:%u\n", r->l->file, rule->line);
	else
		puts(" by no rule");
}

static void show_json(struct run *r, const struct mk_case *c, const struct mk_verdict *v)
{
	char buf[JSON_MAX];
	struct mk_jw w = mk_jw_of(buf, sizeof buf);
	const struct mk_rule *rule = mk_policy_rule(r->l->policy, v->rule);
	size_t n = 0;
	mk_jw_open(&w, '{');
	mk_jw_knum(&w, "line", c->line);
	mk_jw_kstr(&w, "as", c->as.s);
	mk_jw_kstr(&w, "action", mk_action_word(c->action));
	mk_jw_kstr(&w, "connection", c->name.s[0] ? c->name.s : NULL);
	mk_jw_kstr(&w, "expected", c->allow ? "allow" : "deny");
	mk_jw_kstr(&w, "decision", v->decision == MK_ALLOW ? "allow" : "deny");
	mk_jw_knum(&w, "rule", rule ? rule->line : 0);
	mk_jw_close(&w, '}');
	mk_assert(mk_jw_end(&w, &n) == MK_OK);
	printf("%s%.*s", r->shown ? "," : "", (int)n, buf);
}

/* One that the policy does not define is nobody: denied, as it would be. But a slip of the pen must not pass unseen. */
static void note_stranger(struct run *r, const struct mk_case *c)
{
	const char *known[MK_SERVICES_MAX];
	for (size_t i = 0; i < r->l->rules.n_services; i++)
		known[i] = r->l->rules.services[i].name.s;
	const char *near = mk_ctl_nearest(c->as.s, known, r->l->rules.n_services);
	if (r->strangers++ < SHOWN_MAX)
		fprintf(stderr, "%s:%u: note: \"%s\" is no service of this policy, and so nobody%s%s%s\n", r->file, c->line, c->as.s,
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static void run_case(struct run *r, const struct mk_case *c)
{
	const uint32_t service = mk_policy_service_of(r->l->policy, &c->as);
	const struct mk_verdict v = decide(r->l, c, service);
	if (service == MK_NO_SERVICE)
		note_stranger(r, c);
	const struct mk_rule *rule = mk_policy_rule(r->l->policy, v.rule);
	if ((v.decision == MK_ALLOW) == c->allow && (!c->rule_line || (rule && rule->line == c->rule_line)))
		return;
	r->wrong++;
	if (r->json)
		show_json(r, c, &v);
	else if (r->shown < SHOWN_MAX)
		show_line(r, c, &v);
	r->shown++;
}

static int run_all(const struct mk_loaded *l, const struct mk_cases *cases, const char *file, bool json)
{
	struct run r = { .l = l, .file = file, .json = json };
	if (json)
		printf("{\"failed\":[");
	for (size_t i = 0; i < cases->n; i++)
		run_case(&r, &cases->of[i]);
	if (json)
		printf("],\"cases\":%zu,\"passed\":%zu}\n", cases->n, cases->n - r.wrong);
	else if (r.shown > SHOWN_MAX)
		printf("and %zu more\n", r.shown - SHOWN_MAX);
	if (!json)
		printf("%s: %zu case%s, %zu as expected, %zu not\n", l->file, cases->n, cases->n == 1 ? "" : "s", cases->n - r.wrong, r.wrong);
	return r.wrong ? MK_EXIT_FAILED : MK_EXIT_DONE;
}

int mk_policy_test_command(int argc, char **argv)
{
	struct mk_policy_source from = { .policy = NULL };
	struct mk_loaded l = { .policy = NULL };
	struct mk_cases cases = { .of = NULL };
	struct mk_why why = { 0 };
	const char *words[1];
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--policy", &from.policy, NULL }, { "--config", &from.config, NULL }, { "--env", &from.env, NULL },
		{ "--pod", NULL, &from.in_pod }, { "--json", NULL, &json },
	};
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n != 1)
		return mk_ctl_usage("policy", "policy test wants the path of a file of cases");
	const enum mk_err e = mk_cases_load(words[0], &cases, &why);
	if (e != MK_OK)
		return mk_ctl_why(e, &why);
	if (!from.policy && !from.config && !from.env && cases.policy[0])
		from.policy = cases.policy;
	rc = mk_policy_load(&from, &l);
	if (rc == MK_EXIT_DONE)
		rc = run_all(&l, &cases, words[0], json);
	mk_loaded_done(&l);
	mk_cases_done(&cases);
	return rc;
}

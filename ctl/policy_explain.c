/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl policy explain: what the policy decides, by which rule, and what would have
 * to change. From the files, without an agent.
 */
#include "ctl/policy.h"
#include "policy/explain.h"

#include <stdio.h>
#include <string.h>

#define JSON_MAX (64 * 1024) /* a remedy of which each byte is escaped, and fields */

struct question {
	struct mk_policy_source from;
	const char *as, *get, *action, *connection;
	bool json;
	struct mk_tag tags[MK_TAGS_MAX];
	size_t n_tags;
	/* made of them */
	enum mk_action asked;
	struct mk_name name;
};

static int tag_add(void *arg, const char *text)
{
	struct question *q = arg;
	const char *eq = text ? strchr(text, '=') : NULL;
	if (!eq || eq == text || (size_t)(eq - text) > MK_TAG_KEY_MAX || !eq[1] || strlen(eq + 1) > MK_TAG_VALUE_MAX)
		return mk_ctl_usage("policy", "--tag takes KEY=VALUE");
	if (q->n_tags == MK_TAGS_MAX)
		return mk_ctl_usage("policy", "at most %d tags", MK_TAGS_MAX);
	struct mk_tag *t = &q->tags[q->n_tags++];
	memcpy(t->key, text, (size_t)(eq - text));
	memcpy(t->value, eq + 1, strlen(eq + 1));
	return MK_EXIT_DONE;
}

static int read_question(struct question *q)
{
	const char *name = q->get ? q->get : q->connection;
	if (!q->as)
		return mk_ctl_usage("policy", "--as SERVICE is missing: whom to explain it for");
	if (!q->get == !q->action || (q->get && q->connection))
		return mk_ctl_usage("policy", "give --get NAME, or --action ACTION with --connection NAME or, on the instance, without");
	q->asked = MK_ACTION_GET;
	if (q->action && mk_action_of(mk_span_of(q->action), &q->asked) != MK_OK)
		return mk_ctl_usage("policy", "no such action: %s", q->action);
	if (name && mk_name_of(mk_span_of(name), &q->name) != MK_OK)
		return mk_ctl_usage("policy", "not a connection's name: %s (a-z, 0-9 and single -, 63 at most)", name);
	return MK_EXIT_DONE;
}

static void show_json(const struct mk_loaded *l, const struct mk_explained *e)
{
	static char buf[JSON_MAX];
	struct mk_jw w = mk_jw_of(buf, sizeof buf);
	size_t n = 0;
	mk_explain_json(l->policy, e, l->file, &w);
	mk_assert(mk_jw_end(&w, &n) == MK_OK);
	printf("%.*s\n", (int)n, buf);
}

static void show_allow(const struct mk_rule *r, const struct mk_explained *e)
{
	const uint32_t rate = e->verdict.rate_per_hour;
	printf("  rate: %u %s\n", rate % 3600 ? rate : rate / 3600, rate % 3600 ? "an hour" : "a second");
	if (!r->fields_set)
		return;
	printf("  fields:");
	for (size_t i = 0; i < r->n_fields; i++)
		printf(" %s", r->fields[i].s);
	printf("%s%s\n", r->n_fields ? "" : " none", mk_rule_grants(r, "access_token") ? "" : ", so without access_token: no token");
}

static void show(const struct mk_loaded *l, const struct question *q, const struct mk_explained *e)
{
	const struct mk_rule *r = mk_policy_rule(l->policy, e->verdict.rule);
	char remedy[MK_EXPLAIN_TEXT_MAX];
	printf("%s: %s %s %s\n", e->verdict.decision == MK_ALLOW ? "allow" : "deny", q->as, mk_action_word(q->asked),
	       q->name.s[0] ? q->name.s : "(the instance)");
	if (r)
		printf("  by %s:%u: %s = \"%s\"\n", l->file, r->line, r->deny ? "deny" : "allow", r->service.s);
	else
		puts("  by no rule: what none allows is denied");
	if (e->verdict.decision == MK_ALLOW && r)
		show_allow(r, e);
	if (e->verdict.tags_matter)
		puts("  its tags could change that: suppose them with --tag KEY=VALUE");
	mk_explain_remedy(l->policy, e, l->file, remedy);
	if (remedy[0])
		printf("  to allow it: %s\n", remedy);
}

static int explain(const struct mk_loaded *l, const struct question *q)
{
	struct mk_explained e;
	uint32_t service = MK_NO_SERVICE;
	const int rc = mk_policy_as(l, q->as, &service);
	if (rc != MK_EXIT_DONE)
		return rc;
	const struct mk_subject about = {
		.name = q->name.s[0] ? &q->name : NULL, .tags = q->tags, .n_tags = q->n_tags, .tags_known = q->n_tags > 0,
		.tags_trusted = l->trust_tags,
	};
	mk_policy_explain(l->policy, service, q->asked, &about, &e);
	if (q->json)
		show_json(l, &e);
	else
		show(l, q, &e);
	return MK_EXIT_DONE;
}

int mk_policy_explain_command(int argc, char **argv)
{
	struct question q = { .as = NULL };
	struct mk_loaded l = { .policy = NULL };
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--policy", &q.from.policy, NULL }, { "--config", &q.from.config, NULL }, { "--env", &q.from.env, NULL },
		{ "--pod", NULL, &q.from.in_pod }, { "--as", &q.as, NULL }, { "--get", &q.get, NULL }, { "--action", &q.action, NULL },
		{ "--connection", &q.connection, NULL }, { "--json", NULL, &q.json },
	};
	int rc = mk_ctl_each(&argc, argv, "--tag", tag_add, &q);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), NULL, 0, &n);
	if (rc == MK_EXIT_DONE)
		rc = read_question(&q);
	if (rc == MK_EXIT_DONE)
		rc = mk_policy_load(&q.from, &l);
	if (rc == MK_EXIT_DONE)
		rc = explain(&l, &q);
	mk_loaded_done(&l);
	return rc;
}

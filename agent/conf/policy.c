/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.conf as a whole, by key tables, from a text in memory. What the rules mean
 * together is checked by compiling them once.
 */
#include "agent/conf/policy.h"

#include "agent/conf/conf.h"
#include "agent/conf/sections.h"

#include "mk/own.h"
#include "policy/policy.h"

struct document {
	struct mk_rules rules; /* at its start: the lists are read into it */
};

static const struct mk_key document_keys[] = {
	{ "environment", &mk_kind_word, offsetof(struct document, rules.environment), .required = true },
	{ "services", &mk_kind_list, 0, .required = true, .more = &mk_policy_services_list },
	{ "groups", &mk_kind_list, 0, .required = false, .more = &mk_policy_groups_list },
	{ "rules", &mk_kind_list, 0, .required = true, .more = &mk_policy_rules_list },
};
static const struct mk_section document_section = MK_SECTION(document_keys);

static mk_must check_environment(struct mk_reader *r, const config_setting_t *root, const struct mk_word *wanted,
				 const struct mk_word *found)
{
	if (!wanted || !wanted->s[0] || mk_word_eq(wanted, found))
		return MK_OK;
	return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(root, "environment"),
			 "this policy is for environment \"%s\", but the instance is \"%s\": put the policy of \"%s\" here, or "
			 "correct the name",
			 found->s, wanted->s, wanted->s);
}

/* Compiling finds what no single line shows. It does not know the file's name. */
static mk_must check_meaning(struct mk_reader *r, const struct mk_rules *rules)
{
	struct mk_policy *compiled = NULL;
	struct mk_why why = { 0 };
	const enum mk_err e = mk_policy_new(rules, &compiled, &why);
	mk_policy_free(compiled);
	if (e == MK_OK)
		return MK_OK;
	return mk_why_at(r->why, e, r->file, why.line, "%s", why.text);
}

static void document_done(struct document *d)
{
	mk_rules_done(&d->rules);
}

mk_must mk_conf_parse_policy(struct mk_span text, const char *file, const struct mk_word *environment, bool in_pod,
			     struct mk_rules *ret, struct mk_why *why)
{
	mk_auto(document_done) struct document d = { 0 };
	mk_auto(config_destroy) config_t tree;
	struct mk_reader r = { .file = file, .why = why, .in_pod = in_pod };
	config_init(&tree);
	MK_TRY(mk_tree_read(text, file, &tree, why));
	const config_setting_t *root = config_root_setting(&tree);
	MK_TRY(mk_keys_known(&r, &document_section, root));
	MK_TRY(mk_keys_read_one(&r, &document_keys[0], root, &d));
	MK_TRY(check_environment(&r, root, environment, &d.rules.environment));
	MK_TRY(mk_keys_read(&r, &document_section, root, &d));
	MK_TRY(check_meaning(&r, &d.rules));
	*ret = d.rules;
	d.rules = (struct mk_rules){ 0 };
	return MK_OK;
}

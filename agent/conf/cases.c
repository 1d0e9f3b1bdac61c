/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases by key tables: one group each, with what is asked and what is expected.
 */
#include "agent/conf/cases.h"

#include "agent/base/file.h"
#include "agent/conf/policy.h"
#include "agent/conf/sections.h"
#include "agent/conf/text.h"
#include "mk/own.h"

#include <stdlib.h>

static const char *const actions[] = {
#define ACTION_WORD(name, word) [MK_ACTION_##name] = (word),
	MK_ACTION_LIST(ACTION_WORD)
#undef ACTION_WORD
	[MK_ACTION_COUNT] = NULL
};
static const char *const expectations[] = { "deny", "allow", NULL };

struct raw { /* as written */
	struct mk_word as;
	struct mk_name get, connection;
	unsigned action, expect;
	uint32_t rule_line;
	struct mk_rule tags;
};

struct document { /* of the file */
	char policy[MK_PATH_MAX];
	struct mk_cases *to;
};
_Static_assert(sizeof ((struct mk_cases *)0)->policy == MK_PATH_MAX, "copied whole");

static void raw_done(struct raw *r)
{
	mk_rule_done(&r->tags);
}

static enum mk_err read_name(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	return mk_name_of(mk_span_of(mk_keys_text(s)), at) == MK_OK ? MK_OK : mk_keys_unfit(r, k, s);
}

static const struct mk_kind kind_name = { "a connection's name: a-z, 0-9 and single hyphens, at most 63", 1u << CONFIG_TYPE_STRING,
					  read_name };

static const struct mk_key case_keys[] = {
	{ "as", &mk_kind_word, offsetof(struct raw, as), .required = true },
	{ "get", &kind_name, offsetof(struct raw, get), .required = false },
	{ "action", &mk_kind_choice, offsetof(struct raw, action), .more = actions },
	{ "connection", &kind_name, offsetof(struct raw, connection), .required = false },
	{ "tags", &mk_kind_tags, offsetof(struct raw, tags), .required = false },
	{ "expect", &mk_kind_choice, offsetof(struct raw, expect), .required = true, .more = expectations },
	{ "line", &mk_kind_count, offsetof(struct raw, rule_line), .min = 1, .max = INT32_MAX, .range = "1 or more" },
};
static const struct mk_section case_section = MK_SECTION(case_keys);

static void take(const struct raw *raw, bool get, struct mk_case *to)
{
	to->as = raw->as;
	to->action = get ? MK_ACTION_GET : (enum mk_action)raw->action;
	to->name = get ? raw->get : raw->connection;
	to->allow = raw->expect == 1;
	to->tags_set = raw->tags.n_tags > 0;
	to->n_tags = raw->tags.n_tags;
	for (size_t i = 0; i < to->n_tags; i++)
		to->tags[i] = raw->tags.tags[i];
	to->rule_line = raw->rule_line;
}

static enum mk_err read_case(struct mk_reader *r, const config_setting_t *s, void *base)
{
	struct mk_cases *to = ((struct document *)base)->to;
	mk_auto(raw_done) struct raw raw = { 0 };
	MK_TRY(mk_keys_read(r, &case_section, s, &raw));
	const bool get = mk_keys_has(s, "get");
	if (get == mk_keys_has(s, "action") || (get && mk_keys_has(s, "connection")))
		return mk_keys_refuse(r, s, "a case asks for a token with get, or has an action and, unless it is on the instance, a "
				      "connection: this one has %s", get ? "both" : "neither");
	to->of[to->n].line = mk_setting_line(s);
	take(&raw, get, &to->of[to->n++]);
	return MK_OK;
}

static const struct mk_list case_list = { MK_CASES_MAX, read_case };

static const struct mk_key document_keys[] = {
	{ "policy", &mk_kind_path, offsetof(struct document, policy), .required = false },
	{ "cases", &mk_kind_list, 0, .required = true, .more = &case_list },
};
static const struct mk_section document_section = MK_SECTION(document_keys);

void mk_cases_done(struct mk_cases *c)
{
	free(c->of);
	*c = (struct mk_cases){ 0 };
}

mk_must mk_cases_parse(struct mk_span text, const char *file, struct mk_cases *ret, struct mk_why *why)
{
	mk_auto(mk_cases_done) struct mk_cases c = { 0 };
	mk_auto(config_destroy) config_t tree;
	struct document d = { .to = &c };
	struct mk_reader r = { .file = file, .why = why };
	config_init(&tree);
	c.of = calloc(MK_CASES_MAX, sizeof *c.of);
	if (!c.of)
		return MK_NO_MEMORY;
	if (mk_path_dir(file, r.dir, sizeof r.dir) != MK_OK)
		return mk_why_at(why, MK_TOO_LARGE, file, 0, "the path of this file is too long: move it");
	MK_TRY(mk_tree_read(text, file, &tree, why));
	MK_TRY(mk_keys_read(&r, &document_section, config_root_setting(&tree), &d));
	memcpy(c.policy, d.policy, sizeof c.policy);
	*ret = c;
	c = (struct mk_cases){ 0 };
	return MK_OK;
}

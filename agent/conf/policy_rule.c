/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of policy.conf: one group each, either allow or deny.
 */
#include "agent/conf/policy.h"

#include "mk/own.h"
#include "policy/policy.h"

#include <stdlib.h>

static const char *const actions[] = {
#define ACTION_WORD(name, word) [MK_ACTION_##name] = (word),
	MK_ACTION_LIST(ACTION_WORD)
#undef ACTION_WORD
	[MK_ACTION_COUNT] = NULL
};

struct rule { /* as written */
	struct mk_word allow, deny;
	uint32_t actions, rate;
	struct mk_rule lists; /* its patterns, tags and fields */
};

static void rule_done(struct rule *r)
{
	mk_rule_done(&r->lists);
}

/* ---- lists ---- */

mk_must mk_strings_read(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, const struct mk_strings *how,
			void **items, size_t *n)
{
	const int length = config_setting_length(s);
	if ((size_t)length > how->max)
		return mk_keys_refuse(r, s, "\"%s\" has %d entries: at most %zu; make two of it", k->name, length, how->max);
	char *room = calloc((size_t)length + 1, how->size);
	if (!room)
		return MK_NO_MEMORY;
	*items = room;
	for (*n = 0; *n < (size_t)length; ++*n) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)*n);
		if (!e || config_setting_type(e) != CONFIG_TYPE_STRING)
			return mk_keys_refuse(r, e ? e : s, "\"%s\" must be %s", k->name, k->kind->want);
		MK_TRY(how->item(r, k, e, room + *n * how->size));
	}
	return MK_OK;
}

static enum mk_err read_pattern(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	char shown[MK_SHOWN_MAX];
	const char *text = mk_keys_text(s);
	if (mk_pattern_of(mk_span_of(text), at) != MK_OK)
		return mk_keys_refuse(r, s, "\"%s\" can match no connection: in \"%s\", write a-z, 0-9, single hyphens and single "
				      "stars, at most 63, not beginning with a hyphen",
				      mk_shown(text, shown), k->name);
	return MK_OK;
}

static enum mk_err read_patterns(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	static const struct mk_strings how = { MK_PATTERNS_MAX, sizeof(struct mk_pattern), read_pattern };
	struct mk_rule *rule = at;
	void *items = NULL;
	const enum mk_err e = mk_strings_read(r, k, s, &how, &items, &rule->n_patterns);
	rule->patterns = items;
	return e;
}

static const struct mk_kind kind_patterns = { "a list of names and patterns, such as [ \"acme-*\", \"globex\" ]",
					      (1u << CONFIG_TYPE_LIST) | (1u << CONFIG_TYPE_ARRAY), read_patterns };

static bool is_field(const char *text)
{
	size_t n = 0;
	for (; text[n]; n++) {
		const char c = text[n];
		if (!(c >= 'a' && c <= 'z') && (n == 0 || (!(c >= '0' && c <= '9') && c != '_')))
			return false;
	}
	return n > 0 && n <= MK_FIELD_MAX;
}

static enum mk_err read_field(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	char shown[MK_SHOWN_MAX];
	const char *text = mk_keys_text(s);
	if (!is_field(text))
		return mk_keys_refuse(r, s, "\"%s\" is no field's name: in \"%s\", write a-z, 0-9 and \"_\", beginning with a letter, "
				      "at most %d", mk_shown(text, shown), k->name, MK_FIELD_MAX);
	memcpy(((struct mk_field *)at)->s, text, strlen(text) + 1);
	return MK_OK;
}

static enum mk_err read_fields(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	static const struct mk_strings how = { MK_RULE_FIELDS_MAX, sizeof(struct mk_field), read_field };
	struct mk_rule *rule = at;
	void *items = NULL;
	const enum mk_err e = mk_strings_read(r, k, s, &how, &items, &rule->n_fields);
	rule->fields = items;
	rule->fields_set = true;
	if (e != MK_OK)
		return e;
	for (size_t i = 1; i < rule->n_fields; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(rule->fields[i].s, rule->fields[j].s) == 0)
				return mk_keys_refuse(r, s, "\"fields\" names \"%s\" twice: remove one of them", rule->fields[i].s);
	return MK_OK;
}

static const struct mk_kind kind_fields = { "a list of fields, such as [ \"access_token\", \"base_url\" ]",
					    (1u << CONFIG_TYPE_LIST) | (1u << CONFIG_TYPE_ARRAY), read_fields };

static enum mk_err read_tag(struct mk_reader *r, const config_setting_t *s, struct mk_rule_tag *tag)
{
	const char *key = config_setting_name(s), *value = mk_keys_text(s);
	const size_t n = key ? strlen(key) : 0, m = strlen(value);
	if (n == 0 || n > MK_TAG_KEY_MAX)
		return mk_keys_refuse(r, s, "a tag's key has at most %d characters", MK_TAG_KEY_MAX);
	if (config_setting_type(s) != CONFIG_TYPE_STRING || m == 0 || m > MK_TAG_VALUE_MAX)
		return mk_keys_refuse(r, s, "the tag \"%s\" must have a string of 1 to %d bytes as its value: tags are compared as "
				      "they are written", key, MK_TAG_VALUE_MAX);
	memcpy(tag->key, key, n + 1);
	memcpy(tag->value, value, m + 1);
	return MK_OK;
}

static enum mk_err read_tags(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	struct mk_rule *rule = at;
	const int n = config_setting_length(s);
	(void)k;
	if (n == 0)
		return mk_keys_refuse(r, s, "\"tags\" is empty, which could be taken for all or for none: name a tag, or leave the key "
				      "out");
	if (n > MK_RULE_TAGS_MAX)
		return mk_keys_refuse(r, s, "\"tags\" has %d entries: at most %d in one rule", n, MK_RULE_TAGS_MAX);
	rule->tags = calloc((size_t)n, sizeof *rule->tags);
	if (!rule->tags)
		return MK_NO_MEMORY;
	for (; rule->n_tags < (size_t)n; rule->n_tags++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)rule->n_tags);
		MK_TRY(e ? read_tag(r, e, &rule->tags[rule->n_tags]) : MK_BUG);
	}
	return MK_OK;
}

const struct mk_kind mk_kind_tags = { "a group of tags that must all hold, such as { system = \"sap\"; }",
					  1u << CONFIG_TYPE_GROUP, read_tags };

static const struct mk_key rule_keys[] = {
	{ "allow", &mk_kind_word, offsetof(struct rule, allow), .required = false },
	{ "deny", &mk_kind_word, offsetof(struct rule, deny), .required = false },
	{ "actions", &mk_kind_flags, offsetof(struct rule, actions), .more = actions },
	{ "connections", &kind_patterns, offsetof(struct rule, lists), .required = false },
	{ "tags", &mk_kind_tags, offsetof(struct rule, lists), .required = false },
	{ "fields", &kind_fields, offsetof(struct rule, lists), .required = false },
	{ "rate", &mk_kind_rate, offsetof(struct rule, rate), .required = false },
};
static const struct mk_section rule_section = MK_SECTION(rule_keys);

/* ---- one rule ---- */

static mk_must check_allow(struct mk_reader *r, const config_setting_t *s)
{
	if (!mk_keys_has(s, "actions"))
		return mk_keys_refuse(r, s, "this allow has no actions: say what it allows (an empty list allows nothing)");
	if (!mk_keys_has(s, "connections") && !mk_keys_has(s, "tags"))
		return mk_keys_refuse(r, s, "this allow has no connections and no tags: say what it allows (an empty list of connections "
				      "allows nothing)");
	return MK_OK;
}

/* What a deny leaves empty could be taken for all or for nothing, so it is refused. */
static mk_must check_deny(struct mk_reader *r, const config_setting_t *s, const struct rule *rule)
{
	static const char *const of_allow[] = { "rate", "fields" };
	const bool no_actions = mk_keys_has(s, "actions") && !rule->actions;
	const bool no_connections = mk_keys_has(s, "connections") && !rule->lists.n_patterns;
	if (no_actions || no_connections)
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, no_actions ? "actions" : "connections"),
				 "this deny has an empty list: leave the key out to deny all, or remove the rule");
	for (size_t i = 0; i < MK_COUNT(of_allow); i++)
		if (mk_keys_has(s, of_allow[i]))
			return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, of_allow[i]),
					 "a deny has no %s: remove it, or put it into the allow", of_allow[i]);
	return MK_OK;
}

/* What a deny leaves out means all; so do the connections of an allow that has tags. */
static mk_must fill(const config_setting_t *s, bool is_deny, struct rule *rule)
{
	struct mk_rule *lists = &rule->lists;
	if (is_deny && !mk_keys_has(s, "actions"))
		rule->actions = (UINT32_C(1) << MK_ACTION_COUNT) - 1;
	if (mk_keys_has(s, "connections"))
		return MK_OK;
	lists->patterns = calloc(1, sizeof *lists->patterns);
	if (!lists->patterns)
		return MK_NO_MEMORY;
	lists->patterns[0].s[0] = '*';
	lists->n_patterns = 1;
	return MK_OK;
}

static mk_must add_rule(struct mk_rules *to, const config_setting_t *s, struct rule *raw, bool is_deny)
{
	raw->lists.deny = is_deny;
	raw->lists.service = is_deny ? raw->deny : raw->allow;
	raw->lists.actions = raw->actions;
	raw->lists.rate_per_hour = raw->rate;
	raw->lists.line = mk_setting_line(s);
	return mk_rules_add_rule(to, &raw->lists);
}

/* Actions that are asked for the instance alone. */
#define OF_INSTANCE (1u << MK_ACTION_STATUS | 1u << MK_ACTION_FREEZE | 1u << MK_ACTION_THAW | 1u << MK_ACTION_APPROVE | \
		     1u << MK_ACTION_EXPLAIN | 1u << MK_ACTION_RELOAD)

/* A rule with no others, and about some connections, would look as if it did something. */
static mk_must check_reach(struct mk_reader *r, const config_setting_t *s, const struct rule *rule)
{
	bool everything = false;
	unsigned first = 0;
	for (size_t i = 0; i < rule->lists.n_patterns; i++)
		everything = everything || strcmp(rule->lists.patterns[i].s, "*") == 0;
	if (!rule->actions || (rule->actions & ~OF_INSTANCE) || rule->lists.n_patterns == 0 || (everything && rule->lists.n_tags == 0))
		return MK_OK;
	while (!(rule->actions & 1u << first))
		first++;
	return mk_keys_refuse(r, s, "this rule can never match: \"%s\" is asked for the instance, not for a connection: write "
			      "connections = [ \"*\" ], and no tags", actions[first]);
}

/* Whom it is for is checked again, without a hint, where the policy is compiled. */
static mk_must check_name(struct mk_reader *r, const config_setting_t *s, const struct mk_rules *rules, const struct mk_word *name)
{
	const char *known[MK_SERVICES_MAX + MK_GROUPS_OF_SERVICES_MAX];
	char hint[MK_HINT_MAX];
	size_t n = 0;
	for (size_t i = 0; i < rules->n_services; i++)
		known[n++] = rules->services[i].name.s;
	for (size_t i = 0; i < rules->n_groups; i++)
		known[n++] = rules->groups[i].name.s;
	for (size_t i = 0; i < n; i++)
		if (strcmp(known[i], name->s) == 0)
			return MK_OK;
	return mk_keys_refuse(r, s, "this rule is for \"%s\", which is no service and no group%s: define it under services or groups, "
			      "or correct the name", name->s, mk_hint(name->s, known, n, hint));
}

static enum mk_err read_rule(struct mk_reader *r, const config_setting_t *s, void *base)
{
	struct mk_rules *rules = base;
	mk_auto(rule_done) struct rule raw = { 0 };
	MK_TRY(mk_keys_read(r, &rule_section, s, &raw));
	const bool is_deny = mk_keys_has(s, "deny");
	if (is_deny == mk_keys_has(s, "allow"))
		return mk_keys_refuse(r, s, "a rule has either allow or deny, with the name of a service or of a group: this one has %s",
				      is_deny ? "both" : "neither");
	MK_TRY(is_deny ? check_deny(r, s, &raw) : check_allow(r, s));
	MK_TRY(fill(s, is_deny, &raw));
	MK_TRY(check_reach(r, s, &raw));
	MK_TRY(check_name(r, s, rules, is_deny ? &raw.deny : &raw.allow));
	return add_rule(rules, s, &raw, is_deny);
}

const struct mk_list mk_policy_rules_list = { MK_RULES_MAX, read_rule };

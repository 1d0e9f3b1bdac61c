/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.conf: services and rules by key tables, from a text in memory. Form only; what
 * the rules mean together is checked by compiling them once.
 */
#include "agent/conf/conf.h"
#include "agent/conf/sections.h"

#include "mk/own.h"
#include "policy/policy.h"

#include <stdlib.h>

struct document {
	struct mk_rules rules;
};

static const char *const actions[] = {
#define ACTION_WORD(name, word) [MK_ACTION_##name] = (word),
	MK_ACTION_LIST(ACTION_WORD)
#undef ACTION_WORD
	[MK_ACTION_COUNT] = NULL
};

struct identity { /* as written */
	struct mk_word socket;
	uid_t user, uid;
	gid_t group;
};

static const struct mk_key identity_keys[] = {
	{ "user", &mk_kind_user, offsetof(struct identity, user), .required = false },
	{ "uid", &mk_kind_uid, offsetof(struct identity, uid), .required = false },
	{ "group", &mk_kind_group, offsetof(struct identity, group), .required = false },
	{ "socket", &mk_kind_word, offsetof(struct identity, socket), .required = false },
};
static const struct mk_section identity_section = MK_SECTION(identity_keys);

/* The common listener is open to all: who comes through it is told by more than that. */
static mk_must check_identity(struct mk_reader *r, const config_setting_t *s, const struct mk_identity *id)
{
	if (mk_keys_has(s, "user") && mk_keys_has(s, "uid"))
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "uid"),
				 "user and uid say the same thing, and may not agree: keep one of them");
	if (!id->set && strcmp(id->socket.s, "api") == 0)
		return mk_keys_refuse(r, s, "this identity fits every caller of the common listener \"api\": add user, uid or "
				      "group, or name a socket of the service's own");
	return MK_OK;
}

static enum mk_err read_identity(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	struct identity raw = { .socket = { "api" } };
	struct mk_identity id = { 0 };
	(void)k;
	MK_TRY(mk_keys_read(r, &identity_section, s, &raw));
	id.socket = raw.socket;
	if (mk_keys_has(s, "user") || mk_keys_has(s, "uid")) {
		id.set |= MK_EVIDENCE_UID;
		id.uid = mk_keys_has(s, "user") ? raw.user : raw.uid;
	}
	if (mk_keys_has(s, "group")) {
		id.set |= MK_EVIDENCE_GROUP;
		id.gid = raw.group;
	}
	MK_TRY(check_identity(r, s, &id));
	memcpy(at, &id, sizeof id);
	return MK_OK;
}

static const struct mk_kind kind_identity = { "a group such as { user = \"billing\"; }", 1u << CONFIG_TYPE_GROUP,
					      read_identity };

static const struct mk_key service_keys[] = {
	{ "name", &mk_kind_word, offsetof(struct mk_service, name), .required = true },
	{ "identity", &kind_identity, offsetof(struct mk_service, identity), .required = true },
};
static const struct mk_section service_section = MK_SECTION(service_keys);

static enum mk_err read_service(struct mk_reader *r, const config_setting_t *s, void *base)
{
	struct document *doc = base;
	struct mk_service service = { .line = mk_setting_line(s) };
	MK_TRY(mk_keys_read(r, &service_section, s, &service));
	return mk_rules_add_service(&doc->rules, &service);
}

struct rule { /* as written */
	struct mk_word allow, deny;
	uint32_t actions;
	uint32_t rate;
	struct mk_pattern *patterns;
	size_t n_patterns;
};

static void rule_done(struct rule *r)
{
	free(r->patterns);
}

static mk_must read_pattern(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, struct mk_pattern *ret)
{
	char shown[MK_SHOWN_MAX];
	const char *text = s ? config_setting_get_string(s) : NULL;
	if (!text)
		return MK_BUG;
	if (mk_pattern_of(mk_span_of(text), ret) != MK_OK)
		return mk_keys_refuse(r, s, "\"%s\" can match no connection: in \"%s\", write a-z, 0-9, single hyphens and single "
				      "stars, at most 63, not beginning with a hyphen",
				      mk_shown(text, shown), k->name);
	return MK_OK;
}

static enum mk_err read_patterns(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	struct rule *rule = at;
	const int n = config_setting_length(s);
	if (n > MK_PATTERNS_MAX)
		return mk_keys_refuse(r, s, "\"%s\" has %d entries: at most %d in one rule; make two of it", k->name, n,
				      MK_PATTERNS_MAX);
	rule->patterns = calloc((size_t)n + 1, sizeof *rule->patterns);
	if (!rule->patterns)
		return MK_NO_MEMORY;
	for (; rule->n_patterns < (size_t)n; rule->n_patterns++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)rule->n_patterns);
		if (!e || config_setting_type(e) != CONFIG_TYPE_STRING)
			return mk_keys_refuse(r, e ? e : s, "\"%s\" must be %s", k->name, k->kind->want);
		MK_TRY(read_pattern(r, k, e, &rule->patterns[rule->n_patterns]));
	}
	return MK_OK;
}

static const struct mk_kind kind_patterns = { "a list of names and patterns, such as [ \"acme-*\", \"globex\" ]",
					      (1u << CONFIG_TYPE_LIST) | (1u << CONFIG_TYPE_ARRAY), read_patterns };

static const struct mk_key rule_keys[] = {
	{ "allow", &mk_kind_word, offsetof(struct rule, allow), .required = false },
	{ "deny", &mk_kind_word, offsetof(struct rule, deny), .required = false },
	{ "actions", &mk_kind_flags, offsetof(struct rule, actions), .more = actions },
	{ "connections", &kind_patterns, 0, .required = false },
	{ "rate", &mk_kind_rate, offsetof(struct rule, rate), .required = false },
};
static const struct mk_section rule_section = MK_SECTION(rule_keys);

static mk_must check_allow(struct mk_reader *r, const config_setting_t *s)
{
	static const char *const needed[] = { "actions", "connections" };
	for (size_t i = 0; i < MK_COUNT(needed); i++)
		if (!mk_keys_has(s, needed[i]))
			return mk_keys_refuse(r, s, "this allow has no %s: say what it allows (an empty list allows nothing)",
					      needed[i]);
	return MK_OK;
}

/* What a deny leaves empty could be taken for all or for nothing, so it is refused. */
static mk_must check_deny(struct mk_reader *r, const config_setting_t *s, const struct rule *rule)
{
	const bool no_actions = mk_keys_has(s, "actions") && !rule->actions;
	const bool no_connections = mk_keys_has(s, "connections") && !rule->n_patterns;
	if (no_actions || no_connections)
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, no_actions ? "actions" : "connections"),
				 "this deny has an empty list: leave the key out to deny all, or remove the rule");
	if (mk_keys_has(s, "rate"))
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "rate"),
				 "a deny has no rate: remove it, or put it into the allow");
	return MK_OK;
}

/* What a deny leaves out means all. */
static mk_must fill_deny(const config_setting_t *s, struct rule *rule)
{
	if (!mk_keys_has(s, "actions"))
		rule->actions = (UINT32_C(1) << MK_ACTION_COUNT) - 1;
	if (mk_keys_has(s, "connections"))
		return MK_OK;
	rule->patterns = calloc(1, sizeof *rule->patterns);
	if (!rule->patterns)
		return MK_NO_MEMORY;
	rule->patterns[0].s[0] = '*';
	rule->n_patterns = 1;
	return MK_OK;
}

static enum mk_err read_rule(struct mk_reader *r, const config_setting_t *s, void *base)
{
	struct document *doc = base;
	mk_auto(rule_done) struct rule raw = { 0 };
	MK_TRY(mk_keys_read(r, &rule_section, s, &raw));
	const bool is_deny = mk_keys_has(s, "deny");
	if (is_deny == mk_keys_has(s, "allow"))
		return mk_keys_refuse(r, s, "a rule has either allow or deny, with a service's name: this one has %s",
				      is_deny ? "both" : "neither");
	MK_TRY(is_deny ? check_deny(r, s, &raw) : check_allow(r, s));
	if (is_deny)
		MK_TRY(fill_deny(s, &raw));
	struct mk_rule rule = { .deny = is_deny, .service = is_deny ? raw.deny : raw.allow, .actions = raw.actions,
				.patterns = raw.patterns, .n_patterns = raw.n_patterns, .rate_per_hour = raw.rate,
				.line = mk_setting_line(s) };
	MK_TRY(mk_rules_add_rule(&doc->rules, &rule));
	raw.patterns = NULL; /* the document's now */
	return MK_OK;
}

static const struct mk_list service_list = { MK_SERVICES_MAX, read_service };
static const struct mk_list rule_list = { MK_RULES_MAX, read_rule };

static const struct mk_key document_keys[] = {
	{ "environment", &mk_kind_word, offsetof(struct document, rules.environment), .required = true },
	{ "services", &mk_kind_list, 0, .required = true, .more = &service_list },
	{ "rules", &mk_kind_list, 0, .required = true, .more = &rule_list },
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

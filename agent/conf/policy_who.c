/* SPDX-License-Identifier: Apache-2.0
 *
 * The services of policy.conf, with what makes a caller one of them, and the groups of
 * services.
 */
#include "agent/conf/policy.h"

#include "mk/own.h"

#include <stdlib.h>

#define CREDENTIAL "credential" /* the socket where systemd asks for a unit */

struct identity { /* as written */
	struct mk_word socket;
	uid_t user, uid;
	gid_t group;
	char unit[MK_UNIT_MAX + 1];
	struct mk_account account;
};

/* ---- unit ---- */

static bool is_unit_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr(":-_.\\@", c));
}

/* One unit: a template without its instance would be none, or many. */
static bool is_unit(const char *text)
{
	static const char suffix[] = ".service";
	const size_t n = strlen(text), m = sizeof suffix - 1;
	if (n <= m || n > MK_UNIT_MAX || strcmp(text + n - m, suffix) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_unit_letter(text[i]))
			return false;
	return text[n - m - 1] != '@';
}

static enum mk_err read_unit(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const char *text = mk_keys_text(s);
	if (r->in_pod)
		return mk_keys_refuse(r, s, "there are no systemd units in a pod: tell services apart by socket, uid and kubernetes");
	if (!is_unit(text))
		return mk_keys_unfit(r, k, s);
	memcpy(at, text, strlen(text) + 1);
	return MK_OK;
}

static const struct mk_kind kind_unit = {
	"the full name of one systemd service, such as \"billing.service\" or \"worker@eu.service\"", 1u << CONFIG_TYPE_STRING,
	read_unit
};

/* ---- kubernetes ---- */

/* As Kubernetes names objects: DNS labels, with dots between them where `dots`. */
static bool is_dns(const char *text, bool dots)
{
	char before = '.';
	for (size_t i = 0; text[i]; before = text[i++]) {
		const char c = text[i];
		const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		const bool inner = before != '.' && before != '-';
		if (!alnum && !(c == '-' && before != '.') && !(dots && c == '.' && inner))
			return false;
	}
	return before != '.' && before != '-';
}

static enum mk_err read_namespace(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const char *text = mk_keys_text(s);
	if (strlen(text) > MK_K8S_NAMESPACE_MAX || !is_dns(text, false))
		return mk_keys_unfit(r, k, s);
	memcpy(at, text, strlen(text) + 1);
	return MK_OK;
}

static enum mk_err read_account_name(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const char *text = mk_keys_text(s);
	if (strlen(text) > MK_K8S_ACCOUNT_MAX || !is_dns(text, true))
		return mk_keys_unfit(r, k, s);
	memcpy(at, text, strlen(text) + 1);
	return MK_OK;
}

static const struct mk_kind kind_namespace = { "a namespace's name: a-z, 0-9 and hyphens, at most 63", 1u << CONFIG_TYPE_STRING,
					       read_namespace };
static const struct mk_kind kind_account_name = { "a service account's name: a-z, 0-9, hyphens and dots, at most 253",
						  1u << CONFIG_TYPE_STRING, read_account_name };

static const struct mk_key account_keys[] = {
	{ "namespace", &kind_namespace, offsetof(struct mk_account, ns), .required = true },
	{ "service_account", &kind_account_name, offsetof(struct mk_account, name), .required = true },
};
static const struct mk_section account_section = MK_SECTION(account_keys);

static enum mk_err read_account(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	(void)k;
	if (!r->in_pod)
		return mk_keys_refuse(r, s, "kubernetes tells services apart in a pod only: set platform = \"pod\" in agent.conf, or use "
				      "user, uid, group or unit");
	return mk_keys_read(r, &account_section, s, at);
}

static const struct mk_kind kind_account = { "a group such as { namespace = \"erp\"; service_account = \"sync\"; }",
					     1u << CONFIG_TYPE_GROUP, read_account };

/* ---- identity ---- */

static const struct mk_key identity_keys[] = {
	{ "user", &mk_kind_user, offsetof(struct identity, user), .required = false },
	{ "uid", &mk_kind_uid, offsetof(struct identity, uid), .required = false },
	{ "group", &mk_kind_group, offsetof(struct identity, group), .required = false },
	{ "socket", &mk_kind_word, offsetof(struct identity, socket), .required = false },
	{ "unit", &kind_unit, offsetof(struct identity, unit), .required = false },
	{ "kubernetes", &kind_account, offsetof(struct identity, account), .required = false },
};
static const struct mk_section identity_section = MK_SECTION(identity_keys);

/* The common listener is open to all: who comes through it is told by more than that. */
static mk_must check_identity(struct mk_reader *r, const config_setting_t *s, const struct mk_identity *id)
{
	if (mk_keys_has(s, "user") && mk_keys_has(s, "uid"))
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "uid"),
				 "user and uid say the same thing, and may not agree: keep one of them");
	if (!id->set && strcmp(id->socket.s, "api") == 0)
		return mk_keys_refuse(r, s, "this identity fits every caller of the common listener \"api\": add user, uid, group or "
				      "%s, or name a socket of the service's own", r->in_pod ? "kubernetes" : "unit");
	if (strcmp(id->socket.s, CREDENTIAL) == 0 && id->set != MK_EVIDENCE_UNIT)
		return mk_keys_refuse(r, s, "on the socket \"credential\" systemd asks for a unit, and only the unit counts: give a unit, "
				      "and nothing else, or name another socket");
	return MK_OK;
}

static void take_uid(const config_setting_t *s, const struct identity *raw, struct mk_identity *id)
{
	if (!mk_keys_has(s, "user") && !mk_keys_has(s, "uid"))
		return;
	id->set |= MK_EVIDENCE_UID;
	id->uid = mk_keys_has(s, "user") ? raw->user : raw->uid;
}

static enum mk_err read_identity(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	struct identity raw = { .socket = { "api" } };
	struct mk_identity id = { 0 };
	(void)k;
	MK_TRY(mk_keys_read(r, &identity_section, s, &raw));
	id.socket = raw.socket;
	take_uid(s, &raw, &id);
	if (mk_keys_has(s, "group")) {
		id.set |= MK_EVIDENCE_GROUP;
		id.gid = raw.group;
	}
	if (raw.unit[0]) {
		id.set |= MK_EVIDENCE_UNIT;
		memcpy(id.unit, raw.unit, sizeof id.unit);
	}
	if (raw.account.ns[0]) {
		id.set |= MK_EVIDENCE_ACCOUNT;
		id.account = raw.account;
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
	const struct mk_rules *rules = base;
	struct mk_service service = { .line = mk_setting_line(s) };
	MK_TRY(mk_keys_read(r, &service_section, s, &service));
	for (size_t i = 0; i < rules->n_services; i++)
		if (mk_word_eq(&rules->services[i].name, &service.name))
			return mk_keys_refuse(r, s, "service \"%s\" is already defined on line %u: rename or remove one of them",
					      service.name.s, rules->services[i].line);
	return mk_rules_add_service(base, &service);
}

const struct mk_list mk_policy_services_list = { MK_SERVICES_MAX, read_service };

/* ---- groups ---- */

struct group { /* as written */
	struct mk_group group;
	const struct mk_rules *rules; /* the services, read before */
};

static enum mk_err read_member(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	if (mk_word_of(mk_span_of(mk_keys_text(s)), at) != MK_OK)
		return mk_keys_unfit(r, k, s);
	return MK_OK;
}

static mk_must check_member(struct mk_reader *r, const config_setting_t *s, const struct mk_rules *rules, const struct mk_word *name)
{
	const char *known[MK_SERVICES_MAX];
	char hint[MK_HINT_MAX];
	for (size_t i = 0; i < rules->n_services; i++) {
		known[i] = rules->services[i].name.s;
		if (mk_word_eq(&rules->services[i].name, name))
			return MK_OK;
	}
	return mk_keys_refuse(r, s, "\"%s\" is no service%s: define it under services, or correct the name (a group holds services "
			      "only)", name->s, mk_hint(name->s, known, rules->n_services, hint));
}

static enum mk_err read_members(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	static const struct mk_strings how = { MK_SERVICES_MAX, sizeof(struct mk_word), read_member };
	struct group *raw = at;
	struct mk_group *g = &raw->group;
	void *items = NULL;
	const enum mk_err e = mk_strings_read(r, k, s, &how, &items, &g->n_services);
	g->services = items;
	if (e != MK_OK)
		return e;
	for (size_t i = 0; i < g->n_services; i++) {
		const config_setting_t *member = config_setting_get_elem(s, (unsigned)i);
		MK_TRY(check_member(r, member ? member : s, raw->rules, &g->services[i]));
	}
	return MK_OK;
}

static const struct mk_kind kind_members = { "a list of services, such as [ \"billing\", \"sync\" ]",
					     (1u << CONFIG_TYPE_LIST) | (1u << CONFIG_TYPE_ARRAY), read_members };

static const struct mk_key group_keys[] = {
	{ "name", &mk_kind_word, offsetof(struct group, group.name), .required = true },
	{ "services", &kind_members, 0, .required = true },
};
static const struct mk_section group_section = MK_SECTION(group_keys);

static void group_done(struct group *g)
{
	mk_group_done(&g->group);
}

static enum mk_err read_group(struct mk_reader *r, const config_setting_t *s, void *base)
{
	mk_auto(group_done) struct group raw = { .rules = base, .group.line = mk_setting_line(s) };
	MK_TRY(mk_keys_read(r, &group_section, s, &raw));
	return mk_rules_add_group(base, &raw.group);
}

const struct mk_list mk_policy_groups_list = { MK_GROUPS_OF_SERVICES_MAX, read_group };

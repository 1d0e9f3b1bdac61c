/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.conf: its table, its defaults, and the checks that take two keys. Works on a
 * text in memory and touches no file.
 */
#include "agent/conf/conf.h"
#include "agent/conf/sections.h"
#include "agent/conf/store.h"

#include "agent/base/file.h"
#include "agent/base/lock/lockdown.h"
#include "mk/own.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define TIMEOUT .min = SECOND / 10, .max = 5 * MINUTE, .range = "100ms to 5m"

struct root { /* as written */
	struct mk_conf conf;
	gid_t admin_gid;
	char proxy[MK_URL_MAX];
};

static const char *const platforms[] = { [MK_HOST] = "host", [MK_POD] = "pod", NULL };
static const char *const guards[] = {
#define GUARD_WORD(name, word, required, fallback) [MK_GUARD_##name] = (word),
	MK_GUARD_LIST(GUARD_WORD)
#undef GUARD_WORD
	[MK_GUARD_COUNT] = NULL
};

static const struct mk_key refresh_keys[] = {
	{ "ttl", &mk_kind_duration, offsetof(struct mk_conf_refresh, ttl_ms), .min = SECOND, .max = 24 * HOUR,
	  .range = "1s to 24h" },
	{ "jitter", &mk_kind_percent, offsetof(struct mk_conf_refresh, jitter_percent), .max = 100, .range = "0% to 100%" },
	{ "serve_stale", &mk_kind_duration, offsetof(struct mk_conf_refresh, serve_stale_ms), .max = 24 * HOUR,
	  .range = "0s to 24h" },
	{ "prefetch", &mk_kind_bool, offsetof(struct mk_conf_refresh, prefetch), .required = false },
};
static const struct mk_section refresh = MK_SECTION(refresh_keys);

static const struct mk_key audit_keys[] = {
	{ "recipient", &mk_kind_key32, offsetof(struct mk_conf_audit, recipient), .required = true },
	{ "file", &mk_kind_path, offsetof(struct mk_conf_audit, file), .required = false },
	{ "max_size", &mk_kind_size, offsetof(struct mk_conf_audit, max_size), .min = 64 * 1024, .max = INT64_C(1) << 40,
	  .range = "64KB to 1024GB" },
	{ "keep", &mk_kind_count, offsetof(struct mk_conf_audit, keep), .min = 1, .max = 1000, .range = "1 to 1000" },
};
static const struct mk_section audit = MK_SECTION(audit_keys);

static const struct mk_key limits_keys[] = {
	{ "connections", &mk_kind_count, offsetof(struct mk_conf_limits, connections), .min = 16, .max = 65536,
	  .range = "16 to 65536" },
	{ "connections_per_uid", &mk_kind_count, offsetof(struct mk_conf_limits, connections_per_uid), .min = 1, .max = 32768,
	  .range = "1 to 32768, and at most half of connections" },
	{ "head_timeout", &mk_kind_duration, offsetof(struct mk_conf_limits, head_timeout_ms), TIMEOUT },
	{ "write_timeout", &mk_kind_duration, offsetof(struct mk_conf_limits, write_timeout_ms), TIMEOUT },
	{ "idle_timeout", &mk_kind_duration, offsetof(struct mk_conf_limits, idle_timeout_ms), .min = SECOND, .max = HOUR,
	  .range = "1s to 1h" },
	{ "waiters_per_uid", &mk_kind_count, offsetof(struct mk_conf_limits, waiters_per_uid), .min = 1, .max = 4096,
	  .range = "1 to 4096" },
};
static const struct mk_section limits = MK_SECTION(limits_keys);

static const char *const acts[] = {
#define ACT_WORD(name, word) [MK_ACTION_##name] = (word),
	MK_ACTION_LIST(ACT_WORD)
#undef ACT_WORD
	[MK_ACTION_COUNT] = NULL
};

static const struct mk_key admin_keys[] = {
	{ "two_person", &mk_kind_flags, offsetof(struct root, conf.two_person), .more = acts },
	{ "group", &mk_kind_group, offsetof(struct root, admin_gid), .required = false },
};
static const struct mk_section admin = MK_SECTION(admin_keys);

static const struct mk_key proxy_keys[] = {
	{ "url", &mk_kind_proxy, offsetof(struct root, proxy), .required = true },
};
static const struct mk_section proxy = MK_SECTION(proxy_keys);

static const struct mk_key reporter_keys[] = {
	{ "listen", &mk_kind_address, offsetof(struct mk_conf, reporter_addr), .required = false },
};
static const struct mk_section reporter = MK_SECTION(reporter_keys);

static const struct mk_key lockdown_keys[] = {
	{ "exceptions", &mk_kind_flags, offsetof(struct mk_conf, lockdown_exceptions), .more = guards },
};
static const struct mk_section lockdown = MK_SECTION(lockdown_keys);

static const struct mk_key state_key_keys[] = {
	{ "file", &mk_kind_path, offsetof(struct mk_conf, state_key_file), .required = true },
};
static const struct mk_section state_key = MK_SECTION(state_key_keys);

static const char *const rollbacks[] = { [MK_ROLLBACK_REFUSE] = "refuse", [MK_ROLLBACK_ACCEPT] = "accept", NULL };
static const struct mk_key revocation_keys[] = {
	{ "rollback", &mk_kind_choice, offsetof(struct mk_conf, rollback), .more = rollbacks },
};
static const struct mk_section revocation = MK_SECTION(revocation_keys);

static const char *const behinds[] = { [MK_CLOCK_BEHIND_CARRY] = "carry", [MK_CLOCK_BEHIND_ACCEPT] = "accept", NULL };

#define HEAD 5 /* the keys that others' defaults come from; read first */
static const struct mk_key root_keys[] = {
	{ "environment", &mk_kind_word, offsetof(struct root, conf.environment), .required = true },
	{ "platform", &mk_kind_choice, offsetof(struct root, conf.platform), .more = platforms },
	{ "runtime_dir", &mk_kind_path, offsetof(struct root, conf.runtime_dir), .required = false },
	{ "state_dir", &mk_kind_path, offsetof(struct root, conf.state_dir), .required = false },
	{ "admin", &mk_kind_section, 0, .more = &admin },
	{ "policy", &mk_kind_path, offsetof(struct root, conf.policy_file), .required = false },
	{ "policy_shadow", &mk_kind_path, offsetof(struct root, conf.shadow_file), .required = false },
	{ "backends", &mk_kind_list, offsetof(struct root, conf), .required = true, .more = &mk_backend_list },
	{ "refresh", &mk_kind_section, offsetof(struct root, conf.refresh), .more = &refresh },
	{ "audit", &mk_kind_section, offsetof(struct root, conf.audit), .required = true, .more = &audit },
	{ "listeners", &mk_kind_list, offsetof(struct root, conf), .more = &mk_listener_list },
	{ "kubernetes", &mk_kind_section, offsetof(struct root, conf.kubernetes), .more = &mk_kubernetes_section },
	{ "limits", &mk_kind_section, offsetof(struct root, conf.limits), .more = &limits },
	{ "proxy", &mk_kind_section, 0, .more = &proxy },
	{ "reporter", &mk_kind_section, offsetof(struct root, conf), .more = &reporter },
	{ "state_key", &mk_kind_section, offsetof(struct root, conf), .more = &state_key },
	{ "revocation", &mk_kind_section, offsetof(struct root, conf), .more = &revocation },
	{ "clock_behind", &mk_kind_choice, offsetof(struct root, conf.clock_behind), .more = behinds },
	{ "lockdown", &mk_kind_section, offsetof(struct root, conf), .more = &lockdown },
};
static const struct mk_section root_section = MK_SECTION(root_keys);

static struct root defaults(void)
{
	struct root d = {
		.conf = {
			.refresh = { .ttl_ms = 5 * MINUTE, .jitter_percent = 20, .prefetch = true, .serve_stale_ms = HOUR },
			.audit = { .max_size = UINT64_C(1) << 30, .keep = 10 },
			.limits = { .connections = 4096, .connections_per_uid = 1024, .head_timeout_ms = 5 * SECOND,
				    .write_timeout_ms = 5 * SECOND, .idle_timeout_ms = MINUTE, .waiters_per_uid = 256 },
		},
		.admin_gid = (gid_t)-1,
	};
	d.conf.two_person = 1u << MK_ACTION_THAW;
	const struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_port = htons(9464),
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	memcpy(&d.conf.reporter_addr, &loopback, sizeof loopback);
	return d;
}

/* "/run/makini/" and the environment's name; where a path is set already it stays. */
static void default_path(char path[MK_PATH_MAX], const char *before, const struct mk_word *env, const char *after)
{
	if (!path[0])
		snprintf(path, MK_PATH_MAX, "%s%s%s", before, env->s, after);
}

/* What follows from the head: directories, and the listeners that are always there. */
static mk_must settle_head(struct mk_reader *r, const config_setting_t *root, struct root *d)
{
	struct mk_conf *c = &d->conf;
	default_path(c->runtime_dir, "/run/makini/", &c->environment, "");
	default_path(c->state_dir, "/var/lib/makini/", &c->environment, "");
	default_path(c->audit.file, "/var/log/makini/", &c->environment, "/audit.jsonl");
	if (mk_path_join(r->dir, "policy.conf", c->policy_file, sizeof c->policy_file) != MK_OK)
		return mk_keys_refuse(r, root, "the directory of this file has too long a path: move it");
	memcpy(r->state_dir, c->state_dir, sizeof r->state_dir);
	r->in_pod = c->platform == MK_POD;
	return mk_listeners_own(r, root, d->admin_gid, c);
}

/* Only what can wait for a second person; whoever asks for two persons anywhere wants them for a thaw. */
static mk_must check_two_person(struct mk_reader *r, config_setting_t *root, struct mk_conf *c)
{
	const uint32_t can = 1u << MK_ACTION_THAW | 1u << MK_ACTION_RELOAD | 1u << MK_ACTION_RESTORE;
	const config_setting_t *s = config_setting_get_member(root, "admin");
	if (c->two_person & ~can)
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "two_person"),
				 "two_person may name thaw, restore and reload: all else is done by one person, and to freeze or to revoke must never wait");
	if (c->two_person)
		c->two_person |= 1u << MK_ACTION_THAW;
	return MK_OK;
}

/* What takes two keys to tell. */
static mk_must check_whole(struct mk_reader *r, config_setting_t *root, struct mk_conf *c)
{
	const config_setting_t *list = config_setting_get_member(root, "backends");
	const config_setting_t *limit = config_setting_get_member(root, "limits");
	MK_TRY(check_two_person(r, root, c));
	MK_TRY(mk_kubernetes_check(r, root, &c->kubernetes));
	c->reporter_on = c->reporter_addr.ss_family != AF_UNSPEC;
	if (limit && (uint64_t)c->limits.connections_per_uid * 2 > c->limits.connections)
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(limit, "connections_per_uid"),
				 "connections_per_uid is %u, more than half of connections (%u), so that one caller could shut "
				 "all others out: lower it, or raise connections",
				 c->limits.connections_per_uid, c->limits.connections);
	if (!list || c->n_backends == 0)
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(root, "backends"),
				 "\"backends\" is empty, so there is no token to serve: list at least one");
	return mk_backends_apart(r, list, c);
}

static mk_must read_root(struct mk_reader *r, config_setting_t *root, struct root *d)
{
	MK_TRY(mk_keys_known(r, &root_section, root));
	for (size_t i = 0; i < HEAD; i++)
		MK_TRY(mk_keys_read_one(r, &root_keys[i], root, d));
	MK_TRY(settle_head(r, root, d));
	for (size_t i = HEAD; i < MK_COUNT(root_keys); i++)
		MK_TRY(mk_keys_read_one(r, &root_keys[i], root, d));
	mk_backends_proxy(&d->conf, d->proxy);
	return check_whole(r, root, &d->conf);
}

void mk_conf_done(struct mk_conf *c)
{
	free(c->listeners);
	free(c->backends);
	mk_rules_done(&c->rules);
	mk_rules_done(&c->shadow);
	free(c->kubernetes.jwks);
	*c = (struct mk_conf){ 0 };
}

static void root_done(struct root *d)
{
	mk_conf_done(&d->conf);
}

mk_must mk_conf_parse(struct mk_span text, const char *file, struct mk_conf *ret, struct mk_why *why)
{
	mk_auto(root_done) struct root d = defaults();
	mk_auto(config_destroy) config_t tree;
	struct mk_reader r = { .file = file, .why = why };
	config_init(&tree);
	d.conf.listeners = calloc(MK_AGENT_LISTENERS_MAX, sizeof *d.conf.listeners);
	d.conf.backends = calloc(MK_BACKENDS_MAX, sizeof *d.conf.backends);
	if (!d.conf.listeners || !d.conf.backends)
		return MK_NO_MEMORY;
	if (mk_path_dir(file, r.dir, sizeof r.dir) != MK_OK || strlen(file) >= sizeof d.conf.file)
		return mk_why_at(why, MK_TOO_LARGE, file, 0, "the path of this file is too long: move it");
	memcpy(d.conf.file, file, strlen(file) + 1);
	MK_TRY(mk_tree_read(text, file, &tree, why));
	MK_TRY(read_root(&r, config_root_setting(&tree), &d));
	*ret = d.conf;
	d.conf = (struct mk_conf){ 0 };
	return MK_OK;
}

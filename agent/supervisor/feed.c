/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration as the messages that each role gets: only its part. A table of pieces
 * in the order in which they go; a cursor goes on when the child has read what it got.
 */
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#include <errno.h>
#include <sys/inotify.h>

#define FULL (MK_LINK_QUEUE_MAX / 4) /* enough waits: go on when it has left */

#define BROKER  (1u << MK_ROLE_BROKER)
#define FETCHER (1u << MK_ROLE_FETCHER)
#define REPORTER (1u << MK_ROLE_REPORTER)

static size_t one(const struct mk_plan *p)
{
	(void)p;
	return 1;
}
static size_t services(const struct mk_plan *p)
{
	return p->conf->rules.n_services;
}
static size_t groups(const struct mk_plan *p)
{
	return p->conf->rules.n_groups;
}
static size_t rules(const struct mk_plan *p)
{
	return p->conf->rules.n_rules;
}
static size_t shadow(const struct mk_plan *p)
{
	return p->conf->shadow_file[0] ? 1 : 0;
}
static size_t shadow_services(const struct mk_plan *p)
{
	return p->conf->shadow.n_services;
}
static size_t shadow_groups(const struct mk_plan *p)
{
	return p->conf->shadow.n_groups;
}
static size_t shadow_rules(const struct mk_plan *p)
{
	return p->conf->shadow.n_rules;
}
static size_t backends(const struct mk_plan *p)
{
	return p->conf->n_backends;
}
static size_t kubernetes(const struct mk_plan *p)
{
	return p->conf->kubernetes.on ? 1 : 0;
}
static size_t keys_from(const struct mk_plan *p)
{
	return p->conf->kubernetes.address[0] ? 1 : 0;
}
static size_t listeners(const struct mk_plan *p)
{
	return p->listeners->n;
}

static mk_must send_begin(struct mk_kid *k, size_t i)
{
	(void)i;
	const struct mk_conf *c = k->feed.plan.conf;
	struct mk_wr w = mk_say_room();
	mk_msg_begin_write(&w, &(struct mk_msg_begin){ k->feed.plan.generation, c->environment, c->platform,
						       c->lockdown_exceptions });
	return mk_say(k, MK_MSG_CONF_BEGIN, &w, -1);
}

static mk_must send_end(struct mk_kid *k, size_t i)
{
	(void)i;
	return mk_say_number(k, MK_MSG_CONF_END, k->feed.plan.generation, -1);
}

static mk_must send_limits(struct mk_kid *k, size_t i)
{
	(void)i;
	const struct mk_conf *c = k->feed.plan.conf;
	struct mk_wr w = mk_say_room();
	mk_msg_limits_write(&w, &(struct mk_msg_limits){ c->refresh, c->limits });
	return mk_say(k, MK_MSG_CONF_LIMITS, &w, -1);
}

static mk_must send_audit(struct mk_kid *k, size_t i)
{
	(void)i;
	const struct mk_conf *c = k->feed.plan.conf;
	struct mk_msg_audit m = { .audit = c->audit };
	memcpy(m.policy_digest, c->policy_digest, sizeof m.policy_digest);
	struct mk_wr w = mk_say_room();
	mk_msg_audit_write(&w, &m);
	return mk_say(k, MK_MSG_CONF_AUDIT, &w, -1);
}

static mk_must send_state(struct mk_kid *k, size_t i)
{
	(void)i;
	const struct mk_conf *c = k->feed.plan.conf;
	struct mk_msg_state m = { .two_person = c->two_person, .accept_rollback = c->rollback == MK_ROLLBACK_ACCEPT,
				  .accept_clock = c->clock_behind == MK_CLOCK_BEHIND_ACCEPT };
	_Static_assert(sizeof m.dir == sizeof c->state_dir, "copied whole");
	memcpy(m.dir, c->state_dir, sizeof m.dir);
	memcpy(m.key_file, c->state_key_file, sizeof m.key_file);
	struct mk_wr w = mk_say_room();
	mk_msg_state_write(&w, &m);
	return mk_say(k, MK_MSG_CONF_STATE, &w, -1);
}

static mk_must say_service(struct mk_kid *k, const struct mk_service *service)
{
	struct mk_wr w = mk_say_room();
	mk_msg_service_write(&w, service);
	return mk_say(k, MK_MSG_CONF_SERVICE, &w, -1);
}

static mk_must say_group(struct mk_kid *k, const struct mk_group *group)
{
	struct mk_wr w = mk_say_room();
	mk_msg_group_write(&w, group);
	return mk_say(k, MK_MSG_CONF_GROUP, &w, -1);
}

static mk_must say_rule(struct mk_kid *k, const struct mk_rule *rule)
{
	struct mk_wr w = mk_say_room();
	mk_msg_rule_write(&w, rule);
	return mk_say(k, MK_MSG_CONF_RULE, &w, -1);
}

static mk_must send_service(struct mk_kid *k, size_t i)
{
	return say_service(k, &k->feed.plan.conf->rules.services[i]);
}
static mk_must send_group(struct mk_kid *k, size_t i)
{
	return say_group(k, &k->feed.plan.conf->rules.groups[i]);
}
static mk_must send_rule(struct mk_kid *k, size_t i)
{
	return say_rule(k, &k->feed.plan.conf->rules.rules[i]);
}
static mk_must send_shadow(struct mk_kid *k, size_t i)
{
	return mk_say_number(k, MK_MSG_CONF_SHADOW, (uint32_t)i, -1);
}
static mk_must send_shadow_service(struct mk_kid *k, size_t i)
{
	return say_service(k, &k->feed.plan.conf->shadow.services[i]);
}
static mk_must send_shadow_group(struct mk_kid *k, size_t i)
{
	return say_group(k, &k->feed.plan.conf->shadow.groups[i]);
}
static mk_must send_shadow_rule(struct mk_kid *k, size_t i)
{
	return say_rule(k, &k->feed.plan.conf->shadow.rules[i]);
}

static mk_must send_store(struct mk_kid *k, size_t i)
{
	const struct mk_conf_backend *b = &k->feed.plan.conf->backends[i];
	struct mk_msg_store m = { .index = (uint8_t)i, .name = b->name, .trust_tags = b->trust_tags,
				  .writable = b->writable, .require_tag = b->require_tag,
				  .calls_per_hour = b->address[0] ? b->calls_per_hour : 0 };
	_Static_assert(sizeof m.type == sizeof b->type, "copied whole");
	memcpy(m.type, b->type, sizeof m.type);
	struct mk_wr w = mk_say_room();
	mk_msg_store_write(&w, &m);
	return mk_say(k, MK_MSG_CONF_STORE, &w, -1);
}

static mk_must send_backend(struct mk_kid *k, size_t i)
{
	struct mk_wr w = mk_say_room();
	mk_msg_backend_write(&w, &(struct mk_msg_backend){ (uint8_t)i, k->feed.plan.conf->backends[i] });
	return mk_say(k, MK_MSG_CONF_BACKEND, &w, -1);
}

static mk_must send_kubernetes(struct mk_kid *k, size_t i)
{
	(void)i;
	const struct mk_conf_kubernetes *c = &k->feed.plan.conf->kubernetes;
	struct mk_msg_kubernetes m = { .jwks = mk_span(c->jwks, c->n_jwks) };
	memcpy(m.audience, c->audience, sizeof m.audience);
	memcpy(m.issuer, c->issuer, sizeof m.issuer);
	memcpy(m.pod_uid, c->pod_uid, sizeof m.pod_uid);
	memcpy(m.address, c->address, sizeof m.address);
	struct mk_wr w = mk_say_room();
	mk_msg_kubernetes_write(&w, &m);
	return mk_say(k, MK_MSG_CONF_KUBERNETES, &w, -1);
}

static mk_must send_keys_from(struct mk_kid *k, size_t i)
{
	(void)i;
	const struct mk_conf_kubernetes *c = &k->feed.plan.conf->kubernetes;
	struct mk_msg_keys_from m = { .address = "" };
	memcpy(m.address, c->address, sizeof m.address);
	memcpy(m.ca_file, c->ca_file, sizeof m.ca_file);
	memcpy(m.token_file, c->token_file, sizeof m.token_file);
	struct mk_wr w = mk_say_room();
	mk_msg_keys_from_write(&w, &m);
	return mk_say(k, MK_MSG_CONF_KEYS_FROM, &w, -1);
}

/* A directory that cannot be watched is no reason not to start: the time to live then does alone. */
static mk_must send_watch(struct mk_kid *k, size_t i)
{
	const char *file = k->feed.plan.conf->backends[i].file, *slash = strrchr(file, '/');
	struct mk_msg_watch m = { .index = (uint8_t)i };
	char dir[MK_PATH_MAX];
	if (!slash || strlen(slash + 1) >= sizeof m.file)
		return MK_OK;
	memcpy(m.file, slash + 1, strlen(slash + 1) + 1);
	MK_TRY(mk_path_dir(file, dir, sizeof dir));
	mk_fd fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	const uint32_t events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR;
	if (fd < 0 || inotify_add_watch(fd, dir, events) < 0) {
		mk_log(MK_WARN, "store_not_watched", MK_KV_S("directory", dir), MK_KV_S("error", strerrordesc_np(errno)),
		       MK_KV_S("effect", "changes are seen when refresh.ttl is over"));
		return MK_OK;
	}
	struct mk_wr w = mk_say_room();
	mk_msg_watch_write(&w, &m);
	return mk_say(k, MK_MSG_STORE_WATCH, &w, fd);
}

static mk_must send_head(struct mk_kid *k, size_t i)
{
	(void)i;
	return mk_say_number(k, MK_MSG_AUDIT_HEAD, 0, k->sup->head_fd);
}

static mk_must send_listener(struct mk_kid *k, size_t i)
{
	const struct mk_listener *l = &k->feed.plan.listeners->l[i];
	struct mk_wr w = mk_say_room();
	mk_msg_listener_write(&w, &(struct mk_msg_listener){ l->conf.name, l->client });
	return mk_say(k, MK_MSG_LISTENER, &w, l->fd);
}

static mk_must send_http(struct mk_kid *k, size_t i)
{
	(void)i;
	return mk_say_number(k, MK_MSG_HTTP_LISTENER, 0, k->sup->tcp_fd);
}

static const struct piece {
	unsigned roles;
	bool first_only; /* of a process: it keeps what it got */
	size_t (*count)(const struct mk_plan *p);
	enum mk_err (*send)(struct mk_kid *k, size_t i);
} pieces[] = {
	{ BROKER | FETCHER | REPORTER, false, one, send_begin },
	{ BROKER, false, one, send_limits },
	{ BROKER, false, one, send_audit },
	{ BROKER, false, one, send_state },
	{ BROKER, true, one, send_head },
	{ BROKER, false, services, send_service },
	{ BROKER, false, groups, send_group },
	{ BROKER, false, rules, send_rule },
	{ BROKER, false, shadow, send_shadow },
	{ BROKER, false, shadow_services, send_shadow_service },
	{ BROKER, false, shadow_groups, send_shadow_group },
	{ BROKER, false, shadow_rules, send_shadow_rule },
	{ BROKER, false, backends, send_store },
	{ BROKER, false, backends, send_watch },
	{ BROKER, false, kubernetes, send_kubernetes },
	{ BROKER, false, listeners, send_listener },
	{ FETCHER, false, backends, send_backend },
	{ FETCHER, false, keys_from, send_keys_from },
	{ REPORTER, true, one, send_http },
	{ BROKER | FETCHER | REPORTER, false, one, send_end },
};

static bool meant_for(const struct piece *p, const struct mk_kid *k)
{
	return (p->roles & 1u << k->role) && (!p->first_only || k->feed.first);
}

enum mk_err mk_feed_pump(struct mk_kid *k)
{
	struct mk_feed *f = &k->feed;
	while (f->running && mk_link_queued(k->link) < FULL) {
		if (f->piece == MK_COUNT(pieces)) {
			f->running = false;
			mk_sup_fed(k);
			return MK_OK;
		}
		const struct piece *p = &pieces[f->piece];
		if (!meant_for(p, k) || f->index >= p->count(&f->plan)) {
			f->piece++;
			f->index = 0;
			continue;
		}
		MK_TRY(p->send(k, f->index));
		f->index++;
	}
	return MK_OK;
}

enum mk_err mk_feed_start(struct mk_kid *k, const struct mk_plan *plan, bool first)
{
	if (!k->link)
		return MK_NOT_READY;
	k->feed = (struct mk_feed){ .plan = *plan, .running = true, .first = first };
	mk_link_generation(k->link, plan->generation);
	return mk_feed_pump(k);
}

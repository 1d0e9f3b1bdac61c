/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration arrives in pieces between CONF_BEGIN and CONF_END, is gathered aside,
 * and is swapped in at once or refused whole. The first one also starts the parts and
 * locks the process down. What cannot change while a locked-down process runs is refused
 * with the remedy.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/ahead.h"
#include "agent/broker/bearer.h"
#include "agent/broker/endpoints.h"
#include "agent/broker/environment.h"
#include "agent/broker/fetch.h"
#include "agent/broker/pending.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- gathering ---- */

static struct mk_pending *pending_free(struct mk_pending *p)
{
	if (p) {
		mk_rules_done(&p->rules);
		mk_rules_done(&p->shadow);
		mk_policy_free(p->shadow_policy);
		mk_bearer_free(p->bearer);
		for (size_t i = 0; i < p->n_listeners; i++)
			mk_close(p->listeners[i].fd);
		for (size_t i = 0; i < p->n_watches; i++)
			mk_close(p->watches[i].fd);
		mk_close(p->head_fd);
		mk_policy_free(p->policy);
		free(p);
	}
	return NULL;
}

void mk_config_forget(struct mk_broker *b)
{
	b->pending = pending_free(b->pending);
}

static mk_must on_begin(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_begin m;
	MK_TRY(mk_msg_begin_read(f->body, &m));
	mk_config_forget(b);
	b->pending = calloc(1, sizeof *b->pending);
	if (!b->pending)
		return MK_NO_MEMORY;
	b->pending->begin = m;
	b->pending->head_fd = -1;
	b->pending->rules.environment = m.environment;
	return MK_OK;
}

static mk_must on_limits(struct mk_broker *b, struct mk_frame *f)
{
	b->pending->has_limits = true;
	return mk_msg_limits_read(f->body, &b->pending->limits);
}

static mk_must on_audit(struct mk_broker *b, struct mk_frame *f)
{
	b->pending->has_audit = true;
	return mk_msg_audit_read(f->body, &b->pending->audit);
}

static mk_must on_state(struct mk_broker *b, struct mk_frame *f)
{
	b->pending->has_state = true;
	return mk_msg_state_read(f->body, &b->pending->state);
}

static mk_must on_kubernetes(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_kubernetes m;
	MK_TRY(mk_msg_kubernetes_read(f->body, &m));
	b->pending->bearer = mk_bearer_free(b->pending->bearer);
	return mk_bearer_new(&m, &b->pending->bearer);
}

static struct mk_rules *rules_of(struct mk_pending *p)
{
	return p->has_shadow ? &p->shadow : &p->rules;
}

static mk_must on_shadow(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	if (b->pending->has_shadow)
		return MK_BAD_REQUEST;
	b->pending->has_shadow = true;
	b->pending->shadow.environment = b->pending->begin.environment;
	return MK_OK;
}

static mk_must on_service(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_service s;
	MK_TRY(mk_msg_service_read(f->body, &s));
	return mk_rules_add_service(rules_of(b->pending), &s);
}

static mk_must on_rule(struct mk_broker *b, struct mk_frame *f)
{
	mk_auto(mk_rule_done) struct mk_rule rule = { 0 };
	MK_TRY(mk_msg_rule_read(f->body, &rule));
	return mk_rules_add_rule(rules_of(b->pending), &rule);
}

static mk_must on_group(struct mk_broker *b, struct mk_frame *f)
{
	mk_auto(mk_group_done) struct mk_group group = { 0 };
	MK_TRY(mk_msg_group_read(f->body, &group));
	return mk_rules_add_group(rules_of(b->pending), &group);
}

static mk_must on_store(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_store m;
	struct mk_pending *p = b->pending;
	MK_TRY(mk_msg_store_read(f->body, &m));
	if (m.index != p->n_stores || p->n_stores == MK_BACKENDS_MAX)
		return MK_BAD_REQUEST;
	p->stores[p->n_stores++] = m;
	return MK_OK;
}

static mk_must on_listener(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_listener m;
	struct mk_pending *p = b->pending;
	MK_TRY(mk_msg_listener_read(f->body, &m));
	if (p->n_listeners == MK_COUNT(p->listeners))
		return MK_BAD_REQUEST;
	p->listeners[p->n_listeners].fd = MK_TAKE_FD(f->fd);
	p->listeners[p->n_listeners].client = m.client;
	p->listeners[p->n_listeners++].name = m.name;
	return MK_OK;
}

static mk_must on_watch(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_watch m;
	struct mk_pending *p = b->pending;
	MK_TRY(mk_msg_watch_read(f->body, &m));
	if (p->n_watches == MK_WATCHES_MAX)
		return MK_BAD_REQUEST;
	struct mk_watch *w = &p->watches[p->n_watches++];
	w->fd = MK_TAKE_FD(f->fd);
	w->backend = m.index;
	_Static_assert(sizeof w->file == sizeof m.file, "copied whole");
	memcpy(w->file, m.file, sizeof w->file);
	return MK_OK;
}

static mk_must on_head(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	mk_close(b->pending->head_fd);
	b->pending->head_fd = MK_TAKE_FD(f->fd);
	return MK_OK;
}

/* ---- judging ---- */

static bool same_audit(const struct mk_conf_audit *a, const struct mk_conf_audit *b)
{
	return strcmp(a->file, b->file) == 0 && memcmp(a->recipient, b->recipient, sizeof a->recipient) == 0 &&
	       a->max_size == b->max_size && a->keep == b->keep;
}

/* What a process that is locked down cannot take. */
static mk_must may_change(const struct mk_broker *b, const struct mk_pending *p, struct mk_why *why)
{
	if (!mk_word_eq(&b->environment, &p->begin.environment))
		return mk_why_set(why, MK_CONFLICT, "environment cannot change while the instance runs: restart it");
	if (b->in_pod != (p->begin.platform == MK_POD))
		return mk_why_set(why, MK_CONFLICT, "platform cannot change while the instance runs: restart it");
	if (b->exceptions != p->begin.exceptions)
		return mk_why_set(why, MK_CONFLICT, "lock-down exceptions cannot change while the instance runs: restart it");
	if (strcmp(b->state_dir, p->state.dir) != 0)
		return mk_why_set(why, MK_CONFLICT, "state_dir cannot change while the instance runs: restart it");
	if (strcmp(b->statekey_file, p->state.key_file) != 0)
		return mk_why_set(why, MK_CONFLICT, "state_key cannot change while the instance runs: restart it");
	if (!same_audit(&b->audit_conf, &p->audit.audit))
		return mk_why_set(why, MK_CONFLICT, "the audit section cannot change while the instance runs: restart it");
	return MK_OK;
}

mk_must mk_config_judge(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	if (!p->has_limits || !p->has_audit || !p->has_state || p->n_stores == 0 || p->n_listeners == 0)
		return mk_why_set(why, MK_BAD_REQUEST, "the configuration came without its limits, audit, state, backends or listeners");
	for (size_t i = 0; i < p->n_watches; i++)
		if (p->watches[i].backend >= p->n_stores)
			return mk_why_set(why, MK_BAD_REQUEST, "a watch came for a backend that is not configured");
	if (b->generation != 0)
		MK_TRY(may_change(b, p, why));
	else if (p->head_fd < 0)
		return mk_why_set(why, MK_BAD_REQUEST, "the configuration came without the audit chain's head");
	if (p->bearer)
		MK_TRY(mk_bearer_judge(p->bearer, why));
	if (p->has_shadow)
		MK_TRY(mk_policy_new(&p->shadow, &p->shadow_policy, why));
	return mk_policy_new(&p->rules, &p->policy, why);
}

/* ---- swapping ---- */

static bool same_stores(const struct mk_broker *b, const struct mk_pending *p)
{
	if (b->n_replicas != p->n_stores)
		return false;
	for (size_t i = 0; i < p->n_stores; i++)
		if (!mk_word_eq(&b->replicas[i].name, &p->stores[i].name) ||
		    strcmp(b->replicas[i].type, p->stores[i].type) != 0)
			return false;
	return true;
}

/* Tokens of other backends than the ones configured now are not served, stale or not. */
static void swap_stores(struct mk_broker *b, const struct mk_pending *p)
{
	for (size_t i = 0; i < p->n_stores; i++) {
		b->replicas[i].trust_tags = p->stores[i].trust_tags;
		b->replicas[i].require_tag = p->stores[i].require_tag;
		b->replicas[i].writable = p->stores[i].writable;
	}
	if (same_stores(b, p)) {
		for (size_t i = 0; i < p->n_stores; i++)
			b->replicas[i].calls_per_hour = p->stores[i].calls_per_hour;
		mk_fetch_changed_all(b);
		return;
	}
	mk_store_clear(b->store);
	mk_environment_settle(b);
	mk_directory_done(&b->directory);
	for (size_t i = 0; i < p->n_stores; i++) {
		struct mk_replica *r = &b->replicas[i];
		*r = (struct mk_replica){ .name = p->stores[i].name, .trust_tags = p->stores[i].trust_tags,
					  .require_tag = p->stores[i].require_tag, .writable = p->stores[i].writable, .epoch = r->epoch + 1, .last_ok_ms = MK_TIME_NONE,
					  .calls_per_hour = p->stores[i].calls_per_hour };
		_Static_assert(sizeof r->type == sizeof p->stores[i].type, "copied whole");
		memcpy(r->type, p->stores[i].type, sizeof r->type);
	}
	b->n_replicas = p->n_stores;
	mk_endpoints_forget(b);
	b->other_stores = true;
	mk_fetch_again(b);
}

static void swap_watches(struct mk_broker *b, struct mk_pending *p)
{
	mk_watch_clear(b);
	for (size_t i = 0; i < p->n_watches; i++)
		if (mk_watch_add(b, &p->watches[i]) != MK_OK)
			mk_log(MK_ERROR, "watch_failed", MK_KV_S("file", p->watches[i].file),
			       MK_KV_S("remedy", "changes are seen after refresh.ttl"));
}

static void take_names(struct mk_broker *b, const struct mk_pending *p)
{
	b->n_listeners = b->n_clients_of = 0;
	for (size_t i = 0; i < p->n_listeners; i++)
		if (p->listeners[i].client && b->n_clients_of < MK_COUNT(b->clients_of))
			b->clients_of[b->n_clients_of++] = p->listeners[i].name;
		else if (!p->listeners[i].client && b->n_listeners < MK_COUNT(b->listeners))
			b->listeners[b->n_listeners++] = p->listeners[i].name;
}

/* Nothing fails here. */
static void swap(struct mk_broker *b, struct mk_pending *p)
{
	mk_policy_free(b->policy);
	b->policy = MK_TAKE(p->policy);
	if (mk_shadow_set(&b->shadow, p->shadow_policy) == MK_OK)
		p->shadow_policy = NULL;
	else
		mk_shadow_done(&b->shadow); /* it goes by the rules of now, or not at all */
	b->generation = p->begin.generation;
	b->environment = p->begin.environment;
	b->in_pod = p->begin.platform == MK_POD;
	b->exceptions = p->begin.exceptions;
	b->refresh = p->limits.refresh;
	b->limits = p->limits.limits;
	b->two_person = p->state.two_person;
	mk_bearer_swap(b, MK_TAKE(p->bearer));
	b->audit_conf = p->audit.audit;
	memcpy(b->policy_digest, p->audit.policy_digest, sizeof b->policy_digest);
	b->swapped = true;
	swap_stores(b, p);
	swap_watches(b, p);
	mk_missing_clear(b->missing);
	mk_ahead_begin(b);
	take_names(b, p);
}

mk_must mk_config_swap(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	MK_TRY(mk_start_record(b, p, why));
	MK_TRY(mk_start_listeners(b, p, why));
	swap(b, p);
	mk_start_swapped(b);
	mk_tell_reconfigured(b);
	return MK_OK;
}

static mk_must take(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	MK_TRY(mk_config_judge(b, p, why));
	MK_TRY(mk_start_proc(b, p, why));
	if (b->generation == 0)
		MK_TRY(mk_start_first(b, p, why));
	return mk_config_swap(b, p, why);
}

/* ---- answering ---- */

static mk_must say_ready(struct mk_broker *b)
{
	uint8_t buf[64];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_msg_ready m = { .generation = b->generation, .landlock_abi = b->lock.landlock_abi };
	_Static_assert((size_t)MK_GUARD_COUNT <= MK_GUARDS_MAX, "every guard has its place in READY");
	memcpy(m.guards, b->lock.state, sizeof b->lock.state);
	mk_msg_ready_write(&w, &m);
	MK_TRY(mk_wr_end(&w, &n));
	MK_TRY(mk_link_send(b->supervisor, MK_MSG_READY, mk_span(buf, n), -1));
	mk_link_ready(b->supervisor);
	b->health_sent = false;
	mk_health_check(b);
	return MK_OK;
}

static mk_must say_refused(struct mk_broker *b, uint32_t generation, enum mk_err e, const struct mk_why *why)
{
	uint8_t buf[1024];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	struct mk_msg_result m = { .n = generation, .generation = b->generation, .err = e };
	if (why->line > 0) /* the policy's: its file is known to who sent it */
		snprintf(m.text, sizeof m.text, "policy line %u: %s", why->line, why->text);
	else
		snprintf(m.text, sizeof m.text, "%.250s%s%s", why->file, why->file[0] ? ": " : "", why->text);
	mk_msg_result_write(&w, &m);
	MK_TRY(mk_wr_end(&w, &n));
	return mk_link_send(b->supervisor, MK_MSG_REFUSED, mk_span(buf, n), -1);
}

static mk_must on_end(struct mk_broker *b, struct mk_frame *f)
{
	struct mk_msg_number m;
	struct mk_why why = { 0 };
	MK_TRY(mk_msg_number_read(f->body, &m));
	struct mk_pending *p = MK_TAKE(b->pending);
	const uint32_t generation = p->begin.generation;
	const enum mk_err e = take(b, p, &why);
	pending_free(p);
	if (e == MK_OK)
		return say_ready(b);
	MK_TRY(say_refused(b, generation, e, &why));
	if (b->generation == 0)
		mk_broker_stop(b, 1); /* half started, perhaps half locked down: a fresh process tries again */
	return MK_OK;
}

typedef enum mk_err piece_fn(struct mk_broker *b, struct mk_frame *f);
static piece_fn *const pieces[MK_MSG_COUNT] = {
	[MK_MSG_CONF_BEGIN] = on_begin,	    [MK_MSG_CONF_LIMITS] = on_limits, [MK_MSG_CONF_AUDIT] = on_audit,
	[MK_MSG_CONF_SERVICE] = on_service, [MK_MSG_CONF_RULE] = on_rule,     [MK_MSG_CONF_STORE] = on_store,
	[MK_MSG_LISTENER] = on_listener,    [MK_MSG_STORE_WATCH] = on_watch,  [MK_MSG_AUDIT_HEAD] = on_head,
	[MK_MSG_CONF_GROUP] = on_group,	    [MK_MSG_CONF_SHADOW] = on_shadow, [MK_MSG_CONF_KUBERNETES] = on_kubernetes,
		    [MK_MSG_CONF_END] = on_end,	    [MK_MSG_CONF_STATE] = on_state,
};

bool mk_config_is(enum mk_msg type)
{
	return pieces[type] != NULL;
}

mk_must mk_config_frame(struct mk_broker *b, struct mk_frame *f)
{
	if (!b->pending && f->type != MK_MSG_CONF_BEGIN)
		return MK_BAD_REQUEST;
	return pieces[f->type](b, f);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the first configuration starts: key, store, audit log, HTTP; then the locks, in
 * the one order that works: open everything, Landlock, the audit log's helper thread,
 * seccomp on all threads, and a look at what is in force.
 */
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/broker/evidence.h"
#include "agent/broker/http.h"
#include "agent/broker/pending.h"
#include "agent/broker/sandbox.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

static void note_key(struct mk_broker *b)
{
	static const uint8_t states[] = {
		[MK_GUARDED_SECRETMEM] = MK_GUARD_FULL,
		[MK_GUARDED_LOCKED] = MK_GUARD_FALLBACK,
		[MK_GUARDED_UNLOCKED] = MK_GUARD_NONE,
	};
	const enum mk_guarded_kind kind = mk_seal_kind(b->seal);
	b->lock.state[MK_GUARD_SECRETMEM] = states[kind];
	if (kind == MK_GUARDED_UNLOCKED)
		b->lock.state[MK_GUARD_MEMORY_LOCK] = MK_GUARD_NONE;
}

mk_must mk_start_parts(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	b->environment = p->begin.environment;
	b->in_pod = p->begin.platform == MK_POD;
	b->limits = p->limits.limits;
	mk_nobody_take(b->in_pod, &b->nobody);
	enum mk_err e = mk_seal_new(&b->environment, &b->seal);
	if (e == MK_OK)
		e = mk_store_new(b->seal, &b->store);
	if (e != MK_OK)
		return mk_why_set(why, e, "the store of tokens cannot be made: more locked memory is needed (LimitMEMLOCK)");
	note_key(b);
	return mk_audit_open(&p->audit.audit, &b->environment, p->head_fd, &b->audit, why);
}

static mk_must lock_down(struct mk_broker *b, const struct mk_pending *p, struct mk_why *why)
{
	char dir[MK_PATH_MAX];
	const uint32_t exceptions = p->begin.exceptions;
	MK_TRY(mk_path_dir(p->audit.audit.file, dir, sizeof dir));
	/* a host's unit evidence will add /proc here, for reading */
	const struct mk_path_rule paths[] = { { .path = dir, .rights = MK_PATH_READ | MK_PATH_WRITE } };
	MK_TRY(mk_lockdown_files(paths, MK_COUNT(paths), true, exceptions, &b->lock, why));
	if (mk_audit_start_sync(b->audit) != MK_OK)
		return mk_why_set(why, MK_SYSTEM, "the audit log's sync thread cannot start: raise the limit on processes (LimitNPROC)");
	MK_TRY(mk_lockdown_calls(mk_broker_calls(), exceptions, &b->lock, why));
	return mk_lockdown_check(&b->lock, exceptions, why);
}

mk_must mk_start_first(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	mk_log_env(&p->begin.environment);
	tzset(); /* the library that formats the Date header would open the time zone later */
	MK_TRY(mk_start_parts(b, p, why));
	if (mk_http_new(b, &b->http) != MK_OK)
		return mk_why_set(why, MK_NO_MEMORY, "the HTTP side cannot start: too little memory");
	MK_TRY(mk_start_listeners(b, p, why)); /* libraries open what they need before the locks */
	return lock_down(b, p, why);
}

static mk_must record(struct mk_broker *b, uint32_t generation, const uint8_t policy_digest[32])
{
	char digest[32 * 2 + 1], detail[128];
	sodium_bin2hex(digest, sizeof digest, policy_digest, 32);
	snprintf(detail, sizeof detail, "generation %u policy %s", generation, digest);
	const struct mk_audit_rec rec = { .event = "config", .rule_line = -1, .detail = detail };
	return mk_audit_write_synced(b->audit, &rec);
}

mk_must mk_start_record(struct mk_broker *b, const struct mk_pending *p, struct mk_why *why)
{
	const enum mk_err e = record(b, p->begin.generation, p->audit.policy_digest);
	if (e != MK_OK && b->generation != 0)
		return mk_why_set(why, e, "the audit log cannot be written, so the change of configuration cannot be recorded");
	b->record_due = e != MK_OK; /* the first: start, hand out nothing, and record it when the log has healed */
	return MK_OK;
}

void mk_start_record_due(struct mk_broker *b)
{
	if (b->record_due && record(b, b->generation, b->policy_digest) == MK_OK)
		b->record_due = false;
}

mk_must mk_start_listeners(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	for (size_t i = 0; b->http && i < p->n_listeners; i++) {
		if (p->listeners[i].fd < 0)
			continue; /* handed over already */
		if (mk_http_listen(b->http, &p->listeners[i].name, p->listeners[i].fd) != MK_OK) {
			mk_http_keep(b->http, b->listeners, b->n_listeners);
			return mk_why_set(why, MK_SYSTEM, "listener %s cannot be served: too few descriptors or too little memory",
					  p->listeners[i].name.s);
		}
		p->listeners[i].fd = -1;
	}
	return MK_OK;
}

void mk_start_swapped(struct mk_broker *b)
{
	if (!b->http)
		return;
	mk_http_keep(b->http, b->listeners, b->n_listeners);
	mk_http_reconfigured(b->http);
}

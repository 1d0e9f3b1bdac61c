/* SPDX-License-Identifier: Apache-2.0
 *
 * What the first configuration starts: key, store, audit log, HTTP; then the locks, in
 * the one order that works: open everything, Landlock, the audit log's helper thread,
 * seccomp on all threads, and a look at what is in force.
 */
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/broker/acts_revoke.h"
#include "agent/broker/client.h"
#include "agent/broker/credential.h"
#include "agent/broker/evidence.h"
#include "agent/broker/http.h"
#include "agent/broker/pages.h"
#include "agent/broker/now.h"
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

static mk_must open_state(struct mk_broker *b, const struct mk_pending *p, struct mk_why *why)
{
	memcpy(b->state_dir, p->state.dir, sizeof b->state_dir);
	MK_TRY(mk_statedb_open(b->state_dir, &b->environment, &b->db, why));
	if (mk_statedb_frozen(b->db, &b->frozen) != MK_OK)
		return mk_why_set(why, MK_BAD_REQUEST, "whether all is frozen cannot be read from %s/state.db", b->state_dir);
	memcpy(b->statekey_file, p->state.key_file, sizeof b->statekey_file);
	b->accept_rollback = p->state.accept_rollback;
	b->wall_kept.accept = p->state.accept_clock;
	return mk_revoked_load(b, b->statekey_file, why);
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
	if (p->state.dir[0])
		MK_TRY(open_state(b, p, why));
	MK_TRY(mk_audit_open(&p->audit.audit, &b->environment, p->head_fd, &b->audit, why));
	MK_TRY(mk_rollback_check(b, why));
	mk_now_start(b);
	mk_audit_state(b->audit, b->db ? mk_statedb_generation(b->db) : 0);
	return MK_OK;
}

static mk_must lock_down(struct mk_broker *b, const struct mk_pending *p, struct mk_why *why)
{
	char dir[MK_PATH_MAX];
	const uint32_t exceptions = p->begin.exceptions;
	MK_TRY(mk_path_dir(p->audit.audit.file, dir, sizeof dir));
	const struct mk_path_rule paths[] = { { .path = dir, .rights = MK_PATH_READ | MK_PATH_WRITE },
					      { .path = b->state_dir, .rights = MK_PATH_READ | MK_PATH_WRITE },
					      { .path = "/proc", .rights = MK_PATH_READ } };
	const size_t n = MK_COUNT(paths) - (b->proc_fd < 0); /* the last is for units, which a pod has none of */
	MK_TRY(mk_lockdown_files(paths, n, true, exceptions, &b->lock, why));
	if (mk_audit_start_sync(b->audit) != MK_OK)
		return mk_why_set(why, MK_SYSTEM, "the audit log's sync thread cannot start: raise the limit on processes (LimitNPROC)");
	MK_TRY(mk_lockdown_calls(mk_broker_calls(), exceptions, &b->lock, why));
	return mk_lockdown_check(&b->lock, exceptions, why);
}

static bool names_a_unit(const struct mk_pending *p)
{
	for (size_t i = 0; i < p->rules.n_services; i++)
		if ((p->rules.services[i].identity.set & MK_EVIDENCE_UNIT) &&
		    strcmp(p->rules.services[i].identity.socket.s, MK_CREDENTIAL_LISTENER) != 0)
			return true;
	return false;
}

mk_must mk_start_proc(struct mk_broker *b, const struct mk_pending *p, struct mk_why *why)
{
	if (p->begin.platform == MK_POD) {
		b->lock.state[MK_GUARD_PEER_PIDFD] = MK_GUARD_UNUSED;
		return MK_OK;
	}
	if (b->proc_fd < 0)
		b->proc_fd = mk_proc_open();
	if (!names_a_unit(p) || mk_proc_shows_others(b->proc_fd))
		return MK_OK;
	return mk_why_set(why, MK_NOT_READY, "a service is told by its unit, but /proc hides the processes of other users here: in the "
			  "agent's unit set ProtectProc=default and not ProcSubset=pid, and mount /proc without hidepid");
}

mk_must mk_start_first(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	mk_log_env(&p->begin.environment);
	tzset(); /* the library that formats the Date header would open the time zone later */
	MK_TRY(mk_start_parts(b, p, why));
	if (mk_http_new(b, &b->http) != MK_OK || mk_credentials_new(b, &b->credentials) != MK_OK ||
	    mk_clients_new(b, &b->clients) != MK_OK)
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

static mk_must listen_on(struct mk_broker *b, const struct mk_word *name, bool client, int fd)
{
	if (client)
		return mk_clients_listen(b->clients, name, fd);
	if (strcmp(name->s, MK_CREDENTIAL_LISTENER) == 0)
		return mk_credentials_listen(b->credentials, fd);
	return mk_http_listen(b->http, name, fd);
}

/* On a host without a service that asks for them, credentials are not given. */
static bool wants_credentials(const struct mk_broker *b)
{
	for (size_t i = 0; i < b->n_listeners; i++)
		if (strcmp(b->listeners[i].s, MK_CREDENTIAL_LISTENER) == 0)
			return true;
	return false;
}

static void drop_others(struct mk_broker *b)
{
	mk_http_keep(b->http, b->listeners, b->n_listeners);
	mk_clients_keep(b->clients, b->clients_of, b->n_clients_of);
	if (!wants_credentials(b))
		mk_credentials_leave(b->credentials);
}

mk_must mk_start_listeners(struct mk_broker *b, struct mk_pending *p, struct mk_why *why)
{
	for (size_t i = 0; b->http && i < p->n_listeners; i++) {
		if (p->listeners[i].fd < 0)
			continue; /* handed over already */
		if (listen_on(b, &p->listeners[i].name, p->listeners[i].client, p->listeners[i].fd) != MK_OK) {
			p->listeners[i].fd = -1;
			drop_others(b);
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
	drop_others(b);
	mk_http_reconfigured(b->http);
	mk_clients_reconfigured(b->clients);
	mk_pages_reconfigured(b);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher's part of the configuration: gathered between CONF_BEGIN and CONF_END,
 * then taken whole or not at all. A backend whose part did not change goes on as it is,
 * with its credential, its connections' state and what it has under way.
 */
#include "agent/base/log.h"
#include "agent/fetcher/fetcher.h"
#include "mk/own.h"

#include <stdlib.h>

static struct mk_instance *instance_free(struct mk_instance *at)
{
	if (!at)
		return NULL;
	mk_instance_stop(at);
	if (at->keep && at->backend->forget)
		at->backend->forget(at->keep);
	free(at->keep);
	free(at);
	return NULL;
}

struct mk_fetcher_conf *mk_fetcher_conf_free(struct mk_fetcher_conf *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n; i++)
		instance_free(c->instances[i]);
	mk_keys_free(c->keys);
	free(c);
	return NULL;
}

enum mk_err mk_fetcher_conf_begin(struct mk_fetcher *f, const struct mk_msg_begin *begin)
{
	f->next = mk_fetcher_conf_free(f->next);
	f->next = calloc(1, sizeof *f->next);
	if (!f->next)
		return MK_NO_MEMORY;
	f->next->begin = *begin;
	mk_log_env(&begin->environment);
	return MK_OK;
}

enum mk_err mk_fetcher_conf_add(struct mk_fetcher *f, const struct mk_msg_backend *m)
{
	struct mk_fetcher_conf *c = f->next;
	if (!c || c->n == MK_BACKENDS_MAX || m->index != c->n)
		return MK_BAD_REQUEST;
	struct mk_instance *at = calloc(1, sizeof *at);
	if (!at)
		return MK_NO_MEMORY;
	at->conf = m->backend;
	at->in_pod = c->begin.platform == MK_POD;
	at->may_write = m->backend.writable;
	c->instances[c->n++] = at;
	return MK_OK;
}

enum mk_err mk_fetcher_conf_keys(struct mk_fetcher *f, const struct mk_msg_keys_from *m)
{
	if (!f->next || f->next->keys)
		return MK_BAD_REQUEST;
	return mk_keys_new(m, f->next->begin.platform == MK_POD, &f->next->keys);
}

static mk_must know(struct mk_instance *at, struct mk_why *why)
{
	const char *method = at->conf.auth.method;
	at->backend = mk_backend_of(at->conf.type);
	if (!at->backend)
		return mk_why_set(why, MK_BAD_REQUEST,
				  "backend \"%s\": this fetcher knows no type \"%s\": the executables are not of one build",
				  at->conf.name.s, at->conf.type);
	at->login = method[0] ? mk_login_of(method) : NULL;
	if (method[0] && !at->login)
		return mk_why_set(why, MK_BAD_REQUEST,
				  "backend \"%s\": this fetcher knows no login \"%s\": the executables are not of one build",
				  at->conf.name.s, method);
	return MK_OK;
}

static mk_must check(struct mk_fetcher_conf *c, struct mk_why *why)
{
	if (c->n == 0)
		return mk_why_set(why, MK_BAD_REQUEST, "no backend is configured");
	for (size_t i = 0; i < c->n; i++)
		MK_TRY(know(c->instances[i], why));
	return MK_OK;
}

/* All that new instances need, before anything is moved. */
static mk_must prepare(struct mk_fetcher *f)
{
	const struct mk_fetcher_conf *c = f->next;
	for (size_t i = 0; i < c->n; i++) {
		struct mk_instance *at = c->instances[i];
		const size_t size = at->backend->keep_size;
		at->keep = calloc(1, size > 0 ? size : 1);
		if (!at->keep)
			return MK_NO_MEMORY;
		MK_TRY(mk_instance_init(at, &f->driver));
	}
	return MK_OK;
}

/* The old instance of the same part in the new one's place: runs under way keep their address. */
static void keep_same(struct mk_fetcher_conf *to, struct mk_fetcher_conf *from)
{
	for (size_t i = 0; i < to->n; i++)
		for (size_t k = 0; from && k < from->n; k++) {
			struct mk_instance *const mine = to->instances[i];
			if (memcmp(&from->instances[k]->conf, &mine->conf, sizeof mine->conf) != 0)
				continue;
			to->instances[i] = from->instances[k];
			from->instances[k] = mine;
			break;
		}
}

/* Where no store is on the network, neither is this process. */
static mk_must transport_make(struct mk_fetcher *f)
{
	bool http = f->next->keys != NULL;
	for (size_t i = 0; i < f->next->n; i++)
		http |= f->next->instances[i]->conf.address[0] != '\0';
	if (!http || f->curl)
		return MK_OK;
	MK_TRY(mk_curl_new(&f->curl));
	f->driver.transport = mk_curl_transport(f->curl);
	mk_loop_stop(f->loop); /* to go on in libcurl's */
	return MK_OK;
}

static mk_must lock(struct mk_fetcher *f, struct mk_why *why)
{
	if (f->locked)
		return mk_fetcher_reaches(f->now, f->next) ? MK_OK :
			mk_why_set(why, MK_CONFLICT, "a backend moved to where this process is locked out of: it must be started afresh");
	MK_TRY(transport_make(f));
	return mk_fetcher_lock(f->next, &f->report, why);
}

enum mk_err mk_fetcher_conf_take(struct mk_fetcher *f, struct mk_why *why)
{
	MK_TRY(check(f->next, why));
	MK_TRY(prepare(f));
	MK_TRY(lock(f, why));
	f->locked = true;
	keep_same(f->next, f->now);
	struct mk_fetcher_conf *old = f->now; /* its runs end while it is freed, and look at what is in force */
	f->now = MK_TAKE(f->next);
	mk_fetcher_conf_free(old);
	mk_fetcher_tell_again(f);
	return f->now->keys ? mk_keys_begin(f->now->keys, &f->driver, mk_fetcher_tell_keys, f) : MK_OK;
}

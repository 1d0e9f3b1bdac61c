/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher's part of the configuration: gathered between CONF_BEGIN and CONF_END,
 * then taken whole or not at all. A backend whose part did not change keeps what it
 * keeps (a key that took a second to derive).
 */
#include "agent/base/log.h"
#include "agent/fetcher/fetcher.h"
#include "mk/own.h"

#include <stdlib.h>

struct mk_fetcher_conf *mk_fetcher_conf_free(struct mk_fetcher_conf *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n; i++) {
		struct mk_instance *at = &c->instances[i];
		if (at->keep && at->backend->forget)
			at->backend->forget(at->keep);
		free(at->keep);
	}
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
	c->instances[c->n++] = (struct mk_instance){ .conf = m->backend, .in_pod = c->begin.platform == MK_POD };
	return MK_OK;
}

static bool same_part(const struct mk_conf_backend *a, const struct mk_conf_backend *b)
{
	return strcmp(a->type, b->type) == 0 && strcmp(a->file, b->file) == 0 && strcmp(a->key_file, b->key_file) == 0 &&
	       strcmp(a->passphrase_file, b->passphrase_file) == 0;
}

/* Moves what the old instance keeps to a new one of the same part. */
static void *inherit(struct mk_fetcher_conf *old, const struct mk_conf_backend *conf)
{
	for (size_t i = 0; old && i < old->n; i++)
		if (old->instances[i].keep && same_part(&old->instances[i].conf, conf))
			return MK_TAKE(old->instances[i].keep);
	return NULL;
}

static mk_must check(struct mk_fetcher_conf *c, struct mk_why *why)
{
	if (c->n == 0)
		return mk_why_set(why, MK_BAD_REQUEST, "no backend is configured");
	for (size_t i = 0; i < c->n; i++) {
		struct mk_instance *at = &c->instances[i];
		at->backend = mk_backend_of(at->conf.type);
		if (!at->backend)
			return mk_why_set(why, MK_BAD_REQUEST, "backend \"%s\": this fetcher knows no type \"%s\": the executables are not of one build",
					  at->conf.name.s, at->conf.type);
	}
	return MK_OK;
}

/* Memory for all that is kept, before anything is moved. */
static mk_must keeps_make(struct mk_fetcher_conf *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const size_t size = c->instances[i].backend->keep_size;
		c->instances[i].keep = calloc(1, size > 0 ? size : 1);
		if (!c->instances[i].keep)
			return MK_NO_MEMORY;
	}
	return MK_OK;
}

static void keeps_move(struct mk_fetcher_conf *to, struct mk_fetcher_conf *from)
{
	for (size_t i = 0; i < to->n; i++) {
		void *kept = inherit(from, &to->instances[i].conf);
		if (!kept)
			continue;
		free(to->instances[i].keep);
		to->instances[i].keep = kept;
	}
}

enum mk_err mk_fetcher_conf_take(struct mk_fetcher *f, struct mk_why *why)
{
	MK_TRY(check(f->next, why));
	MK_TRY(keeps_make(f->next));
	if (!f->locked)
		MK_TRY(mk_fetcher_lock(f->next, &f->report, why));
	else if (!mk_fetcher_reaches(f->now, f->next))
		return mk_why_set(why, MK_CONFLICT, "a backend's file moved to a directory that this process is locked out of: it must be started afresh");
	f->locked = true;
	keeps_move(f->next, f->now);
	mk_fetcher_conf_free(f->now);
	f->now = MK_TAKE(f->next);
	return MK_OK;
}

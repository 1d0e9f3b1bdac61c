/* SPDX-License-Identifier: Apache-2.0
 *
 * The `vault` backend: KV 2 and KV 1 of HashiCorp Vault and OpenBao, by their HTTP API.
 *
 * get       data/PATH; for the previous version metadata/PATH, then data/PATH?version=N,
 *           from the newest that may be valid
 * list      metadata/FOLDER, page by page where the store pages
 * health    sys/health
 * writes    vault_write.c
 *
 * A 404 is NOT_FOUND only where its body says that the secret is not there; one that a
 * wrong mount or a foreign server gives must not make a token disappear. A version that was
 * deleted, and not destroyed, can be had back: it is DISABLED.
 */
#include "backends/vault_op.h"

#include "mk/own.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#define PAGES_MAX 6u

struct vault_keep {
	struct mk_secret *key; /* KV 1: for versions; of this process, so that no version tells a value */
};

static const char no_name[] = "the store has no such name or version";
static const char is_deleted[] = "this version is deleted in the store: undelete it there, or write another";
static const char no_previous[] = "KV version 1 keeps no previous version";
static const char bad_path[] = "the request's path does not fit: shorten mount and path";
static const char too_many_others[] = "the folder holds too much beside connections: give them a folder of their own";

enum mk_step mk_vault_ask(struct mk_op *op, struct mk_url *u, enum mk_vault_at next, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	if (mk_url_end(u) != MK_OK)
		return mk_step_fail(op, MK_BACKEND, bad_path);
	mk_vault_request(op->conf, v->url, op->credential, out);
	v->at = next;
	return MK_STEP_SEND;
}

struct mk_url mk_vault_secret_url(struct mk_op *op, const char *under, bool pending)
{
	struct mk_vault_op *v = op->state;
	struct mk_url u = mk_vault_url(op->conf, v->url);
	mk_url_path(&u, op->conf->mount);
	if (op->conf->kv == 2)
		mk_url_path(&u, under);
	mk_url_path_of(&u, op->conf->path, &op->name);
	if (pending)
		mk_url_more(&u, "--pending");
	return u;
}

static enum mk_step ask_secret(struct mk_op *op, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	struct mk_url u = mk_vault_secret_url(op, "data", op->pending);
	char number[24];
	snprintf(number, sizeof number, "%" PRId64, v->version);
	if (v->version > 0)
		mk_url_param(&u, "version", number);
	return mk_vault_ask(op, &u, V_SECRET, out);
}

static enum mk_step ask_versions(struct mk_op *op, struct mk_req *out)
{
	if (op->conf->kv != 2)
		return mk_step_fail(op, MK_NOT_FOUND, no_previous);
	struct mk_url u = mk_vault_secret_url(op, "metadata", false);
	return mk_vault_ask(op, &u, V_VERSIONS, out);
}

/* What the keys are asked after: names are ascending, and so are keys of one prefix. */
static void put_after(const struct mk_vault_op *v, const struct mk_op *op, struct mk_url *u)
{
	char after[sizeof v->prefix + sizeof op->name.s];
	snprintf(after, sizeof after, "%s%s", v->prefix, op->name.s);
	const char *key = v->pages > 0 ? v->list.last : after;
	if (key[0])
		mk_url_param(u, "after", key);
}

static enum mk_step ask_page(struct mk_op *op, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	const char *path = op->conf->path, *slash = strrchr(path, '/');
	char folder[sizeof v->prefix], limit[16];
	struct mk_url u = mk_vault_url(op->conf, v->url);
	mk_url_path(&u, op->conf->mount);
	if (op->conf->kv == 2)
		mk_url_path(&u, "metadata");
	if (slash) {
		snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
		mk_url_path(&u, folder);
	}
	snprintf(limit, sizeof limit, "%d", MK_VAULT_PAGE);
	mk_url_param(&u, "limit", limit);
	put_after(v, op, &u);
	const enum mk_step s = mk_vault_ask(op, &u, V_LIST, out);
	out->method = MK_HTTP_LIST;
	return s;
}

static enum mk_step list_begin(struct mk_op *op, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	const char *slash = strrchr(op->conf->path, '/'), *part = slash ? slash + 1 : op->conf->path;
	const char *hole = strstr(part, MK_URL_CONNECTION);
	snprintf(v->prefix, sizeof v->prefix, "%.*s", hole ? (int)(hole - part) : 0, part);
	v->list = (struct mk_vault_list){ .prefix = v->prefix, .after = op->name.s, .listed = op->listed };
	return ask_page(op, out);
}

/* The answer says of itself who is well; credential and namespace have no part in it. */
static enum mk_step ask_health(struct mk_op *op, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	struct mk_url u = mk_vault_url(op->conf, v->url);
	mk_url_path(&u, "sys/health");
	mk_url_param(&u, "standbyok", "true");
	mk_url_param(&u, "perfstandbyok", "true");
	const enum mk_step s = mk_vault_ask(op, &u, V_HEALTH, out);
	out->n_headers = s == MK_STEP_SEND ? 1 : 0;
	return s;
}

static enum mk_step start(struct mk_op *op, struct mk_req *out)
{
	if (op->verb == MK_VERB_HEALTH)
		return ask_health(op, out);
	if (!op->credential)
		return MK_STEP_LOGIN;
	if (op->verb == MK_VERB_LIST)
		return list_begin(op, out);
	if (op->verb == MK_VERB_GET)
		return op->previous && !op->pending ? ask_versions(op, out) : ask_secret(op, out);
	return mk_vault_write_begin(op, out);
}

enum mk_step mk_vault_fail_read(struct mk_op *op, enum mk_err e)
{
	if (e == MK_NO_MEMORY)
		return mk_step_fail(op, e, mk_vault_no_memory);
	if (e == MK_TOO_LARGE)
		return mk_step_fail(op, MK_BACKEND, "the secret has more than 64 KiB or 256 values: make it smaller");
	return mk_step_fail(op, MK_BACKEND, mk_vault_wrong_answer);
}

/* The next older version that may be valid. */
static enum mk_step ask_before(struct mk_op *op, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	if (v->tried == v->before.n)
		return mk_step_fail(op, MK_NOT_FOUND, no_name);
	v->version = v->before.v[v->tried++];
	return ask_secret(op, out);
}

static mk_must plain_key(struct vault_keep *keep)
{
	if (keep->key)
		return MK_OK;
	MK_TRY(mk_secret_new(MK_VAULT_KEY_BYTES, &keep->key));
	randombytes_buf(mk_secret_buf(keep->key), MK_VAULT_KEY_BYTES);
	mk_secret_set_len(keep->key, MK_VAULT_KEY_BYTES);
	return MK_OK;
}

mk_must mk_vault_read_value(struct mk_op *op, struct mk_span body, int64_t version, struct mk_meta *ret_meta,
			    struct mk_secret **ret_leaves)
{
	struct vault_keep *keep = op->keep;
	if (op->conf->kv == 2)
		return mk_vault_read_secret(body, version, ret_meta, ret_leaves);
	MK_TRY(plain_key(keep));
	return mk_vault_read_plain(body, mk_secret_span(keep->key).p, ret_meta, ret_leaves);
}

enum mk_step mk_vault_fail_gone(struct mk_op *op, struct mk_span body, const char *missing)
{
	struct mk_vault_gone gone;
	if (mk_vault_read_gone(body, &gone) != MK_OK)
		return mk_step_fail(op, MK_BACKEND, mk_vault_wrong_answer);
	return gone.deleted ? mk_step_fail(op, MK_DISABLED, is_deleted) : mk_step_fail(op, MK_NOT_FOUND, missing);
}

static enum mk_step read_secret(struct mk_op *op, struct mk_span body, bool missing, struct mk_req *out)
{
	const struct mk_vault_op *v = op->state;
	const bool before = op->previous && !op->pending;
	if (missing)
		return before ? ask_before(op, out) : mk_vault_fail_gone(op, body, no_name);
	const enum mk_err e = mk_vault_read_value(op, body, v->version, &op->meta, &op->leaves);
	if (e == MK_OK && op->pending && op->conf->kv == 2)
		mk_vault_pending_id(&op->meta);
	return e == MK_OK ? MK_STEP_DONE : mk_vault_fail_read(op, e);
}

static enum mk_step read_versions(struct mk_op *op, struct mk_span body, bool missing, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	if (missing)
		return mk_step_fail(op, MK_NOT_FOUND, no_name);
	const enum mk_err e = mk_vault_read_versions(body, &v->before);
	return e == MK_OK ? ask_before(op, out) : mk_vault_fail_read(op, e);
}

/* A page may hold few names, or none: the next ones are asked for until there is a page of names. */
static enum mk_step read_page(struct mk_op *op, struct mk_span body, bool missing, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	v->list.full = false;
	const enum mk_err e = missing ? MK_OK : mk_vault_read_keys(body, &v->list);
	if (e != MK_OK)
		return mk_vault_fail_read(op, e);
	if (v->list.full && v->list.n < MK_LIST_PAGE_MAX && ++v->pages < PAGES_MAX)
		return ask_page(op, out);
	if (v->list.full && v->list.n == 0)
		return mk_step_fail(op, MK_BACKEND, too_many_others);
	op->n_listed = v->list.n;
	op->more = v->list.dropped || v->list.full;
	return MK_STEP_DONE;
}

static enum mk_step read_health(struct mk_op *op, long status)
{
	const char *fault = NULL;
	return mk_vault_healthy(status, &fault) ? MK_STEP_DONE : mk_step_fail(op, MK_NOT_READY, fault);
}

static enum mk_step on_answer(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	const struct mk_vault_op *v = op->state;
	if (v->at == V_HEALTH)
		return read_health(op, res->status);
	if (res->status == 403)
		return MK_STEP_LOGIN;
	if (v->at > V_HEALTH)
		return mk_vault_write_on(op, res, out);
	const bool missing = res->status == 404 && mk_vault_says_missing(res->body);
	if (res->status != 200 && !missing)
		return mk_step_fail(op, MK_BACKEND, mk_vault_status_fault(res->status));
	if (v->at == V_VERSIONS)
		return read_versions(op, res->body, missing, out);
	return v->at == V_LIST ? read_page(op, res->body, missing, out) : read_secret(op, res->body, missing, out);
}

static enum mk_step step(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	const struct mk_vault_op *v = op->state;
	const char *fault;
	if (v->at == V_START || !res)
		return start(op, out);
	if (res->err == MK_OK)
		return on_answer(op, res, out);
	const enum mk_err e = mk_vault_no_answer(res->err, &fault);
	return mk_step_fail(op, e, fault);
}

static void done(struct mk_op *op)
{
	struct mk_vault_op *v = op->state;
	v->body = mk_secret_free(v->body);
	v->pending = mk_secret_free(v->pending);
}

static void forget(void *p)
{
	struct vault_keep *keep = p;
	keep->key = mk_secret_free(keep->key);
}

extern const struct mk_backend mk_backend_vault;
const struct mk_backend mk_backend_vault = {
	.name = "vault",
	.state_size = sizeof(struct mk_vault_op),
	.keep_size = sizeof(struct vault_keep),
	.verbs = MK_VERB_GET | MK_VERB_LIST | MK_VERB_HEALTH | MK_VERB_PUT | MK_VERB_PROMOTE | MK_VERB_DISCARD | MK_VERB_DISABLE |
		 MK_VERB_ENABLE,
	.step = step,
	.done = done,
	.forget = forget,
};

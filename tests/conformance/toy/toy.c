/* SPDX-License-Identifier: Apache-2.0
 *
 * The `toy` backend: the store of tests/servers/toy.py, a JSON API over HTTP with a bearer
 * key from a file. Each operation reads the key, sends one request, and reads one answer.
 * Shows how a backend is made (docs/adding-a-backend.md) and passes the conformance suite.
 */
#include "agent/base/secret.h"
#include "backends/json.h"
#include "backends/unflatten.h"
#include "backends/url.h"
#include "mk/backend.h"
#include "mk/own.h"

#define KEY_MAX 256u

enum toy_at { T_START, T_KEY, T_ANSWER };

struct toy_op {
	enum toy_at at;
	char url[MK_URL_TEXT_MAX];
	struct mk_secret *key, *body; /* what the request borrows */
};

static const char no_memory[] = "no memory";
static const char bad_key[] = "the key file cannot be used: put the store's key where key_file says, mode 0600, the agent's user's";
static const char wrong_answer[] = "the store's answer is not what its documents say: check address";
static const char too_large[] = "the secret has more than 64 KiB or 256 values: make it smaller";

static const struct toy_call {
	enum mk_verb verb;
	enum mk_method method;
	const char *under;
	bool once; /* sent twice it would not say the same */
} calls[] = {
	{ MK_VERB_GET, MK_HTTP_GET, NULL, false },
	{ MK_VERB_LIST, MK_HTTP_GET, NULL, false },
	{ MK_VERB_HEALTH, MK_HTTP_GET, NULL, false },
	{ MK_VERB_PUT, MK_HTTP_PUT, "pending", true },
	{ MK_VERB_PROMOTE, MK_HTTP_POST, "promote", true },
	{ MK_VERB_DISCARD, MK_HTTP_DELETE, "pending", true },
	{ MK_VERB_DISABLE, MK_HTTP_POST, "disable", false },
	{ MK_VERB_ENABLE, MK_HTTP_POST, "enable", false },
};

static const struct toy_call *call_of(enum mk_verb verb)
{
	size_t i = 0;
	while (calls[i].verb != verb)
		i++;
	return &calls[i]; /* the driver asks for verbs of .verbs only */
}

static void url_make(const struct mk_op *op, const char *under, struct mk_url *u)
{
	if (op->verb == MK_VERB_HEALTH) {
		mk_url_path(u, "health");
		return;
	}
	mk_url_path(u, "items");
	if (op->verb == MK_VERB_LIST) {
		mk_url_param(u, "after", op->name.s);
		mk_url_param(u, "limit", "200");
		_Static_assert(MK_LIST_PAGE_MAX == 200, "a page has room for what is asked for");
		return;
	}
	mk_url_path_of(u, MK_URL_CONNECTION, &op->name);
	if (under)
		mk_url_path(u, under);
	if (op->verb == MK_VERB_GET)
		mk_url_param(u, "which", op->pending ? "pending" : op->previous ? "previous" : "current");
	if (op->verb & (MK_VERB_DISABLE | MK_VERB_ENABLE))
		mk_url_param(u, "version", op->expect);
}

/* The value as JSON, in locked memory. */
static mk_must body_make(const struct mk_op *op, struct mk_secret **ret)
{
	mk_auto(mk_secret_freep) struct mk_secret *body = NULL;
	size_t n = 0;
	MK_TRY(mk_secret_new(MK_SECRET_LARGE, &body));
	struct mk_jw w = mk_jw_of(mk_secret_buf(body), MK_SECRET_LARGE);
	MK_TRY(mk_unflatten(mk_secret_span(op->value), &w));
	MK_TRY(mk_jw_end(&w, &n));
	mk_secret_set_len(body, n);
	*ret = MK_TAKE(body);
	return MK_OK;
}

static enum mk_step ask(struct mk_op *op, struct mk_req *out)
{
	struct toy_op *t = op->state;
	const struct toy_call *call = call_of(op->verb);
	struct mk_url u = mk_url_of(t->url, sizeof t->url, op->conf->address);
	url_make(op, call->under, &u);
	if (mk_url_end(&u) != MK_OK)
		return mk_step_fail(op, MK_BACKEND, wrong_answer);
	const enum mk_err e = op->verb == MK_VERB_PUT ? body_make(op, &t->body) : MK_OK;
	if (e != MK_OK)
		return mk_step_fail(op, e, e == MK_TOO_LARGE ? too_large : no_memory);
	*out = (struct mk_req){ .kind = MK_REQ_HTTP, .method = call->method, .url = t->url, .body = t->body, .once = call->once,
				.max = MK_SECRET_LARGE };
	if (t->key)
		out->headers[out->n_headers++] = (struct mk_req_header){ "Authorization", "Bearer ", t->key };
	if (op->expect[0] && op->verb & (MK_VERB_PUT | MK_VERB_PROMOTE))
		out->headers[out->n_headers++] = (struct mk_req_header){ "If-Match", op->expect, NULL };
	t->at = T_ANSWER;
	return MK_STEP_SEND;
}

static enum mk_step ask_key(struct mk_op *op, struct mk_req *out)
{
	struct toy_op *t = op->state;
	*out = (struct mk_req){ .kind = MK_REQ_FILE, .path = op->conf->key_file, .private_file = true, .max = KEY_MAX };
	t->at = T_KEY;
	return MK_STEP_SEND;
}

static enum mk_step take_key(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct toy_op *t = op->state;
	size_t n = res->body.n;
	while (res->err == MK_OK && n > 0 && res->body.p[n - 1] == '\n')
		n--;
	if (res->err != MK_OK || n == 0)
		return mk_step_fail(op, MK_BACKEND, bad_key);
	return mk_secret_copy(mk_span(res->body.p, n), &t->key) == MK_OK ? ask(op, out) : mk_step_fail(op, MK_NO_MEMORY, no_memory);
}

/* ---- answers ---- */

static mk_must read_version(json_t *from, char ret[MK_VERSION_MAX + 1])
{
	const struct mk_span v = mk_json_text(mk_json_string(from, "version"));
	if (v.n == 0 || v.n > MK_VERSION_MAX || strlen((const char *)v.p) != v.n)
		return MK_BAD_REQUEST;
	memcpy(ret, v.p, v.n + 1);
	return MK_OK;
}

static void read_tags(json_t *tags, struct mk_meta *ret)
{
	json_t *value;
	const char *key;
	json_object_foreach(tags, key, value) {
		const struct mk_span k = mk_span_of(key), v = mk_json_text(value);
		struct mk_tag *t = &ret->tags[ret->n_tags];
		if (ret->n_tags == MK_TAGS_MAX || k.n > MK_TAG_KEY_MAX || !v.p || v.n > MK_TAG_VALUE_MAX)
			continue;
		memcpy(t->key, k.p, k.n + 1);
		memcpy(t->value, v.p, v.n + 1);
		ret->n_tags++;
	}
}

static mk_must read_secret(json_t *root, struct mk_op *op)
{
	MK_TRY(mk_json_int(root, "created", &op->meta.created_ms));
	read_tags(mk_json_object(root, "tags"), &op->meta);
	MK_TRY(read_version(root, op->meta.version));
	json_t *value = mk_json_object(root, "value");
	return value ? mk_flatten_value(value, &op->leaves) : MK_BAD_REQUEST;
}

static mk_must read_names(json_t *root, struct mk_op *op)
{
	json_t *items = mk_json_array(root, "items"), *item;
	size_t i;
	if (!items || json_array_size(items) > MK_LIST_PAGE_MAX)
		return MK_BAD_REQUEST;
	json_array_foreach(items, i, item) {
		struct mk_listed *l = &op->listed[i];
		*l = (struct mk_listed){ .version = "" };
		MK_TRY(read_version(item, l->version));
		MK_TRY(mk_name_of(mk_json_text(mk_json_string(item, "name")), &l->name));
		if (i > 0 && strcmp(op->listed[i - 1].name.s, l->name.s) >= 0)
			return MK_BAD_REQUEST;
	}
	op->n_listed = json_array_size(items);
	return mk_json_bool(root, "more", &op->more);
}

static mk_must read_body(json_t *root, struct mk_op *op)
{
	if (op->verb == MK_VERB_GET)
		return read_secret(root, op);
	if (op->verb == MK_VERB_LIST)
		return read_names(root, op);
	return op->verb & (MK_VERB_PUT | MK_VERB_PROMOTE) ? read_version(root, op->meta.version) : MK_OK;
}

static enum mk_step refuse(struct mk_op *op, long status, json_t *root)
{
	if (!mk_json_string(root, "error")) /* that is not the store, and must not make a token disappear */
		return mk_step_fail(op, MK_BACKEND, wrong_answer);
	switch (status) {
	case 401:
		return mk_step_fail(op, MK_BACKEND, "the store refuses the key of key_file (401): put its key there");
	case 404:
		return mk_step_fail(op, MK_NOT_FOUND, "the store has no such name or version");
	case 409:
		return mk_step_fail(op, MK_CONFLICT, "a pending version is there already: promote or discard it");
	case 410:
		return mk_step_fail(op, MK_DISABLED, "this version is disabled in the store: enable it");
	case 412:
		return mk_step_fail(op, MK_CONFLICT, "the current version is another one by now: read it again");
	default:
		return mk_step_fail(op, MK_BACKEND, "the store fails: look at its log");
	}
}

static enum mk_step on_answer(struct mk_op *op, const struct mk_res *res)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	if (res->err == MK_NO_MEMORY || res->err == MK_TIMEOUT || res->err == MK_NOT_READY)
		return mk_step_fail(op, res->err, NULL); /* the driver knows more */
	if (res->err != MK_OK)
		return mk_step_fail(op, MK_BACKEND, NULL);
	enum mk_err e = mk_json_parse(res->body, &root);
	if (e == MK_OK && res->status / 100 != 2)
		return refuse(op, res->status, root);
	if (e == MK_OK)
		e = read_body(root, op);
	if (e == MK_OK)
		return MK_STEP_DONE;
	return mk_step_fail(op, e == MK_NO_MEMORY ? e : MK_BACKEND, e == MK_TOO_LARGE ? too_large : wrong_answer);
}

static enum mk_step step(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	const struct toy_op *t = op->state;
	switch (t->at) {
	case T_START:
		return op->verb == MK_VERB_HEALTH ? ask(op, out) : ask_key(op, out);
	case T_KEY:
		return take_key(op, res, out);
	case T_ANSWER:
		return on_answer(op, res);
	}
	return MK_STEP_FAIL;
}

static void done(struct mk_op *op)
{
	struct toy_op *t = op->state;
	t->key = mk_secret_free(t->key);
	t->body = mk_secret_free(t->body);
}

extern const struct mk_backend mk_backend_toy;
const struct mk_backend mk_backend_toy = {
	.name = "toy",
	.state_size = sizeof(struct toy_op),
	.verbs = MK_VERB_GET | MK_VERB_LIST | MK_VERB_HEALTH | MK_VERB_PUT | MK_VERB_PROMOTE | MK_VERB_DISCARD | MK_VERB_DISABLE | MK_VERB_ENABLE,
	.step = step,
	.done = done,
};

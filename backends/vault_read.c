/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers about one secret: its value and meta data, its versions, and that it is not there.
 */
#include "agent/base/clock.h"
#include "backends/json.h"
#include "backends/local_file.h"
#include "backends/vault.h"
#include "mk/own.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#define HASH_BYTES 16u

/* A tag that does not fit is left out: policy takes a tag that is not there as one that allows nothing. */
static mk_must read_tags(json_t *meta, struct mk_meta *ret)
{
	json_t *all = json_object_get(meta, "custom_metadata"), *v;
	const char *key;
	if (!all || json_is_null(all))
		return MK_OK;
	if (!json_is_object(all))
		return MK_BAD_REQUEST;
	json_object_foreach(all, key, v) {
		if (!json_is_string(v))
			return MK_BAD_REQUEST;
		const struct mk_span k = mk_span_of(key), value = mk_json_text(v);
		if (ret->n_tags == MK_TAGS_MAX || !mk_local_tag_ok(k, value))
			continue;
		struct mk_tag *t = &ret->tags[ret->n_tags++];
		memcpy(t->key, k.p, k.n);
		memcpy(t->value, value.p, value.n);
	}
	return MK_OK;
}

/* deletion_time is "" or a time. One in the future is still to come: the answer's status has told that it is. */
static mk_must read_deletion_at(json_t *meta, int64_t *ret_ms)
{
	int64_t at = MK_TIME_NONE;
	json_t *s = mk_json_string(meta, "deletion_time");
	if (!s || (mk_json_text(s).n > 0 && mk_rfc3339_parse(mk_json_text(s), &at) != MK_OK))
		return MK_BAD_REQUEST;
	*ret_ms = at;
	return MK_OK;
}

static mk_must read_deletion(json_t *meta, bool *ret_set)
{
	int64_t at = MK_TIME_NONE;
	MK_TRY(read_deletion_at(meta, &at));
	*ret_set = at != MK_TIME_NONE;
	return MK_OK;
}

static mk_must read_meta(json_t *meta, int64_t want, struct mk_meta *ret)
{
	int64_t version = 0;
	bool destroyed = true, deletion = false;
	json_t *created = mk_json_string(meta, "created_time");
	MK_TRY(mk_json_int(meta, "version", &version));
	MK_TRY(mk_json_bool(meta, "destroyed", &destroyed));
	MK_TRY(read_deletion(meta, &deletion));
	if (!created || mk_rfc3339_parse(mk_json_text(created), &ret->created_ms) != MK_OK)
		return MK_BAD_REQUEST;
	if (version < 1 || destroyed || (want > 0 && version != want))
		return MK_BAD_REQUEST;
	snprintf(ret->version, sizeof ret->version, "%" PRId64, version);
	return read_tags(meta, ret);
}

static mk_must read_secret(json_t *root, int64_t want, struct mk_meta *ret_meta, struct mk_secret **ret_leaves)
{
	struct mk_meta m = { .version = "" };
	json_t *data = mk_json_object(root, "data"), *value = mk_json_object(data, "data");
	if (!value)
		return MK_BAD_REQUEST;
	MK_TRY(read_meta(mk_json_object(data, "metadata"), want, &m));
	MK_TRY(mk_flatten_value(value, ret_leaves));
	*ret_meta = m;
	return MK_OK;
}

enum mk_err mk_vault_read_secret(struct mk_span body, int64_t version, struct mk_meta *ret_meta, struct mk_secret **ret_leaves)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	MK_TRY(mk_json_parse(body, &root));
	return read_secret(root, version, ret_meta, ret_leaves);
}

enum mk_err mk_vault_read_plain(struct mk_span body, const uint8_t key[MK_VAULT_KEY_BYTES], struct mk_meta *ret_meta,
				struct mk_secret **ret_leaves)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	struct mk_meta m = { .created_ms = MK_TIME_NONE };
	uint8_t hash[HASH_BYTES];
	MK_TRY(mk_json_parse(body, &root));
	json_t *value = mk_json_object(root, "data");
	if (!value)
		return MK_BAD_REQUEST;
	MK_TRY(mk_flatten_value(value, &leaves));
	const struct mk_span s = mk_secret_span(leaves);
	crypto_generichash(hash, sizeof hash, s.p, s.n, key, MK_VAULT_KEY_BYTES);
	mk_wipe_stack();
	sodium_bin2hex(m.version, sizeof m.version, hash, sizeof hash);
	*ret_meta = m;
	*ret_leaves = MK_TAKE(leaves);
	return MK_OK;
}

/* "12", as the keys of `versions` are. */
mk_must mk_vault_number_of(const char *key, int64_t *ret)
{
	int64_t n = 0;
	for (const char *p = key; *p; p++)
		if (*p < '0' || *p > '9' || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return MK_BAD_REQUEST;
	if (n < 1 || key[0] == '0')
		return MK_BAD_REQUEST;
	*ret = n;
	return MK_OK;
}

/* Keeps the newest, newest first. */
static void keep(struct mk_vault_versions *vs, int64_t n)
{
	size_t i = vs->n;
	while (i > 0 && vs->v[i - 1] < n)
		i--;
	if (i == MK_VAULT_TRIES_MAX)
		return;
	if (vs->n == MK_VAULT_TRIES_MAX)
		vs->n--;
	memmove(&vs->v[i + 1], &vs->v[i], (vs->n - i) * sizeof vs->v[0]);
	vs->v[i] = n;
	vs->n++;
}

/* Whether a deletion_time is over is for the store's clock to say: such a version is asked for. */
static mk_must read_versions(json_t *root, struct mk_vault_versions *ret)
{
	json_t *data = mk_json_object(root, "data"), *versions = mk_json_object(data, "versions"), *v;
	int64_t current = 0, n = 0, sure = 0;
	const char *key;
	if (!versions)
		return MK_BAD_REQUEST;
	MK_TRY(mk_json_int(data, "current_version", &current));
	json_object_foreach(versions, key, v) {
		bool destroyed = true, deletion = false;
		MK_TRY(mk_vault_number_of(key, &n));
		MK_TRY(mk_json_bool(v, "destroyed", &destroyed));
		MK_TRY(read_deletion(v, &deletion));
		if (n >= current || destroyed)
			continue;
		keep(ret, n);
		sure = !deletion && n > sure ? n : sure;
	}
	while (ret->n > 0 && ret->v[ret->n - 1] < sure)
		ret->n--;
	return MK_OK;
}

/* The state of one version, from the row of all. */
static mk_must read_standing(json_t *root, int64_t version, struct mk_vault_standing *ret)
{
	json_t *data = mk_json_object(root, "data"), *versions = mk_json_object(data, "versions");
	bool destroyed = true;
	char key[24];
	if (!versions)
		return MK_BAD_REQUEST;
	MK_TRY(mk_json_int(data, "current_version", &ret->current));
	snprintf(key, sizeof key, "%" PRId64, version > 0 ? version : ret->current);
	json_t *v = mk_json_object(versions, key);
	if (v) {
		MK_TRY(mk_json_bool(v, "destroyed", &destroyed));
		MK_TRY(read_deletion_at(v, &ret->deleted_ms));
	}
	ret->there = v && !destroyed;
	return MK_OK;
}

enum mk_err mk_vault_read_standing(struct mk_span body, int64_t version, struct mk_vault_standing *ret)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	struct mk_vault_standing s = { .deleted_ms = MK_TIME_NONE };
	MK_TRY(mk_json_parse(body, &root));
	MK_TRY(read_standing(root, version, &s));
	*ret = s;
	return MK_OK;
}

enum mk_err mk_vault_read_gone(struct mk_span body, struct mk_vault_gone *ret)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	struct mk_vault_gone g = { .version = 0 };
	bool destroyed = true;
	MK_TRY(mk_json_parse(body, &root));
	json_t *meta = mk_json_object(mk_json_object(root, "data"), "metadata");
	if (meta) {
		MK_TRY(mk_json_int(meta, "version", &g.version));
		MK_TRY(mk_json_bool(meta, "destroyed", &destroyed));
		MK_TRY(read_deletion(meta, &g.deleted));
		g.deleted = g.deleted && !destroyed;
		if (g.version < 1)
			return MK_BAD_REQUEST;
	}
	*ret = g;
	return MK_OK;
}

enum mk_err mk_vault_read_written(struct mk_span body, struct mk_meta *ret)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	struct mk_meta m = { .version = "" };
	MK_TRY(mk_json_parse(body, &root));
	MK_TRY(read_meta(mk_json_object(root, "data"), 0, &m));
	*ret = m;
	return MK_OK;
}

void mk_vault_pending_id(struct mk_meta *m)
{
	const size_t n = strlen(m->version);
	snprintf(m->version + n, sizeof m->version - n, "@%" PRId64, m->created_ms);
}

enum mk_err mk_vault_read_versions(struct mk_span body, struct mk_vault_versions *ret)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	struct mk_vault_versions vs = { .n = 0 };
	MK_TRY(mk_json_parse(body, &root));
	MK_TRY(read_versions(root, &vs));
	*ret = vs;
	return MK_OK;
}

/* {"errors":[]} for what never was; data.metadata for a version that was deleted. */
bool mk_vault_says_missing(struct mk_span body)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	if (mk_json_parse(body, &root) != MK_OK)
		return false;
	json_t *errors = mk_json_array(root, "errors"), *data = mk_json_object(root, "data");
	return errors ? json_array_size(errors) == 0 : mk_json_object(data, "metadata") != NULL;
}

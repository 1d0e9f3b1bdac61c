/* SPDX-License-Identifier: Apache-2.0
 *
 * The backends: one table of all keys that a backend can have. Which of them a type takes
 * says its line in mk/backends.def, and what must hold between keys holds for each type
 * that takes them: nothing here knows a type.
 */
#include "agent/conf/sections.h"
#include "agent/conf/store.h"

#include "agent/base/file.h"
#include "mk/own.h"

#define SECOND 1000
#define CALLS_PER_HOUR (50u * 3600) /* 10,000 tokens each five minutes, and as many again */

struct backend { /* as written */
	struct mk_conf_backend conf;
	unsigned type;
	uint32_t kv;
};

static const char *const types[] = {
#define MK_BACKEND(name, keys) #name,
#include "mk/backends.def"
#undef MK_BACKEND
	NULL
};

static const char *const lines[] = {
#define MK_BACKEND(name, keys) keys,
#include "mk/backends.def"
#undef MK_BACKEND
};

#define MK_BACKEND(name, keys) \
	_Static_assert(sizeof #name <= sizeof((struct mk_conf_backend *)NULL)->type, "a type's word fits");
#include "mk/backends.def"
#undef MK_BACKEND

#define AT(field) offsetof(struct backend, conf.field)
#define FITS(field) ((int64_t)sizeof(((struct backend *)NULL)->conf.field) - 1)

static const struct mk_key type_key = { "type", &mk_kind_choice, offsetof(struct backend, type), .required = true,
					.more = types };

static const struct mk_key common[] = {
	{ "name", &mk_kind_word, AT(name), .required = true },
	{ "type", &mk_kind_choice, offsetof(struct backend, type), .required = true, .more = types },
	{ "timeout", &mk_kind_duration, AT(timeout_ms), .min = SECOND / 10, .max = 10 * SECOND, .range = "100ms to 10s" }, /* no caller waits longer */
	{ "trust_tags", &mk_kind_bool, AT(trust_tags), .required = false },
	{ "require_tag", &mk_kind_bool, AT(require_tag), .required = false },
	{ "writable", &mk_kind_bool, AT(writable), .required = false },
};

/* `required` is the line's to say. */
static const struct mk_key known[] = {
	{ "file", &mk_kind_store, AT(file), .required = false },
	{ "key_file", &mk_kind_path, AT(key_file), .required = false },
	{ "passphrase_file", &mk_kind_path, AT(passphrase_file), .required = false },
	{ "ca_file", &mk_kind_path, AT(ca_file), .required = false },
	{ "rate", &mk_kind_rate, AT(calls_per_hour), .required = false },
	{ "address", &mk_kind_store_address, AT(address), .required = false },
	{ "namespace", &mk_kind_route, AT(ns), .max = FITS(ns) },
	{ "mount", &mk_kind_route, AT(mount), .max = FITS(mount) },
	{ "path", &mk_kind_template, AT(path), .max = FITS(path) },
	{ "kv", &mk_kind_count, offsetof(struct backend, kv), .min = 1, .max = 2, .range = "1 or 2" },
	{ "auth", &mk_kind_vault_auth, AT(auth), .required = false },
};

struct keys { /* of one type */
	struct mk_key key[MK_COUNT(common) + MK_COUNT(known)];
	size_t n;
};

static const struct mk_key *key_of(const char *word, size_t n)
{
	for (size_t i = 0; i < MK_COUNT(known); i++)
		if (strlen(known[i].name) == n && memcmp(known[i].name, word, n) == 0)
			return &known[i];
	return NULL;
}

/* A word of a line that is no key is a mistake in the program: a test reads a configuration of each type. */
static struct keys keys_of(unsigned type)
{
	struct keys ks = { .n = MK_COUNT(common) };
	memcpy(ks.key, common, sizeof common);
	for (const char *word = lines[type]; *word; word += strspn(word, " ")) {
		const size_t n = strcspn(word, " ?"), may = word[n] == '?';
		const struct mk_key *k = key_of(word, n);
		mk_assert(k && ks.n < MK_COUNT(ks.key));
		ks.key[ks.n] = *k;
		ks.key[ks.n++].required = !may;
		word += n + may;
	}
	return ks;
}

static bool takes(const struct keys *ks, const char *name)
{
	for (size_t i = 0; i < ks->n; i++)
		if (strcmp(ks->key[i].name, name) == 0)
			return true;
	return false;
}

/* Where a store's key can come in two ways, it comes in one of them. */
static mk_must check_keys(struct mk_reader *r, const struct keys *ks, const config_setting_t *s, const struct mk_conf_backend *b)
{
	if (!takes(ks, "key_file") || !takes(ks, "passphrase_file"))
		return MK_OK;
	if (b->key_file[0] && b->passphrase_file[0])
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "passphrase_file"),
				 "backend \"%s\" has key_file and passphrase_file: keep the one that the store was made with",
				 b->name.s);
	if (!b->key_file[0] && !b->passphrase_file[0])
		return mk_keys_refuse(r, s, "backend \"%s\" has neither key_file nor passphrase_file: add the one that "
				      "`makinictl local init` was given",
				      b->name.s);
	return MK_OK;
}

static mk_must check_certificate(struct mk_reader *r, const config_setting_t *s, const struct mk_conf_backend *b)
{
	if (strcmp(b->auth.method, "cert") == 0 && strncmp(b->address, "http://", 7) == 0)
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "address"),
				 "backend \"%s\" logs in by a client certificate, which takes TLS: write an https address", b->name.s);
	return MK_OK;
}

static enum mk_err read_backend(struct mk_reader *r, const config_setting_t *s, void *base)
{
	struct mk_conf *c = base;
	struct backend b = { .conf = { .timeout_ms = 10 * SECOND, .calls_per_hour = CALLS_PER_HOUR }, .kv = 2 };
	MK_TRY(mk_keys_read_one(r, &type_key, s, &b));
	const struct keys ks = keys_of(b.type);
	MK_TRY(mk_keys_read(r, &(struct mk_section){ ks.key, ks.n }, s, &b));
	b.conf.kv = (uint8_t)b.kv;
	MK_TRY(check_keys(r, &ks, s, &b.conf));
	MK_TRY(check_certificate(r, s, &b.conf));
	for (size_t i = 0; i < c->n_backends; i++)
		if (mk_word_eq(&c->backends[i].name, &b.conf.name))
			return mk_keys_refuse(r, s, "backend \"%s\" is defined twice: rename or remove one", b.conf.name.s);
	memcpy(b.conf.type, types[b.type], strlen(types[b.type]) + 1);
	c->backends[c->n_backends++] = b.conf;
	return MK_OK;
}

const struct mk_list mk_backend_list = { MK_BACKENDS_MAX, read_backend };

struct named_path {
	const char *what, *path;
};

static mk_must refuse_at(struct mk_reader *r, const config_setting_t *s, const char *key, const char *path, const char *text,
			 const char *what, const char *remedy)
{
	char shown[MK_SHOWN_MAX];
	return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, key), "%s %s %s %s: %s", key, mk_shown(path, shown), text, what,
			 remedy);
}

/* The store's file is replaced as a whole with each write: what else lay there would be gone. */
static mk_must store_apart(struct mk_reader *r, const config_setting_t *s, const char *file, const struct named_path *others,
			   size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (file[0] && others[i].path && strcmp(file, others[i].path) == 0)
			return refuse_at(r, s, "file", file, "is also", others[i].what, "give the store a file of its own");
	return MK_OK;
}

/* Does path lie below the directory that file lies in? */
static bool is_beside(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	const size_t n = slash ? (size_t)(slash - file) + 1 : 0;
	return strncmp(file, path, n) == 0;
}

/* A fetcher's lock-down leaves it whole directories (a file that is replaced is another file), and
 * the process on the network must not read who may have what, nor who had it. */
static mk_must fetcher_apart(struct mk_reader *r, const config_setting_t *s, const struct mk_conf_backend *b,
			     const struct named_path *others, size_t n)
{
	const struct named_path own[] = {
		{ "file", b->file }, { "key_file", b->key_file }, { "passphrase_file", b->passphrase_file },
		{ "ca_file", b->ca_file }, { "token_file", b->auth.token_file }, { "role_id_file", b->auth.role_id_file },
		{ "secret_id_file", b->auth.secret_id_file }, { "jwt_file", b->auth.jwt_file }, { "cert_file", b->auth.cert_file },
		{ "cert_key_file", b->auth.cert_key_file },
	};
	for (size_t i = 0; i < MK_COUNT(own) * n; i++) {
		const struct named_path *mine = &own[i / n], *other = &others[i % n];
		if (mine->path[0] && is_beside(mine->path, other->path))
			return refuse_at(r, s, mine->what, mine->path, "lies in a directory that holds", other->what,
					 "put it into one of its own (such as a store/ below state_dir), as the fetcher may read all that is there");
	}
	return MK_OK;
}

/* Where a store is written, nothing else that counts may lie: it could be replaced from there, too. */
static mk_must written_apart(struct mk_reader *r, const config_setting_t *s, const struct mk_conf_backend *b,
			     const struct named_path *others, size_t n)
{
	for (size_t i = 0; i < n && b->writable && b->file[0]; i++)
		if (others[i].path && is_beside(b->file, others[i].path))
			return refuse_at(r, s, "file", b->file, "lies in a directory that holds", others[i].what,
					 "give a store that is writable a directory of its own, as the fetcher may replace all that is there");
	return MK_OK;
}

static const char *other(const struct mk_conf *c, size_t i, size_t self, const char *path)
{
	return i < c->n_backends && i != self ? path : NULL;
}

/* The fetcher reads these two as well. */
static mk_must api_apart(struct mk_reader *r, const config_setting_t *list, const struct mk_conf *c, const struct named_path *fixed,
			 size_t n)
{
	const config_setting_t *root = config_setting_parent(list), *s = config_setting_get_member(root, "kubernetes");
	struct mk_conf_backend api = { .type = "" };
	if (!s || !c->kubernetes.address[0])
		return MK_OK;
	memcpy(api.ca_file, c->kubernetes.ca_file, sizeof api.ca_file);
	memcpy(api.auth.token_file, c->kubernetes.token_file, sizeof api.auth.token_file);
	return fetcher_apart(r, s, &api, fixed, n);
}

mk_must mk_backends_apart(struct mk_reader *r, const config_setting_t *list, const struct mk_conf *c)
{
	char state[MK_PATH_MAX], socket[MK_PATH_MAX];
	MK_TRY(mk_path_join(c->state_dir, "state.db", state, sizeof state));
	MK_TRY(mk_path_join(c->runtime_dir, "api.sock", socket, sizeof socket));
	const struct named_path fixed[] = { { "this file", c->file }, { "the policy file", c->policy_file },
					    { "the policy_shadow file", c->shadow_file },
					    { "the audit log", c->audit.file }, { "the instance's state (state_dir)", state } };
	const struct mk_conf_kubernetes *k = &c->kubernetes;
	const struct named_path read_only[] = { { "the state_key's file", c->state_key_file }, { "jwks_file", k->jwks_file },
						{ "pod_uid_file", k->pod_uid_file }, { "kubernetes' ca_file", k->ca_file },
						{ "kubernetes' token_file", k->token_file }, { "the sockets (runtime_dir)", socket } };
	for (size_t i = 0; i < c->n_backends; i++) {
		const config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
		MK_TRY(store_apart(r, s, c->backends[i].file, fixed, MK_COUNT(fixed)));
		for (size_t j = 0; j < c->n_backends; j++) {
			const struct mk_conf_backend *b = &c->backends[j];
			const struct named_path theirs[] = { { "another backend's file", other(c, j, i, b->file) },
							     { "a key_file", b->key_file },
							     { "a passphrase_file", b->passphrase_file },
							     { "a ca_file", b->ca_file },
							     { "a token_file", b->auth.token_file },
							     { "a role_id_file", b->auth.role_id_file },
							     { "a secret_id_file", b->auth.secret_id_file },
							     { "a jwt_file", b->auth.jwt_file },
							     { "a cert_file", b->auth.cert_file },
							     { "a cert_key_file", b->auth.cert_key_file } };
			MK_TRY(store_apart(r, s, c->backends[i].file, theirs, MK_COUNT(theirs)));
			MK_TRY(written_apart(r, s, &c->backends[i], b->writable ? theirs + 1 : theirs, MK_COUNT(theirs) - b->writable));
		}
		MK_TRY(fetcher_apart(r, s, &c->backends[i], fixed, MK_COUNT(fixed)));
		MK_TRY(written_apart(r, s, &c->backends[i], read_only, MK_COUNT(read_only)));
	}
	return api_apart(r, list, c, fixed, MK_COUNT(fixed));
}

/* To this host there is nothing between, and http must not be shown to a proxy. */
void mk_backends_proxy(struct mk_conf *c, const char proxy[MK_URL_MAX])
{
	for (size_t i = 0; i < c->n_backends; i++)
		if (c->backends[i].address[0] && !mk_address_is_loopback(c->backends[i].address))
			memcpy(c->backends[i].proxy, proxy, sizeof c->backends[i].proxy);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The listeners: `admin` and `api`, which always are, `credential` where a service has a
 * unit, and those that the configuration adds. Only names, modes and groups; nothing is
 * created here.
 */
#include "agent/conf/sections.h"

#include "agent/base/file.h"
#include "mk/own.h"

#define SOCKET_SUFFIX ".sock"
#define CLIENT_SUFFIX MK_CLIENT_SUFFIX SOCKET_SUFFIX

struct listener { /* as written */
	struct mk_word name;
	char file[MK_SOCKET_PATH_MAX + 1];
	mode_t mode;
	gid_t gid;
};

static const char *const reserved[] = { "api", "admin", "credential" };

static bool ends_in(struct mk_span t, const char *suffix)
{
	const size_t n = strlen(suffix);
	return t.n > n && memcmp(t.p + t.n - n, suffix, n) == 0;
}

static bool is_file_name(struct mk_span t)
{
	for (size_t i = 0; i < t.n; i++) {
		const char c = (char)t.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '.' && c != '-' &&
		    c != '_')
			return false;
	}
	return t.n > 0 && t.p[0] != '.';
}

/* In a pod a listener may lie in a volume of its own. */
static bool is_plain_path(struct mk_span t)
{
	const uint8_t *end = t.p + t.n, *from = t.p + 1;
	for (const uint8_t *p = from; p <= end; p++)
		if (p == end || *p == '/') {
			if (!is_file_name(mk_span(from, (size_t)(p - from))))
				return false;
			from = p + 1;
		}
	return true;
}

static enum mk_err read_file(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	char shown[MK_SHOWN_MAX];
	const char *text = config_setting_get_string(s);
	const struct mk_span t = mk_span_of(text);
	const bool is_good = r->in_pod && text[0] == '/' ? is_plain_path(t) : is_file_name(t);
	if (!is_good || !ends_in(t, SOCKET_SUFFIX) || ends_in(t, CLIENT_SUFFIX) || t.n > MK_SOCKET_PATH_MAX)
		return mk_keys_refuse(r, s, "\"%s\" must be %s; \"%s\" is not", k->name, k->kind->want, mk_shown(text, shown));
	memcpy(at, text, t.n + 1);
	return MK_OK;
}

static const struct mk_kind kind_file = {
	"a file name of letters, digits, '.', '-' and '_' that ends in .sock (and not in .client.sock); it is made in runtime_dir (in a pod it may be an "
	"absolute path, into a volume of that service)",
	1u << CONFIG_TYPE_STRING, read_file
};

static const struct mk_key keys[] = {
	{ "name", &mk_kind_word, offsetof(struct listener, name), .required = true },
	{ "path", &kind_file, offsetof(struct listener, file), .required = false },
	{ "mode", &mk_kind_mode, offsetof(struct listener, mode), .required = false },
	{ "group", &mk_kind_group, offsetof(struct listener, gid), .required = false },
};
static const struct mk_section section = MK_SECTION(keys);

static mk_must add(struct mk_reader *r, unsigned line, const struct listener *l, struct mk_conf *c)
{
	struct mk_conf_listener new = { .name = l->name, .mode = l->mode, .gid = l->gid };
	char path[MK_PATH_MAX];
	const size_t beside = mk_listener_has_client(&l->name) ? strlen(MK_CLIENT_SUFFIX) : 0;
	if (mk_path_join(c->runtime_dir, l->file, path, sizeof path) != MK_OK || strlen(path) + beside > MK_SOCKET_PATH_MAX)
		return mk_why_at(r->why, MK_BAD_REQUEST, r->file, line,
				 "the socket's path %.60s…/%.40s is longer than %d bytes, which is all that the kernel takes%s: "
				 "shorten runtime_dir or the listener's name",
				 c->runtime_dir, l->file, MK_SOCKET_PATH_MAX - (int)beside,
				 beside ? " (107, with \"" MK_CLIENT_SUFFIX "\" in the name of the one beside it, which is libmakini's)" : "");
	memcpy(new.path, path, strlen(path) + 1);
	for (size_t i = 0; i < c->n_listeners; i++) {
		if (mk_word_eq(&c->listeners[i].name, &new.name))
			return mk_why_at(r->why, MK_BAD_REQUEST, r->file, line,
					 "listener \"%s\" is defined twice: rename or remove one", new.name.s);
		if (strcmp(c->listeners[i].path, new.path) == 0)
			return mk_why_at(r->why, MK_BAD_REQUEST, r->file, line,
					 "listener \"%s\" has the same path as listener \"%s\": give it its own", new.name.s,
					 c->listeners[i].name.s);
	}
	c->listeners[c->n_listeners++] = new;
	return MK_OK;
}

static void default_file(struct listener *l)
{
	const size_t n = strlen(l->name.s); /* 32 at most */
	memcpy(l->file, l->name.s, n);
	memcpy(l->file + n, SOCKET_SUFFIX, sizeof SOCKET_SUFFIX);
}

static mk_must check_reserved(struct mk_reader *r, const config_setting_t *s, const struct listener *l)
{
	for (size_t i = 0; i < MK_COUNT(reserved); i++) {
		const size_t n = strlen(reserved[i]);
		if (strcmp(l->name.s, reserved[i]) == 0)
			return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "name"),
					 "\"%s\" is the name of a listener that is always there: choose another name",
					 reserved[i]);
		if (strncmp(l->file, reserved[i], n) == 0 && strcmp(l->file + n, SOCKET_SUFFIX) == 0)
			return mk_why_at(r->why, MK_BAD_REQUEST, r->file, mk_keys_line(s, "path"),
					 "\"%s\" is the socket of a listener that is always there: choose another path",
					 l->file);
	}
	return MK_OK;
}

static enum mk_err read_listener(struct mk_reader *r, const config_setting_t *s, void *base)
{
	struct listener l = { .mode = 0660, .gid = (gid_t)-1 };
	MK_TRY(mk_keys_read(r, &section, s, &l));
	if (!l.file[0])
		default_file(&l);
	MK_TRY(check_reserved(r, s, &l));
	return add(r, mk_setting_line(s), &l, base);
}

const struct mk_list mk_listener_list = { MK_LISTENERS_MAX - 2, read_listener }; /* api and credential are of them */

mk_must mk_listeners_own(struct mk_reader *r, const config_setting_t *root, gid_t admin_gid, struct mk_conf *c)
{
	struct listener admin = { .name = { "admin" }, .mode = 0600, .gid = admin_gid };
	const unsigned line = mk_keys_line(root, "runtime_dir");
	struct listener api = { .name = { "api" }, .mode = 0666, .gid = (gid_t)-1 };
	if (admin_gid != (gid_t)-1)
		admin.mode = 0660;
	default_file(&admin);
	default_file(&api);
	MK_TRY(add(r, line, &admin, c));
	return add(r, line, &api, c);
}

mk_must mk_listeners_credential(struct mk_conf *c, struct mk_why *why)
{
	struct listener l = { .name = { "credential" }, .mode = 0600, .gid = (gid_t)-1 };
	struct mk_reader r = { .file = c->file, .why = why };
	bool wanted = false;
	for (size_t i = 0; i < c->rules.n_services; i++)
		wanted |= (c->rules.services[i].identity.set & MK_EVIDENCE_UNIT) != 0;
	if (!wanted || c->platform != MK_HOST)
		return MK_OK;
	default_file(&l);
	return add(&r, 0, &l, c);
}

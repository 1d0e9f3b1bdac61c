/* SPDX-License-Identifier: Apache-2.0
 *
 * Each pair of instances, each thing that must be one's own. A credential is compared by
 * path, by file (a link) and by content (a copy), where it can be read; nothing of it is shown.
 */
#include "ctl/apart.h"

#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "ctl/ctl.h"
#include "mk/own.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct pair {
	const struct mk_conf *a, *b;
	unsigned found;
};

static void tell(struct pair *p, const char *what, const char *which, const char *remedy)
{
	p->found++;
	fprintf(stderr, "makinictl: %s (%s) and %s (%s) share %s%s%s: %s\n", p->a->environment.s, p->a->file, p->b->environment.s, p->b->file,
		what, which[0] ? " " : "", which, remedy);
}

/* One is the other, or lies in it. */
static bool within(const char *a, const char *b)
{
	const size_t n = strlen(a), m = strlen(b), least = n < m ? n : m;
	if (least == 0 || memcmp(a, b, least) != 0)
		return false;
	return n == m || (n > m ? a : b)[least] == '/';
}

/* By another name: a link, a mount. */
static bool same_file(const char *x, const char *y)
{
	struct stat a, b;
	return stat(x, &a) == 0 && stat(y, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void check_dirs(struct pair *p)
{
	char log_a[MK_PATH_MAX], log_b[MK_PATH_MAX];
	if (mk_path_dir(p->a->audit.file, log_a, sizeof log_a) != MK_OK || mk_path_dir(p->b->audit.file, log_b, sizeof log_b) != MK_OK)
		return;
	const char *const of_a[] = { p->a->runtime_dir, p->a->state_dir, log_a }, *const of_b[] = { p->b->runtime_dir, p->b->state_dir, log_b };
	for (size_t i = 0; i < MK_COUNT(of_a) * MK_COUNT(of_b); i++) {
		const char *x = of_a[i / MK_COUNT(of_b)], *y = of_b[i % MK_COUNT(of_b)];
		if (within(x, y) || same_file(x, y))
			tell(p, "the directory", strlen(x) < strlen(y) ? y : x, "give each instance directories of its own");
	}
	const bool one_policy = strcmp(p->a->policy_file, p->b->policy_file) == 0 || same_file(p->a->policy_file, p->b->policy_file);
	if (strcmp(p->a->file, p->b->file) != 0 && one_policy)
		tell(p, "the policy", p->a->policy_file, "give each instance a policy of its own");
}

static void check_listeners(struct pair *p)
{
	for (size_t i = 0; i < p->a->n_listeners * p->b->n_listeners; i++) {
		const struct mk_conf_listener *x = &p->a->listeners[i / p->b->n_listeners], *y = &p->b->listeners[i % p->b->n_listeners];
		if (strcmp(x->path, y->path) == 0)
			tell(p, "the socket", x->path, "give each instance sockets of its own");
	}
}

/* The agent's user owns the state directory. Where there is none yet, nothing can be said. */
static void check_user(struct pair *p)
{
	struct stat a, b;
	if (stat(p->a->state_dir, &a) < 0 || stat(p->b->state_dir, &b) < 0) {
		fprintf(stderr, "makinictl: note: a state_dir is not there yet, so the users of %s and %s were not compared\n", p->a->environment.s,
			p->b->environment.s);
		return;
	}
	if (a.st_uid == b.st_uid) {
		char which[32];
		snprintf(which, sizeof which, "uid %u", a.st_uid);
		tell(p, "the user", which, "run each instance under a user of its own: processes of one user can reach each other");
	}
}

/* A service-account token says its environment by its audience alone. */
static void check_audience(struct pair *p)
{
	const struct mk_conf_kubernetes *x = &p->a->kubernetes, *y = &p->b->kubernetes;
	if (x->on && y->on && strcmp(x->audience, y->audience) == 0 && strcmp(x->issuer, y->issuer) == 0)
		tell(p, "the audience", x->audience, "give each environment one of its own: a service-account token of the one is good in the other");
}

/* ---- what the stores hold ---- */

struct place { /* of a template, which ends in {connection}: folder, and what stands before the name */
	struct mk_span folder, before;
};

static struct place place_of(const char *path)
{
	const char *at = strstr(path, "{connection}"), *end = at ? at : path + strlen(path), *from = end;
	while (from > path && from[-1] != '/')
		from--;
	return (struct place){ mk_span((const uint8_t *)path, (size_t)(from - path)), mk_span((const uint8_t *)from, (size_t)(end - from)) };
}

static bool begins(struct mk_span a, struct mk_span b)
{
	const size_t least = a.n < b.n ? a.n : b.n;
	return least == 0 || memcmp(a.p, b.p, least) == 0;
}

/* Can one path come of both? "p/{connection}" and "p/dev-{connection}" can. */
static bool paths_meet(const char *a, const char *b)
{
	const struct place x = place_of(a), y = place_of(b);
	return x.folder.n == y.folder.n && begins(x.folder, y.folder) && begins(x.before, y.before);
}

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static void check_places(struct pair *p, const struct mk_conf_backend *x, const struct mk_conf_backend *y)
{
	if (x->file[0] && y->file[0] && (same(x->file, y->file) || same_file(x->file, y->file)))
		tell(p, "the store", x->file, "give each instance a store of its own");
	else if (x->address[0] && same(x->address, y->address) && same(x->ns, y->ns) && same(x->mount, y->mount) && paths_meet(x->path, y->path))
		tell(p, "the path", x->path, "give each environment a path of its own in the store, which the other's credential cannot read");
}

/* ---- credentials ---- */

#define FILES_MAX 9
static size_t files_of(const struct mk_conf_backend *b, const char *ret[FILES_MAX])
{
	const char *const all[FILES_MAX] = { b->key_file, b->passphrase_file, b->auth.token_file, b->auth.role_id_file, b->auth.secret_id_file,
					     b->auth.jwt_file, b->auth.cert_file, b->auth.cert_key_file };
	size_t n = 0;
	for (size_t i = 0; i < FILES_MAX; i++)
		if (all[i] && all[i][0])
			ret[n++] = all[i];
	return n;
}

static mk_must content(const char *path, struct mk_secret **ret)
{
	mk_auto(mk_secret_freep) struct mk_secret *s = NULL;
	size_t n = 0;
	mk_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return MK_SYSTEM;
	MK_TRY(mk_secret_new(MK_SECRET_SMALL, &s));
	MK_TRY(mk_file_read(fd, mk_secret_buf(s), MK_SECRET_SMALL, &n));
	mk_secret_set_len(s, n);
	if (n == 0)
		return MK_NOT_FOUND;
	*ret = MK_TAKE(s);
	return MK_OK;
}

static const char *how_same(const char *x, const char *y)
{
	mk_auto(mk_secret_freep) struct mk_secret *in_x = NULL, *in_y = NULL;
	if (same(x, y))
		return "the credential";
	if (same_file(x, y))
		return "the credential, by a link,";
	if (content(x, &in_x) != MK_OK || content(y, &in_y) != MK_OK)
		return NULL;
	return mk_secret_same(in_x, in_y) ? "the credential, as a copy," : NULL;
}

static void check_credentials(struct pair *p, const struct mk_conf_backend *x, const struct mk_conf_backend *y)
{
	const char *of_x[FILES_MAX], *of_y[FILES_MAX];
	const size_t n = files_of(x, of_x), m = files_of(y, of_y);
	for (size_t i = 0; i < n * m; i++) {
		const char *how = how_same(of_x[i / m], of_y[i % m]);
		if (how)
			tell(p, how, of_x[i / m], "give each environment a credential of its own, and revoke this one");
	}
	const bool one_store = x->address[0] && same(x->address, y->address) && same(x->ns, y->ns);
	if (one_store && x->auth.role[0] && same(x->auth.method, y->auth.method) && same(x->auth.mount, y->auth.mount) && same(x->auth.role, y->auth.role))
		tell(p, "the role", x->auth.role, "give each environment a role of its own in the store");
}

static void check_state_key(struct pair *p)
{
	const char *x = p->a->state_key_file, *y = p->b->state_key_file;
	const char *how = x[0] && y[0] ? how_same(x, y) : NULL;
	if (how)
		tell(p, how, x, "give each instance a state key of its own");
}

/* Silence about what could not be looked at would read as "apart". */
static void note_unread(const struct mk_conf *c, const char *file)
{
	mk_auto(mk_secret_freep) struct mk_secret *s = NULL;
	if (content(file, &s) != MK_OK)
		fprintf(stderr, "makinictl: note: %s (%s) cannot be read by this user, so whether it is a copy of another's "
			"was not looked at\n", file, c->environment.s);
}

static void note_all_unread(const struct mk_conf *c)
{
	const char *files[FILES_MAX];
	for (size_t i = 0; i < c->n_backends; i++)
		for (size_t j = 0, n = files_of(&c->backends[i], files); j < n; j++)
			note_unread(c, files[j]);
	if (c->state_key_file[0])
		note_unread(c, c->state_key_file);
}

unsigned mk_apart_check(struct mk_conf *const confs[], size_t n)
{
	unsigned found = 0;
	for (size_t i = 0; i < n; i++)
		note_all_unread(confs[i]);
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++) {
			struct pair p = { .a = confs[i], .b = confs[j] };
			check_dirs(&p);
			check_listeners(&p);
			check_user(&p);
			check_audience(&p);
			check_state_key(&p);
			for (size_t k = 0; k < p.a->n_backends * p.b->n_backends; k++) {
				const struct mk_conf_backend *x = &p.a->backends[k / p.b->n_backends], *y = &p.b->backends[k % p.b->n_backends];
				check_places(&p, x, y);
				check_credentials(&p, x, y);
			}
			found += p.found;
		}
	return found;
}

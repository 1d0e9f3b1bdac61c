/* SPDX-License-Identifier: Apache-2.0
 *
 * From files to a configuration: agent.conf, then the policy.conf that it names, then
 * what the two must agree on. Whole or not at all; opens these two files and no other.
 */
#include "agent/conf/cases.h"
#include "agent/conf/conf.h"
#include "agent/conf/sections.h"
#include "agent/conf/text.h"

#include "agent/base/file.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct input {
	uint8_t *p; /* owned */
	size_t n;
};

static void input_done(struct input *in)
{
	free(in->p);
}

static mk_must read_open(int fd, const char *path, struct input *ret, struct mk_why *why)
{
	mk_auto(input_done) struct input in = { .p = malloc(MK_CONF_TEXT_MAX) };
	if (!in.p)
		return MK_NO_MEMORY;
	const enum mk_err e = mk_file_read(fd, in.p, MK_CONF_TEXT_MAX, &in.n);
	if (e == MK_TOO_LARGE)
		return mk_why_at(why, e, path, 0, "this file is larger than 1 MiB: make it smaller");
	if (e != MK_OK)
		return mk_why_at(why, e, path, 0, "this file cannot be read: look at its disk");
	*ret = in;
	in.p = NULL;
	return MK_OK;
}

static mk_must read_file(const char *path, unsigned flags, struct input *ret, struct mk_why *why)
{
	mk_fd fd = -1;
	MK_TRY(mk_file_open(path, flags, &fd, why));
	return read_open(fd, path, ret, why);
}

/* Whether this is a pod stands in the file itself. So what only a pod's rule lets in is
 * read by that rule, and taken only if it then says that it is in a pod. */
static mk_must read_agent(const char *path, struct mk_conf *ret, struct mk_why *why)
{
	mk_auto(input_done) struct input in = { 0 };
	struct mk_why refused = { 0 };
	mk_auto(mk_conf_done) struct mk_conf c = { 0 };
	const enum mk_err e = read_file(path, 0, &in, &refused);
	if (e != MK_OK && (e != MK_DENIED || read_file(path, MK_FILE_POD, &in, NULL) != MK_OK))
		return mk_why_at(why, e, refused.file, refused.line, "%s", refused.text);
	MK_TRY(mk_conf_parse(mk_span(in.p, in.n), path, &c, why));
	if (e != MK_OK && c.platform != MK_POD)
		return mk_why_at(why, e, refused.file, refused.line, "%s", refused.text);
	*ret = c;
	c = (struct mk_conf){ 0 };
	return MK_OK;
}

static const struct mk_conf_listener *listener_of(const struct mk_conf *c, const struct mk_word *name)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (mk_word_eq(&c->listeners[i].name, name))
			return &c->listeners[i];
	return NULL;
}

/* In a pod, who can reach a socket is told by the volume that it lies in. */
static mk_must check_socket(const struct mk_conf *c, const char *file, const struct mk_service *s, struct mk_why *why)
{
	const struct mk_conf_listener *l = listener_of(c, &s->identity.socket);
	if (!l)
		return mk_why_at(why, MK_BAD_REQUEST, file, s->line,
				 "service \"%s\" comes through socket \"%s\", which is no listener: add it to listeners "
				 "in agent.conf, or correct the name",
				 s->name.s, s->identity.socket.s);
	if (c->platform == MK_HOST && !s->identity.set && (l->mode & S_IWOTH))
		return mk_why_at(why, MK_BAD_REQUEST, file, s->line,
				 "service \"%s\" would be everybody: its listener \"%s\" has mode %04o and its identity names "
				 "nothing else: add user, uid or group here, or take the mode from others in agent.conf",
				 s->name.s, l->name.s, (unsigned)l->mode);
	return MK_OK;
}

static mk_must check_account(const struct mk_conf *c, const char *file, const struct mk_service *s, struct mk_why *why)
{
	if (!(s->identity.set & MK_EVIDENCE_ACCOUNT) || c->kubernetes.on)
		return MK_OK;
	return mk_why_at(why, MK_BAD_REQUEST, file, s->line,
			 "service \"%s\" is told by a service-account token, but agent.conf has no section kubernetes that says "
			 "whose tokens count: add it",
			 s->name.s);
}

static mk_must check_sockets(const struct mk_conf *c, const char *file, const struct mk_rules *rules, struct mk_why *why)
{
	for (size_t i = 0; i < rules->n_services; i++) {
		MK_TRY(check_socket(c, file, &rules->services[i], why));
		MK_TRY(check_account(c, file, &rules->services[i], why));
	}
	return MK_OK;
}

static mk_must read_policy(struct mk_conf *c, struct mk_why *why)
{
	mk_auto(input_done) struct input in = { 0 };
	const bool in_pod = c->platform == MK_POD;
	MK_TRY(read_file(c->policy_file, in_pod ? MK_FILE_POD : 0, &in, why));
	MK_TRY(mk_conf_parse_policy(mk_span(in.p, in.n), c->policy_file, &c->environment, in_pod, &c->rules, why));
	crypto_generichash(c->policy_digest, sizeof c->policy_digest, in.p, in.n, NULL, 0);
	MK_TRY(mk_listeners_credential(c, why));
	return check_sockets(c, c->policy_file, &c->rules, why);
}

/* A policy that is not in force has to be one all the same. */
static mk_must read_shadow(struct mk_conf *c, struct mk_why *why)
{
	if (!c->shadow_file[0])
		return MK_OK;
	if (strcmp(c->shadow_file, c->policy_file) == 0)
		return mk_why_at(why, MK_BAD_REQUEST, c->file, 0, "policy_shadow is the policy itself, with which there is nothing to "
				 "compare: name the next policy's file, or remove the key");
	const struct mk_word *env = &c->environment;
	MK_TRY(mk_conf_load_policy(c->shadow_file, env, c->platform == MK_POD, &c->shadow, why));
	return check_sockets(c, c->shadow_file, &c->shadow, why);
}

/* A daemon may change its directory; its configuration must not change with it. */
static mk_must absolute(const char *path, char buf[MK_PATH_MAX], struct mk_why *why)
{
	char here[MK_PATH_MAX] = "/";
	if (path[0] != '/' && !getcwd(here, sizeof here))
		return mk_why_set(why, MK_SYSTEM, "the current directory cannot be told: give an absolute path");
	if (mk_path_join(here, path, buf, MK_PATH_MAX) != MK_OK)
		return mk_why_set(why, MK_TOO_LARGE, "the path is too long: at most %d bytes", MK_PATH_MAX - 1);
	return MK_OK;
}

static void freep(struct mk_conf **c)
{
	*c = mk_conf_free(*c);
}

struct mk_conf *mk_conf_free(struct mk_conf *c)
{
	if (c)
		mk_conf_done(c);
	free(c);
	return NULL;
}

mk_must mk_conf_load(const char *path, struct mk_conf **ret, struct mk_why *why)
{
	char file[MK_PATH_MAX];
	mk_auto(freep) struct mk_conf *c = calloc(1, sizeof *c);
	if (!c)
		return MK_NO_MEMORY;
	MK_TRY(absolute(path, file, why));
	MK_TRY(read_agent(file, c, why));
	MK_TRY(read_policy(c, why));
	MK_TRY(read_shadow(c, why));
	*ret = MK_TAKE(c);
	return MK_OK;
}

static mk_must read_pod_uid(struct mk_conf_kubernetes *k, struct mk_why *why)
{
	mk_auto(input_done) struct input in = { 0 };
	MK_TRY(read_file(k->pod_uid_file, MK_FILE_POD, &in, why));
	size_t n = in.n;
	while (n > 0 && (in.p[n - 1] == '\n' || in.p[n - 1] == ' '))
		n--;
	for (size_t i = 0; i < n; i++)
		if (!memchr("0123456789abcdefABCDEF-", in.p[i], 23))
			n = MK_POD_UID_MAX + 1;
	if (n == 0 || n > MK_POD_UID_MAX)
		return mk_why_at(why, MK_BAD_REQUEST, k->pod_uid_file, 0,
				 "this is no pod's uid: mount metadata.uid there, by a downwardAPI volume");
	memcpy(k->pod_uid, in.p, n);
	k->pod_uid[n] = '\0';
	return MK_OK;
}

static mk_must read_jwks(struct mk_conf_kubernetes *k, struct mk_why *why)
{
	mk_auto(input_done) struct input in = { 0 };
	MK_TRY(read_file(k->jwks_file, MK_FILE_POD, &in, why));
	if (in.n == 0 || in.n > MK_JWKS_TEXT_MAX)
		return mk_why_at(why, MK_BAD_REQUEST, k->jwks_file, 0, "this is no JSON Web Key Set: it is empty, or has more than 16 KiB");
	free(k->jwks);
	k->jwks = malloc(in.n);
	if (!k->jwks)
		return MK_NO_MEMORY;
	memcpy(k->jwks, in.p, in.n);
	k->n_jwks = in.n;
	return MK_OK;
}

mk_must mk_conf_load_pod(struct mk_conf *c, struct mk_why *why)
{
	if (!c->kubernetes.on)
		return MK_OK;
	MK_TRY(read_pod_uid(&c->kubernetes, why));
	return c->kubernetes.jwks_file[0] ? read_jwks(&c->kubernetes, why) : MK_OK;
}

mk_must mk_cases_load(const char *path, struct mk_cases *ret, struct mk_why *why)
{
	char file[MK_PATH_MAX];
	mk_auto(input_done) struct input in = { 0 };
	MK_TRY(absolute(path, file, why));
	MK_TRY(read_file(file, 0, &in, why));
	return mk_cases_parse(mk_span(in.p, in.n), file, ret, why);
}

mk_must mk_conf_load_policy(const char *path, const struct mk_word *environment, bool in_pod, struct mk_rules *ret,
			    struct mk_why *why)
{
	char file[MK_PATH_MAX];
	mk_auto(input_done) struct input in = { 0 };
	MK_TRY(absolute(path, file, why));
	MK_TRY(read_file(file, in_pod ? MK_FILE_POD : 0, &in, why));
	return mk_conf_parse_policy(mk_span(in.p, in.n), file, environment, in_pod, ret, why);
}

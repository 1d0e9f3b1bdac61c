/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as agent.conf: it is refused with an explanation that has a line and can be
 * shown, or it is taken, and then it holds what the rest of the agent relies on.
 */
#include "agent/conf/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the word it was reading when it meets a syntax error. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_backend(const struct mk_conf_backend *b)
{
	static const char hole[] = "{connection}";
	const size_t n = strlen(b->path);
	if (strcmp(b->type, "local") == 0) {
		must(b->file[0] == '/' && (!b->key_file[0]) != (!b->passphrase_file[0]) && !b->address[0] && !b->proxy[0]);
		return;
	}
	must(!b->file[0] && (b->kv == 1 || b->kv == 2) && b->calls_per_hour > 0);
	must(strncmp(b->address, "https://", 8) == 0 || (strncmp(b->address, "http://", 7) == 0 && !b->proxy[0]));
	must(!strpbrk(b->address + 8, "/?#@ "));
	if (strcmp(b->type, "vault") != 0)
		return;
	must(b->mount[0] && !strstr(b->path, "//") && !strstr(b->path, "/../"));
	must(n >= sizeof hole - 1 && strcmp(b->path + n - (sizeof hole - 1), hole) == 0);
	must(b->auth.method[0] && (b->auth.cert_file[0] == '/') == (b->auth.cert_key_file[0] == '/'));
}

static void check(const struct mk_conf *c)
{
	must(c->environment.s[0] && c->runtime_dir[0] == '/' && c->state_dir[0] == '/' && c->policy_file[0] == '/');
	must(c->n_listeners >= 2 && c->n_listeners <= MK_LISTENERS_MAX + 1);
	must(strcmp(c->listeners[0].name.s, "admin") == 0 && strcmp(c->listeners[1].name.s, "api") == 0);
	must(c->n_backends >= 1 && c->n_backends <= MK_BACKENDS_MAX);
	must(c->limits.connections_per_uid * 2 <= c->limits.connections);
	for (size_t i = 0; i < c->n_backends; i++)
		check_backend(&c->backends[i]);
	for (size_t i = 0; i < c->n_listeners; i++)
		must(c->listeners[i].path[0] == '/' && strlen(c->listeners[i].path) <= MK_SOCKET_PATH_MAX &&
		     (c->listeners[i].mode & ~0666u) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct mk_conf c = { 0 };
	struct mk_why why = { 0 };
	const enum mk_err e = mk_conf_parse(mk_span(p, n), "/etc/makini/x/agent.conf", &c, &why);
	if (e == MK_OK) {
		check(&c);
		mk_conf_done(&c);
		return 0;
	}
	must(why.text[0] && (why.line > 0 || e == MK_TOO_LARGE));
	for (const char *t = why.text; *t; t++)
		must((unsigned char)*t >= 0x20 && *t != 0x7f);
	return 0;
}

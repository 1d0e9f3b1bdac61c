/* SPDX-License-Identifier: Apache-2.0
 *
 * One operation of one backend of a configuration, through the fetcher's own driver and transport, and a
 * line of JSON of what came of it. For the conformance suite, which plays the agent: no lock-down, no
 * cache, and values are printed, so a tool for tests alone.
 *     drive CONFIG BACKEND VERB [NAME] [--expect VERSION] [--previous] [--pending] [--after NAME]
 * put takes the value, a JSON object, from standard input. Exit code 0 where the backend was asked.
 */
#include "agent/base/clock.h"
#include "agent/base/jw.h"
#include "agent/base/secret.h"
#include "agent/conf/conf.h"
#include "agent/fetcher/driver.h"
#include "agent/fetcher/transport_curl.h"
#include "backends/flatten.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX (1024u * 1024)

static const char *const types[] = { "none", "string", "number", "bool", "null", "object", "array" };
static const char *const words[] = {
#define WORD(name, http, retry, word) #name,
	MK_ERR_LIST(WORD)
};

static struct {
	struct mk_conf *conf;
	struct mk_loop *loop;
	struct mk_curl *curl; /* NULL: no store on the network */
	struct mk_driver driver;
	struct mk_instance at;
	struct mk_run run;
	struct mk_secret *value;
	bool over;
	uint8_t text[TEXT_MAX];
} g;

static int usage(const char *what)
{
	fprintf(stderr, "drive: %s\n", what);
	return 2;
}

static void print_fields(struct mk_jw *w, struct mk_span list)
{
	struct mk_leaf leaf;
	size_t at = 0;
	mk_jw_key(w, "fields");
	mk_jw_open(w, '{');
	while (mk_leaves_next(list, &at, &leaf)) {
		mk_jw_name(w, leaf.pointer);
		mk_jw_open(w, '[');
		mk_jw_str(w, mk_span_of((unsigned)leaf.type < MK_COUNT(types) ? types[leaf.type] : "?"));
		mk_jw_str(w, leaf.value);
		mk_jw_close(w, ']');
	}
	mk_jw_close(w, '}');
}

static void print_meta(struct mk_jw *w, const struct mk_meta *m)
{
	mk_jw_kstr(w, "version", m->version);
	mk_jw_ktime(w, "created", m->created_ms > 0 ? m->created_ms : MK_TIME_NONE);
	mk_jw_kbool(w, "disabled", m->disabled);
	mk_jw_key(w, "tags");
	mk_jw_open(w, '{');
	for (size_t i = 0; i < m->n_tags; i++)
		mk_jw_kstr(w, m->tags[i].key, m->tags[i].value);
	mk_jw_close(w, '}');
}

static void print_names(struct mk_jw *w, const struct mk_op *op)
{
	mk_jw_key(w, "names");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < op->n_listed; i++)
		mk_jw_str(w, mk_span_of(op->listed[i].name.s));
	mk_jw_close(w, ']');
	mk_jw_kbool(w, "more", op->more);
}

static int print(enum mk_err e, const struct mk_op *op)
{
	struct mk_jw w = mk_jw_of(g.text, sizeof g.text);
	size_t n = 0;
	mk_jw_open(&w, '{');
	mk_jw_kstr(&w, "err", e < MK_COUNT(words) ? words[e] : "?");
	mk_jw_kstr(&w, "fault", e != MK_OK ? op->fault : NULL);
	if (e == MK_OK)
		print_meta(&w, &op->meta);
	if (e == MK_OK && op->leaves)
		print_fields(&w, mk_secret_span(op->leaves));
	if (e == MK_OK && op->verb == MK_VERB_LIST)
		print_names(&w, op);
	mk_jw_close(&w, '}');
	if (mk_jw_end(&w, &n) != MK_OK)
		return 1;
	printf("%.*s\n", (int)n, (const char *)g.text);
	return fflush(stdout) == 0 ? 0 : 1;
}

static enum mk_verb verb_of(const char *word)
{
	static const struct {
		const char *word;
		enum mk_verb verb;
	} rows[] = { { "get", MK_VERB_GET }, { "list", MK_VERB_LIST }, { "health", MK_VERB_HEALTH }, { "put", MK_VERB_PUT },
		     { "promote", MK_VERB_PROMOTE }, { "discard", MK_VERB_DISCARD }, { "disable", MK_VERB_DISABLE }, { "enable", MK_VERB_ENABLE } };
	for (size_t i = 0; i < MK_COUNT(rows); i++)
		if (strcmp(rows[i].word, word) == 0)
			return rows[i].verb;
	return (enum mk_verb)0;
}

/* How many arguments the option at argv[0] takes up; 0: it is none. */
static int option(char **argv, struct mk_op *op)
{
	const char *more = argv[1] ? argv[1] : "";
	if (strcmp(argv[0], "--previous") == 0)
		op->previous = true;
	else if (strcmp(argv[0], "--pending") == 0)
		op->pending = true;
	else if (strcmp(argv[0], "--expect") == 0 && strlen(more) < sizeof op->expect)
		return memcpy(op->expect, more, strlen(more)) ? 2 : 0;
	else if (strcmp(argv[0], "--after") == 0 && mk_name_of(mk_span_of(more), &op->name) == MK_OK)
		return 2;
	else
		return mk_name_of(mk_span_of(argv[0]), &op->name) == MK_OK;
	return 1;
}

static mk_must read_value(void)
{
	const size_t n = fread(g.text, 1, sizeof g.text, stdin);
	const enum mk_err e = mk_flatten(mk_span(g.text, n), &g.value);
	mk_wipe(g.text, n);
	g.run.op.value = g.value;
	return e;
}

static const struct mk_conf_backend *backend_of(const char *name)
{
	for (size_t i = 0; i < g.conf->n_backends; i++)
		if (strcmp(g.conf->backends[i].name.s, name) == 0)
			return &g.conf->backends[i];
	return NULL;
}

static mk_must make(const struct mk_conf_backend *conf)
{
	struct mk_instance *at = &g.at;
	MK_TRY(mk_loop_new(&g.loop));
	g.driver = (struct mk_driver){ .loop = g.loop, .random = randombytes_random };
	if (conf->address[0]) {
		MK_TRY(mk_curl_new(&g.curl));
		g.driver.transport = mk_curl_transport(g.curl);
	}
	*at = (struct mk_instance){ .conf = *conf, .backend = mk_backend_of(conf->type), .in_pod = g.conf->platform == MK_POD,
					 .may_write = true };
	at->login = conf->auth.method[0] ? mk_login_of(conf->auth.method) : NULL;
	if (!at->backend)
		return MK_BUG;
	at->keep = calloc(1, at->backend->keep_size + 1);
	return at->keep ? mk_instance_init(at, &g.driver) : MK_NO_MEMORY;
}

static void ended(struct mk_run *run)
{
	(void)run;
	g.over = true;
	mk_loop_stop(g.loop);
}

static mk_must ask(void)
{
	static struct mk_listed listed[MK_LIST_PAGE_MAX];
	g.run.at = &g.at;
	g.run.ended = ended;
	g.run.op.listed = listed;
	mk_run_begin(&g.run);
	if (!g.over)
		MK_TRY(g.curl ? mk_curl_run(g.curl, g.loop) : mk_loop_run(g.loop));
	return g.run.op.err;
}

static void end(void)
{
	mk_run_done(&g.run);
	mk_instance_stop(&g.at);
	if (g.at.backend->forget)
		g.at.backend->forget(g.at.keep);
	free(g.at.keep);
	mk_secret_free(g.value);
	mk_curl_free(g.curl);
	mk_loop_free(g.loop);
	mk_conf_free(g.conf);
}

int main(int argc, char **argv)
{
	struct mk_why why = { .text = "" };
	bool locked;
	if (argc < 4)
		return usage("CONFIG BACKEND VERB [NAME] [--expect VERSION] [--previous] [--pending] [--after NAME]");
	g.run.op.verb = verb_of(argv[3]);
	for (int i = 4, n; i < argc; i += n)
		if ((n = option(argv + i, &g.run.op)) == 0)
			return usage(argv[i]);
	if (sodium_init() < 0 || mk_secret_arena_init(32, 8, &locked) != MK_OK)
		return usage("no memory");
	if (mk_conf_load(argv[1], &g.conf, &why) != MK_OK)
		return usage(why.text);
	const struct mk_conf_backend *conf = backend_of(argv[2]);
	if (!conf || g.run.op.verb == 0)
		return usage("no such backend or verb");
	if (g.run.op.verb == MK_VERB_PUT) {
		const enum mk_err e = read_value();
		if (e != MK_OK)
			return print(e, &g.run.op);
	}
	if (make(conf) != MK_OK)
		return usage("the backend could not be made");
	const enum mk_err e = ask();
	const int rc = print(e, &g.run.op);
	end();
	return mk_secret_in_use() == 0 ? rc : usage("a secret was left");
}

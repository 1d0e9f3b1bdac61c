/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl local init|put|list|rm: the embedded store. Values come from standard input
 * and are never printed.
 */
#include "ctl/local.h"

#include "agent/base/clock.h"
#include "agent/base/jw.h"
#include "agent/base/secret.h"
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ID_TEXT (2 * MK_LOCAL_ID_BYTES + 1)

struct request {
	struct mk_local_paths paths;
	struct mk_name name;
	struct mk_tag tags[MK_TAGS_MAX];
	size_t n_tags;
	bool json;
};

static int exit_of(enum mk_err e, const struct mk_why *why)
{
	if (e == MK_OK)
		return MK_EXIT_DONE;
	mk_ctl_why(e, why);
	return e == MK_NOT_FOUND ? MK_EXIT_NOT_FOUND : MK_EXIT_FAILED;
}

/* --- init */

static int local_init(const struct request *r)
{
	struct mk_why why = { .text = "" };
	const int rc = exit_of(mk_disk_init(&r->paths, &why), &why);
	if (rc == MK_EXIT_DONE && geteuid() == 0)
		fprintf(stderr, "makinictl: %s%s%s belong%s to root: give them to the agent's user (chown)\n", r->paths.file,
			r->paths.key_file ? " and " : "", r->paths.key_file ? r->paths.key_file : "", r->paths.key_file ? "" : "s");
	return rc;
}

/* --- put, rm */

static enum mk_err change(const struct request *r, const struct mk_local_change *c, char id[ID_TEXT], struct mk_why *why)
{
	struct mk_disk d = { .file.fd = -1 };
	struct mk_local_bytes next = { 0 };
	MK_TRY(mk_disk_open(&r->paths, true, &d, why));
	enum mk_err e = mk_local_change(d.store, d.key, c, &next, id);
	if (e == MK_OK)
		e = mk_disk_replace(&d, &next, why);
	else if (e == MK_NOT_FOUND)
		mk_why_set(why, e, "%s has no connection %s", r->paths.file, r->name.s);
	else if (e == MK_TOO_LARGE)
		mk_why_set(why, e, "that is more than %s can hold: 64 MiB, %u connections, %d tags each", r->paths.file,
			   MK_LOCAL_NAMES_MAX, MK_TAGS_MAX);
	free(next.p);
	mk_disk_done(&d);
	return e;
}

static bool has_text(struct mk_span leaves, const char *pointer)
{
	struct mk_leaf l;
	return mk_leaves_find(leaves, pointer, &l) == MK_OK && l.type == MK_LEAF_STRING && l.value.n > 0;
}

static int local_put(const struct request *r)
{
	struct mk_why why = { .text = "" };
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	char id[ID_TEXT] = "";
	int rc = exit_of(mk_local_input(&leaves, &why), &why);
	if (rc != MK_EXIT_DONE)
		return rc;
	const struct mk_span s = mk_secret_span(leaves);
	if (!has_text(s, "/access_token") && !has_text(s, "/token"))
		fputs("makinictl: note: the object has neither \"access_token\" nor \"token\" with a text; the agent serves it only by a "
		      "mapping\n", stderr);
	const struct mk_local_change c = { .name = r->name, .act = MK_LOCAL_PUT, .leaves = s, .tags = r->tags, .n_tags = r->n_tags,
					   .now_ms = mk_wall_ms() };
	rc = exit_of(change(r, &c, id, &why), &why);
	if (rc == MK_EXIT_DONE)
		printf("%s %s\n", r->name.s, id);
	return rc;
}

static int local_rm(const struct request *r)
{
	struct mk_why why = { .text = "" };
	char id[ID_TEXT];
	const struct mk_local_change c = { .name = r->name, .act = MK_LOCAL_REMOVE };
	return exit_of(change(r, &c, id, &why), &why);
}

/* --- list */

static void kid(struct mk_jw *w, const char *key, const struct mk_local_version *v)
{
	mk_jw_kstr(w, key, v->size > 0 ? v->id : NULL);
}

static void show_json(const struct mk_local_entry *e, const struct mk_tag *tags, bool first)
{
	static char buf[32 * 1024]; /* sixteen tags of escaped text fit */
	const struct mk_local_version *v = e->versions;
	struct mk_jw w = mk_jw_of(buf, sizeof buf);
	size_t n = 0;
	mk_jw_open(&w, '{');
	mk_jw_kstr(&w, "connection", e->name.s);
	kid(&w, "version", &v[MK_LOCAL_CURRENT]);
	mk_jw_ktime(&w, "created_at", v[MK_LOCAL_CURRENT].size > 0 ? v[MK_LOCAL_CURRENT].created_ms : MK_TIME_NONE);
	mk_jw_kbool(&w, "disabled", v[MK_LOCAL_CURRENT].disabled);
	kid(&w, "previous", &v[MK_LOCAL_PREVIOUS]);
	mk_jw_kbool(&w, "previous_disabled", v[MK_LOCAL_PREVIOUS].disabled);
	kid(&w, "pending", &v[MK_LOCAL_PENDING]);
	mk_jw_key(&w, "tags");
	mk_jw_open(&w, '{');
	for (size_t i = 0; i < e->n_tags; i++)
		mk_jw_kstr(&w, tags[i].key, tags[i].value);
	mk_jw_close(&w, '}');
	mk_jw_close(&w, '}');
	mk_assert(mk_jw_end(&w, &n) == MK_OK);
	printf("%s%.*s", first ? "" : ",", (int)n, buf);
}

/* A version's column; one that is disabled is marked. */
static void show_id(const struct mk_local_version *v)
{
	printf(" %-16s%c", v->size > 0 ? v->id : "-", v->disabled ? '!' : ' ');
}

static void show_line(const struct mk_local_entry *e, const struct mk_tag *tags)
{
	const struct mk_local_version *v = e->versions;
	char when[MK_RFC3339_MAX] = "-";
	if (v[MK_LOCAL_CURRENT].size > 0)
		mk_rfc3339(v[MK_LOCAL_CURRENT].created_ms, false, when);
	printf("%-40s", e->name.s);
	for (size_t i = 0; i < MK_LOCAL_SLOTS; i++)
		show_id(&v[i]);
	printf(" %-20s", when);
	for (size_t i = 0; i < e->n_tags; i++)
		printf(" %s=%s", tags[i].key, tags[i].value);
	putchar('\n');
}

static void show(const struct mk_local *s, bool json)
{
	struct mk_local_cursor at = { 0 };
	struct mk_local_entry e;
	struct mk_tag tags[MK_TAGS_MAX];
	if (json)
		fputs("{\"connections\":[", stdout);
	else
		printf("%-40s %-17s %-17s %-17s %-20s %s\n", "CONNECTION", "VERSION", "PREVIOUS", "PENDING", "PUT", "TAGS");
	for (bool first = true; mk_local_next(s, &at, &e); first = false) {
		mk_local_tags(&e, tags);
		if (json)
			show_json(&e, tags, first);
		else
			show_line(&e, tags);
	}
	if (json)
		puts("]}");
}

static int local_list(const struct request *r)
{
	struct mk_why why = { .text = "" };
	struct mk_disk d = { .file.fd = -1 };
	const int rc = exit_of(mk_disk_open(&r->paths, false, &d, &why), &why);
	if (rc == MK_EXIT_DONE)
		show(d.store, r->json);
	mk_disk_done(&d);
	return rc == MK_EXIT_DONE && fflush(stdout) != 0 ? mk_ctl_fail(MK_EXIT_FAILED, "standard output cannot be written") : rc;
}

/* --- arguments */

static const char help[] =
	"makinictl local: the embedded store, one sealed file\n"
	"\n"
	"  makinictl local init       an empty store, and its key file (never overwrites)\n"
	"  makinictl local put NAME   a new version, from standard input; the one before it becomes previous\n"
	"  makinictl local list       names, versions (! : disabled), tags; never values\n"
	"  makinictl local rm NAME    removes a connection, with all its versions\n"
	"\n"
	"  --file F                   the store\n"
	"  --key-file K               its key: 32 bytes in base64, mode 0600; init makes it\n"
	"  --passphrase-file P        or a passphrase (Argon2id: a second and 256 MiB each time)\n"
	"  --tag KEY=VALUE            put: sets a tag, may be given several times; KEY= takes it away\n"
	"  --json                     list: for programs\n"
	"\n"
	"Input of put: a JSON object ({\"access_token\":…,\"expires_in\":…}), or the bare token; one newline behind it does\n"
	"not count. The file is replaced in one step: a running agent sees it at once. Owner and mode stay.\n"
	"\n"
	"Example:\n"
	"  makinictl local init --file store.mks --key-file store.key\n"
	"  makinictl local put acme-sap --file store.mks --key-file store.key --tag system=sap < token.json\n";

static const struct verb {
	const char *name;
	int (*run)(const struct request *r);
	bool named, tagged, json;
} verbs[] = {
	{ "init", local_init, false, false, false },
	{ "put", local_put, true, true, false },
	{ "list", local_list, false, false, true },
	{ "rm", local_rm, true, false, false },
};

static const struct verb *verb_of(const char *name)
{
	for (size_t i = 0; i < MK_COUNT(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int tag_add(void *arg, const char *text)
{
	struct request *r = arg;
	const char *eq = text ? strchr(text, '=') : NULL;
	if (!eq)
		return mk_ctl_usage("local", "--tag takes KEY=VALUE");
	const struct mk_span key = mk_span(text, (size_t)(eq - text)), value = mk_span_of(eq + 1);
	if (!mk_local_tag_ok(key, value.n > 0 ? value : mk_span_of("-")))
		return mk_ctl_usage("local", "not a tag: %s (a key of 1 to %d visible characters, a value of at most %d bytes without control "
				    "characters)", text, MK_TAG_KEY_MAX, MK_TAG_VALUE_MAX);
	if (r->n_tags == MK_TAGS_MAX)
		return mk_ctl_usage("local", "at most %d tags", MK_TAGS_MAX);
	struct mk_tag *t = &r->tags[r->n_tags++];
	memcpy(t->key, key.p, key.n);
	memcpy(t->value, value.p, value.n);
	return MK_EXIT_DONE;
}

static int check(const struct verb *v, struct request *r, const char *const *words, size_t n)
{
	if (!r->paths.file)
		return mk_ctl_usage("local", "--file is missing: the store's path");
	if (!r->paths.key_file == !r->paths.passphrase_file)
		return mk_ctl_usage("local", "give --key-file or --passphrase-file, one of them");
	if (n != (v->named ? 1 : 0))
		return mk_ctl_usage("local", "%s %s%s", v->name, v->named ? "wants the name of one connection" : "takes no name",
				    v->tagged ? "; the value comes from standard input, never from an argument, which others can see" : "");
	if (r->n_tags > 0 && !v->tagged)
		return mk_ctl_usage("local", "%s takes no --tag", v->name);
	if (r->json && !v->json)
		return mk_ctl_usage("local", "%s takes no --json", v->name);
	if (v->named && mk_name_of(mk_span_of(words[0]), &r->name) != MK_OK)
		return mk_ctl_usage("local", "not a connection's name: %s (a-z, 0-9 and single -, 63 at most)", words[0]);
	return MK_EXIT_DONE;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct request r = { .paths = { 0 } };
	const char *words[2]; /* one more than any takes, so that `check` says what is wrong */
	size_t n = 0;
	bool asked = false;
	const struct mk_option options[] = {
		{ "--file", &r.paths.file, NULL },
		{ "--key-file", &r.paths.key_file, NULL },
		{ "--passphrase-file", &r.paths.passphrase_file, NULL },
		{ "--json", NULL, &r.json },
		{ "--help", NULL, &asked },
	};
	int rc = mk_ctl_each(&argc, argv, "--tag", tag_add, &r);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc == MK_EXIT_DONE && asked)
		return fputs(help, stdout) < 0 ? MK_EXIT_FAILED : MK_EXIT_DONE;
	if (rc == MK_EXIT_DONE)
		rc = check(v, &r, words, n);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_guard(16, 4, true);
	return rc == MK_EXIT_DONE ? v->run(&r) : rc;
}

int mk_ctl_local(int argc, char **argv)
{
	const char *word = argc > 0 ? argv[0] : "";
	const struct verb *v = verb_of(word);
	if (v)
		return run(v, argc - 1, argv + 1);
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
		return fputs(help, stdout) < 0 ? MK_EXIT_FAILED : MK_EXIT_DONE;
	const char *known[MK_COUNT(verbs)];
	for (size_t i = 0; i < MK_COUNT(verbs); i++)
		known[i] = verbs[i].name;
	const char *near = argc > 0 ? mk_ctl_nearest(word, known, MK_COUNT(known)) : NULL;
	return near ? mk_ctl_usage("local", "no such command: local %s; did you mean %s?", word, near)
		    : mk_ctl_usage("local", "local wants init, put, list or rm");
}

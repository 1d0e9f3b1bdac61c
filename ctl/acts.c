/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl freeze, thaw, approve: short to type at night, and each says what is so now.
 * What is approved is shown first, and approved by its digest, so that it is what was shown.
 */
#include "ctl/acts.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void json_freep(json_t **j)
{
	json_decref(*j);
}

int mk_ctl_proposed(const struct mk_target *t, const struct json_t *root)
{
	const char *id = mk_ctl_text_of(root, "approval");
	printf("proposed; another person must approve it before %s:\n\n  makinictl approve %s --digest %s%s%s%s%s\n", mk_ctl_text_of(root, "expires_at"),
	       id, mk_ctl_text_of(root, "digest"), t->env ? " --env " : "", t->env ? t->env : "", t->socket ? " --socket " : "",
	       t->socket ? t->socket : "");
	return MK_EXIT_DONE;
}

int mk_ctl_restored(const struct json_t *root)
{
	if (!json_is_string(json_object_get(root, "restored")))
		return mk_ctl_stranger();
	printf("%s restored: it is served again %s\n", mk_ctl_text_of(root, "restored"),
	       json_is_true(json_object_get(root, "values_too")) ? "with whatever the store has" : "as soon as the store has another value than those that were revoked");
	mk_ctl_stores_show(root);
	if (mk_ctl_stores_code(root, false) == MK_EXIT_DONE)
		return MK_EXIT_DONE;
	return mk_ctl_fail(MK_EXIT_FAILED, "not every store did it; the restore itself stands");
}

static int show_done(const json_t *root)
{
	const json_t *frozen = json_object_get(root, "frozen");
	if (json_is_true(frozen))
		printf("frozen since %s by %s (uid %lld): nothing is handed out, until makinictl thaw\n", mk_ctl_text_of(root, "at"), mk_ctl_text_of(root, "by"),
		       (long long)json_integer_value(json_object_get(root, "uid")));
	else if (json_is_false(frozen))
		puts("not frozen: hand-outs go on");
	else if (json_is_integer(json_object_get(root, "generation")))
		printf("reloaded: configuration %lld is in force\n", (long long)json_integer_value(json_object_get(root, "generation")));
	else
		return mk_ctl_restored(root);
	return MK_EXIT_DONE;
}

/* 200: it is done. 202: it waits for a second person. */
static int tell(const struct mk_target *t, const struct mk_reply *r, bool json)
{
	if (r->status != 200 && r->status != 202)
		return mk_ctl_problem(r, json);
	mk_auto(json_freep) json_t *root = mk_ctl_object(r);
	if (!root)
		return mk_ctl_stranger();
	if (json) {
		const int rc = mk_ctl_print(r, true);
		return rc == MK_EXIT_DONE ? mk_ctl_stores_code(root, false) : rc;
	}
	return r->status == 202 ? mk_ctl_proposed(t, root) : show_done(root);
}

static int act(const struct mk_target *t, const char *path, bool json)
{
	struct mk_reply r = { 0 };
	int rc = mk_ctl_call(t, path, NULL, &r);
	if (rc == MK_EXIT_DONE)
		rc = tell(t, &r, json);
	mk_reply_done(&r);
	return rc;
}

/* {"KEY": value} for free(3), or NULL. */
static char *body_of(const char *key, const char *value)
{
	mk_auto(json_freep) json_t *o = json_pack("{ss}", key, value);
	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

static int act_with(struct mk_target *t, const char *path, const char *key, const char *value, bool json)
{
	char *body = body_of(key, value);
	if (!body)
		return mk_ctl_fail(MK_EXIT_USAGE, "%s is not UTF-8 text", key);
	t->body = body;
	const int rc = act(t, path, json);
	free(body);
	return rc;
}

int mk_ctl_freeze(int argc, char **argv)
{
	struct mk_target t = { .name = "admin", .method = "POST" };
	const char *words[1], *reason = "";
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = { { "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &json },
					     { "--reason", &reason, NULL } };
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (strlen(reason) > 256)
		return mk_ctl_usage("freeze", "--reason takes 256 bytes at most");
	return act_with(&t, "/v1/freeze", "reason", reason, json);
}

int mk_ctl_thaw(int argc, char **argv)
{
	struct mk_target t = { .name = "admin", .method = "DELETE" };
	const char *words[1];
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = { { "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &json } };
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	return rc == MK_EXIT_DONE ? act(&t, "/v1/freeze", json) : rc;
}

/* ---- approve ---- */

static const json_t *proposal_of(const json_t *status, const char *id)
{
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(status, "approvals"), i, p)
		if (strcmp(mk_ctl_text_of(p, "approval"), id) == 0)
			return p;
	return NULL;
}

/* Asks whoever sits there; without a terminal nobody was asked. */
static int ask(const json_t *p, char digest[65])
{
	char line[8];
	if (!isatty(STDIN_FILENO))
		return mk_ctl_usage("approve", "without a terminal, give the --digest that the proposer was told");
	fprintf(stderr, "%s: %s\n  proposed by %s (uid %lld), until %s\n  digest %s\nApprove? Type yes: ", mk_ctl_text_of(p, "action"),
		mk_ctl_text_of(p, "detail"), mk_ctl_text_of(p, "by"), (long long)json_integer_value(json_object_get(p, "uid")),
		mk_ctl_text_of(p, "expires_at"), mk_ctl_text_of(p, "digest"));
	if (!fgets(line, sizeof line, stdin) || strcmp(line, "yes\n") != 0)
		return mk_ctl_fail(MK_EXIT_FAILED, "not approved");
	snprintf(digest, 65, "%s", mk_ctl_text_of(p, "digest"));
	return MK_EXIT_DONE;
}

static int look(const struct mk_target *t, const char *id, char digest[65])
{
	struct mk_target status = { .socket = t->socket, .env = t->env, .name = "admin" };
	struct mk_reply r = { 0 };
	int rc = mk_ctl_call(&status, "/v1/status", NULL, &r);
	if (rc == MK_EXIT_DONE && r.status != 200)
		rc = mk_ctl_problem(&r, false);
	if (rc == MK_EXIT_DONE) {
		mk_auto(json_freep) json_t *root = mk_ctl_object(&r);
		const json_t *p = proposal_of(root, id);
		rc = p ? ask(p, digest) : mk_ctl_fail(MK_EXIT_NOT_FOUND, "no proposal of that id waits: it was carried out, its 15 minutes are over, or all was frozen anew or thawed since");
	}
	mk_reply_done(&r);
	return rc;
}

int mk_ctl_approve(int argc, char **argv)
{
	struct mk_target t = { .name = "admin", .method = "POST" };
	const char *words[1], *given = NULL;
	char path[64], digest[65] = "";
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = { { "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &json },
					     { "--digest", &given, NULL } };
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 1, &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n != 1 || strlen(words[0]) != 16 || strspn(words[0], "0123456789abcdef") != 16)
		return mk_ctl_usage("approve", "give the id of a proposal: 16 digits 0-9a-f (makinictl status lists those that wait)");
	if (given)
		snprintf(digest, sizeof digest, "%s", given);
	else
		rc = look(&t, words[0], digest);
	if (rc != MK_EXIT_DONE)
		return rc;
	snprintf(path, sizeof path, "/v1/approvals/%s", words[0]);
	return act_with(&t, path, "digest", digest, json);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl revoke and restore. A revocation is one call for all names, done for all or for
 * none; a restore is a call for each, as each may wait for a second person. With --in-store a
 * line for each store follows, and the code says whether all of them did it.
 */
#include "ctl/acts.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64

static void json_freep(json_t **j)
{
	json_decref(*j);
}

static long long number_of(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

/* What was done, and after how many milliseconds. */
static void show_steps(const json_t *steps)
{
	static const struct {
		const char *key, *text;
	} all[] = { { "decided_us", "decided" }, { "in_force_us", "in force" }, { "recorded_us", "in the audit log" }, { "kept_us", "in the state database" },
		    { "aborted_us", "answers cut off" }, { "wiped_us", "wiped" }, { "woken_us", "services woken" } };
	for (size_t i = 0; i < MK_COUNT(all); i++)
		printf("%s%s %.1f", i == 0 ? "  ms: " : ", ", all[i].text, (double)number_of(steps, all[i].key) / 1000);
	putchar('\n');
}

static void show_one(const json_t *one)
{
	const long long aborted = number_of(one, "aborted"), values = number_of(one, "values");
	printf("%s revoked at %s", mk_ctl_text_of(one, "connection"), mk_ctl_text_of(one, "at"));
	if (aborted > 0)
		printf("; %lld answer%s cut off on the way", aborted, aborted == 1 ? "" : "s");
	if (values > 0)
		printf("; %lld value%s will not be served again under any name; what the store has of it is looked up now, and then dead, too\n", values,
		       values == 1 ? "" : "s");
	else
		puts("; no value of it was in memory: what the store has of it now is looked up, and then not served under any name");
	show_steps(json_object_get(one, "steps"));
	if (json_is_false(json_object_get(one, "listed")))
		printf("  NOTE: no store lists a connection %s: was another one meant?\n", mk_ctl_text_of(one, "connection"));
}

/* The code says whether the stores did what was asked of them; that it is revoked does not hang on it. */
static int show_revoked(const struct mk_reply *r, bool in_store, bool json)
{
	mk_auto(json_freep) json_t *root = mk_ctl_object(r);
	const json_t *all = json_object_get(root, "revoked");
	int rc = MK_EXIT_DONE;
	size_t i;
	json_t *one;
	if (!json_is_array(all))
		return mk_ctl_stranger();
	json_array_foreach(all, i, one) {
		if (!json)
			show_one(one);
		if (!json)
			mk_ctl_stores_show(one);
		if (mk_ctl_stores_code(one, in_store) != MK_EXIT_DONE)
			rc = MK_EXIT_FAILED;
	}
	if (json && mk_ctl_print(r, true) != MK_EXIT_DONE)
		return MK_EXIT_FAILED;
	return rc == MK_EXIT_DONE || json ? rc : mk_ctl_fail(rc, "not every store did it; the revocation itself stands: this instance hands none of them out");
}

/* For free(3), or NULL. */
static char *body_of(const char *const *names, size_t n, const char *reason, bool in_store)
{
	mk_auto(json_freep) json_t *all = json_array();
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(all, json_string(names[i])) != 0)
			return NULL;
	mk_auto(json_freep) json_t *o = json_pack("{sOss}", "connections", all, "reason", reason);
	if (in_store && json_object_set_new(o, "in_store", json_true()) != 0)
		return NULL;
	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

struct flags {
	bool in_store, json;
};

static int revoke(struct mk_target *t, const char *const *names, size_t n, const char *reason, struct flags how)
{
	struct mk_reply r = { 0 };
	char *body = body_of(names, n, reason, how.in_store);
	if (!body)
		return mk_ctl_fail(MK_EXIT_USAGE, "a name or the reason is not UTF-8 text");
	t->body = body;
	int rc = mk_ctl_call(t, "/v1/revocations", NULL, &r);
	if (rc == MK_EXIT_DONE && r.status != 200)
		rc = mk_ctl_problem(&r, how.json);
	else if (rc == MK_EXIT_DONE)
		rc = show_revoked(&r, how.in_store, how.json);
	mk_reply_done(&r);
	free(body);
	return rc;
}

int mk_ctl_revoke(int argc, char **argv)
{
	struct mk_target t = { .name = "admin", .method = "POST" };
	const char *names[NAMES_MAX], *reason = "";
	struct flags how = { .in_store = false };
	size_t n = 0;
	const struct mk_option options[] = { { "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &how.json },
					     { "--reason", &reason, NULL }, { "--in-store", NULL, &how.in_store } };
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), names, NAMES_MAX, &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n == 0)
		return mk_ctl_usage("revoke", "name the connections that are to be revoked");
	if (strlen(reason) > 256)
		return mk_ctl_usage("revoke", "--reason takes 256 bytes at most");
	return revoke(&t, names, n, reason, how);
}

/* ---- restore ---- */

struct restoring {
	bool values_too, in_store, json;
};

static int tell_restored(const struct mk_target *t, const struct mk_reply *r, const struct restoring *how)
{
	if (r->status != 200 && r->status != 202)
		return mk_ctl_problem(r, how->json);
	mk_auto(json_freep) json_t *root = mk_ctl_object(r);
	if (!root)
		return mk_ctl_stranger();
	if (how->json) {
		const int rc = mk_ctl_print(r, true);
		return rc == MK_EXIT_DONE ? mk_ctl_stores_code(root, how->in_store && r->status == 200) : rc;
	}
	return r->status == 202 ? mk_ctl_proposed(t, root) : mk_ctl_restored(root);
}

static int restore(const struct mk_target *t, const char *name, const struct restoring *how)
{
	char path[160];
	struct mk_name checked;
	struct mk_reply r = { 0 };
	if (mk_name_of(mk_span_of(name), &checked) != MK_OK)
		return mk_ctl_usage("restore", "that is not a connection's name: 1 to 63 of a-z, 0-9 and -");
	snprintf(path, sizeof path, "/v1/revocations/%s%s%s%s", checked.s, how->values_too || how->in_store ? "?" : "",
		 how->values_too ? how->in_store ? "values=too&" : "values=too" : "", how->in_store ? "in_store=true" : "");
	int rc = mk_ctl_call(t, path, NULL, &r);
	if (rc == MK_EXIT_DONE)
		rc = tell_restored(t, &r, how);
	mk_reply_done(&r);
	return rc;
}

int mk_ctl_restore(int argc, char **argv)
{
	struct mk_target t = { .name = "admin", .method = "DELETE" };
	const char *names[NAMES_MAX];
	struct restoring how = { .values_too = false };
	size_t n = 0;
	const struct mk_option options[] = { { "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &how.json },
					     { "--value-too", NULL, &how.values_too }, { "--in-store", NULL, &how.in_store } };
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), names, NAMES_MAX, &n);
	if (rc == MK_EXIT_DONE && n == 0)
		rc = mk_ctl_usage("restore", "name the connections that are to be restored");
	int worst = rc;
	for (size_t i = 0; i < n && rc != MK_EXIT_USAGE; i++) {
		rc = restore(&t, names[i], &how);
		if (rc != MK_EXIT_DONE)
			worst = rc;
	}
	return worst;
}

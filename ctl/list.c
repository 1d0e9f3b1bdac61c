/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl list: the names that this caller may read, fetched page by page.
 */
#include "agent/base/units.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 200u

struct walk {
	struct mk_target target;
	struct mk_name after; /* where the next page begins; "" at the end */
	uint32_t left;        /* of --limit */
	bool json, headed;
	json_t *all;          /* --json: what came so far, to be one document */
};

static void show(struct walk *w, const json_t *tokens)
{
	size_t i;
	json_t *item;
	if (!w->headed)
		printf("%-40s %-10s %-18s %s\n", "CONNECTION", "STATE", "VERSION", "EXPIRES");
	w->headed = true;
	json_array_foreach(tokens, i, item)
		printf("%-40s %-10s %-18s %s\n", mk_ctl_text_of(item, "connection"), mk_ctl_text_of(item, "state"),
		       mk_ctl_text_of(item, "version"), mk_ctl_text_of(item, "expires_at"));
}

/* Names ascend, or a server could keep us for ever. */
static bool next_page(struct walk *w, const json_t *next)
{
	struct mk_name name = { 0 };
	if (!next || (!json_is_null(next) && (!json_is_string(next) || mk_name_of(mk_span_of(json_string_value(next)), &name) != MK_OK)))
		return false;
	const bool on = name.s[0] == '\0' || strcmp(name.s, w->after.s) > 0;
	w->after = name;
	return on;
}

static int take(struct walk *w, const struct mk_reply *r)
{
	json_t *root = mk_ctl_object(r);
	json_t *tokens = json_object_get(root, "tokens");
	const size_t n = json_array_size(tokens);
	int rc = MK_EXIT_DONE;
	if (!json_is_array(tokens) || n > PAGE || !next_page(w, json_object_get(root, "next")))
		rc = mk_ctl_stranger();
	else if (!w->json)
		show(w, tokens);
	else if (json_array_extend(w->all, tokens) != 0)
		rc = mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	w->left -= n < w->left ? (uint32_t)n : w->left;
	json_decref(root);
	return rc;
}

static int page(struct walk *w)
{
	char target[160];
	struct mk_reply r = { 0 };
	snprintf(target, sizeof target, "/v1/tokens?limit=%u%s%s", w->left < PAGE ? w->left : PAGE, w->after.s[0] ? "&after=" : "",
		 w->after.s);
	int rc = mk_ctl_call(&w->target, target, NULL, &r);
	if (rc == MK_EXIT_DONE)
		rc = r.status == 200 ? take(w, &r) : mk_ctl_problem(&r, w->json);
	mk_reply_done(&r);
	return rc;
}

/* In the agent's own form, however many pages it came in. */
static int print(struct walk *w)
{
	json_t *doc = json_pack("{s:O, s:s?}", "tokens", w->all, "next", w->after.s[0] ? w->after.s : NULL);
	char *text = json_dumps(doc, JSON_COMPACT);
	if (text)
		puts(text);
	free(text);
	json_decref(doc);
	return text ? MK_EXIT_DONE : mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
}

static int walk(struct walk *w)
{
	int rc;
	w->all = json_array();
	do
		rc = page(w);
	while (rc == MK_EXIT_DONE && w->after.s[0] && w->left > 0);
	if (rc == MK_EXIT_DONE && w->json)
		rc = print(w);
	json_decref(w->all);
	return rc;
}

int mk_ctl_list(int argc, char **argv)
{
	struct walk w = { .target.name = "api", .left = UINT32_MAX };
	const char *limit_text = NULL, *after_text = NULL, *words[1];
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &w.target.socket, NULL }, { "--env", &w.target.env, NULL },  { "--json", NULL, &w.json },
		{ "--limit", &limit_text, NULL },       { "--after", &after_text, NULL },
	};
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (after_text && mk_name_of(mk_span_of(after_text), &w.after) != MK_OK)
		return mk_ctl_usage("list", "--after takes a connection's name");
	if (limit_text && (mk_u32_of(mk_span_of(limit_text), &w.left) != MK_OK || w.left == 0))
		return mk_ctl_usage("list", "--limit takes a number from 1");
	return walk(&w);
}

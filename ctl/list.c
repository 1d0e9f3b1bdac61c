/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl list: the names that this caller may read, page by page.
 */
#include "agent/base/units.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>

#define PAGE 200u

static const char *text(const json_t *item, const char *key)
{
	const char *s = json_string_value(json_object_get(item, key));
	return s ? s : "-";
}

static int show(const json_t *root, bool first)
{
	size_t i;
	json_t *item;
	if (first)
		printf("%-40s %-10s %-18s %s\n", "CONNECTION", "STATE", "VERSION", "EXPIRES");
	json_array_foreach(json_object_get(root, "tokens"), i, item)
		printf("%-40s %-10s %-18s %s\n", text(item, "connection"), text(item, "state"), text(item, "version"),
		       text(item, "expires_at"));
	return MK_EXIT_DONE;
}

struct walk {
	struct mk_target target;
	struct mk_name after; /* where the next page begins */
	bool json, begun;
};

/* One page; walk->after is "" when there is no other. */
static int page(struct walk *w, uint32_t limit)
{
	char target[160];
	struct mk_reply r = { 0 };
	snprintf(target, sizeof target, "/v1/tokens?limit=%u%s%s", limit, w->after.s[0] ? "&after=" : "", w->after.s);
	int rc = mk_ctl_call(&w->target, "GET", target, NULL, &r);
	if (rc != MK_EXIT_DONE)
		return rc;
	const struct mk_span body = mk_secret_span(r.body);
	json_t *root = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	const char *next = json_string_value(json_object_get(root, "next"));
	w->after = (struct mk_name){ 0 };
	if (next && mk_name_of(mk_span_of(next), &w->after) != MK_OK)
		rc = mk_ctl_fail(MK_EXIT_FAILED, "the answer's continuation token is not a name: is that an agent's socket?");
	else if (r.status != 200)
		rc = mk_ctl_problem(&r);
	else
		rc = w->json ? mk_ctl_print(&r, true) : show(root, !w->begun);
	w->begun = true;
	json_decref(root);
	mk_reply_done(&r);
	return rc;
}

int mk_ctl_list(int argc, char **argv)
{
	struct walk w = { .target.name = "api" };
	const char *limit_text = NULL, *after_text = NULL, *words[1];
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &w.target.socket, NULL }, { "--env", &w.target.env, NULL },  { "--json", NULL, &w.json },
		{ "--limit", &limit_text, NULL },       { "--after", &after_text, NULL },
	};
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	uint32_t left = UINT32_MAX;
	if (after_text && mk_name_of(mk_span_of(after_text), &w.after) != MK_OK)
		return mk_ctl_usage("list", "--after takes a connection's name");
	if (limit_text && (mk_u32_of(mk_span_of(limit_text), &left) != MK_OK || left == 0))
		return mk_ctl_usage("list", "--limit takes a number from 1");
	do {
		const uint32_t ask = left < PAGE ? left : PAGE;
		rc = page(&w, ask);
		left -= left == UINT32_MAX ? 0 : ask;
	} while (rc == MK_EXIT_DONE && w.after.s[0] && left > 0);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl health: for probes. --live asks whether it answers at all, --ready whether it serves.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* "ready" of a 200, "not_ready" of a 503; what is neither is no agent's answer. */
static bool says(const struct mk_reply *r, const char *key, const char *word)
{
	json_t *root = mk_ctl_object(r);
	const bool yes = strcmp(mk_ctl_text_of(root, key), word) == 0;
	json_decref(root);
	return yes;
}

static int judge(const struct mk_reply *r, bool live, bool json)
{
	const bool ready = r->status == 200 && says(r, "status", "ready");
	if (!ready && !(live && r->status == 503 && says(r, "code", "not_ready")))
		return r->status == 200 ? mk_ctl_stranger() : mk_ctl_problem(r, json);
	if (json)
		return mk_ctl_print(r, true);
	puts(live ? "live" : "ready");
	return MK_EXIT_DONE;
}

int mk_ctl_health(int argc, char **argv)
{
	struct mk_target t = { .name = "api", .quick = true };
	const char *words[1];
	bool live = false, ready = false, json = false;
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--live", NULL, &live },
		{ "--ready", NULL, &ready },     { "--json", NULL, &json },
	};
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (live && ready)
		return mk_ctl_usage("health", "--live and --ready exclude each other");
	struct mk_reply r = { 0 };
	rc = mk_ctl_call(&t, "/v1/health", NULL, &r);
	if (rc == MK_EXIT_DONE)
		rc = judge(&r, live, json);
	mk_reply_done(&r);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl health: for probes. --live asks whether it answers at all, --ready whether it serves.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <stdio.h>

int mk_ctl_health(int argc, char **argv)
{
	struct mk_target t = { .name = "api" };
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
	rc = mk_ctl_call(&t, "GET", "/v1/health", NULL, &r);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (json)
		rc = mk_ctl_print(&r, true);
	if (rc == MK_EXIT_DONE && live)
		rc = r.status == 200 || r.status == 503 ? MK_EXIT_DONE : MK_EXIT_UNAVAILABLE;
	else if (rc == MK_EXIT_DONE && r.status != 200)
		rc = json ? MK_EXIT_UNAVAILABLE : mk_ctl_problem(&r);
	else if (rc == MK_EXIT_DONE && !json)
		puts("ready");
	mk_reply_done(&r);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl get: one token.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <stdio.h>
#include <unistd.h>

int mk_ctl_get(int argc, char **argv)
{
	struct mk_target t = { .name = "api", .secret = true };
	const char *version = NULL, *words[1];
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &t.socket, NULL }, { "--env", &t.env, NULL },
		{ "--version", &version, NULL }, { "--json", NULL, &json },
	};
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 1, &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	struct mk_name name;
	if (n != 1)
		return mk_ctl_usage("get", "get wants the name of one connection");
	if (mk_name_of(mk_span_of(words[0]), &name) != MK_OK)
		return mk_ctl_usage("get", "not a connection's name: %s (a-z, 0-9 and single -, 63 at most)", words[0]);
	if (version && strcmp(version, "previous") != 0 && strcmp(version, "current") != 0)
		return mk_ctl_usage("get", "--version takes current or previous");

	char target[160];
	struct mk_reply r = { 0 };
	snprintf(target, sizeof target, "/v1/tokens/%s%s", name.s, version && version[0] == 'p' ? "?version=previous" : "");
	rc = mk_ctl_call(&t, target, json ? NULL : "text/plain", &r);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (r.status == 200)
		rc = mk_ctl_print(&r, json || isatty(STDOUT_FILENO));
	else
		rc = mk_ctl_problem(&r, json);
	mk_reply_done(&r);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl status: the instance on one page, for the eyes of whoever is on call.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"
#include "ctl/status.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static long long num(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void show_head(const json_t *root)
{
	const json_t *reasons = json_object_get(root, "reasons");
	size_t i;
	json_t *reason;
	printf("%s: %s", mk_ctl_text_of(root, "environment"), json_array_size(reasons) ? "NOT READY" : "ready");
	json_array_foreach(reasons, i, reason)
		printf("%s%s", i ? ", " : ": ", mk_ctl_text(reason));
	printf("\n  version %s, configuration %lld, up since %s, %lld tokens held\n", mk_ctl_text_of(root, "version"), num(root, "generation"),
	       mk_ctl_text_of(root, "started_at"), num(root, "tokens"));
}

static void show_audit(const json_t *audit)
{
	const bool writable = json_is_true(json_object_get(audit, "writable"));
	printf("audit: %s%s%s, record %lld, head %.16s…, %lld MB free\n", writable ? "writable" : "NOT WRITABLE: no token leaves",
	       writable ? "" : ": ", writable ? "" : mk_ctl_text_of(audit, "fault"), num(audit, "seq"), mk_ctl_text_of(audit, "head"),
	       num(audit, "free_bytes") / (1024 * 1024));
}

/* All guards in full force read as "locked down"; else those that are not, by name. Silence is not full force. */
static void show_guards(json_t *guards)
{
	const char *guard;
	json_t *state;
	unsigned weak = 0;
	if (json_object_size(guards) == 0) {
		puts("  lock-down: not reported");
		return;
	}
	json_object_foreach(guards, guard, state) {
		const char *word = mk_ctl_text(state);
		if (strcmp(word, "full") != 0 && strcmp(word, "unused") != 0)
			printf("%s%s %s", weak++ ? ", " : "  lock-down: ", guard, word);
	}
	printf("%s", weak ? "\n" : "  locked down\n");
}

static void show_processes(const json_t *processes)
{
	size_t i;
	json_t *p;
	puts("processes:");
	json_array_foreach(processes, i, p) {
		printf("  %-10s pid %-8lld restarts %-4lld since %s", mk_ctl_text_of(p, "role"), num(p, "pid"), num(p, "restarts"), mk_ctl_text_of(p, "since"));
		show_guards(json_object_get(json_object_get(p, "lockdown"), "guards"));
	}
}

static int show(const json_t *root)
{
	show_head(root);
	mk_ctl_status_alarms(root);
	show_audit(json_object_get(root, "audit"));
	show_processes(json_object_get(root, "processes"));
	mk_ctl_status_stores(json_object_get(root, "stores"));
	return MK_EXIT_DONE;
}

int mk_ctl_status(int argc, char **argv)
{
	return mk_ctl_show(argc, argv, "admin", "/v1/status", show);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl status: the instance on one page, for the eyes of whoever is on call.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s && s[0] ? s : "-";
}

static long long num(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void show_head(const json_t *root)
{
	const json_t *reasons = json_object_get(root, "reasons");
	size_t i;
	json_t *reason;
	printf("%s: %s", str(root, "environment"), json_array_size(reasons) ? "NOT READY" : "ready");
	json_array_foreach(reasons, i, reason)
		printf("%s%s", i ? ", " : ": ", json_string_value(reason));
	printf("\n  version %s, configuration %lld, up since %s, %lld tokens held\n", str(root, "version"), num(root, "generation"),
	       str(root, "started_at"), num(root, "tokens"));
}

static void show_audit(const json_t *audit)
{
	const bool writable = json_is_true(json_object_get(audit, "writable"));
	printf("audit: %s%s%s, record %lld, head %.16s…, %lld MB free\n", writable ? "writable" : "NOT WRITABLE: no token leaves",
	       writable ? "" : ": ", writable ? "" : str(audit, "fault"), num(audit, "seq"), str(audit, "head"),
	       num(audit, "free_bytes") / (1024 * 1024));
}

/* All guards in full force read as "locked down"; else those that are not, by name. */
static void show_guards(const json_t *lockdown)
{
	const char *guard;
	json_t *state;
	unsigned weak = 0;
	void *it = json_object_iter(json_object_get(lockdown, "guards"));
	for (; it; it = json_object_iter_next(json_object_get(lockdown, "guards"), it)) {
		guard = json_object_iter_key(it);
		state = json_object_iter_value(it);
		const char *word = json_string_value(state);
		if (!word || strcmp(word, "full") == 0 || strcmp(word, "unused") == 0)
			continue;
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
		printf("  %-10s pid %-8lld restarts %-4lld since %s", str(p, "role"), num(p, "pid"), num(p, "restarts"), str(p, "since"));
		show_guards(json_object_get(p, "lockdown"));
	}
}

static void show_stores(const json_t *stores)
{
	size_t i;
	json_t *s;
	puts("stores:");
	json_array_foreach(stores, i, s)
		printf("  %-20s %-8s %-8s last error %-16s calls %lld\n", str(s, "name"), str(s, "type"), str(s, "health"),
		       str(s, "last_error"), num(s, "calls"));
}

static void show_alarms(const json_t *alarms)
{
	size_t i;
	json_t *a;
	printf("alarms: %s\n", json_array_size(alarms) ? "" : "none");
	json_array_foreach(alarms, i, a)
		printf("  %-24s since %s, %lld times\n", str(a, "code"), str(a, "since"), num(a, "count"));
}

static int show(const json_t *root)
{
	show_head(root);
	show_audit(json_object_get(root, "audit"));
	show_processes(json_object_get(root, "processes"));
	show_stores(json_object_get(root, "stores"));
	show_alarms(json_object_get(root, "alarms"));
	return MK_EXIT_DONE;
}

int mk_ctl_status(int argc, char **argv)
{
	struct mk_target t = { .name = "admin" };
	const char *words[1];
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &json },
	};
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	return rc != MK_EXIT_DONE ? rc : mk_ctl_show(&t, "/v1/status", json, show);
}

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

/* Who is served, and how. */
static void show_callers(const json_t *root)
{
	const json_t *lib = json_object_get(root, "libmakini");
	printf("callers: %lld connections, of them %lld clients of libmakini (%lld services); waiting: %lld for a store, %lld polls and %lld streams for a "
	       "change\n", num(root, "connections"), num(lib, "clients"), num(lib, "pages"), num(root, "waiters"), num(root, "polls"),
	       num(root, "streams"));
}

/* Before all else: whoever looks must not overlook it. */
static void show_freeze(const json_t *freeze)
{
	if (json_is_true(json_object_get(freeze, "frozen")))
		printf("FROZEN since %s by %s (uid %lld): %s\n  nothing is handed out; makinictl thaw ends it\n", mk_ctl_text_of(freeze, "at"), mk_ctl_text_of(freeze, "by"), num(freeze, "uid"),
		       mk_ctl_text_of(freeze, "reason"));
}

/* By name: who waits to put a new token somewhere has to know whether that one is meant. */
static void show_to_look_up(const json_t *r)
{
	const json_t *first = json_object_get(r, "to_look_up_first");
	const long long more = num(r, "to_look_up") - (long long)json_array_size(first);
	size_t i;
	json_t *name;
	printf("  a new token put into the store now may be taken for the revoked one, as it could not be looked up there yet:");
	json_array_foreach(first, i, name)
		printf(" %s", mk_ctl_text(name));
	if (more > 0)
		printf(" and %lld more", more);
	putchar('\n');
}

static void show_revoked(const json_t *r)
{
	if (num(r, "connections") > 0 || num(r, "values") > 0)
		printf("revoked: %lld connections; %lld values are not served under any name\n", num(r, "connections"), num(r, "values"));
	if (num(r, "to_look_up") > 0)
		show_to_look_up(r);
}

static void show_approvals(const json_t *all)
{
	size_t i;
	json_t *p;
	if (json_is_null(all))
		puts("waiting for approval: cannot be read");
	json_array_foreach(all, i, p)
		printf("waiting for approval until %s: %s (%s), by %s (uid %lld): makinictl approve %s\n", mk_ctl_text_of(p, "expires_at"),
		       mk_ctl_text_of(p, "action"), mk_ctl_text_of(p, "detail"), mk_ctl_text_of(p, "by"), num(p, "uid"), mk_ctl_text_of(p, "approval"));
}

/* A policy that is only compared with: what it would have decided otherwise. */
static void show_shadow(const json_t *s)
{
	if (json_is_object(s))
		printf("shadow policy: of %lld decisions %lld would be denied, %lld allowed, %lld have other fields\n", num(s, "decisions"),
		       num(s, "would_deny"), num(s, "would_allow"), num(s, "would_change_fields"));
}

static void show_token_keys(const json_t *k)
{
	const json_t *error = json_object_get(k, "last_error");
	if (!json_is_object(k))
		return;
	printf("token keys:  %lld from %s, %s", num(k, "keys"), mk_ctl_text_of(k, "from"), mk_ctl_text_of(k, "fetched_at"));
	printf("%s%s\n", json_string_length(error) ? ", last asked: " : "", mk_ctl_text(error));
}

static int show(const json_t *root)
{
	show_freeze(json_object_get(root, "freeze"));
	show_head(root);
	show_callers(root);
	mk_ctl_status_alarms(root);
	show_revoked(json_object_get(root, "revocations"));
	show_approvals(json_object_get(root, "approvals"));
	show_shadow(json_object_get(root, "policy_shadow"));
	show_token_keys(json_object_get(root, "token_keys"));
	show_audit(json_object_get(root, "audit"));
	show_processes(json_object_get(root, "processes"));
	mk_ctl_status_stores(json_object_get(root, "stores"));
	return MK_EXIT_DONE;
}

int mk_ctl_status(int argc, char **argv)
{
	return mk_ctl_show(argc, argv, "admin", "/v1/status", show);
}

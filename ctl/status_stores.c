/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl status: each store's state first, then what went wrong, how long ago, and what
 * to do; and the alarms that stand, before all else.
 */
#include "agent/base/clock.h"
#include "ctl/client.h"
#include "ctl/ctl.h"
#include "ctl/status.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define MINUTE 60
#define HOUR   3600
#define DAY    86400
#define INDENT "           "

static long long num(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

void mk_ctl_age(long long s, char out[MK_AGE_MAX])
{
	if (s < 2 * MINUTE)
		snprintf(out, MK_AGE_MAX, "%lld s", s);
	else if (s < HOUR)
		snprintf(out, MK_AGE_MAX, "%lld min", s / MINUTE);
	else if (s < DAY)
		snprintf(out, MK_AGE_MAX, "%lld h %lld min", s / HOUR, s % HOUR / MINUTE);
	else
		snprintf(out, MK_AGE_MAX, "%lld d %lld h", s / DAY, s % DAY / HOUR);
}

/* Seconds from that moment until now; false where it names none. */
static bool since(const json_t *o, const char *key, long long *ret)
{
	const char *text = json_string_value(json_object_get(o, key));
	int64_t ms;
	if (!text || mk_rfc3339_parse(mk_span_of(text), &ms) != MK_OK)
		return false;
	*ret = (mk_wall_ms() - ms) / 1000;
	return true;
}

/* "42 s ago", or "" where the moment is not known. A clock that was set back makes nothing negative. */
static const char *ago(const json_t *o, const char *key, char out[MK_AGE_MAX + 8])
{
	char age[MK_AGE_MAX];
	long long s;
	out[0] = '\0';
	if (!since(o, key, &s))
		return out;
	mk_ctl_age(s > 0 ? s : 0, age);
	snprintf(out, MK_AGE_MAX + 8, " %s ago", age);
	return out;
}

static void show_calls(const json_t *s)
{
	const long long forecast = num(s, "forecast_per_hour"), limit = num(s, "limit_per_hour");
	printf("%lld calls in the last hour, forecast %lld", num(s, "calls_last_hour"), forecast);
	if (json_is_integer(json_object_get(s, "limit_per_hour")))
		printf(", limit %lld", limit);
	if (num(s, "waiting") > 0)
		printf(", %lld waiting", num(s, "waiting"));
	putchar('\n');
	if (limit > 0 && forecast > limit)
		puts(INDENT "WARNING: the forecast exceeds the limit, so tokens will come late or go stale: raise refresh.ttl,\n"
		     INDENT "or this backend's rate where the store can bear it");
}

static void show_breaker(const json_t *s)
{
	const char *word = mk_ctl_text_of(s, "breaker");
	if (strcmp(word, "open") == 0)
		printf(INDENT "breaker open: the store is left alone, next try in %lld s\n", num(s, "retry_in"));
	else if (strcmp(word, "half_open") == 0)
		puts(INDENT "breaker half open: the next call is a trial");
}

static void show_error(const json_t *s, bool failing)
{
	char when[MK_AGE_MAX + 8];
	const json_t *e = json_object_get(s, "last_error");
	if (json_is_object(e))
		printf(INDENT "%s%s%s: %s\n", failing ? "" : "last error: ", mk_ctl_text_of(e, "code"), ago(e, "at", when), mk_ctl_text_of(e, "text"));
}

static void show_login(const json_t *s)
{
	const json_t *login = json_object_get(s, "login");
	const char *state = mk_ctl_text_of(login, "state");
	char left[MK_AGE_MAX] = "";
	long long ended;
	if (!json_is_object(login))
		return;
	const bool ends = since(login, "until", &ended);
	if (ends)
		mk_ctl_age(ended < 0 ? -ended : 0, left);
	if (strcmp(state, "failing") == 0)
		printf(INDENT "login FAILING%s%s\n", ends ? ": the credential at hand ends in " : ", and no credential is at hand", left);
	else
		printf(INDENT "login %s%s%s\n", state, ends ? ", renewed before its end in " : "", left);
}

static void show_store(const json_t *s)
{
	const char *health = mk_ctl_text_of(s, "health");
	const bool failing = strcmp(health, "failing") == 0;
	char when[MK_AGE_MAX + 8];
	printf("  %-8s %s (%s): ", failing ? "FAILING" : health, mk_ctl_text_of(s, "name"), mk_ctl_text_of(s, "type"));
	if (ago(s, "last_ok", when)[0])
		printf("answered%s, ", when);
	else
		printf("%s, ", failing ? "never answered" : "not asked yet");
	show_calls(s);
	if (json_is_true(json_object_get(s, "writable")))
		puts(INDENT "writable: revoke --in-store and restore --in-store change it");
	show_breaker(s);
	show_error(s, failing);
	show_login(s);
}

void mk_ctl_status_stores(const json_t *stores)
{
	size_t i;
	json_t *s;
	puts("stores:");
	json_array_foreach(stores, i, s)
		show_store(s);
}

static void show_alarm(const json_t *a)
{
	char when[MK_AGE_MAX + 8];
	const char *subject = json_string_value(json_object_get(a, "subject"));
	const bool of = subject && subject[0];
	printf("!! ALARM %s%s%s, raised%s, %lld times\n", mk_ctl_text_of(a, "code"), of ? " of " : "", of ? subject : "",
	       ago(a, "since", when), num(a, "count"));
	printf("!!       %s\n", mk_ctl_text_of(a, "detail"));
}

void mk_ctl_status_alarms(const json_t *root)
{
	const json_t *alarms = json_object_get(root, "alarms");
	size_t i;
	json_t *a;
	if (json_array_size(alarms) == 0)
		puts("alarms: none");
	json_array_foreach(alarms, i, a)
		show_alarm(a);
	if (num(root, "alarms_unlisted") > 0)
		printf("!! ALARM and %lld more, for which there was no room here: see the log (journalctl -u 'makini-agent@*')\n", num(root, "alarms_unlisted"));
}

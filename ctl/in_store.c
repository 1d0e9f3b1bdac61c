/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer says of the stores themselves: a line for each, and whether all did what
 * they were to do. Of a call that asked none of them there is nothing to say.
 */
#include "ctl/acts.h"
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const char *outcome)
{
	static const struct {
		const char *outcome, *text;
	} rows[] = {
		{ "disabled", "disabled there" },
		{ "enabled", "enabled there" },
		{ "already", "was so already" },
		{ "not_found", "has no such token" },
		{ "not_writable", "NOT DONE: the agent may not change this store (writable = true in its configuration lets it)" },
		{ "cannot", "NOT DONE: this kind of store cannot" },
		{ "failed", "NOT DONE" },
		{ "unknown", "UNKNOWN: it was asked, and nothing says what came of it; asking again does no harm" },
	};
	for (size_t i = 0; i < MK_COUNT(rows); i++)
		if (strcmp(rows[i].outcome, outcome) == 0)
			return rows[i].text;
	return outcome;
}

static void show(const json_t *s)
{
	printf("  %s: %s", mk_ctl_text_of(s, "store"), text_of(mk_ctl_text_of(s, "outcome")));
	if (json_is_string(json_object_get(s, "code")))
		printf(" (%s)", mk_ctl_text_of(s, "code"));
	if (json_is_string(json_object_get(s, "text")))
		printf(": %s", mk_ctl_text_of(s, "text"));
	if (json_is_string(json_object_get(s, "version")))
		printf(", version %s", mk_ctl_text_of(s, "version"));
	printf(", %lld ms\n", (long long)json_integer_value(json_object_get(s, "ms")));
}

void mk_ctl_stores_show(const struct json_t *one)
{
	size_t i;
	json_t *s;
	json_array_foreach(json_object_get(one, "in_store"), i, s)
		show(s);
}

int mk_ctl_stores_code(const struct json_t *one, bool asked)
{
	const json_t *done = json_object_get(one, "in_store_done");
	return json_is_true(done) || (!done && !asked) ? MK_EXIT_DONE : MK_EXIT_FAILED;
}

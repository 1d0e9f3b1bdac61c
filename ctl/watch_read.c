/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads Server-Sent Events, of which an agent uses: event, id, data on one line, comments. What is
 * too long or is no JSON of ours ends the reading: it may be no agent that speaks.
 */
#include "ctl/client.h"
#include "ctl/watch.h"

#include <jansson.h>
#include <stdio.h>

static bool is_word(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p < 'a' || *p > 'z')
			return false;
	return s[0] != '\0';
}

static bool text_into(const json_t *v, char *out, size_t cap)
{
	if (json_is_null(v))
		return true;
	const int n = json_is_string(v) ? snprintf(out, cap, "%s", json_string_value(v)) : -1;
	mk_ctl_blunt(out);
	return n >= 0 && (size_t)n < cap;
}

static bool read_news(const struct mk_sse *s, struct mk_news *ret)
{
	struct mk_name name;
	json_t *root = json_loads(s->data, JSON_REJECT_DUPLICATES, NULL);
	bool good = json_is_object(root) && text_into(json_object_get(root, "connection"), ret->connection, sizeof ret->connection) &&
		    text_into(json_object_get(root, "version"), ret->version, sizeof ret->version);
	json_decref(root);
	good = good && is_word(s->kind) && (!ret->connection[0] || mk_name_of(mk_span_of(ret->connection), &name) == MK_OK);
	memcpy(ret->kind, s->kind, sizeof ret->kind);
	return good;
}

/* An empty line: what came since the last one is whole. */
static bool dispatch(struct mk_sse *s)
{
	struct mk_news news = { 0 };
	bool good = true;
	if (s->data[0])
		good = read_news(s, &news);
	if (good && s->id[0])
		memcpy(s->last_id, s->id, sizeof s->last_id);
	if (good && s->data[0])
		s->told(s->arg, &news);
	s->id[0] = s->kind[0] = s->data[0] = '\0';
	return good;
}

static bool put(char *out, size_t cap, const char *value)
{
	const int n = snprintf(out, cap, "%s", value);
	return (size_t)n < cap;
}

/* It goes back in a header. */
static bool is_id(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static bool take_line(struct mk_sse *s)
{
	char *colon = strchr(s->line, ':');
	if (s->line[0] == '\0')
		return dispatch(s);
	if (!colon || colon == s->line)
		return colon != NULL; /* a comment, else no line of an agent */
	*colon = '\0';
	const char *value = colon[1] == ' ' ? colon + 2 : colon + 1;
	if (strcmp(s->line, "event") == 0)
		return put(s->kind, sizeof s->kind, value);
	if (strcmp(s->line, "id") == 0)
		return is_id(value) && put(s->id, sizeof s->id, value);
	if (strcmp(s->line, "data") == 0)
		return put(s->data, sizeof s->data, value);
	return true; /* of a later version */
}

bool mk_sse_take(struct mk_sse *s, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\0' || s->n == sizeof s->line - 1)
			return false;
		if (p[i] != '\n') {
			s->line[s->n++] = p[i];
			continue;
		}
		if (s->n > 0 && s->line[s->n - 1] == '\r')
			s->n--;
		s->line[s->n] = '\0';
		s->n = 0;
		if (!take_line(s))
			return false;
	}
	return true;
}

void mk_sse_restart(struct mk_sse *s)
{
	s->n = 0;
	s->id[0] = s->kind[0] = s->data[0] = '\0';
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and fills templates. What is filled in is never read as a template again.
 */
#include "ctl/template.h"

#include "agent/base/jw.h"
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>

const char *const mk_template_fields[] = { "access_token", "token_type", "version", "expires_at", "environment", "connection", "state", NULL };
#define FIELDS_N (sizeof mk_template_fields / sizeof mk_template_fields[0] - 1)
static const char *const filters[] = { [MK_PLAIN] = "plain", [MK_JSON] = "json", [MK_SHELL] = "shell" };

struct reader {
	const char *at, *end, *line_start;
	const char *file;
	unsigned line;
	struct mk_why *why;
};

static unsigned column(const struct reader *r)
{
	return (unsigned)(r->at - r->line_start) + 1;
}

static mk_must wrong(const struct reader *r, unsigned col, const char *what, const char *near)
{
	return mk_why_at(r->why, MK_BAD_REQUEST, r->file, r->line, "column %u: %s%s%s%s", col, what, near ? "; did you mean " : "", near ? near : "",
			 near ? "?" : "");
}

static bool looking_at(const struct reader *r, const char *s)
{
	const size_t n = strlen(s);
	return (size_t)(r->end - r->at) >= n && strncmp(r->at, s, n) == 0;
}

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
		r->at++;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* What stands there; too long: cut, and so no name that is known. */
static void take_word(struct reader *r, char out[MK_NAME_MAX + 2])
{
	size_t n = 0;
	for (; r->at < r->end && is_word(*r->at); r->at++)
		if (n <= MK_NAME_MAX)
			out[n++] = *r->at;
	out[n] = '\0';
}

static mk_must known_word(const struct reader *r, unsigned col, const char *word, const char *const *known, size_t n, const char *what, size_t *ret)
{
	char text[160];
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, known[i]) == 0) {
			*ret = i;
			return MK_OK;
		}
	snprintf(text, sizeof text, word[0] ? "unknown %s %s" : "the %s is missing", what, word);
	return wrong(r, col, text, word[0] ? mk_ctl_nearest(word, known, n) : NULL);
}

static mk_must close_braces(struct reader *r)
{
	skip_blanks(r);
	if (!looking_at(r, "}}"))
		return wrong(r, column(r), "}} is missing (a literal {{ is written {{\"{{\"}})", NULL);
	r->at += 2;
	return MK_OK;
}

static mk_must take_quoted(struct reader *r, struct mk_piece *p)
{
	const char *from = ++r->at;
	while (r->at < r->end && *r->at != '"' && *r->at != '\n')
		r->at++;
	if (r->at == r->end || *r->at == '\n')
		return wrong(r, column(r), "the closing \" is missing", NULL);
	p->text = mk_span(from, (size_t)(r->at++ - from));
	return close_braces(r);
}

static mk_must take_field(struct reader *r, struct mk_piece *p)
{
	char word[MK_NAME_MAX + 2];
	unsigned col = column(r);
	size_t i = 0;
	take_word(r, word);
	if (looking_at(r, ":")) {
		if (mk_name_of(mk_span_of(word), &p->of) != MK_OK)
			return wrong(r, col, "not a connection's name (a-z, 0-9 and single -, 63 at most)", NULL);
		r->at++;
		col = column(r);
		take_word(r, word);
	}
	MK_TRY(known_word(r, col, word, mk_template_fields, FIELDS_N, "field", &i));
	p->field = mk_template_fields[i];
	skip_blanks(r);
	if (!looking_at(r, "|"))
		return close_braces(r);
	r->at++;
	skip_blanks(r);
	col = column(r);
	take_word(r, word);
	MK_TRY(known_word(r, col, word, &filters[1], MK_COUNT(filters) - 1, "filter", &i));
	p->filter = i + 1 == MK_JSON ? MK_JSON : MK_SHELL;
	return close_braces(r);
}

static mk_must take_braces(struct reader *r, struct mk_piece *p)
{
	p->line = r->line;
	p->column = column(r);
	r->at += 2;
	skip_blanks(r);
	return looking_at(r, "\"") ? take_quoted(r, p) : take_field(r, p);
}

static void take_text(struct reader *r, struct mk_piece *p)
{
	const char *from = r->at;
	for (; r->at < r->end && !looking_at(r, "{{"); r->at++)
		if (*r->at == '\n') {
			r->line++;
			r->line_start = r->at + 1;
		}
	p->text = mk_span(from, (size_t)(r->at - from));
}

static size_t pieces_at_most(struct mk_span text)
{
	size_t n = 1;
	for (size_t i = 0; i + 1 < text.n; i++)
		n += text.p[i] == '{' && text.p[i + 1] == '{' ? 2 : 0;
	return n;
}

enum mk_err mk_template_of(struct mk_span text, const char *file, struct mk_template *ret, struct mk_why *why)
{
	const char *from = (const char *)text.p;
	struct reader r = { .at = from, .end = from + text.n, .line_start = from, .file = file, .line = 1, .why = why };
	struct mk_template t = { .pieces = calloc(pieces_at_most(text), sizeof *t.pieces) };
	enum mk_err e = t.pieces ? MK_OK : MK_NO_MEMORY;
	while (e == MK_OK && r.at < r.end) {
		struct mk_piece *p = &t.pieces[t.n++];
		if (looking_at(&r, "{{"))
			e = take_braces(&r, p);
		else
			take_text(&r, p);
	}
	if (e != MK_OK) {
		mk_template_done(&t);
		return e;
	}
	*ret = t;
	return MK_OK;
}

void mk_template_done(struct mk_template *t)
{
	free(t->pieces);
	*t = (struct mk_template){ 0 };
}

/* --- filling */

static mk_must put(struct mk_secret *out, struct mk_span s)
{
	const size_t have = mk_secret_span(out).n;
	if (s.n > mk_secret_cap(out) - have)
		return MK_TOO_LARGE;
	if (s.n > 0)
		memcpy(mk_secret_buf(out) + have, s.p, s.n);
	mk_secret_set_len(out, have + s.n);
	return MK_OK;
}

static mk_must put_json(struct mk_secret *out, const struct mk_leaf *l)
{
	const size_t have = mk_secret_span(out).n;
	struct mk_jw w = mk_jw_of(mk_secret_buf(out) + have, mk_secret_cap(out) - have);
	size_t n = 0;
	if (l->type == MK_LEAF_STRING)
		mk_jw_str(&w, l->value);
	else if (l->type == MK_LEAF_NULL)
		mk_jw_null(&w);
	else
		mk_jw_word(&w, l->value);
	MK_TRY(mk_jw_end(&w, &n));
	mk_secret_set_len(out, have + n);
	return MK_OK;
}

static mk_must put_shell(struct mk_secret *out, struct mk_span s)
{
	MK_TRY(put(out, mk_span_of("'")));
	for (size_t i = 0; i < s.n; i++)
		MK_TRY(s.p[i] == '\'' ? put(out, mk_span_of("'\\''")) : put(out, mk_span(s.p + i, 1)));
	return put(out, mk_span_of("'"));
}

static mk_must put_field(struct mk_secret *out, const struct mk_piece *p, const struct mk_leaf *l)
{
	if (p->filter == MK_JSON)
		return put_json(out, l);
	return p->filter == MK_SHELL ? put_shell(out, l->value) : put(out, l->value);
}

enum mk_err mk_template_fill(const struct mk_template *t, mk_leaf_fn *leaf, void *arg, struct mk_secret *out, struct mk_why *why)
{
	mk_secret_set_len(out, 0);
	for (size_t i = 0; i < t->n; i++) {
		const struct mk_piece *p = &t->pieces[i];
		struct mk_leaf l = { 0 };
		if (p->field && !leaf(arg, p, &l))
			return mk_why_set(why, MK_NOT_FOUND, "line %u, column %u: there is no %s: the policy leaves it out (its rule's fields)",
					  p->line, p->column, p->field);
		const enum mk_err e = p->field ? put_field(out, p, &l) : put(out, p->text);
		if (e != MK_OK)
			return mk_why_set(why, e, "it would be larger than %zu bytes", mk_secret_cap(out));
	}
	return MK_OK;
}

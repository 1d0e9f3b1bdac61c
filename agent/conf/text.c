/* SPDX-License-Identifier: Apache-2.0
 *
 * The scanner of text.h. It knows libconfig's words (comments, strings, numbers,
 * names) but not its grammar, touches each byte once, and never looks behind the end.
 */
#include "agent/conf/text.h"

#include "agent/base/units.h"
#include "mk/own.h"

#include <stdlib.h>

#define DEPTH_MAX 16 /* brackets within brackets; the deepest key needs five */
#define KEYS_MAX 64  /* of one group; libconfig compares each with each */

struct scan {
	const char *file;
	struct mk_why *why;
	struct mk_text *out;
	size_t n, at;
	unsigned line, depth;
	struct {
		char bracket;
		unsigned line, keys;
	} open[DEPTH_MAX + 1]; /* [0] is the file itself */
	bool after_string; /* the last word was a string */
};

#define REFUSE(s, ...) mk_why_at((s)->why, MK_BAD_REQUEST, (s)->file, (s)->line, __VA_ARGS__)

/* The character k ahead; NUL behind the end, and NUL never stands in the text. */
static char ahead(const struct scan *s, size_t k)
{
	return s->n - s->at > k ? s->out->clean[s->at + k] : '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_name(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '*';
}

/* Blanks n characters out, but keeps the lines. */
static void blank(struct scan *s, size_t n)
{
	for (; n > 0 && s->at < s->n; n--, s->at++) {
		if (s->out->clean[s->at] == '\n')
			s->line++;
		else
			s->out->clean[s->at] = ' ';
	}
}

static mk_must line_comment(struct scan *s)
{
	while (s->at < s->n && ahead(s, 0) != '\n')
		blank(s, 1);
	return MK_OK;
}

static mk_must block_comment(struct scan *s)
{
	const unsigned begun = s->line;
	blank(s, 2);
	while (s->at < s->n && !(ahead(s, 0) == '*' && ahead(s, 1) == '/'))
		blank(s, 1);
	if (s->at >= s->n)
		return mk_why_at(s->why, MK_BAD_REQUEST, s->file, begun,
				 "this comment is never closed, so it would hide the rest of the file: close it with */");
	blank(s, 2);
	return MK_OK;
}

/* An escape is one or two characters here: all that matters is where the string ends. */
static mk_must escape(struct scan *s)
{
	const bool hex = ahead(s, 1) == 'x' || ahead(s, 1) == 'X';
	if (hex && ahead(s, 2) == '0' && ahead(s, 3) == '0')
		return REFUSE(s, "\\x00 would cut this string short: remove it");
	s->at += ahead(s, 1) == '"' || ahead(s, 1) == '\\' ? 2 : 1;
	return MK_OK;
}

static mk_must string(struct scan *s)
{
	const unsigned begun = s->line;
	if (s->after_string)
		return REFUSE(s, "two strings stand side by side and would be read as one: put a comma (in a list) or a "
				 "semicolon between them");
	for (s->at++; s->at < s->n && ahead(s, 0) != '"';) {
		if (ahead(s, 0) == '\n')
			return mk_why_at(s->why, MK_BAD_REQUEST, s->file, begun,
					 "this string does not end on its line: close it with \"");
		if (ahead(s, 0) == '\\')
			MK_TRY(escape(s));
		else
			s->at++;
	}
	if (s->at >= s->n)
		return mk_why_at(s->why, MK_BAD_REQUEST, s->file, begun, "this string is never closed: close it with \"");
	s->at++;
	s->out->lines[s->out->n_lines++] = begun;
	s->after_string = true;
	return MK_OK;
}

/* digits: without sign and prefix */
static bool fits(struct mk_span digits, bool hex)
{
	uint32_t value = 0;
	while (digits.n > 0 && digits.p[0] == '0')
		digits = mk_span(digits.p + 1, digits.n - 1);
	if (hex)
		return digits.n < 8 || (digits.n == 8 && digits.p[0] < '8');
	return digits.n == 0 || (mk_u32_of(digits, &value) == MK_OK && value <= INT32_MAX);
}

static mk_must number(struct scan *s)
{
	const bool sign = !is_digit(ahead(s, 0));
	const bool hex = ahead(s, 0) == '0' && (ahead(s, 1) == 'x' || ahead(s, 1) == 'X');
	const char *begun = s->out->clean + s->at;
	s->at += hex ? 2 : sign;
	const size_t first = s->at;
	while (hex ? is_hex(ahead(s, 0)) : is_digit(ahead(s, 0)))
		s->at++;
	const int shown = (int)(s->at - first < 40 ? s->at - first : 40) + (hex ? 2 : sign);
	if (!fits(mk_span(s->out->clean + first, s->at - first), hex))
		return REFUSE(s, "%.*s does not fit 32 bits and would be read as another number: write a smaller one, or, "
				 "where the key takes it, a string of digits in quotes",
			      shown, begun);
	return MK_OK;
}

static mk_must name(struct scan *s)
{
	while (is_name(ahead(s, 0)))
		s->at++;
	return MK_OK;
}

static mk_must open_bracket(struct scan *s, char bracket)
{
	if (s->depth == DEPTH_MAX)
		return REFUSE(s, "more than %d brackets within each other: close some", DEPTH_MAX);
	s->depth++;
	s->open[s->depth].bracket = bracket;
	s->open[s->depth].line = s->line;
	s->open[s->depth].keys = 0;
	return MK_OK;
}

static mk_must close_bracket(struct scan *s, char bracket)
{
	if (s->depth == 0)
		return REFUSE(s, "this %c closes nothing: remove it, or open what it should close", bracket);
	const char opened = s->open[s->depth].bracket;
	if ((opened == '(' && bracket != ')') || (opened == '[' && bracket != ']') || (opened == '{' && bracket != '}'))
		return REFUSE(s, "this %c stands where the %c of line %u should be closed first", bracket, opened,
			      s->open[s->depth].line);
	s->depth--;
	return MK_OK;
}

static mk_must all_closed(struct scan *s)
{
	if (s->depth == 0)
		return MK_OK;
	s->line = s->open[s->depth].line;
	return REFUSE(s, "this %c is never closed: close it", s->open[s->depth].bracket);
}

static mk_must one_more_key(struct scan *s)
{
	if (++s->open[s->depth].keys > KEYS_MAX)
		return REFUSE(s, "more than %d keys in one group: no group knows so many", KEYS_MAX);
	return MK_OK;
}

static mk_must mark(struct scan *s)
{
	const char c = ahead(s, 0);
	if (c == '@')
		return REFUSE(s, "@include and its kin are refused: one file says all, so put the text itself here");
	if (c == '(' || c == '[' || c == '{')
		MK_TRY(open_bracket(s, c));
	if (c == ')' || c == ']' || c == '}')
		MK_TRY(close_bracket(s, c));
	if (c == '=' || c == ':')
		MK_TRY(one_more_key(s));
	if (c == '\n')
		s->line++;
	s->at++;
	return MK_OK;
}

static bool is_number(const struct scan *s)
{
	const char c = ahead(s, 0);
	return is_digit(c) || ((c == '-' || c == '+') && is_digit(ahead(s, 1)));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static mk_must word(struct scan *s)
{
	const char c = ahead(s, 0), d = ahead(s, 1);
	if (c == '#' || (c == '/' && d == '/'))
		return line_comment(s);
	if (c == '/' && d == '*')
		return block_comment(s);
	if (c == '"')
		return string(s);
	if (!is_blank(c))
		s->after_string = false;
	if (is_number(s))
		return number(s);
	return is_name(c) && c != '-' && c != '_' ? name(s) : mark(s);
}

static mk_must check_bytes(struct mk_span in, const char *file, struct mk_why *why)
{
	unsigned line = 1;
	if (in.n > MK_CONF_TEXT_MAX)
		return mk_why_at(why, MK_TOO_LARGE, file, 0, "this file is larger than 1 MiB: make it smaller");
	for (size_t i = 0; i < in.n; i++) {
		const uint8_t c = in.p[i];
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') || c == 0x7f)
			return mk_why_at(why, MK_BAD_REQUEST, file, line,
					 "a control character (byte 0x%02x) stands here: remove it; is this a text file?", c);
		line += c == '\n';
	}
	return MK_OK;
}

mk_must mk_text_scan(struct mk_span in, const char *file, struct mk_text *ret, struct mk_why *why)
{
	mk_auto(mk_text_done) struct mk_text out = { 0 };
	MK_TRY(check_bytes(in, file, why));
	out.clean = malloc(in.n + 1);
	out.lines = calloc(in.n / 2 + 1, sizeof *out.lines); /* a string has two quotes */
	if (!out.clean || !out.lines)
		return MK_NO_MEMORY;
	if (in.n)
		memcpy(out.clean, in.p, in.n);
	out.clean[in.n] = '\0';
	struct scan s = { .file = file, .why = why, .out = &out, .n = in.n, .line = 1 };
	while (s.at < s.n)
		MK_TRY(word(&s));
	MK_TRY(all_closed(&s));
	*ret = out;
	out = (struct mk_text){ 0 };
	return MK_OK;
}

void mk_text_done(struct mk_text *t)
{
	free(t->clean);
	free(t->lines);
	*t = (struct mk_text){ 0 };
}

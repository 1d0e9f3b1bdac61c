/* SPDX-License-Identifier: Apache-2.0
 *
 * The scanner. One reader over the bytes with a sticky fault; no allocation, no
 * recursion (records do not nest), linear. What passes may be shown on a terminal that
 * reads UTF-8: no control characters, as the writer escapes them all.
 */
#include "agent/audit/line.h"

#include "agent/base/utf8.h"

#include <string.h>

#define MAC_KEY ",\"mac\":\""
#define TAIL_LEN (sizeof MAC_KEY - 1 + MK_CHAIN_HEX + 2)
#define TIME_LEN 24
#define DIGITS_MAX 19
#define SEQ_MAX 1000000000000000000u /* beyond it no number is ours: one more must always fit */

struct scan {
	const uint8_t *p, *end;
	bool bad;
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || c == '-';
}

static bool is_hex(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_time(uint8_t c)
{
	return is_digit(c) || c == '-' || c == ':' || c == '.' || c == 'T' || c == 'Z';
}

static void literal(struct scan *s, const char *text)
{
	const size_t n = strlen(text);
	if (s->bad || (size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0) {
		s->bad = true;
		return;
	}
	s->p += n;
}

static struct mk_span run(struct scan *s, bool (*of)(uint8_t))
{
	const uint8_t *from = s->p;
	while (!s->bad && s->p < s->end && of(*s->p))
		s->p++;
	return mk_span(from, (size_t)(s->p - from));
}

/* Decimal, no sign, no leading zero, at most INT64_MAX. */
static uint64_t number(struct scan *s)
{
	const struct mk_span d = run(s, is_digit);
	if (d.n == 0 || d.n > DIGITS_MAX || (d.n > 1 && d.p[0] == '0')) {
		s->bad = true;
		return 0;
	}
	uint64_t v = 0;
	for (size_t i = 0; i < d.n; i++)
		v = v * 10 + (uint64_t)(d.p[i] - '0');
	s->bad |= v > INT64_MAX;
	return v;
}

static void escape(struct scan *s)
{
	s->p++; /* the backslash */
	if (s->p == s->end || !*s->p || !strchr("\"\\/bfnrtu", *s->p)) {
		s->bad = true;
		return;
	}
	if (*s->p++ != 'u')
		return;
	for (int i = 0; i < 4; i++)
		if (s->p == s->end || !is_hex(*s->p++))
			s->bad = true;
}

/* One character beyond ASCII; U+0080 to U+009F are controls, too. */
static void beyond_ascii(struct scan *s)
{
	const size_t n = mk_utf8_len(mk_span(s->p, (size_t)(s->end - s->p)));
	s->bad |= n == 0 || (s->p[0] == 0xc2 && s->p[1] < 0xa0);
	s->p += n;
}

/* A string's bytes between its quotes, still escaped. */
static struct mk_span text(struct scan *s)
{
	literal(s, "\"");
	const uint8_t *from = s->p;
	while (!s->bad && s->p < s->end && *s->p != '"') {
		if (*s->p == '\\')
			escape(s);
		else if (*s->p < 0x20 || *s->p == 0x7f)
			s->bad = true;
		else if (*s->p > 0x7f)
			beyond_ascii(s);
		else
			s->p++;
	}
	const struct mk_span t = mk_span(from, (size_t)(s->p - from));
	literal(s, "\"");
	return t;
}

static struct mk_span scalar(struct scan *s)
{
	const uint8_t *from = s->p;
	if (s->p < s->end && (*s->p == '-' || is_digit(*s->p))) {
		if (*s->p == '-')
			s->p++;
		number(s);
		return mk_span(from, (size_t)(s->p - from));
	}
	const struct mk_span w = run(s, is_word);
	if (!mk_span_is(w, "true") && !mk_span_is(w, "false") && !mk_span_is(w, "null"))
		s->bad = true;
	return w;
}

bool mk_line_next(struct mk_span *rest, struct mk_span *ret_key, struct mk_span *ret_value, bool *ret_text)
{
	struct scan s = { rest->p, rest->p + rest->n, rest->n == 0 };
	literal(&s, ",\"");
	const struct mk_span key = run(&s, is_word);
	literal(&s, "\":");
	const bool is_text = s.p < s.end && *s.p == '"';
	const struct mk_span value = is_text ? text(&s) : scalar(&s);
	if (s.bad || key.n == 0)
		return false;
	*rest = mk_span(s.p, (size_t)(s.end - s.p));
	*ret_key = key;
	*ret_value = value;
	*ret_text = is_text;
	return true;
}

static bool all_fields(struct mk_span rest)
{
	struct mk_span key, value;
	bool is_text;
	while (rest.n > 0)
		if (!mk_line_next(&rest, &key, &value, &is_text))
			return false;
	return true;
}

static bool parse_tail(struct mk_span line, struct mk_line *l)
{
	if (line.n < TAIL_LEN || line.n >= MK_RECORD_MAX)
		return false;
	struct scan s = { line.p + line.n - TAIL_LEN, line.p + line.n, false };
	l->body = mk_span(line.p, line.n - TAIL_LEN);
	literal(&s, MAC_KEY);
	if (s.bad || !mk_chain_unhex(mk_span(s.p, MK_CHAIN_HEX), l->mac))
		return false;
	s.p += MK_CHAIN_HEX;
	literal(&s, "\"}");
	return !s.bad;
}

bool mk_line_parse(struct mk_span line, struct mk_line *ret)
{
	struct mk_line l = { 0 };
	if (!parse_tail(line, &l))
		return false;
	struct scan s = { l.body.p, l.body.p + l.body.n, false };
	literal(&s, "{\"seq\":");
	l.seq = number(&s);
	literal(&s, ",\"time\":\"");
	l.time = run(&s, is_time);
	literal(&s, "\",\"mono\":");
	l.mono = (int64_t)number(&s);
	literal(&s, ",\"env\":\"");
	l.env = run(&s, is_word);
	literal(&s, "\",\"event\":\"");
	l.event = run(&s, is_word);
	literal(&s, "\"");
	l.fields = mk_span(s.p, (size_t)(s.end - s.p));
	const bool wrong = l.seq == 0 || l.seq > SEQ_MAX || l.env.n == 0 || l.env.n > MK_WORD_MAX || l.event.n == 0;
	if (s.bad || wrong || (l.time.n != 0 && l.time.n != TIME_LEN) || !all_fields(l.fields))
		return false;
	*ret = l;
	return true;
}

bool mk_line_field(const struct mk_line *l, const char *key, struct mk_span *ret_value)
{
	struct mk_span rest = l->fields, k, v;
	bool is_text;
	while (rest.n > 0 && mk_line_next(&rest, &k, &v, &is_text)) {
		if (mk_span_is(k, key)) {
			*ret_value = v;
			return true;
		}
	}
	return false;
}

bool mk_line_number(const struct mk_line *l, const char *key, uint64_t *ret)
{
	struct mk_span v;
	if (!mk_line_field(l, key, &v))
		return false;
	struct scan s = { v.p, v.p + v.n, false };
	const uint64_t n = number(&s);
	if (s.bad || s.p != s.end)
		return false;
	*ret = n;
	return true;
}

bool mk_line_state(const struct mk_line *l, uint64_t *ret)
{
	const bool tells = mk_span_is(l->event, "epoch") || mk_span_is(l->event, "open") || mk_span_is(l->event, "close");
	return tells && mk_line_number(l, "state", ret);
}

bool mk_line_mac(const struct mk_line *l, const char *key, uint8_t ret[MK_CHAIN_MAC])
{
	struct mk_span v;
	return mk_line_field(l, key, &v) && mk_chain_unhex(v, ret);
}

bool mk_line_is(const struct mk_line *l, const char *key, const char *value)
{
	struct mk_span v;
	return mk_line_field(l, key, &v) && mk_span_is(v, value);
}

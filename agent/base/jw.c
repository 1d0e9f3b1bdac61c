/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON writer. Text is looked at character by character and only well-formed UTF-8
 * goes through, so that whatever a caller sent, the result is one line of valid JSON
 * that no terminal takes for a command. Never allocates.
 */
#include "agent/base/jw.h"

#include "agent/base/clock.h"
#include "agent/base/utf8.h"

#include <string.h>

struct mk_jw mk_jw_of(void *buf, size_t cap)
{
	return (struct mk_jw){ .p = buf, .cap = cap };
}

static void put(struct mk_jw *w, const void *p, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return;
	}
	memcpy(w->p + w->len, p, n);
	w->len += n;
}

static void put_char(struct mk_jw *w, char c)
{
	put(w, &c, 1);
}

static void put_hex(struct mk_jw *w, unsigned code)
{
	static const char digits[] = "0123456789abcdef";
	const char text[] = { '\\', 'u', '0', '0', digits[code >> 4 & 15], digits[code & 15] };
	put(w, text, sizeof text);
}

static bool plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_ascii(struct mk_jw *w, uint8_t c)
{
	if (c == '"' || c == '\\') {
		put_char(w, '\\');
		put_char(w, (char)c);
	} else {
		put_hex(w, c);
	}
}

/* One character that is not plain, from the start of s; how many bytes it took. */
static size_t put_special(struct mk_jw *w, struct mk_span s)
{
	const size_t n = mk_utf8_len(s);
	if (n == 0) {
		put(w, "\\ufffd", 6);
		return 1;
	}
	if (n == 1)
		put_ascii(w, s.p[0]);
	else if (s.p[0] == 0xc2 && s.p[1] < 0xa0) /* U+0080 to U+009F are controls too */
		put_hex(w, s.p[1]);
	else
		put(w, s.p, n);
	return n;
}

/* Are these eight bytes plain? May say no where they are; the caller then looks at each. */
static bool plain_eight(const uint8_t *p)
{
	const uint64_t ones = UINT64_MAX / 0xff;
	uint64_t v;
	memcpy(&v, p, sizeof v);
	const uint64_t quote = v ^ ones * '"', backslash = v ^ ones * '\\', del = v ^ ones * 0x7f;
	const uint64_t bad = v | (v - ones * 0x20) | (quote - ones) | (backslash - ones) | (del - ones);
	return (bad & ones * 0x80) == 0;
}

/* How far s is plain from `at` on: an index up to s.n. */
static size_t plain_until(struct mk_span s, size_t at)
{
	while (s.n - at >= 8 && plain_eight(s.p + at))
		at += 8;
	while (at < s.n && plain(s.p[at]))
		at++;
	return at;
}

static void put_text(struct mk_jw *w, struct mk_span s)
{
	put_char(w, '"');
	for (size_t at = 0; at < s.n && !w->bad;) {
		const size_t run = plain_until(s, at);
		put(w, s.p + at, run - at);
		at = run;
		if (at < s.n)
			at += put_special(w, mk_span(s.p + at, s.n - at));
	}
	put_char(w, '"');
}

/* Before each value and key. */
static void begin(struct mk_jw *w)
{
	if (w->comma)
		put_char(w, ',');
	w->comma = true;
}

void mk_jw_open(struct mk_jw *w, char bracket)
{
	begin(w);
	put_char(w, bracket);
	w->comma = false;
}

void mk_jw_close(struct mk_jw *w, char bracket)
{
	put_char(w, bracket);
	w->comma = true;
}

void mk_jw_name(struct mk_jw *w, struct mk_span key)
{
	begin(w);
	put_text(w, key);
	put_char(w, ':');
	w->comma = false;
}

void mk_jw_key(struct mk_jw *w, const char *key)
{
	mk_jw_name(w, mk_span_of(key));
}

void mk_jw_str(struct mk_jw *w, struct mk_span text)
{
	begin(w);
	put_text(w, text);
}

void mk_jw_num(struct mk_jw *w, int64_t n)
{
	char text[20]; /* the digits, and a sign */
	size_t at = sizeof text;
	uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
	do
		text[--at] = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (n < 0)
		text[--at] = '-';
	begin(w);
	put(w, text + at, sizeof text - at);
}

void mk_jw_word(struct mk_jw *w, struct mk_span word)
{
	begin(w);
	put(w, word.p, word.n);
}

void mk_jw_bool(struct mk_jw *w, bool b)
{
	mk_jw_word(w, mk_span_of(b ? "true" : "false"));
}

void mk_jw_null(struct mk_jw *w)
{
	mk_jw_word(w, mk_span_of("null"));
}

void mk_jw_raw(struct mk_jw *w, const char *s)
{
	put(w, s, strlen(s));
}

void mk_jw_kstr(struct mk_jw *w, const char *key, const char *s)
{
	if (s)
		mk_jw_kspan(w, key, mk_span_of(s));
	else
		mk_jw_knull(w, key);
}

void mk_jw_kspan(struct mk_jw *w, const char *key, struct mk_span s)
{
	mk_jw_key(w, key);
	mk_jw_str(w, s);
}

void mk_jw_knum(struct mk_jw *w, const char *key, int64_t n)
{
	mk_jw_key(w, key);
	mk_jw_num(w, n);
}

void mk_jw_kbool(struct mk_jw *w, const char *key, bool b)
{
	mk_jw_key(w, key);
	mk_jw_bool(w, b);
}

void mk_jw_knull(struct mk_jw *w, const char *key)
{
	mk_jw_key(w, key);
	mk_jw_null(w);
}

void mk_jw_ktime(struct mk_jw *w, const char *key, int64_t wall_ms)
{
	char text[MK_RFC3339_MAX];
	mk_rfc3339(wall_ms, false, text);
	mk_jw_kstr(w, key, text[0] ? text : NULL);
}

mk_must mk_jw_end(const struct mk_jw *w, size_t *ret_len)
{
	if (w->bad)
		return MK_TOO_LARGE;
	*ret_len = w->len;
	return MK_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers: what marks a request that came by way of a browser or a proxy, and what a
 * smuggler needs, is refused; the rest is not looked at. Content negotiation for the one
 * resource that has two forms.
 */
#include "agent/broker/http_request.h"

#include "agent/base/units.h"
#include "mk/own.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Does s begin with the lower-case word, whatever its case? */
static bool begins(struct mk_span s, const char *word)
{
	size_t i = 0;
	for (; word[i]; i++)
		if (i >= s.n || lower(s.p[i]) != (uint8_t)word[i])
			return false;
	return true;
}

static bool same(struct mk_span s, const char *word)
{
	return s.n == strlen(word) && begins(s, word);
}

static const struct rule {
	const char *word;
	bool prefix;
	enum mk_hint hint;
} refused[] = {
	{ "transfer-encoding", false, MK_HINT_TRANSFER }, { "expect", false, MK_HINT_EXPECT },
	{ "origin", false, MK_HINT_FORWARDED },           { "forwarded", false, MK_HINT_FORWARDED },
	{ "x-forwarded-", true, MK_HINT_FORWARDED },      { "via", false, MK_HINT_FORWARDED },
	{ "proxy-", true, MK_HINT_FORWARDED },
};

/* RFC 9110 5.6.2: what a field's name is made of. */
static bool token_byte(uint8_t c)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	const uint8_t letter = c | 0x20;
	return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '-' || (c && strchr(others, c));
}

static bool well_formed(struct mk_span key, struct mk_span value)
{
	bool good = key.n > 0;
	for (size_t i = 0; i < key.n; i++)
		good = good && token_byte(key.p[i]);
	for (size_t i = 0; i < value.n; i++)
		good = good && (value.p[i] >= 0x20 || value.p[i] == '\t') && value.p[i] != 0x7f;
	return good;
}

static enum mk_hint take_length(struct mk_head *h, struct mk_span value)
{
	bool digits = value.n > 0;
	for (size_t i = 0; i < value.n; i++)
		digits = digits && value.p[i] >= '0' && value.p[i] <= '9';
	if (!digits)
		return MK_HINT_LENGTH;
	uint32_t n = 0;
	h->body = mk_u32_of(value, &n) == MK_OK ? n : UINT64_MAX;
	return ++h->lengths > 1 ? MK_HINT_TWICE : MK_HINT_NONE;
}

static enum mk_hint take(struct mk_head *h, struct mk_span key, struct mk_span value)
{
	if (!well_formed(key, value))
		return MK_HINT_HEADER;
	for (size_t i = 0; i < MK_COUNT(refused); i++)
		if (refused[i].prefix ? begins(key, refused[i].word) : same(key, refused[i].word))
			return refused[i].hint;
	if (same(key, "content-length"))
		return take_length(h, value);
	if ((same(key, "host") && ++h->hosts > 1) || (same(key, "authorization") && ++h->bearers > 1))
		return MK_HINT_TWICE;
	return MK_HINT_NONE;
}

void mk_head_take(struct mk_head *h, struct mk_span key, struct mk_span value)
{
	const enum mk_hint bad = take(h, key, value);
	h->fields++;
	if (h->bad == MK_HINT_NONE)
		h->bad = bad;
}

static struct mk_span trim(struct mk_span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = mk_span(s.p + 1, s.n - 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* The first piece of s up to c, trimmed; s becomes the rest. */
static struct mk_span piece(struct mk_span *s, char c)
{
	const uint8_t *p = s->n ? memchr(s->p, c, s->n) : NULL;
	const size_t at = p ? (size_t)(p - s->p) : s->n;
	const struct mk_span first = mk_span(s->p, at);
	*s = p ? mk_span(p + 1, s->n - at - 1) : mk_span(s->p + s->n, 0);
	return trim(first);
}

/* "q=0.5" in thousandths; what cannot be read counts as 1. */
static unsigned weight(struct mk_span params)
{
	while (params.n) {
		const struct mk_span p = piece(&params, ';');
		if (!begins(p, "q=") || p.n < 3 || p.p[2] != '0')
			continue;
		unsigned q = 0, unit = 100;
		for (size_t i = 4; i < p.n && p.p[i] >= '0' && p.p[i] <= '9'; i++, unit /= 10)
			q += unit * (unsigned)(p.p[i] - '0');
		return q;
	}
	return 1000;
}

/* How well a range fits a type: 0 not, 1 by any type, 2 by any subtype, 3 exactly. */
static unsigned fit(struct mk_span range, const char *type, const char *any)
{
	return same(range, type) ? 3 : same(range, any) ? 2 : same(range, "*/*") ? 1 : 0;
}

static unsigned liking(struct mk_span accept, const char *type, const char *any)
{
	unsigned best = 0, q = 0;
	while (accept.n) {
		struct mk_span params = piece(&accept, ',');
		const unsigned f = fit(piece(&params, ';'), type, any);
		if (f > best) {
			best = f;
			q = weight(params);
		}
	}
	return q;
}

bool mk_accept_plain(struct mk_span accept)
{
	return liking(accept, "text/plain", "text/*") > liking(accept, "application/json", "application/*");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes URLs. What is escaped is decided per byte, so there is nothing to be clever about.
 */
#include "backends/url.h"

static void put(struct mk_url *u, const char *s, size_t n)
{
	if (u->bad || n >= u->cap - u->len) { /* room for the NUL stays */
		u->bad = true;
		return;
	}
	memcpy(u->p + u->len, s, n);
	u->len += n;
}

static bool unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

static void put_escaped(struct mk_url *u, const char *s, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)s[i];
		const char text[] = { '%', digits[c >> 4], digits[c & 15] };
		if (unreserved(s[i]))
			put(u, s + i, 1);
		else
			put(u, text, sizeof text);
	}
}

struct mk_url mk_url_of(char *buf, size_t cap, const char *address)
{
	struct mk_url u = { .p = buf, .cap = cap, .bad = cap == 0 };
	put(&u, address, strlen(address));
	return u;
}

/* One part of a path, whose {connection}s become the name. */
static void put_part(struct mk_url *u, const char *part, size_t n, const struct mk_name *name)
{
	const size_t hole = strlen(MK_URL_CONNECTION);
	u->bad = u->bad || n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.');
	put(u, "/", 1);
	for (size_t i = 0; i < n && !u->bad;) {
		if (name && n - i >= hole && memcmp(part + i, MK_URL_CONNECTION, hole) == 0) {
			put_escaped(u, name->s, strlen(name->s));
			i += hole;
		} else {
			put_escaped(u, part + i++, 1);
		}
	}
}

void mk_url_path_of(struct mk_url *u, const char *path, const struct mk_name *name)
{
	const char *slash;
	u->bad = u->bad || u->asked;
	while ((slash = strchr(path, '/'))) {
		put_part(u, path, (size_t)(slash - path), name);
		path = slash + 1;
	}
	put_part(u, path, strlen(path), name);
}

void mk_url_path(struct mk_url *u, const char *path)
{
	mk_url_path_of(u, path, NULL);
}

void mk_url_more(struct mk_url *u, const char *text)
{
	u->bad = u->bad || u->asked;
	put_escaped(u, text, strlen(text));
}

void mk_url_param(struct mk_url *u, const char *key, const char *value)
{
	put(u, u->asked ? "&" : "?", 1);
	u->asked = true;
	put_escaped(u, key, strlen(key));
	put(u, "=", 1);
	put_escaped(u, value, strlen(value));
}

enum mk_err mk_url_end(struct mk_url *u)
{
	if (u->bad)
		return MK_BAD_REQUEST;
	u->p[u->len] = '\0';
	return MK_OK;
}

bool mk_header_line(struct mk_span *text)
{
	if (text->n > 0 && text->p[text->n - 1] == '\n')
		text->n--;
	for (size_t i = 0; i < text->n; i++)
		if (text->p[i] <= ' ' || text->p[i] > '~')
			return false;
	return text->n > 0;
}

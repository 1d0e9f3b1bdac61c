/* SPDX-License-Identifier: Apache-2.0
 *
 * The request target: exact paths, a name of the closed alphabet, a query of keys that the
 * resource knows, each once. Nothing is normalised, so nothing can be checked in one form
 * and used in another.
 */
#include "agent/broker/http_request.h"

#include "agent/base/units.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#define LIST_DEFAULT 100
#define LIST_MAX     1000

struct param {
	const char *key;
	enum mk_hint (*read)(struct mk_span value, struct mk_uri *t);
	bool often; /* may come more than once */
};

static enum mk_hint read_version(struct mk_span value, struct mk_uri *t)
{
	t->previous = true;
	return mk_span_is(value, "previous") ? MK_HINT_NONE : MK_HINT_VERSION;
}

static enum mk_hint read_max_age(struct mk_span value, struct mk_uri *t)
{
	if (mk_duration_of(value, &t->max_age_ms) != MK_OK)
		return MK_HINT_MAX_AGE;
	if (t->max_age_ms == 0)
		t->max_age_ms = 1;
	return MK_HINT_NONE;
}

static enum mk_hint read_not(struct mk_span value, struct mk_uri *t)
{
	if (value.n == 0 || value.n > MK_VERSION_MAX)
		return MK_HINT_NOT;
	memcpy(t->not_version, value.p, value.n);
	return MK_HINT_NONE;
}

static enum mk_hint read_wait(struct mk_span value, struct mk_uri *t)
{
	const bool good = mk_duration_of(value, &t->wait_ms) == MK_OK && t->wait_ms > 0 && t->wait_ms <= MK_WAIT_MAX_MS;
	return good ? MK_HINT_NONE : MK_HINT_WAIT;
}

static enum mk_hint read_connection(struct mk_span value, struct mk_uri *t)
{
	struct mk_name unused;
	if (mk_name_of(value, &unused) != MK_OK)
		return MK_HINT_NAME;
	return ++t->names <= MK_WATCH_NAMES_MAX ? MK_HINT_NONE : MK_HINT_WATCH_NAMES;
}

static enum mk_hint read_values(struct mk_span value, struct mk_uri *t)
{
	t->values_too = true;
	return mk_span_is(value, "too") ? MK_HINT_NONE : MK_HINT_VALUES;
}

static enum mk_hint read_in_store(struct mk_span value, struct mk_uri *t)
{
	t->in_store = mk_span_is(value, "true");
	return t->in_store || mk_span_is(value, "false") ? MK_HINT_NONE : MK_HINT_IN_STORE;
}

static enum mk_hint read_limit(struct mk_span value, struct mk_uri *t)
{
	const bool good = mk_u32_of(value, &t->limit) == MK_OK && t->limit >= 1 && t->limit <= LIST_MAX;
	return good ? MK_HINT_NONE : MK_HINT_LIMIT;
}

static enum mk_hint read_after(struct mk_span value, struct mk_uri *t)
{
	return mk_name_of(value, &t->after) == MK_OK ? MK_HINT_NONE : MK_HINT_AFTER;
}

static const struct param of_token[] = { { "version", read_version, false }, { "max_age", read_max_age, false }, { "not", read_not, false },
					 { "wait", read_wait, false }, { NULL, NULL, false } };
static const struct param of_revocation[] = { { "values", read_values, false }, { "in_store", read_in_store, false }, { NULL, NULL, false } };
static const struct param of_list[] = { { "limit", read_limit, false }, { "after", read_after, false }, { NULL, NULL, false } };
static const struct param of_watch[] = { { "connection", read_connection, true }, { NULL, NULL, false } };
static const struct param of_none[] = { { NULL, NULL, false } };

static const struct path {
	const char *path;
	enum mk_resource resource;
	const struct param *params;
	enum mk_hint unknown; /* the hint for a key that is not among them */
} paths[] = {
	{ "/v1/tokens", MK_RES_TOKENS, of_list, MK_HINT_QUERY_LIST },
	{ "/v1/watch", MK_RES_WATCH, of_watch, MK_HINT_QUERY_WATCH },
	{ "/v1/whoami", MK_RES_WHOAMI, of_none, MK_HINT_QUERY_NONE },
	{ "/v1/health", MK_RES_HEALTH, of_none, MK_HINT_QUERY_NONE },
	{ "/v1/status", MK_RES_STATUS, of_none, MK_HINT_QUERY_NONE },
	{ "/v1/reload", MK_RES_RELOAD, of_none, MK_HINT_QUERY_NONE },
	{ "/v1/freeze", MK_RES_FREEZE, of_none, MK_HINT_QUERY_NONE },
	{ "/v1/policy/explain", MK_RES_EXPLAIN, of_none, MK_HINT_QUERY_NONE },
	{ "/v1/revocations", MK_RES_REVOCATIONS, of_none, MK_HINT_QUERY_NONE },
	{ "/v1/fingerprints", MK_RES_FINGERPRINTS, of_none, MK_HINT_QUERY_NONE },
};
static const struct path approval_path = { "/v1/approvals/", MK_RES_APPROVAL, of_none, MK_HINT_QUERY_NONE };
static const struct path revocation_path = { "/v1/revocations/", MK_RES_REVOCATION, of_revocation, MK_HINT_QUERY_RESTORE };
static const struct path token_path = { "/v1/tokens/", MK_RES_TOKEN, of_token, MK_HINT_QUERY_TOKEN };

static struct mk_span from(struct mk_span s, size_t at)
{
	return mk_span(s.p + at, s.n - at);
}

/* Cuts s at the first c: what is before; s becomes what is after, or empty. True where there was one. */
static bool cut(struct mk_span *s, char c, struct mk_span *ret)
{
	const uint8_t *p = s->n ? memchr(s->p, c, s->n) : NULL;
	const size_t at = p ? (size_t)(p - s->p) : s->n;
	*ret = mk_span(s->p, at);
	*s = from(*s, p ? at + 1 : at);
	return p != NULL;
}

static bool allowed(uint8_t c)
{
	const uint8_t letter = c | 0x20;
	return (letter >= 'a' && letter <= 'z') || (c >= '-' && c <= '9') || c == '_' || c == '~' || c == '?' || c == '=' || c == '&';
}

static enum mk_hint check_bytes(struct mk_span raw)
{
	enum mk_hint h = MK_HINT_NONE;
	for (size_t i = 0; i < raw.n; i++) {
		if (raw.p[i] == '%')
			return MK_HINT_PERCENT;
		if (!allowed(raw.p[i]))
			h = MK_HINT_TARGET_BYTES;
	}
	return h;
}

static enum mk_hint check_segments(struct mk_span path)
{
	struct mk_span rest = from(path, 1), segment;
	for (bool more = true; more && path.n > 1;) {
		more = cut(&rest, '/', &segment);
		if (segment.n == 0 || mk_span_is(segment, ".") || mk_span_is(segment, ".."))
			return MK_HINT_SEGMENT;
	}
	return MK_HINT_NONE;
}

static const struct path *find(struct mk_span path)
{
	for (size_t i = 0; i < MK_COUNT(paths); i++)
		if (mk_span_is(path, paths[i].path))
			return &paths[i];
	return NULL;
}

static enum mk_hint read_pair(const struct path *of, struct mk_span pair, uint32_t *seen, struct mk_uri *t)
{
	struct mk_span key;
	if (!cut(&pair, '=', &key))
		return MK_HINT_QUERY;
	for (unsigned i = 0; of->params[i].key; i++) {
		if (!mk_span_is(key, of->params[i].key))
			continue;
		if ((*seen & 1u << i) && !of->params[i].often)
			return MK_HINT_QUERY;
		*seen |= 1u << i;
		return of->params[i].read(pair, t);
	}
	return of->unknown;
}

static enum mk_hint read_query(const struct path *of, struct mk_span query, struct mk_uri *t)
{
	uint32_t seen = 0;
	enum mk_hint h = MK_HINT_NONE;
	struct mk_span pair;
	for (bool more = query.n > 0; more && h == MK_HINT_NONE;) {
		more = cut(&query, '&', &pair);
		h = read_pair(of, pair, &seen, t);
	}
	return h;
}

/* What stands behind the last '/' is the name, whatever it is: "a/b" and ".." are bad names. */
static enum mk_hint read_named(const struct path *of, struct mk_span path, struct mk_span query, struct mk_uri *t)
{
	t->resource = of->resource;
	if (mk_name_of(from(path, strlen(of->path)), &t->name) != MK_OK)
		return MK_HINT_NAME;
	return read_query(of, query, t);
}

static enum mk_hint read_approval(struct mk_span path, struct mk_span query, struct mk_uri *t)
{
	const struct mk_span id = from(path, strlen(approval_path.path));
	t->resource = MK_RES_APPROVAL;
	if (id.n == 0 || id.n > MK_ID_MAX)
		return MK_HINT_ID;
	for (size_t i = 0; i < id.n; i++)
		if (!memchr("0123456789abcdef", id.p[i], 16))
			return MK_HINT_ID;
	memcpy(t->id, id.p, id.n);
	return read_query(&approval_path, query, t);
}

static bool begins(struct mk_span path, const struct path *with)
{
	const size_t n = strlen(with->path);
	return path.n >= n && memcmp(path.p, with->path, n) == 0;
}

static enum mk_hint parse(struct mk_span raw, struct mk_uri *t)
{
	struct mk_span path, query = raw;
	if (raw.n == 0 || raw.p[0] != '/')
		return MK_HINT_TARGET_FORM;
	enum mk_hint h = check_bytes(raw);
	if (h != MK_HINT_NONE)
		return h;
	cut(&query, '?', &path);
	if (begins(path, &token_path))
		return read_named(&token_path, path, query, t);
	if (begins(path, &revocation_path))
		return read_named(&revocation_path, path, query, t);
	if (begins(path, &approval_path))
		return read_approval(path, query, t);
	h = check_segments(path);
	const struct path *of = h == MK_HINT_NONE ? find(path) : NULL;
	if (!of)
		return h;
	t->resource = of->resource;
	return read_query(of, query, t);
}

void mk_uri_parse(struct mk_span raw, struct mk_uri *ret)
{
	*ret = (struct mk_uri){ .limit = LIST_DEFAULT };
	ret->bad = parse(raw, ret);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of hints and their documents, which are written once, at first use, and then
 * sent as they are.
 */
#include "agent/broker/http_problem.h"

#include "mk/own.h"

struct row {
	enum mk_err err;
	bool ends;
	const char *detail;
};

static const struct row rows[MK_HINT_COUNT] = {
#define ROW(name, error, end, text) [MK_HINT_##name] = { .err = MK_##error, .ends = (end), .detail = (text) },
	MK_HINT_LIST(ROW)
#undef ROW
};

static const enum mk_hint by_err[MK_ERR_COUNT_] = {
	[MK_DENIED] = MK_HINT_DENIED,       [MK_NOT_FOUND] = MK_HINT_NO_TOKEN, [MK_CONFLICT] = MK_HINT_RELOAD,
	[MK_REVOKED] = MK_HINT_REVOKED,     [MK_EXPIRED] = MK_HINT_EXPIRED,    [MK_DISABLED] = MK_HINT_DISABLED,
	[MK_RATE_LIMITED] = MK_HINT_RATE,   [MK_BACKEND] = MK_HINT_BACKEND,    [MK_NOT_READY] = MK_HINT_NOT_READY,
	[MK_NO_MEMORY] = MK_HINT_NO_MEMORY, [MK_AUDIT] = MK_HINT_AUDIT,        [MK_FROZEN] = MK_HINT_FROZEN,
	[MK_TIMEOUT] = MK_HINT_TIMEOUT,     [MK_UNAUTHENTICATED] = MK_HINT_BEARER,
};

enum mk_hint mk_hint_of(enum mk_err e)
{
	const enum mk_hint h = mk_err_known((unsigned)e) ? by_err[e] : MK_HINT_NONE;
	return h == MK_HINT_NONE ? MK_HINT_INTERNAL : h;
}

enum mk_err mk_hint_err(enum mk_hint h)
{
	return rows[h].err;
}

bool mk_hint_ends(enum mk_hint h)
{
	return rows[h].ends;
}

const char *mk_http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} all[] = {
		{ 400, "Bad Request" },        { 401, "Unauthorized" }, { 403, "Forbidden" },         { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 409, "Conflict" },     { 410, "Gone" },              { 413, "Content Too Large" },
		{ 429, "Too Many Requests" },  { 502, "Bad Gateway" },  { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
	};
	for (size_t i = 0; i < MK_COUNT(all); i++)
		if (all[i].status == status)
			return all[i].reason;
	return "Internal Server Error";
}

void mk_problem_write(struct mk_jw *w, enum mk_hint h, struct mk_span detail)
{
	const enum mk_err e = rows[h].err;
	mk_jw_kstr(w, "type", "about:blank");
	mk_jw_kstr(w, "title", mk_http_reason(mk_err_http(e)));
	mk_jw_knum(w, "status", mk_err_http(e));
	mk_jw_kspan(w, "detail", detail);
	mk_jw_kstr(w, "code", mk_err_word(e));
}

struct mk_span mk_problem_text(enum mk_hint h)
{
	static struct {
		char text[MK_PROBLEM_MAX];
		size_t n;
	} made[MK_HINT_COUNT];
	if (made[h].n == 0) {
		struct mk_jw w = mk_jw_of(made[h].text, sizeof made[h].text);
		mk_jw_open(&w, '{');
		mk_problem_write(&w, h, mk_span_of(rows[h].detail));
		mk_jw_close(&w, '}');
		const enum mk_err e = mk_jw_end(&w, &made[h].n);
		mk_assert(e == MK_OK);
	}
	return mk_span(made[h].text, made[h].n);
}

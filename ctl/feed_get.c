/* SPDX-License-Identifier: Apache-2.0
 *
 * One question for a token that does not hold its asker up. It has a multi handle of its own, which goes
 * with it: some versions of libcurl keep what they received in the handle.
 */
#include "ctl/feed.h"

#include "agent/base/clock.h"
#include "backends/flatten.h"
#include "ctl/ctl.h"
#include "mk/leaf.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <strings.h>

#define GET_TIMEOUT_S 60L /* a get may wait for a store */

static size_t header(char *p, size_t size, size_t n, void *arg)
{
	static const char name[] = "etag:";
	struct mk_get *g = arg;
	size_t len = size * n;
	if (len <= sizeof name - 1 || strncasecmp(p, name, sizeof name - 1) != 0)
		return len;
	const char *v = p + sizeof name - 1, *end = p + len;
	while (v < end && *v == ' ')
		v++;
	while (end > v && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
		end--;
	const bool fits = (size_t)(end - v) < sizeof g->etag; /* else each answer is read */
	memcpy(g->etag, v, fits ? (size_t)(end - v) : 0);
	g->etag[fits ? end - v : 0] = '\0';
	return len;
}

static void *headers_of(const struct mk_fed *of)
{
	char line[sizeof of->etag + 24];
	struct curl_slist *all = curl_slist_append(NULL, "Accept: application/json"), *more;
	if (!all || !of->etag[0])
		return all;
	snprintf(line, sizeof line, "If-None-Match: %s", of->etag);
	more = curl_slist_append(all, line);
	return more ? more : all;
}

static void set_up(struct mk_get *g, const struct mk_feed *f)
{
	char url[128];
	snprintf(url, sizeof url, "http://agent/v1/tokens/%s", g->of->name.s);
	mk_ctl_over(g->curl, f->path);
	curl_easy_setopt(g->curl, CURLOPT_URL, url);
	curl_easy_setopt(g->curl, CURLOPT_TIMEOUT, GET_TIMEOUT_S);
	curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, g->headers);
	curl_easy_setopt(g->curl, CURLOPT_HEADERFUNCTION, header);
	curl_easy_setopt(g->curl, CURLOPT_HEADERDATA, g);
	curl_easy_setopt(g->curl, CURLOPT_WRITEFUNCTION, mk_ctl_take);
	curl_easy_setopt(g->curl, CURLOPT_WRITEDATA, g->body);
}

int mk_get_begin(struct mk_get *g, const struct mk_feed *f, struct mk_fed *of)
{
	*g = (struct mk_get){ .of = of, .multi = curl_multi_init(), .curl = curl_easy_init(), .headers = headers_of(of) };
	if (g->multi && g->curl && g->headers && mk_secret_new(MK_SECRET_LARGE, &g->body) == MK_OK) {
		set_up(g, f);
		if (curl_multi_add_handle(g->multi, g->curl) == CURLM_OK)
			return MK_EXIT_DONE;
	}
	mk_get_done(g);
	return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
}

void mk_get_done(struct mk_get *g)
{
	if (g->multi && g->curl)
		curl_multi_remove_handle(g->multi, g->curl);
	curl_easy_cleanup(g->curl);
	curl_multi_cleanup(g->multi);
	curl_slist_free_all(g->headers);
	g->body = mk_secret_free(g->body);
	*g = (struct mk_get){ 0 };
}

bool mk_get_turn(struct mk_get *g, int fd, int ms, int *ret_rc)
{
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	int running = 0, left = 0;
	if (curl_multi_perform(g->multi, &running) == CURLM_OK && running > 0) {
		curl_multi_poll(g->multi, &extra, fd >= 0 ? 1 : 0, ms, NULL);
		if (curl_multi_perform(g->multi, &running) == CURLM_OK && running > 0)
			return false;
	}
	const CURLMsg *m = curl_multi_info_read(g->multi, &left);
	*ret_rc = m && m->msg == CURLMSG_DONE ? (int)m->data.result : CURLE_OUT_OF_MEMORY;
	return true;
}

static bool leaf_of(const struct mk_secret *leaves, const char *field, struct mk_leaf *ret)
{
	char pointer[MK_FIELD_MAX + 2];
	snprintf(pointer, sizeof pointer, "/%s", field);
	return mk_leaves_find(mk_secret_span(leaves), pointer, ret) == MK_OK;
}

bool mk_fed_leaf(const struct mk_fed *f, const char *field, struct mk_leaf *ret)
{
	return f->leaves && leaf_of(f->leaves, field, ret);
}

static struct mk_span value_of(const struct mk_secret *leaves, const char *field)
{
	struct mk_leaf l = { 0 };
	return leaf_of(leaves, field, &l) ? l.value : (struct mk_span){ 0 };
}

static bool same(const struct mk_secret *a, const struct mk_secret *b, const char *const *matter)
{
	bool all = true;
	for (; *matter; matter++) {
		const struct mk_span x = value_of(a, *matter), y = value_of(b, *matter);
		all = all && x.n == y.n && (x.n == 0 || sodium_memcmp(x.p, y.p, x.n) == 0);
	}
	return all;
}

static int64_t expiry_of(const struct mk_secret *leaves)
{
	int64_t ms = MK_TIME_NONE;
	if (mk_rfc3339_parse(value_of(leaves, "expires_at"), &ms) != MK_OK)
		return MK_TIME_NONE;
	return ms;
}

/* An answer of 200. */
static enum mk_got read_answer(struct mk_get *g, const struct mk_feed *f, bool tell, int *ret_code)
{
	struct mk_fed *of = g->of;
	struct mk_secret *leaves = NULL;
	if (!mk_ctl_is_of_type(g->curl, "application/json") || mk_flatten(mk_secret_span(g->body), &leaves) != MK_OK ||
	    !mk_span_is(value_of(leaves, "connection"), of->name.s)) {
		mk_secret_free(leaves);
		if (tell)
			*ret_code = mk_ctl_stranger();
		return MK_GOT_TROUBLE;
	}
	const bool was = of->code == MK_EXIT_DONE && of->leaves && same(of->leaves, leaves, f->matter);
	mk_secret_free(of->leaves);
	of->leaves = leaves;
	of->expires_at = expiry_of(leaves);
	of->over_at = of->expires_at == MK_TIME_NONE ? INT64_MAX : mk_boot_ms() + (of->expires_at - mk_wall_ms());
	of->expiry_told = false;
	memcpy(of->etag, g->etag, sizeof of->etag);
	of->code = *ret_code = MK_EXIT_DONE;
	return was ? MK_GOT_SAME : MK_GOT_NEW;
}

static bool is_final(long status)
{
	return status == 401 || status == 403 || status == 404 || status == 410;
}

enum mk_got mk_get_end(struct mk_get *g, const struct mk_feed *f, int rc, bool tell, int *ret_code)
{
	struct mk_reply reply = { .body = g->body }; /* borrowed */
	curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &reply.status);
	if (rc == CURLE_OK && reply.status == 200)
		return read_answer(g, f, tell, ret_code);
	if (rc == CURLE_OK && reply.status == 304 && g->of->code == MK_EXIT_DONE)
		return MK_GOT_SAME;
	if (rc == CURLE_OK && is_final(reply.status)) {
		*ret_code = mk_ctl_problem_of(&reply, g->of->name.s);
		return *ret_code == MK_EXIT_UNAVAILABLE ? MK_GOT_TROUBLE : MK_GOT_GONE;
	}
	if (tell)
		*ret_code = rc == CURLE_OK ? mk_ctl_problem_of(&reply, g->of->name.s) : mk_ctl_failed(g->curl, rc, &f->target, f->path);
	return MK_GOT_TROUBLE;
}

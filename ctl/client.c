/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP over a Unix socket by libcurl; what the answers mean.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S 5L
#define CALL_TIMEOUT_S    60L
#define JSON_FLAGS        (JSON_REJECT_DUPLICATES)

void mk_reply_done(struct mk_reply *r)
{
	r->body = mk_secret_free(r->body);
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct mk_secret *body = arg;
	const size_t have = mk_secret_span(body).n, more = size * n;
	if (more > mk_secret_cap(body) - have)
		return 0; /* curl ends the transfer: CURLE_WRITE_ERROR */
	memcpy(mk_secret_buf(body) + have, p, more);
	mk_secret_set_len(body, have + more);
	return more;
}

static int cannot_connect(const char *path, long error)
{
	switch (error) {
	case ENOENT:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s is not there: is the agent running? (systemctl status 'makini-agent@*')", path);
	case ECONNREFUSED:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: nobody listens there: the agent has ended; see its log (journalctl -u 'makini-agent@*')", path);
	case EACCES:
	case EPERM:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s may not be opened by this user: join the socket's group (ls -l %s), or run as a user that may", path, path);
	default:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: %s", path, error ? strerror((int)error) : "no connection");
	}
}

static int transfer_failed(CURL *curl, CURLcode rc, const char *path)
{
	long error = 0;
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
	if (rc == CURLE_COULDNT_CONNECT)
		return cannot_connect(path, error);
	if (rc == CURLE_OPERATION_TIMEDOUT)
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: no answer within %ld s: the agent may be stopped or overloaded", path, CALL_TIMEOUT_S);
	if (rc == CURLE_WRITE_ERROR)
		return mk_ctl_fail(MK_EXIT_FAILED, "%s: the answer is larger than an agent sends: is that its socket?", path);
	return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: %s", path, curl_easy_strerror(rc));
}

static void set_up(CURL *curl, const char *path, const char *url, struct mk_secret *body)
{
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, CALL_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
}

static int perform(CURL *curl, const char *path, const char *method, const char *accept, struct mk_reply *r)
{
	char line[96];
	snprintf(line, sizeof line, "Accept: %s", accept ? accept : "application/json");
	struct curl_slist *headers = curl_slist_append(NULL, line);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (strcmp(method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	const CURLcode rc = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r->status);
	curl_slist_free_all(headers);
	return rc == CURLE_OK ? MK_EXIT_DONE : transfer_failed(curl, rc, path);
}

static int ready(void)
{
	static bool done;
	bool locked = false;
	if (done)
		return MK_EXIT_DONE;
	if (mk_secret_arena_init(4, 2, &locked) != MK_OK || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	if (!locked)
		mk_ctl_fail(0, "warning: memory could not be locked (ulimit -l); a token may be swapped out");
	done = true;
	return MK_EXIT_DONE;
}

int mk_ctl_call(const struct mk_target *t, const char *method, const char *target, const char *accept, struct mk_reply *ret)
{
	char path[MK_SOCKET_PATH_MAX + 1], url[512];
	struct mk_reply r = { 0 };
	int rc = mk_ctl_socket(t, path);
	if (rc == MK_EXIT_DONE)
		rc = ready();
	if (rc != MK_EXIT_DONE)
		return rc;
	if (mk_secret_new(MK_SECRET_LARGE, &r.body) != MK_OK)
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	snprintf(url, sizeof url, "http://agent%s", target);
	CURL *curl = curl_easy_init();
	if (!curl) {
		mk_reply_done(&r);
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	}
	set_up(curl, path, url, r.body);
	rc = perform(curl, path, method, accept, &r);
	curl_easy_cleanup(curl);
	if (rc == MK_EXIT_DONE)
		*ret = r;
	else
		mk_reply_done(&r);
	return rc;
}

static int code_of(long status)
{
	static const struct {
		long status;
		int code;
	} codes[] = { { 401, MK_EXIT_DENIED },      { 403, MK_EXIT_DENIED },      { 404, MK_EXIT_NOT_FOUND },
		      { 410, MK_EXIT_GONE },        { 429, MK_EXIT_UNAVAILABLE }, { 502, MK_EXIT_UNAVAILABLE },
		      { 503, MK_EXIT_UNAVAILABLE }, { 504, MK_EXIT_UNAVAILABLE } };
	for (size_t i = 0; i < MK_COUNT(codes); i++)
		if (codes[i].status == status)
			return codes[i].code;
	return MK_EXIT_FAILED;
}

int mk_ctl_problem(const struct mk_reply *r)
{
	const struct mk_span body = mk_secret_span(r->body);
	json_t *root = json_loadb((const char *)body.p, body.n, JSON_FLAGS, NULL);
	const char *word = json_string_value(json_object_get(root, "code"));
	const char *detail = json_string_value(json_object_get(root, "detail"));
	const json_t *reasons = json_object_get(root, "reasons");
	if (!word)
		mk_ctl_fail(0, "HTTP %ld without a problem document: is that an agent's socket?", r->status);
	else
		fprintf(stderr, "makinictl: %s%s%s", word, detail ? ": " : "", detail ? detail : "");
	for (size_t i = 0; i < json_array_size(reasons); i++)
		fprintf(stderr, "%s%s", i ? ", " : " (", json_string_value(json_array_get(reasons, i)));
	if (word)
		fprintf(stderr, "%s\n", json_array_size(reasons) ? ")" : "");
	json_decref(root);
	return code_of(r->status);
}

int mk_ctl_print(const struct mk_reply *r, bool newline)
{
	const struct mk_span body = mk_secret_span(r->body);
	for (size_t at = 0; at < body.n;) {
		const ssize_t n = write(STDOUT_FILENO, body.p + at, body.n - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mk_ctl_fail(MK_EXIT_FAILED, "standard output: %s", strerror(errno));
		at += (size_t)n;
	}
	if (newline && write(STDOUT_FILENO, "\n", 1) != 1)
		return mk_ctl_fail(MK_EXIT_FAILED, "standard output: %s", strerror(errno));
	return MK_EXIT_DONE;
}

int mk_ctl_show(const struct mk_target *t, const char *target, bool json, int (*show)(const struct json_t *root))
{
	struct mk_reply r = { 0 };
	int rc = mk_ctl_call(t, "GET", target, NULL, &r);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (json) { /* a program reads problem documents too */
		rc = mk_ctl_print(&r, true);
		if (rc == MK_EXIT_DONE && r.status != 200)
			rc = code_of(r.status);
	} else if (r.status != 200) {
		rc = mk_ctl_problem(&r);
	} else {
		const struct mk_span body = mk_secret_span(r.body);
		json_t *root = json_loadb((const char *)body.p, body.n, JSON_FLAGS, NULL);
		rc = root ? show(root) : mk_ctl_fail(MK_EXIT_FAILED, "the answer is not JSON: is that an agent's socket?");
		json_decref(root);
	}
	mk_reply_done(&r);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP over a Unix socket by libcurl.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

#define CONNECT_TIMEOUT_S 5L
#define CALL_TIMEOUT_S    60L /* a get may wait for a store */
#define QUICK_TIMEOUT_S   5L

void mk_reply_done(struct mk_reply *r)
{
	r->body = mk_secret_free(r->body);
}

size_t mk_ctl_take(char *p, size_t size, size_t n, void *arg)
{
	struct mk_secret *body = arg;
	const size_t have = mk_secret_span(body).n, more = size * n;
	if (more > mk_secret_cap(body) - have)
		return 0; /* curl ends the transfer: CURLE_WRITE_ERROR */
	memcpy(mk_secret_buf(body) + have, p, more);
	mk_secret_set_len(body, have + more);
	return more;
}

int mk_ctl_stranger(void)
{
	return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "what answers at this socket is no agent: give the socket of one (--socket, --env)");
}

static int cannot_connect(const char *path, long error)
{
	switch (error) {
	case ECONNREFUSED:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: nobody listens there: the agent has ended; see its log (journalctl -u 'makini-agent@*')", path);
	case EACCES:
	case EPERM:
		return mk_ctl_fail(MK_EXIT_DENIED, "%s may not be opened by this user: join the socket's group (ls -l %s), or run as a user that may", path, path);
	default:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: %s", path, error ? strerror((int)error) : "no connection");
	}
}

int mk_ctl_failed(void *curl, int rc, const struct mk_target *t, const char *path)
{
	long error = 0;
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
	switch (rc) {
	case CURLE_COULDNT_CONNECT:
		return cannot_connect(path, error);
	case CURLE_OPERATION_TIMEDOUT:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: no answer within %ld s: the agent may be stopped or overloaded; see its log (journalctl -u 'makini-agent@*')",
				   path, t->quick ? QUICK_TIMEOUT_S : CALL_TIMEOUT_S);
	case CURLE_UNSUPPORTED_PROTOCOL: /* no HTTP */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_WRITE_ERROR:          /* more than an agent sends */
		return mk_ctl_stranger();
	case CURLE_OUT_OF_MEMORY:
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	default:
		return mk_ctl_fail(MK_EXIT_UNAVAILABLE, "%s: the answer broke off (%s): try again; if it stays, see the agent's log", path,
				   curl_easy_strerror((CURLcode)rc));
	}
}

void mk_ctl_over(void *curl, const char *path)
{
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
}

static void set_up(CURL *curl, const struct mk_target *t, const char *path, struct mk_secret *body)
{
	mk_ctl_over(curl, path);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, t->quick ? QUICK_TIMEOUT_S : CALL_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, mk_ctl_take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
}

bool mk_ctl_is_of_type(void *curl, const char *accept)
{
	const char *type = NULL;
	return curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type && strncmp(type, accept, strlen(accept)) == 0;
}

static int perform(CURL *curl, const struct mk_target *t, const char *path, const char *accept, struct mk_reply *r)
{
	char line[96];
	snprintf(line, sizeof line, "Accept: %s", accept);
	struct curl_slist *headers = curl_slist_append(NULL, line);
	if (!headers)
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	if (t->body) {
		struct curl_slist *with_type = curl_slist_append(headers, "Content-Type: application/json");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, t->body);
		headers = with_type ? with_type : headers;
	}
	if (t->method)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, t->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	const CURLcode rc = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r->status);
	curl_slist_free_all(headers);
	if (rc != CURLE_OK)
		return mk_ctl_failed(curl, (int)rc, t, path);
	const bool good = r->status == 200 || r->status == 202;
	return good && !mk_ctl_is_of_type(curl, accept) ? mk_ctl_stranger() : MK_EXIT_DONE;
}

int mk_ctl_ready(bool secret)
{
	return mk_ctl_ready_for(4, 2, secret);
}

int mk_ctl_ready_for(unsigned small, unsigned large, bool secret)
{
	static bool done;
	if (done)
		return MK_EXIT_DONE;
	const int rc = mk_ctl_guard(small, large, secret);
	if (rc == MK_EXIT_DONE && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	done = true;
	return rc;
}

static int exchange(const struct mk_target *t, const char *path, const char *target, const char *accept, struct mk_reply *r)
{
	char url[512];
	snprintf(url, sizeof url, "http://agent%s", target);
	CURL *curl = curl_easy_init();
	if (!curl || curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK || mk_secret_new(MK_SECRET_LARGE, &r->body) != MK_OK) {
		curl_easy_cleanup(curl);
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	}
	set_up(curl, t, path, r->body);
	const int rc = perform(curl, t, path, accept ? accept : "application/json", r);
	curl_easy_cleanup(curl);
	return rc;
}

int mk_ctl_call(const struct mk_target *t, const char *target, const char *accept, struct mk_reply *ret)
{
	char path[MK_SOCKET_PATH_MAX + 1];
	struct mk_reply r = { 0 };
	int rc = mk_ctl_socket(t, path);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_ready(t->secret);
	if (rc == MK_EXIT_DONE)
		rc = exchange(t, path, target, accept, &r);
	if (rc == MK_EXIT_DONE)
		*ret = r;
	else
		mk_reply_done(&r);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place where a handle is set: what may be spoken, to whom, under whose
 * certificates. Every call has a fresh handle and reads the configured files anew, so a
 * file that was replaced counts from the next connection on; a connection made under
 * other certificates is not used again (libcurl compares their bytes).
 */
#include "agent/base/secret.h"
#include "agent/fetcher/curl_job.h"
#include "agent/fetcher/transport_curl.h"
#include "mk/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_LEAST_MS   1000 /* for a connection: half of the call's time, within these */
#define CONNECT_LONGEST_MS 3000
#define CONNECTION_IDLE_S  60L
#define CONNECTION_LIFE_S  300L
#define CA_CACHE_S         3600L /* the system's certificates, parsed */
#define PEM_MAX            (1u << 20)
#define KEY_MAX            16384u
#define SCHEME_MAX         8u
#define LINE_EXTRA         3u    /* ": " and a NUL */

/* Only curl's own setopt knows a value's type. */
#define SET(job, option, value) do { if (curl_easy_setopt((job)->easy, (option), (value)) != CURLE_OK) return MK_BUG; } while (0)

static mk_must fail(struct mk_job *job, enum mk_err e, const char *fault)
{
	job->fault = fault;
	return e;
}

const char *mk_curl_ca_file(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	return v->cainfo && access(v->cainfo, R_OK) == 0 ? v->cainfo : "";
}

/* ---- the address */

static bool is_literal(const char *host, bool *ret_loopback)
{
	struct in_addr v4;
	char bare[INET6_ADDRSTRLEN + 1] = "";
	*ret_loopback = strcmp(host, "[::1]") == 0;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		*ret_loopback = (ntohl(v4.s_addr) >> 24) == 127;
		return true;
	}
	struct in6_addr v6;
	const size_t n = strlen(host);
	if (n < 3 || n - 2 >= sizeof bare || host[0] != '[')
		return false;
	memcpy(bare, host + 1, n - 2);
	return inet_pton(AF_INET6, bare, &v6) == 1;
}

/* https, or http to this host itself. */
static mk_must check_url(struct mk_job *job, CURLU *u)
{
	char *scheme = NULL, *host = NULL;
	bool loopback = false;
	enum mk_err e = MK_OK;
	if (curl_url_set(u, CURLUPART_URL, job->call->req->url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		e = fail(job, MK_BUG, "the backend made an address that is none");
	if (e == MK_OK) {
		const bool literal = is_literal(host, &loopback), here = strcmp(host, "localhost") == 0; /* libcurl asks nobody */
		job->by_name = !literal && !here && !job->call->conf->proxy[0];
		job->plain = strcmp(scheme, "http") == 0;
		if (job->plain ? !loopback && !here : strcmp(scheme, "https") != 0)
			e = fail(job, MK_BACKEND, "the store's address must be https, or http to a loopback address");
	}
	curl_free(scheme);
	curl_free(host);
	return e;
}

enum reach { ELSEWHERE, THIS_HOST, LINK };

static enum reach reach_v4(uint32_t a)
{
	return a >> 24 == 127 ? THIS_HOST : a >> 24 == 0 || a >> 16 == 0xa9fe ? LINK : ELSEWHERE;
}

static enum reach reach_of(const struct sockaddr *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
	uint32_t mapped;
	if (a->sa_family == AF_INET)
		return reach_v4(ntohl(v4->sin_addr.s_addr));
	memcpy(&mapped, v6->s6_addr + 12, sizeof mapped);
	if (IN6_IS_ADDR_V4MAPPED(v6))
		return reach_v4(ntohl(mapped));
	return IN6_IS_ADDR_LOOPBACK(v6) ? THIS_HOST : IN6_IS_ADDR_UNSPECIFIED(v6) || IN6_IS_ADDR_LINKLOCAL(v6) ? LINK : ELSEWHERE;
}

/* A name must not lead into this host, or to a provider's metadata address; what is not encrypted does not leave it. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct mk_job *job = arg;
	if (purpose != CURLSOCKTYPE_IPCXN || (a->family != AF_INET && a->family != AF_INET6))
		return CURL_SOCKET_BAD;
	const enum reach r = reach_of(&a->addr);
	if (job->by_name ? r != ELSEWHERE : job->plain && r != THIS_HOST) {
		job->fault = "the store's name leads to a loopback or link-local address: name that address itself if it is meant";
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static mk_must set_address(struct mk_job *job)
{
	const struct mk_conf_backend *conf = job->call->conf;
	CURLU *u = curl_url();
	const enum mk_err e = u ? check_url(job, u) : MK_NO_MEMORY;
	curl_url_cleanup(u);
	MK_TRY(e);
	SET(job, CURLOPT_URL, job->call->req->url);
	SET(job, CURLOPT_PROTOCOLS_STR, job->plain ? "http" : "https");
	SET(job, CURLOPT_FOLLOWLOCATION, 0L);
	SET(job, CURLOPT_PROXY, conf->proxy);
	SET(job, CURLOPT_NOPROXY, "127.0.0.1,::1,localhost");
	SET(job, CURLOPT_HTTPPROXYTUNNEL, 1L);
	SET(job, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(job, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(job, CURLOPT_OPENSOCKETDATA, job);
	return MK_OK;
}

/* ---- certificates */

static mk_must read_pem(struct mk_job *job, const char *path, bool private_file, struct mk_answer *ret)
{
	const struct mk_req req = { .kind = MK_REQ_FILE, .max = private_file ? KEY_MAX : PEM_MAX, .path = path,
				    .private_file = private_file };
	mk_answer_file(&req, job->call->in_pod, ret, NULL);
	if (ret->res.err == MK_OK && ret->res.body.n > 0)
		return MK_OK;
	if (ret->res.err == MK_NO_MEMORY)
		return fail(job, MK_NO_MEMORY, "no memory");
	if (private_file)
		return fail(job, MK_BACKEND, "cert_key_file is missing, empty or refused: a plain file of the agent's user, mode 0600");
	return fail(job, MK_BACKEND,
		    "ca_file or cert_file is missing, empty or refused: a plain file of root or the agent's user that others cannot write");
}

static mk_must set_blob(struct mk_job *job, CURLoption option, struct mk_span pem)
{
	struct curl_blob b = { (void *)(uintptr_t)pem.p, pem.n, CURL_BLOB_NOCOPY };
	SET(job, option, &b);
	return MK_OK;
}

/* Either the configuration's authorities or the system's, never both. */
static mk_must set_authorities(struct mk_job *job)
{
	const char *file = job->call->conf->ca_file;
	if (file[0]) {
		MK_TRY(read_pem(job, file, false, &job->ca));
		SET(job, CURLOPT_CAINFO, NULL);
		SET(job, CURLOPT_CAPATH, NULL);
		SET(job, CURLOPT_PROXY_CAPATH, NULL);
		MK_TRY(set_blob(job, CURLOPT_PROXY_CAINFO_BLOB, job->ca.res.body));
		return set_blob(job, CURLOPT_CAINFO_BLOB, job->ca.res.body);
	}
	if (mk_curl_ca_file()[0]) {
		SET(job, CURLOPT_CAPATH, NULL); /* else the bundle would be parsed for each connection */
		SET(job, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
	}
	return MK_OK;
}

static mk_must set_tls(struct mk_job *job)
{
	const struct mk_conf_auth *auth = &job->call->conf->auth;
	SET(job, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(job, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(job, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(job, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(job, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	MK_TRY(set_authorities(job));
	if (!auth->cert_file[0])
		return MK_OK;
	MK_TRY(read_pem(job, auth->cert_file, false, &job->cert));
	MK_TRY(read_pem(job, auth->cert_key_file, true, &job->key));
	SET(job, CURLOPT_SSLCERTTYPE, "PEM");
	SET(job, CURLOPT_SSLKEYTYPE, "PEM");
	MK_TRY(set_blob(job, CURLOPT_SSLCERT_BLOB, job->cert.res.body));
	return set_blob(job, CURLOPT_SSLKEY_BLOB, job->key.res.body);
}

/* ---- the request */

static size_t line_size(const struct mk_req_header *h)
{
	return strlen(h->name) + LINE_EXTRA + (h->value ? strlen(h->value) : 0) + (h->secret ? mk_secret_span(h->secret).n : 0);
}

static bool is_clean(struct mk_span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

/* Writes "Name: value" at p. */
static char *line_write(char *p, const struct mk_req_header *h)
{
	const size_t name = strlen(h->name), value = h->value ? strlen(h->value) : 0;
	const struct mk_span secret = h->secret ? mk_secret_span(h->secret) : mk_span("", 0);
	memcpy(p, h->name, name);
	memcpy(p + name, ": ", 2);
	if (value > 0)
		memcpy(p + name + 2, h->value, value);
	if (secret.n > 0)
		memcpy(p + name + 2 + value, secret.p, secret.n);
	p += name + 2 + value + secret.n;
	*p = '\0';
	return p + 1;
}

static void list_add(struct mk_job *job, size_t i, char *line)
{
	job->list[i] = (struct curl_slist){ line, NULL };
	if (i > 0)
		job->list[i - 1].next = &job->list[i];
}

/* The list's nodes and texts are ours, in place: libcurl only reads them. */
static mk_must set_headers(struct mk_job *job)
{
	static char no_expect[] = "Expect:", json[] = "Content-Type: application/json";
	const struct mk_req *req = job->call->req;
	bool typed = false;
	size_t size = 0, n = 0;
	if (req->n_headers > MK_REQ_HEADERS_MAX)
		return MK_BUG;
	for (size_t i = 0; i < req->n_headers; i++)
		size += line_size(&req->headers[i]);
	MK_TRY(mk_secret_new(size, &job->lines));
	char *p = (char *)mk_secret_buf(job->lines);
	for (size_t i = 0; i < req->n_headers; i++) {
		const struct mk_req_header *h = &req->headers[i];
		if ((h->secret && !is_clean(mk_secret_span(h->secret))) || (h->value && !is_clean(mk_span_of(h->value))))
			return fail(job, MK_BACKEND,
				    "the credential holds a control character: its file may hold a token and one newline, and no more");
		typed |= strcasecmp(h->name, "Content-Type") == 0;
		list_add(job, n++, p);
		p = line_write(p, h);
	}
	list_add(job, n++, no_expect);
	if (req->body && !typed)
		list_add(job, n++, json);
	SET(job, CURLOPT_HTTPHEADER, job->list);
	SET(job, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* none of them to a proxy */
	return MK_OK;
}

static mk_must set_method(struct mk_job *job)
{
	static const char *const words[] = {
		[MK_HTTP_GET] = "GET", [MK_HTTP_LIST] = "LIST", [MK_HTTP_POST] = "POST",
		[MK_HTTP_PUT] = "PUT", [MK_HTTP_PATCH] = "PATCH", [MK_HTTP_DELETE] = "DELETE",
	};
	const struct mk_req *req = job->call->req;
	const struct mk_span body = req->body ? mk_secret_span(req->body) : mk_span("", 0);
	if ((size_t)req->method >= MK_COUNT(words) || !words[req->method])
		return MK_BUG;
	if (req->body || req->method == MK_HTTP_POST || req->method == MK_HTTP_PUT) {
		SET(job, CURLOPT_POST, 1L);
		SET(job, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
		SET(job, CURLOPT_POSTFIELDS, (const char *)body.p); /* not copied */
	}
	if (req->once) /* where a kept connection turns out to be dead, libcurl sends again by itself */
		SET(job, CURLOPT_FRESH_CONNECT, 1L);
	SET(job, CURLOPT_CUSTOMREQUEST, words[req->method]);
	return MK_OK;
}

static mk_must set_answer(struct mk_job *job)
{
	SET(job, CURLOPT_WRITEFUNCTION, mk_job_on_body);
	SET(job, CURLOPT_WRITEDATA, job);
	SET(job, CURLOPT_HEADERFUNCTION, mk_job_on_head);
	SET(job, CURLOPT_HEADERDATA, job);
	SET(job, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)job->call->req->max);
	return MK_OK;
}

static mk_must set_times(struct mk_job *job)
{
	const int64_t all = job->call->timeout_ms > 0 ? job->call->timeout_ms : 1;
	int64_t connect = all / 2 < CONNECT_LEAST_MS ? CONNECT_LEAST_MS : all / 2;
	connect = connect > CONNECT_LONGEST_MS ? CONNECT_LONGEST_MS : connect;
	SET(job, CURLOPT_TIMEOUT_MS, (long)all);
	SET(job, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect < all ? connect : all));
	SET(job, CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_S);
	SET(job, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFE_S);
	return MK_OK;
}

enum mk_err mk_job_setup(struct mk_job *job)
{
	SET(job, CURLOPT_NOSIGNAL, 1L);
	SET(job, CURLOPT_QUICK_EXIT, 1L); /* a name server that is silent must not hold up the process */
	SET(job, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(job, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(job, CURLOPT_USERAGENT, "makini-agent");
	SET(job, CURLOPT_PRIVATE, job);
	MK_TRY(set_address(job));
	MK_TRY(set_tls(job));
	MK_TRY(set_method(job));
	MK_TRY(set_headers(job));
	MK_TRY(set_answer(job));
	return set_times(job);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * How a transfer ended, as an error of ours and a fixed text that names the remedy.
 * Nothing of the answer goes into either.
 */
#include "agent/base/secret.h"
#include "agent/fetcher/curl_job.h"
#include "mk/own.h"

#include <openssl/x509_vfy.h>

#define RETRY_AFTER_MAX_S (24 * 3600)

static const struct row {
	int code;
	enum mk_err err;
	bool hopeless;
	const char *fault;
} codes[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, MK_BACKEND, false,
	  "the store's name cannot be resolved: check the address and this host's name servers" },
	{ CURLE_COULDNT_RESOLVE_PROXY, MK_BACKEND, false, "the proxy's name cannot be resolved: check `proxy`" },
	{ CURLE_COULDNT_CONNECT, MK_BACKEND, false,
	  "the store refuses connections or cannot be reached: check its address, that it runs, and the firewall" },
	{ CURLE_SSL_CONNECT_ERROR, MK_BACKEND, false,
	  "TLS could not be agreed on: the store must speak TLS 1.2 or later on this port, and take the client certificate" },
	{ CURLE_SSL_CERTPROBLEM, MK_BACKEND, true,
	  "the client certificate or its key cannot be used: check cert_file and cert_key_file (PEM, of one pair)" },
	{ CURLE_SSL_CACERT_BADFILE, MK_BACKEND, true,
	  "the certificates of authorities cannot be read: check ca_file (PEM), or install the system's" },
	{ CURLE_SSL_CIPHER, MK_BACKEND, true, "the store offers no cipher that is allowed here" },
	{ CURLE_GOT_NOTHING, MK_BACKEND, false, "the store closed the connection without an answer" },
	{ CURLE_PARTIAL_FILE, MK_BACKEND, false, "the store's answer was cut off" },
	{ CURLE_RECV_ERROR, MK_BACKEND, false, "the connection to the store broke while its answer came" },
	{ CURLE_SEND_ERROR, MK_BACKEND, false, "the connection to the store broke while the request went" },
	{ CURLE_SEND_FAIL_REWIND, MK_BACKEND, false, "the connection to the store broke while the request went" },
	{ CURLE_WEIRD_SERVER_REPLY, MK_BACKEND, false, "what answers at the store's address does not speak HTTP" },
	{ CURLE_UNSUPPORTED_PROTOCOL, MK_BACKEND, true, "what answers at the store's address does not speak HTTP/1.1" },
	{ CURLE_PROXY, MK_BACKEND, false, "the proxy does not let the request through: check `proxy` and its rules" },
	{ CURLE_FILESIZE_EXCEEDED, MK_TOO_LARGE, true, "the store's answer is larger than it may be" },
	{ CURLE_WRITE_ERROR, MK_TOO_LARGE, true, "the store's answer is larger than it may be" },
	{ CURLE_OUT_OF_MEMORY, MK_NO_MEMORY, false, "no memory, or one header of the store's answer is larger than 100 KB" },
};

#define NOT_ASKED 1 /* libcurl's start value: the name was looked at before the chain, and did not fit */

static const struct row verdicts[] = { /* of X509_verify_cert */
	{ X509_V_ERR_CERT_HAS_EXPIRED, MK_BACKEND, true,
	  "the store's certificate has expired: renew it, or set this host's clock" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, MK_BACKEND, true,
	  "the store's certificate is not valid yet: set this host's clock" },
	{ NOT_ASKED, MK_BACKEND, true,
	  "the store's certificate is for another name: use the name that it has as address, or give it this one" },
	{ X509_V_ERR_HOSTNAME_MISMATCH, MK_BACKEND, true,
	  "the store's certificate is for another name: use the name that it has as address, or give it this one" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, MK_BACKEND, true,
	  "the store's certificate is for another address: use the name that it has as address" },
	{ X509_V_ERR_CERT_REVOKED, MK_BACKEND, true, "the store's certificate is revoked" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, MK_BACKEND, true,
	  "the store's certificate is self-signed: name it in ca_file, if it is the right one" },
};
static const struct row unknown_ca = { 0, MK_BACKEND, true,
	"the store's certificate is of an unknown authority: name that in ca_file" };
static const struct row other = { 0, MK_BACKEND, false, "the request to the store failed" };
static const struct row no_connection = { 0, MK_TIMEOUT, false,
	"no connection to the store in time: check its address and the firewall" };
static const struct row no_name = { 0, MK_TIMEOUT, false,
	"the store's name was not resolved in time: check this host's name servers" };
static const struct row no_answer = { 0, MK_TIMEOUT, false, "the store's answer did not come in time" };
static const struct row redirect = { 0, MK_BACKEND, true,
	"the store answered with a redirect, which is not followed: name the address that it leads to" };

static const struct row *find(const struct row *rows, size_t n, int code, const struct row *otherwise)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].code == code)
			return &rows[i];
	return otherwise;
}

static const struct row *fault_of(const struct mk_job *job, CURLcode code)
{
	long verdict = 0, proxy_status = 0;
	curl_off_t resolved_us = 0, connected_us = 0;
	if (code == CURLE_PEER_FAILED_VERIFICATION) {
		curl_easy_getinfo(job->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
		return find(verdicts, MK_COUNT(verdicts), (int)verdict, &unknown_ca);
	}
	if (code == CURLE_OPERATION_TIMEDOUT) {
		curl_easy_getinfo(job->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
		curl_easy_getinfo(job->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
		return connected_us > 0 ? &no_answer : resolved_us > 0 ? &no_connection : &no_name;
	}
	curl_easy_getinfo(job->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	if (code == CURLE_RECV_ERROR && proxy_status >= 300)
		code = CURLE_PROXY;
	return find(codes, MK_COUNT(codes), (int)code, &other);
}

static void fail(struct mk_call *c, const struct row *r)
{
	c->res.err = r->err;
	c->hopeless = r->hopeless;
	c->fault = r->fault;
}

static void answered(struct mk_job *job)
{
	struct mk_call *c = job->call;
	long status = 0;
	curl_off_t after = 0;
	curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(job->easy, CURLINFO_RETRY_AFTER, &after);
	if (status >= 300 && status < 400) {
		fail(c, &redirect);
		return;
	}
	c->res.status = status;
	c->body = MK_TAKE(job->body);
	c->res.body = c->body ? mk_secret_span(c->body) : mk_span("", 0);
	if (after > 0)
		c->retry_after_ms = (after < RETRY_AFTER_MAX_S ? after : RETRY_AFTER_MAX_S) * 1000;
}

void mk_job_result(struct mk_job *job, CURLcode code)
{
	struct mk_call *c = job->call;
	c->res = (struct mk_res){ .err = MK_OK };
	c->retry_after_ms = -1;
	c->fault = NULL;
	c->hopeless = false;
	if (code == CURLE_OK) {
		answered(job);
		return;
	}
	fail(c, fault_of(job, code));
	if (job->err != MK_OK) /* a callback's own word */
		c->res.err = job->err;
	if (job->fault) {
		c->fault = job->fault;
		c->hopeless = true;
	} else if (job->err == MK_NO_MEMORY) {
		c->fault = "no locked memory is left for the answer";
	}
}

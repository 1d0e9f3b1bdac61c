/* SPDX-License-Identifier: Apache-2.0
 *
 * One request in libcurl's hands. Headers, body and answer stay in locked memory of ours,
 * which libcurl reads and writes in place; what it copies is wiped as it is freed.
 * Private to transport_curl.c, curl_setup.c, curl_body.c and curl_fault.c.
 */
#ifndef MK_FETCHER_CURL_JOB_H
#define MK_FETCHER_CURL_JOB_H

#include "agent/fetcher/walk.h"

#include <curl/curl.h>

#define MK_CURL_LINES_MAX (MK_REQ_HEADERS_MAX + 3u)

struct mk_job {
	CURL *easy;
	struct mk_call *call;
	struct mk_secret *lines;                  /* the texts of the request's headers */
	struct curl_slist list[MK_CURL_LINES_MAX];
	struct mk_answer ca, cert, key;           /* files, where the configuration names them */
	struct mk_secret *body;                   /* what has come of the answer */
	size_t head_bytes;
	bool by_name;                             /* the address is a name: what it leads to is checked */
	bool plain;                               /* http */
	enum mk_err err;                          /* why a callback stopped it */
	const char *fault;
};

/* Sets all of a handle. On an error job->fault says why. curl_setup.c */
mk_must mk_job_setup(struct mk_job *job);

/* curl_body.c: what comes, up to the request's limit. */
size_t mk_job_on_body(char *p, size_t one, size_t n, void *job);
size_t mk_job_on_head(char *p, size_t one, size_t n, void *job);

/* Fills the call's answer from how the transfer ended. curl_fault.c */
void mk_job_result(struct mk_job *job, CURLcode code);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls as handles of one multi. Connections are kept for the next call of the same backend
 * only: each backend has a pool of its own (a share), as its credential is its own.
 * Answers are given from the loop, never from inside libcurl.
 */
#include "agent/fetcher/transport_curl.h"

#include "agent/base/secret.h"
#include "agent/fetcher/curl_job.h"
#include "mk/own.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define WAIT_LONGEST_MS 60000
#define POOL_MAX 8L /* idle connections of all backends */

struct pool {
	struct mk_word backend;
	CURLSH *share;
};

struct mk_curl {
	CURLM *multi;
	struct pool pools[MK_BACKENDS_MAX];
	size_t n_pools;
};

static struct mk_job *job_free(struct mk_job *job)
{
	if (!job)
		return NULL;
	curl_easy_cleanup(job->easy); /* first: it may look at what is ours */
	mk_secret_free(job->lines);
	mk_secret_free(job->body);
	mk_answer_done(&job->ca);
	mk_answer_done(&job->cert);
	mk_answer_done(&job->key);
	free(job);
	return NULL;
}

static void job_freep(struct mk_job **job)
{
	*job = job_free(*job);
}

static CURLSH *pool_of(struct mk_curl *c, const struct mk_word *backend)
{
	for (size_t i = 0; i < c->n_pools; i++)
		if (strcmp(c->pools[i].backend.s, backend->s) == 0)
			return c->pools[i].share;
	if (c->n_pools == MK_BACKENDS_MAX)
		return NULL;
	CURLSH *share = curl_share_init();
	if (!share || curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK) {
		curl_share_cleanup(share);
		return NULL;
	}
	c->pools[c->n_pools++] = (struct pool){ *backend, share };
	return share;
}

static enum mk_err start(void *self, struct mk_call *call)
{
	struct mk_curl *c = self;
	mk_auto(job_freep) struct mk_job *job = calloc(1, sizeof *job);
	CURLSH *pool = pool_of(c, &call->conf->name);
	if (!job || !(job->easy = curl_easy_init()))
		return MK_NO_MEMORY;
	job->call = call;
	const enum mk_err e = mk_job_setup(job);
	if (e != MK_OK) {
		call->fault = job->fault;
		return e;
	}
	const CURLcode apart = pool ? curl_easy_setopt(job->easy, CURLOPT_SHARE, pool) :
				      curl_easy_setopt(job->easy, CURLOPT_FORBID_REUSE, 1L);
	if (apart != CURLE_OK || curl_multi_add_handle(c->multi, job->easy) != CURLM_OK)
		return MK_NO_MEMORY;
	call->handle = MK_TAKE(job);
	return MK_OK;
}

static void cancel(void *self, struct mk_call *call)
{
	struct mk_curl *c = self;
	struct mk_job *job = MK_TAKE(call->handle);
	if (!job)
		return;
	curl_multi_remove_handle(c->multi, job->easy);
	job_free(job);
}

struct mk_transport mk_curl_transport(struct mk_curl *c)
{
	return (struct mk_transport){ .self = c, .start = start, .cancel = cancel };
}

/* One ended transfer. The caller's request is answered when nothing of the handle is left. */
static void end(struct mk_curl *c, CURL *easy, CURLcode code)
{
	struct mk_job *job = NULL;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
	struct mk_call *call = job->call;
	mk_job_result(job, code);
	curl_multi_remove_handle(c->multi, easy);
	job_free(job);
	mk_wipe_stack();
	call->handle = NULL;
	call->answered(call);
}

static bool deliver(struct mk_curl *c)
{
	CURLMsg *m;
	int left;
	bool any = false;
	while ((m = curl_multi_info_read(c->multi, &left))) {
		if (m->msg == CURLMSG_DONE)
			end(c, m->easy_handle, m->data.result);
		any = true;
	}
	return any;
}

/* Nothing waits but here, on libcurl's descriptors and the loop's. */
static mk_must wait_for_any(struct mk_curl *c, const struct mk_loop *l)
{
	struct curl_waitfd loop = { .fd = mk_loop_fd(l), .events = CURL_WAIT_POLLIN };
	const int ms = mk_loop_wait_ms(l);
	return curl_multi_poll(c->multi, &loop, 1, ms < 0 ? WAIT_LONGEST_MS : ms, NULL) == CURLM_OK ? MK_OK : MK_SYSTEM;
}

enum mk_err mk_curl_run(struct mk_curl *c, struct mk_loop *l)
{
	int running;
	while (!mk_loop_stopped(l)) {
		MK_TRY(mk_loop_turn(l));
		if (curl_multi_perform(c->multi, &running) != CURLM_OK)
			return MK_SYSTEM;
		if (!deliver(c))
			MK_TRY(wait_for_any(c, l));
	}
	return MK_OK;
}

/* The file that OPENSSL_CONF names must not load anything: first word wins. */
enum mk_err mk_curl_new(struct mk_curl **ret)
{
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return MK_SYSTEM;
	struct mk_curl *c = calloc(1, sizeof *c);
	if (!c || !(c->multi = curl_multi_init())) {
		free(c);
		return MK_NO_MEMORY;
	}
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, POOL_MAX);
	curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	*ret = c;
	return MK_OK;
}

struct mk_curl *mk_curl_free(struct mk_curl *c)
{
	if (!c)
		return NULL;
	curl_multi_cleanup(c->multi);
	for (size_t i = 0; i < c->n_pools; i++)
		curl_share_cleanup(c->pools[i].share);
	free(c);
	return NULL;
}

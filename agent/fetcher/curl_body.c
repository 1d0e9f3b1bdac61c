/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer's body, written where it stays: in a small secret, moved once to a large
 * one when it does not fit. Heads are counted and dropped.
 */
#include "agent/base/secret.h"
#include "agent/fetcher/curl_job.h"

#define HEADS_MAX 32768u /* bytes of all heads of an answer, trailers included */

static size_t limit_of(const struct mk_job *job)
{
	const size_t max = job->call->req->max;
	return max < MK_SECRET_LARGE ? max : MK_SECRET_LARGE;
}

static mk_must make_room(struct mk_job *job, size_t more)
{
	const size_t have = job->body ? mk_secret_span(job->body).n : 0, limit = limit_of(job);
	struct mk_secret *larger = NULL;
	if (more > limit - have)
		return MK_TOO_LARGE;
	if (job->body && have + more <= mk_secret_cap(job->body))
		return MK_OK;
	const bool small = have + more <= MK_SECRET_SMALL;
	MK_TRY(mk_secret_new(small && limit > MK_SECRET_SMALL ? MK_SECRET_SMALL : limit, &larger));
	if (have > 0)
		memcpy(mk_secret_buf(larger), mk_secret_span(job->body).p, have);
	mk_secret_set_len(larger, have);
	mk_secret_free(job->body);
	job->body = larger;
	return MK_OK;
}

size_t mk_job_on_body(char *p, size_t one, size_t n, void *arg)
{
	struct mk_job *job = arg;
	(void)one; /* always 1 */
	job->err = make_room(job, n);
	if (job->err != MK_OK)
		return CURL_WRITEFUNC_ERROR;
	const size_t have = mk_secret_span(job->body).n;
	memcpy(mk_secret_buf(job->body) + have, p, n);
	mk_secret_set_len(job->body, have + n);
	return n;
}

size_t mk_job_on_head(char *p, size_t one, size_t n, void *arg)
{
	struct mk_job *job = arg;
	(void)p;
	(void)one;
	job->head_bytes += n;
	if (job->head_bytes <= HEADS_MAX)
		return n;
	job->err = MK_TOO_LARGE;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * One instance of the driver's kind, without a backend: its bucket, its breaker and its
 * walk do for this endpoint what they do for a store.
 */
#include "agent/fetcher/keys.h"

#include "agent/base/log.h"
#include "agent/base/clock.h"
#include "agent/base/secret.h"
#include "agent/token/jwks.h"
#include "backends/url.h"
#include "mk/own.h"

#include <stdlib.h>

#define KEYS_PATH     "openid/v1/jwks"
#define TIMEOUT_MS    10000
#define AGAIN_MS      (5 * 60 * 1000)
#define FAILED_MS     15000
#define TELL_AGAIN_MS (60 * 1000)
#define CALLS_PER_HOUR 3600u
#define CREDENTIAL_MAX 16384u

struct mk_keys {
	struct mk_msg_keys_from from;
	struct mk_instance at;
	struct mk_walk walk;
	struct mk_timer *timer;
	mk_keys_told_fn *told;
	void *arg;
	bool begun, busy, have;
	struct mk_jwks set, next; /* the last good ones; those of the answer at hand */
	/* of the request at hand */
	unsigned step;
	char url[MK_URL_TEXT_MAX];
	struct mk_secret *credential;
	const char *fault;
	int64_t logged_ms;
};

static enum mk_step fail(struct mk_keys *k, const char *fault)
{
	k->fault = fault;
	return MK_STEP_FAIL;
}

static enum mk_step ask_file(struct mk_keys *k, struct mk_req *out)
{
	*out = (struct mk_req){ .kind = MK_REQ_FILE, .path = k->from.token_file, .max = CREDENTIAL_MAX, .private_file = true };
	return MK_STEP_SEND;
}

static enum mk_step ask_server(struct mk_keys *k, const struct mk_res *file, struct mk_req *out)
{
	struct mk_span text = file->body;
	if (file->err != MK_OK || !mk_header_line(&text))
		return fail(k, "kubernetes.jwks.token_file is missing or refused: mount the pod's service-account token, readable by the "
			       "agent's user alone (fsGroup)");
	if (mk_secret_copy(text, &k->credential) != MK_OK)
		return fail(k, "no memory");
	struct mk_url u = mk_url_of(k->url, sizeof k->url, k->from.address);
	mk_url_path(&u, KEYS_PATH);
	if (mk_url_end(&u) != MK_OK)
		return fail(k, "kubernetes.jwks.address does not fit");
	*out = (struct mk_req){ .kind = MK_REQ_HTTP, .method = MK_HTTP_GET, .url = k->url, .max = MK_JWKS_TEXT_MAX, .n_headers = 2 };
	out->headers[0] = (struct mk_req_header){ .name = "Authorization", .value = "Bearer ", .secret = k->credential };
	out->headers[1] = (struct mk_req_header){ .name = "Accept", .value = "application/jwk-set+json" };
	return MK_STEP_SEND;
}

static enum mk_step take_answer(struct mk_keys *k, const struct mk_res *res)
{
	const char *fault = NULL;
	if (res->err != MK_OK)
		return fail(k, NULL); /* the walk says why */
	if (res->status == 401 || res->status == 403)
		return fail(k, "the API server does not give its keys to this service account: bind the cluster role "
			       "system:service-account-issuer-discovery to it");
	if (res->status != 200)
		return fail(k, "the API server answers /openid/v1/jwks with an error");
	if (mk_jwks_parse(res->body, &k->next, &fault) != MK_OK)
		return fail(k, fault);
	return MK_STEP_DONE;
}

static enum mk_step on_step(void *owner, const struct mk_res *res, struct mk_req *out)
{
	struct mk_keys *k = owner;
	switch (k->step++) {
	case 0:
		return ask_file(k, out);
	case 1:
		return ask_server(k, res, out);
	default:
		return take_answer(k, res);
	}
}

static void log_failure(struct mk_keys *k)
{
	const int64_t now = mk_boot_ms();
	const char *fault = k->walk.fault ? k->walk.fault : k->fault;
	if (k->logged_ms != 0 && now - k->logged_ms < TELL_AGAIN_MS)
		return;
	k->logged_ms = now;
	mk_log(MK_WARN, "token_keys_failed", MK_KV_S("address", k->from.address), MK_KV_S("fault", fault ? fault : ""));
}

static void tell_failure(struct mk_keys *k)
{
	static const struct mk_msg_keys failed = { .err = MK_BACKEND };
	log_failure(k);
	k->told(k->arg, &failed);
}

void mk_keys_tell(const struct mk_keys *k)
{
	if (k->have && k->told)
		k->told(k->arg, &(struct mk_msg_keys){ .err = MK_OK, .set = k->set });
}

static void on_ended(void *owner, enum mk_step verdict)
{
	struct mk_keys *k = owner;
	const bool good = verdict == MK_STEP_DONE;
	k->busy = false;
	if (good) {
		k->have = true;
		k->set = k->next;
		k->logged_ms = 0;
		mk_keys_tell(k);
	} else {
		tell_failure(k);
	}
	mk_walk_done(&k->walk);
	k->credential = mk_secret_free(k->credential);
	mk_timer_set(k->timer, (good ? AGAIN_MS : FAILED_MS) - k->at.driver->random() % 4096);
}

void mk_keys_wanted(struct mk_keys *k)
{
	if (!k->begun || k->busy)
		return;
	k->busy = true;
	k->step = 0;
	k->fault = NULL;
	k->walk = (struct mk_walk){ .at = &k->at, .owner = k, .step = on_step, .ended = on_ended,
				    .deadline_ms = mk_boot_ms() + TIMEOUT_MS };
	mk_walk_begin(&k->walk);
}

static void on_time(void *arg)
{
	mk_keys_wanted(arg);
}

/* The name is none that a backend could have, so that no connection is ever shared with one. */
enum mk_err mk_keys_new(const struct mk_msg_keys_from *from, bool in_pod, struct mk_keys **ret)
{
	struct mk_keys *k = calloc(1, sizeof *k);
	if (!k)
		return MK_NO_MEMORY;
	k->from = *from;
	k->at.in_pod = in_pod;
	k->at.conf = (struct mk_conf_backend){ .name.s = ".kubernetes", .timeout_ms = TIMEOUT_MS, .calls_per_hour = CALLS_PER_HOUR };
	memcpy(k->at.conf.address, from->address, sizeof k->at.conf.address);
	memcpy(k->at.conf.ca_file, from->ca_file, sizeof k->at.conf.ca_file);
	*ret = k;
	return MK_OK;
}

struct mk_keys *mk_keys_free(struct mk_keys *k)
{
	if (!k)
		return NULL;
	if (k->begun) {
		mk_walk_done(&k->walk);
		mk_instance_stop(&k->at);
	}
	mk_secret_free(k->credential);
	mk_timer_free(k->timer);
	free(k);
	return NULL;
}

const struct mk_msg_keys_from *mk_keys_from(const struct mk_keys *k)
{
	return &k->from;
}

enum mk_err mk_keys_begin(struct mk_keys *k, struct mk_driver *driver, mk_keys_told_fn *told, void *arg)
{
	MK_TRY(mk_instance_init(&k->at, driver));
	k->begun = true;
	MK_TRY(mk_timer_new(driver->loop, on_time, k, &k->timer));
	k->told = told;
	k->arg = arg;
	mk_timer_set(k->timer, 0);
	return MK_OK;
}

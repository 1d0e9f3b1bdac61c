/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker with a policy that wants a token, keys to sign one, and a fetcher that counts how
 * often it is asked for keys. Clocks stand still until they are moved.
 */
#ifndef MK_TEST_BEARER_KIT_H
#define MK_TEST_BEARER_KIT_H

#include "pump.h"
#include "token_kit.h"
#include "agent/base/clock.h"
#include "agent/broker/bearer.h"
#include "agent/broker/fetch.h"

#define SYNC 2000u
#define BILLING 2001u
#define HEADER "{\"alg\":\"RS256\",\"kid\":\"k\"}"
#define SECOND 1000
#define HOUR (3600 * SECOND)

static struct {
	struct mk_broker *b;
	struct mk_link *fetcher;
	struct mk_timer *stop;
	struct mk_caller c;
	struct mk_bearer_seen *seen;
	unsigned wanted;
	int64_t boot, wall;
} fix;
static EVP_PKEY *key, *other;
static char jwks[2048];

static inline enum mk_err on_frame(void *arg, struct mk_frame *f)
{
	(void)arg;
	fix.wanted += f->type == MK_MSG_KEYS_WANTED;
	return MK_OK;
}

static inline void on_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	(void)arg;
	(void)e;
	(void)at;
	fix.fetcher = mk_link_free(fix.fetcher);
}

static inline void set_text(char *to, size_t cap, const char *text)
{
	snprintf(to, cap, "%s", text);
}

/* from_file: the keys are in it; else they are fetched. */
static inline struct mk_bearer *section(bool from_file, const char *audience, const char *issuer)
{
	struct mk_msg_kubernetes m = { .address = "" };
	struct mk_bearer *t = NULL;
	struct mk_why why = { .text = "" };
	set_text(m.audience, sizeof m.audience, audience);
	set_text(m.issuer, sizeof m.issuer, issuer);
	set_text(m.pod_uid, sizeof m.pod_uid, KIT_POD);
	set_text(m.address, sizeof m.address, from_file ? "" : "https://kubernetes.default.svc");
	m.jwks = from_file ? mk_span_of(jwks) : mk_span(NULL, 0);
	assert_int_equal(mk_bearer_new(&m, &t), MK_OK);
	assert_int_equal(mk_bearer_judge(t, &why), MK_OK);
	return t;
}

static inline struct mk_policy *make_policy(void)
{
	struct mk_rules r = { .environment = { "production" } };
	struct mk_service sync = { .name = { "sync" }, .line = 1, .identity = { .socket = { "sync" }, .uid = SYNC,
				   .set = MK_EVIDENCE_UID | MK_EVIDENCE_ACCOUNT, .account = { "erp", "sync" } } };
	struct mk_service billing = { .name = { "billing" }, .line = 2,
				      .identity = { .socket = { "sync" }, .uid = BILLING, .set = MK_EVIDENCE_UID } };
	struct mk_policy *p = NULL;
	struct mk_why why = { .text = "" };
	assert_int_equal(mk_rules_add_service(&r, &sync), MK_OK);
	assert_int_equal(mk_rules_add_service(&r, &billing), MK_OK);
	assert_int_equal(mk_policy_new(&r, &p, &why), MK_OK);
	mk_rules_done(&r);
	return p;
}

static inline int begin(void **state)
{
	int a, b;
	(void)state;
	bool locked;
	memset(&fix, 0, sizeof fix);
	fix.boot = 50 * (int64_t)HOUR;
	fix.wall = KIT_NOW * SECOND;
	mk_clock_fake(&fix.boot, &fix.wall);
	static bool once;
	if (!once)
		assert_int_equal(mk_secret_arena_init(16, 4, &locked), MK_OK);
	once = true;
	assert_int_equal(mk_broker_new(&fix.b), MK_OK);
	fix.b->policy = make_policy();
	fix.b->generation = 1;
	fix.b->in_pod = true;
	fix.b->nobody = (struct mk_nobody){ .own_uid = 1, .overflow_uid = 65534 };
	fix.c = (struct mk_caller){ .evidence = { .known = true, .socket = { "sync" }, .uid = SYNC }, .service = MK_NO_SERVICE };
	fix.stop = stop_timer(fix.b->loop);
	assert_int_equal(mk_link_pair(&a, &b), MK_OK);
	assert_int_equal(mk_link_new(fix.b->loop, b, MK_ROLE_FETCHER, MK_ROLE_BROKER, on_frame, on_gone, NULL, &fix.fetcher), MK_OK);
	assert_int_equal(mk_link_new(fix.b->loop, a, MK_ROLE_BROKER, MK_ROLE_FETCHER, on_frame, on_gone, NULL, &fix.b->fetcher), MK_OK);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	mk_bearer_seen_free(fix.seen);
	fix.fetcher = mk_link_free(fix.fetcher);
	mk_timer_free(fix.stop);
	mk_broker_free(fix.b);
	mk_clock_fake(NULL, NULL);
	return 0;
}

static inline int make_keys(void **state)
{
	char k[1500];
	(void)state;
	assert_true(sodium_init() >= 0);
	key = kit_rsa(2048);
	other = kit_rsa(2048);
	kit_jwk_rsa(key, "k", "", k, sizeof k);
	snprintf(jwks, sizeof jwks, "{\"keys\":[%s]}", k);
	return 0;
}

static inline int drop_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return 0;
}

static inline enum mk_err take(const char *scheme, const char *token)
{
	char header[8300];
	snprintf(header, sizeof header, "%s%s", scheme, token);
	return mk_bearer_take(fix.b, &fix.c, mk_span_of(header), &fix.seen);
}

static inline const char *good(void)
{
	static struct kit_token t;
	kit_token(key, HEADER, kit_claims(NULL, NULL), &t);
	return t.s;
}

static inline struct mk_msg_keys the_keys(void)
{
	struct mk_msg_keys m = { .err = MK_OK };
	assert_int_equal(mk_jwks_parse(mk_span_of(jwks), &m.set, NULL), MK_OK);
	return m;
}

#endif

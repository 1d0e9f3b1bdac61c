/* SPDX-License-Identifier: Apache-2.0
 *
 * For the unit test and the fuzzer of messages: a sample of each message's body, and a
 * function that reads a body and writes it again. Bodies have one form only, so what
 * was read without error must come out byte for byte as it went in.
 */
#ifndef MK_TEST_MESSAGES_H
#define MK_TEST_MESSAGES_H

#include "agent/ipc/ipc.h"
#include "agent/ipc/msg_endpoint.h"
#include "agent/ipc/msg_write.h"
#include "agent/ipc/msgs.h"
#include "mk/own.h"

#include <stdlib.h>

struct sample {
	enum mk_msg type;
	void (*sample)(struct mk_wr *w);
	enum mk_err (*again)(struct mk_span body, struct mk_wr *w);
};

static inline struct mk_word word_(const char *s)
{
	struct mk_word w = { "" };
	mk_assert(mk_word_of(mk_span_of(s), &w) == MK_OK);
	return w;
}

static inline struct mk_name name_(const char *s)
{
	struct mk_name n = { "" };
	mk_assert(mk_name_of(mk_span_of(s), &n) == MK_OK);
	return n;
}

#define AGAIN(msg)                                                                        \
	static inline enum mk_err msg##_again(struct mk_span body, struct mk_wr *w)       \
	{                                                                                 \
		struct mk_msg_##msg m = { 0 };                                            \
		MK_TRY(mk_msg_##msg##_read(body, &m));                                    \
		mk_msg_##msg##_write(w, &m);                                              \
		return MK_OK;                                                             \
	}
#define SAMPLE(msg, ...)                                                                  \
	AGAIN(msg)                                                                        \
	static inline void msg##_sample(struct mk_wr *w)                                  \
	{                                                                                 \
		const struct mk_msg_##msg m = __VA_ARGS__;                                \
		mk_msg_##msg##_write(w, &m);                                              \
	}

SAMPLE(begin, { 7, word_("production"), MK_POD, 1u << 3 })
SAMPLE(number, { 0x01020304 })
SAMPLE(limits, { { 300000, 20, true, 3600000 }, { 4096, 1024, 2000, 2000, 60000, 64 } })
SAMPLE(audit, { { "/var/log/makini/audit.jsonl", { 1, 2, 3 }, UINT64_C(1) << 30, 10 }, { 9, 8, 7 } })
SAMPLE(store, { 2, word_("vault-eu"), "local", true, true, true, 180000 })
SAMPLE(backend, { 15, { .name = word_("eu"), .type = "vault", .file = "/var/lib/store", .key_file = "/etc/key", .timeout_ms = 2000,
			.trust_tags = true, .writable = true, .ca_file = "/etc/ca.pem", .proxy = "http://proxy:3128", .calls_per_hour = 180000,
			.address = "https://vault:8200", .ns = "team", .mount = "secret", .path = "makini/{connection}", .kv = 2,
			.auth = { .method = "approle", .mount = "approle", .role = "r", .token_file = "/t", .role_id_file = "/r",
				  .secret_id_file = "/s", .wrapped = true, .jwt_file = "/j", .cert_file = "/c",
				  .cert_key_file = "/k" } } })
SAMPLE(state, { "/var/lib/makini/production", 1u << MK_ACTION_THAW, "/run/credentials/state", true, true })
SAMPLE(kubernetes, { "makini-production", "https://kubernetes.default.svc", "0b8b6a1e-0000-4000-8000-000000000001", "",
		     mk_span_of("{\"keys\":[]}") })
SAMPLE(keys_from, { "https://kubernetes.default.svc", "/run/ca.crt", "/run/token" })
SAMPLE(keys, { MK_OK, { { { MK_JWK_RSA, "one", { 0x80 }, MK_RSA_LEAST, 65537, { 0 }, { 0 } },
			  { MK_JWK_P256, "two", { 0 }, 0, 0, { 1, 2 }, { 3, 4 } } }, 2 } })
SAMPLE(listener, { word_("api"), true })
SAMPLE(watch, { 1, "store.mks" })
SAMPLE(peer, { MK_ROLE_FETCHER })
SAMPLE(ready, { 7, { 3, 3, 1, 4 }, 7 })
SAMPLE(result, { 4, 3, MK_BAD_REQUEST, "policy.conf:12: unknown key \"alow\", did you mean \"allow\"?" })
SAMPLE(health, { 1u << MK_REASON_AUDIT })
SAMPLE(role, { MK_ROLE_BROKER, 4711, 2, 1700000000000, { 3, 2 }, 7 })
SAMPLE(fetch, { { 1, 2 }, 0, name_("acme-crm"), true })
SAMPLE(endpoint, { 3, MK_CIRCUIT_OPEN, 4000, MK_BACKEND, 1700000000000, "the store refuses the connection", 1699999999000, 417, 9,
		   MK_LOGIN_FAILING, 1700000060000, 1200000, true })
SAMPLE(write, { { 1, 2 }, 3, MK_VERB_ENABLE, name_("acme-crm"), "v-12" })
SAMPLE(written, { { 1, 2 }, MK_OK, true, false, "v-12", "" })
SAMPLE(list, { { 1, 2 }, 0, name_("acme-crm") })

AGAIN(fetched)
static inline void fetched_sample(struct mk_wr *w)
{
	static uint8_t list[256];
	size_t n = 0;
	const struct mk_leaf a = { mk_span_of("/access_token"), MK_LEAF_STRING, mk_span_of("not-a-real-one") };
	const struct mk_leaf b = { mk_span_of("/expires_in"), MK_LEAF_NUMBER, mk_span_of("3600") };
	mk_assert(mk_leaves_add(list, sizeof list, &n, &a) == MK_OK && mk_leaves_add(list, sizeof list, &n, &b) == MK_OK);
	struct mk_msg_fetched m = { .ref = { 1, 2 }, .err = MK_OK, .leaves = mk_span(list, n) };
	m.meta = (struct mk_meta){ "v-12", 1700000000000, false, { { "system", "sap" }, { "customer", "acme" } }, 2 };
	mk_msg_fetched_write(w, &m);
}

static inline void fetch_failed_sample(struct mk_wr *w)
{
	const struct mk_msg_fetched m = { .ref = { 1, 2 }, .err = MK_NOT_FOUND };
	mk_msg_fetched_write(w, &m);
}

static inline enum mk_err listed_again(struct mk_span body, struct mk_wr *w)
{
	static struct mk_listed items[MK_LIST_PAGE_MAX];
	struct mk_msg_listed m = { .items = items };
	MK_TRY(mk_msg_listed_read(body, &m));
	mk_msg_listed_write(w, &m);
	return MK_OK;
}

static inline void listed_sample(struct mk_wr *w)
{
	struct mk_listed items[2] = { { name_("acme-crm"), "v1" }, { name_("acme-erp"), "" } };
	const struct mk_msg_listed m = { { 3, 4 }, MK_OK, true, items, 2 };
	mk_msg_listed_write(w, &m);
}

static inline enum mk_err service_again(struct mk_span body, struct mk_wr *w)
{
	struct mk_service s = { 0 };
	MK_TRY(mk_msg_service_read(body, &s));
	mk_msg_service_write(w, &s);
	return MK_OK;
}

static inline void service_sample(struct mk_wr *w)
{
	const struct mk_identity id = {
		.socket = word_("api"), .set = MK_EVIDENCE_UID | MK_EVIDENCE_UNIT | MK_EVIDENCE_ACCOUNT, .uid = 1001,
		.unit = "billing.service", .account = { "erp", "sync" },
	};
	const struct mk_service s = { word_("billing"), id, 3 };
	mk_msg_service_write(w, &s);
}

static inline enum mk_err rule_again(struct mk_span body, struct mk_wr *w)
{
	struct mk_rule r = { 0 };
	MK_TRY(mk_msg_rule_read(body, &r));
	mk_msg_rule_write(w, &r);
	mk_rule_done(&r);
	return MK_OK;
}

static inline void rule_sample(struct mk_wr *w)
{
	struct mk_pattern p[2] = { { "acme-*" }, { "*" } };
	struct mk_rule_tag t[2] = { { "system", "sap" }, { "zone", "eu" } };
	struct mk_field f[2] = { { "access_token" }, { "base_url" } };
	const struct mk_rule r = { .service = word_("billing"), .actions = 3, .patterns = p, .n_patterns = 2, .tags = t,
				   .n_tags = 2, .fields_set = true, .fields = f, .n_fields = 2, .rate_per_hour = 360000,
				   .line = 9 };
	mk_msg_rule_write(w, &r);
}

static inline enum mk_err group_again(struct mk_span body, struct mk_wr *w)
{
	struct mk_group g = { 0 };
	MK_TRY(mk_msg_group_read(body, &g));
	mk_msg_group_write(w, &g);
	mk_group_done(&g);
	return MK_OK;
}

static inline void group_sample(struct mk_wr *w)
{
	struct mk_word services[2] = { word_("billing"), word_("sync") };
	const struct mk_group g = { word_("readers"), services, 2, 4 };
	mk_msg_group_write(w, &g);
}

static const struct sample samples[] = {
	{ MK_MSG_CONF_BEGIN, begin_sample, begin_again },
	{ MK_MSG_CONF_END, number_sample, number_again },
	{ MK_MSG_CONF_LIMITS, limits_sample, limits_again },
	{ MK_MSG_CONF_AUDIT, audit_sample, audit_again },
	{ MK_MSG_CONF_SERVICE, service_sample, service_again },
	{ MK_MSG_CONF_RULE, rule_sample, rule_again },
	{ MK_MSG_CONF_STORE, store_sample, store_again },
	{ MK_MSG_CONF_BACKEND, backend_sample, backend_again },
	{ MK_MSG_LISTENER, listener_sample, listener_again },
	{ MK_MSG_HTTP_LISTENER, number_sample, number_again },
	{ MK_MSG_AUDIT_HEAD, number_sample, number_again },
	{ MK_MSG_STORE_WATCH, watch_sample, watch_again },
	{ MK_MSG_PEER, peer_sample, peer_again },
	{ MK_MSG_READY, ready_sample, ready_again },
	{ MK_MSG_REFUSED, result_sample, result_again },
	{ MK_MSG_PING, number_sample, number_again },
	{ MK_MSG_PONG, number_sample, number_again },
	{ MK_MSG_DRAIN, number_sample, number_again },
	{ MK_MSG_HEALTH, health_sample, health_again },
	{ MK_MSG_PEER_BROKE, number_sample, number_again },
	{ MK_MSG_HEALTH_SHOW, health_sample, health_again },
	{ MK_MSG_ROLE_STATE, role_sample, role_again },
	{ MK_MSG_RELOAD, number_sample, number_again },
	{ MK_MSG_RELOAD_DONE, result_sample, result_again },
	{ MK_MSG_FETCH_BEGIN, fetch_sample, fetch_again },
	{ MK_MSG_FETCH_DONE, fetched_sample, fetched_again },
	{ MK_MSG_FETCH_DONE, fetch_failed_sample, fetched_again },
	{ MK_MSG_LIST_BEGIN, list_sample, list_again },
	{ MK_MSG_LIST_DONE, listed_sample, listed_again },
	{ MK_MSG_WRITE_BEGIN, write_sample, write_again },
	{ MK_MSG_WRITE_DONE, written_sample, written_again },
	{ MK_MSG_CONF_GROUP, group_sample, group_again },
	{ MK_MSG_CONF_SHADOW, number_sample, number_again },
	{ MK_MSG_CONF_STATE, state_sample, state_again },
	{ MK_MSG_CONF_KUBERNETES, kubernetes_sample, kubernetes_again },
	{ MK_MSG_CONF_KEYS_FROM, keys_from_sample, keys_from_again },
	{ MK_MSG_KEYS_WANTED, number_sample, number_again },
	{ MK_MSG_PAGE_WANTED, number_sample, number_again },
	{ MK_MSG_PAGE, number_sample, number_again },
	{ MK_MSG_KEYS, keys_sample, keys_again },
	{ MK_MSG_ENDPOINT_STATE, endpoint_sample, endpoint_again },
};

#endif

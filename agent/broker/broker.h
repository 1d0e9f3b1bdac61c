/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker as its own parts see it. main.c makes one; configuration generations,
 * links, health and the parts hang on it.
 */
#ifndef MK_BROKER_H
#define MK_BROKER_H

#include "agent/audit/audit.h"
#include "agent/base/loop.h"
#include "agent/broker/alarms.h"
#include "agent/broker/shadow.h"
#include "agent/ipc/ipc.h"
#include "agent/ipc/msg_endpoint.h"

struct mk_broker;
struct mk_http; /* http.h */

const struct mk_word *mk_broker_environment(const struct mk_broker *b);
struct mk_loop *mk_broker_loop(struct mk_broker *b);
const struct mk_conf_limits *mk_broker_limits(const struct mk_broker *b);
int mk_broker_proc(const struct mk_broker *b); /* /proc, or -1 where units are not told: in a pod */

/* Why the instance is not ready: bits 1 << enum mk_reason, 0 when it is. */
uint32_t mk_broker_reasons(const struct mk_broker *b);

/* Figures for GET /v1/status. */
struct mk_broker_status {
	uint32_t generation;
	int64_t started_ms;                       /* wall clock */
	int64_t uptime_ms;
	uint32_t tokens, waiters, secrets_in_use;
	uint32_t streams, polls;                  /* that wait for a change */
	uint32_t clients, pages;                  /* of libmakini: connections; services that have any */
	struct mk_shadow_status shadow;
	struct mk_audit_status audit;
	struct mk_msg_role roles[MK_ROLE_COUNT];  /* pid 0: not known */
	struct mk_store_status {
		struct mk_word name;
		char type[16];
		bool writable;
		const char *health;               /* "ok" "failing" "unknown" */
		uint64_t calls;                   /* questions answered, also with an error */
		int64_t last_ok_ms;               /* wall clock, or MK_TIME_NONE */
		enum mk_err seen;                 /* by the broker, of the last question; OK: not failing */
		bool told;                        /* by the fetcher; else the next is empty */
		struct mk_msg_endpoint endpoint;  /* pause_ms: from now */
		uint32_t forecast, limit;         /* calls an hour; limit 0: none */
	} stores[MK_BACKENDS_MAX];
	size_t n_stores;
	struct mk_alarms alarms;
	struct mk_keys_status {
		bool on;
		const char *from;                 /* "file" or "api_server" */
		uint32_t keys;
		int64_t fetched_ms;               /* wall clock, or MK_TIME_NONE */
		const char *last_error;           /* mk_err_word, or "" */
	} token_keys;
};
void mk_broker_status(const struct mk_broker *b, struct mk_broker_status *ret);

/* Asks the supervisor to reload; `done` is called once, later, with how it went. NOT_READY when one is under way. */
struct mk_reload {
	void (*done)(struct mk_reload *r, const struct mk_msg_result *how);
};
mk_must mk_broker_reload(struct mk_broker *b, struct mk_reload *r);
void mk_broker_reload_cancel(struct mk_broker *b, struct mk_reload *r);

#endif

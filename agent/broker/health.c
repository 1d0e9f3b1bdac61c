/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the instance ready, and if not why: said to the supervisor whenever it changes,
 * and in the figures for status.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/bearer.h"
#include "agent/broker/client.h"
#include "agent/broker/core.h"
#include "agent/broker/endpoints.h"
#include "agent/broker/fetch.h"
#include "agent/broker/pages.h"
#include "agent/broker/tell.h"

#define BIT(r) (1u << (r))
#define TELL_HEAD_MS 60000

static bool audit_writable(const struct mk_broker *b)
{
	struct mk_audit_status s;
	mk_audit_status(b->audit, &s);
	return s.writable;
}

uint32_t mk_broker_reasons(const struct mk_broker *b)
{
	uint32_t reasons = 0;
	if (b->generation == 0)
		return BIT(MK_REASON_STARTING);
	if (!audit_writable(b))
		reasons |= BIT(MK_REASON_AUDIT);
	if (!b->fetcher)
		reasons |= BIT(MK_REASON_FETCHER);
	if (mk_fetch_failing(b))
		reasons |= BIT(MK_REASON_BACKEND);
	if (b->frozen.on)
		reasons |= BIT(MK_REASON_FROZEN);
	return reasons;
}

bool mk_health_log_replaced(struct mk_broker *b)
{
	struct mk_audit_status s;
	mk_audit_status(b->audit, &s);
	if (s.replaced)
		mk_alarm_raise(b, MK_ALARM_AUDIT_DIRECTORY_REPLACED, "");
	return s.replaced;
}

static void audit_alarm(struct mk_broker *b, uint32_t reasons)
{
	const bool writable = !(reasons & BIT(MK_REASON_AUDIT));
	if (writable == b->audit_was_writable)
		return;
	b->audit_was_writable = writable;
	if (writable)
		mk_alarm_clear(b, MK_ALARM_AUDIT_UNAVAILABLE, "");
	else
		mk_alarm_raise(b, MK_ALARM_AUDIT_UNAVAILABLE, "");
}

void mk_health_tell_head(struct mk_broker *b)
{
	struct mk_audit_status s;
	mk_audit_status(b->audit, &s);
	mk_log(MK_INFO, "audit_head", MK_KV_N("seq", s.seq), MK_KV_S("mac", s.head));
	b->told_ms = mk_boot_ms();
}

void mk_health_tick(struct mk_broker *b)
{
	if (b->told_ms == 0 || mk_boot_ms() - b->told_ms >= TELL_HEAD_MS)
		mk_health_tell_head(b);
	mk_health_check(b);
}

void mk_health_check(struct mk_broker *b)
{
	if (b->generation == 0)
		return;
	const struct mk_msg_health m = { .reasons = mk_broker_reasons(b) };
	audit_alarm(b, m.reasons);
	if (!b->supervisor || (b->health_sent && b->reasons_sent == m.reasons))
		return;
	uint8_t buf[64];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_msg_health_write(&w, &m);
	if (mk_wr_end(&w, &n) != MK_OK || mk_link_send(b->supervisor, MK_MSG_HEALTH, mk_span(buf, n), -1) != MK_OK)
		return; /* the tick tries again */
	b->health_sent = true;
	b->reasons_sent = m.reasons;
}

void mk_broker_status(const struct mk_broker *b, struct mk_broker_status *ret)
{
	*ret = (struct mk_broker_status){
		.generation = b->generation, .started_ms = b->started_ms, .tokens = (uint32_t)mk_store_count(b->store),
		.waiters = (uint32_t)mk_flights_waiting(b->flights), .secrets_in_use = mk_secret_in_use(),
		.n_stores = b->n_replicas, .alarms = b->alarms,
		.uptime_ms = mk_boot_ms() - b->started_boot_ms, .streams = mk_tell_watchers(b), .polls = mk_tell_waiting(b),
		.clients = mk_clients_count(b->clients), .pages = mk_pages_count(b),
	};
	ret->shadow = b->shadow.status;
	_Static_assert(sizeof ret->roles == sizeof b->roles, "copied whole");
	mk_bearer_status(b, &ret->token_keys);
	mk_audit_status(b->audit, &ret->audit);
	memcpy(ret->roles, b->roles, sizeof ret->roles);
	mk_endpoints_status(b, ret);
}

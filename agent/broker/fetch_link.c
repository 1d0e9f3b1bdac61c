/* SPDX-License-Identifier: Apache-2.0
 *
 * The link to the fetcher, which comes and goes, and what time does to questions. A frame that
 * does not hold costs the fetcher the link; open questions wait for the next one.
 */
#include "agent/broker/fetch_part.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/bearer.h"
#include "agent/broker/endpoints.h"
#include "agent/broker/in_store.h"
#include "agent/broker/schedule.h"
#include "mk/own.h"

#include <sodium.h>

#define LEFT_MS 1000 /* one that has ended closes its link, too, and its supervisor sees that by itself */

static const struct mk_flight_key the_list = { .kind = MK_FLIGHT_LIST };

/* ---- the link ---- */

static enum mk_err on_frame(void *arg, struct mk_frame *f)
{
	struct mk_broker *b = arg;
	enum mk_err e = MK_BAD_REQUEST;
	if (f->type == MK_MSG_FETCH_DONE)
		e = mk_fetch_on_fetched(b, f->body);
	else if (f->type == MK_MSG_LIST_DONE)
		e = mk_fetch_on_listed(b, f->body);
	else if (f->type == MK_MSG_WRITE_DONE)
		e = mk_in_store_written(b, f->body);
	else if (f->type == MK_MSG_ENDPOINT_STATE)
		e = mk_endpoints_take(b, f->body);
	else if (f->type == MK_MSG_KEYS)
		e = mk_bearer_keys(b, f->body);
	mk_health_check(b);
	return e;
}

static void no_fetcher(struct mk_broker *b)
{
	size_t at = 0;
	b->fetcher = mk_link_free(b->fetcher);
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		f->sent = false;
	mk_in_store_no_fetcher(b);
}

static void on_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	struct mk_broker *b = arg;
	if (e != MK_OK)
		mk_log(MK_ERROR, "fetcher_link_dropped", MK_KV_S("err", mk_err_word(e)),
		       MK_KV_S("at", at < MK_MSG_COUNT ? mk_msgs[at].name : ""));
	no_fetcher(b);
	if (e != MK_OK)
		mk_broker_say_peer_broke(b);
	else
		b->left_ms = mk_boot_ms();
	mk_health_check(b);
}

static void ask_unsent(struct mk_broker *b)
{
	size_t at = 0;
	for (struct mk_flight *f; b->fetcher && (f = mk_flight_each(b->flights, &at));)
		if (!f->sent)
			mk_fetch_ask_backend(b, f, f->backend); /* from the start: what the store holds now is what counts */
}

mk_must mk_fetch_peer(struct mk_broker *b, int fd)
{
	mk_fd owned = fd;
	no_fetcher(b);
	b->peers++;
	b->left_ms = 0;
	MK_TRY(mk_link_new(b->loop, owned, MK_ROLE_BROKER, MK_ROLE_FETCHER, on_frame, on_gone, b, &b->fetcher));
	owned = -1;
	if (b->swapped) /* it may have been configured anew */
		mk_fetch_changed_all(b);
	b->swapped = b->other_stores = false;
	ask_unsent(b);
	mk_in_store_go_on(b);
	mk_health_check(b);
	return MK_OK;
}

static void give_up(struct mk_broker *b, struct mk_flight *f)
{
	const enum mk_err e = f->sent ? MK_TIMEOUT : MK_NOT_READY;
	if (f->sent)
		mk_fetch_note_call(b, f->backend, e);
	mk_fetch_note_failure(b, f);
	mk_flight_end(b->flights, f, e);
}

/* So that the instance heals soon, also while nobody asks. */
static void probe(struct mk_broker *b, int64_t now)
{
	if (!mk_fetch_failing(b)) {
		b->probes = 0;
	} else if (b->fetcher && now >= b->probe_ms) {
		b->probe_ms = now + mk_schedule_probe(b->probes++, (uint16_t)randombytes_uniform(UINT16_MAX));
		mk_fetch_start(b, &the_list, b->nobody.own_uid);
	}
}

/* One that closed its link and lives is of no use to anybody, however well it answers its supervisor. */
static void tell_of_left(struct mk_broker *b, int64_t now)
{
	if (b->left_ms == 0 || now - b->left_ms < LEFT_MS)
		return;
	b->left_ms = 0;
	mk_broker_say_peer_broke(b);
}

void mk_fetch_tick(struct mk_broker *b)
{
	const int64_t now = mk_boot_ms();
	size_t at = 0;
	for (struct mk_flight *f; (f = mk_flight_each(b->flights, &at));)
		if (now >= f->deadline_ms)
			give_up(b, f);
	ask_unsent(b);
	mk_in_store_go_on(b);
	probe(b, now);
	tell_of_left(b, now);
}

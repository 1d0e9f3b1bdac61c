/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing: one record, the record that opens a part, the change of a segment. The key
 * moves only when the record stands; a record that does not stand leaves nothing.
 */
#include "agent/audit/state.h"

#include "agent/audit/record.h"
#include "agent/base/clock.h"
#include "agent/base/secret.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define FORMAT 1
#define SEALED_LEN (crypto_box_SEALBYTES + 32)
#define SEALED_TEXT (sodium_base64_ENCODED_LEN(SEALED_LEN, sodium_base64_VARIANT_ORIGINAL))
#define TAIL_ROOM (8 + MK_CHAIN_HEX + 3) /* ,"mac":"…"} and the newline */

struct mk_jw mk_part_record(struct mk_audit *a, const char *event)
{
	struct mk_jw w = mk_jw_of(a->line + MK_CHAIN_MAC, MK_RECORD_MAX - TAIL_ROOM);
	mk_record_begin(&w, a->head.seq + 1, &a->environment, event);
	return w;
}

static size_t put_mac(uint8_t *line, size_t n, const uint8_t mac[MK_CHAIN_MAC])
{
	char hex[MK_CHAIN_HEX + 1];
	mk_chain_hex(mac, hex);
	memcpy(line + n, ",\"mac\":\"", 8);
	memcpy(line + n + 8, hex, MK_CHAIN_HEX);
	memcpy(line + n + 8 + MK_CHAIN_HEX, "\"}\n", 3);
	return n + TAIL_ROOM;
}

mk_must mk_part_put(struct mk_audit *a, struct mk_jw *w)
{
	size_t n;
	MK_TRY(mk_jw_end(w, &n));
	struct mk_head h = { .seq = a->head.seq + 1 };
	memcpy(a->line, a->head.mac, MK_CHAIN_MAC);
	struct mk_chain *c = (struct mk_chain *)(void *)mk_guarded_open(a->key);
	mk_chain_mac(c, mk_span(a->line, MK_CHAIN_MAC + n), h.mac);
	mk_chain_look(c);
	memcpy(h.link, c->next + 32, sizeof h.link);
	n = put_mac(a->line + MK_CHAIN_MAC, n, h.mac);
	mk_head_pending(a->page, &h);
	const enum mk_err e = mk_segment_append(&a->segment, a->line + MK_CHAIN_MAC, n, h.seq);
	if (e == MK_OK) {
		mk_head_commit(a->page, &h);
		mk_chain_move(c);
		a->head = h;
	}
	mk_guarded_close(a->key);
	if (e == MK_OK && a->sync)
		mk_sync_poke(a->sync);
	return e;
}

mk_must mk_part_put_rec(struct mk_audit *a, const struct mk_audit_rec *rec)
{
	struct mk_jw w = mk_part_record(a, rec->event);
	mk_record_fields(&w, rec);
	MK_TRY(mk_part_put(a, &w));
	if (strcmp(rec->event, "grant") == 0)
		a->grants++;
	else if (strcmp(rec->event, "deny") == 0)
		a->denials += rec->count > 1 ? rec->count : 1;
	return MK_OK;
}

/* A new seed becomes the key, and leaves only sealed. */
static enum mk_err new_seed(struct mk_audit *a, char sealed_text[SEALED_TEXT])
{
	uint8_t sealed[SEALED_LEN];
	struct mk_chain *c = (struct mk_chain *)(void *)mk_guarded_open(a->key);
	uint8_t *seed = c->next; /* guarded, and wiped by mk_chain_first */
	randombytes_buf(seed, 32);
	const int rc = crypto_box_seal(sealed, seed, 32, a->recipient);
	mk_chain_first(c, seed, a->environment.s);
	mk_guarded_close(a->key);
	if (rc != 0)
		return MK_BAD_REQUEST;
	sodium_bin2base64(sealed_text, SEALED_TEXT, sealed, sizeof sealed, sodium_base64_VARIANT_ORIGINAL);
	return MK_OK;
}

static void put_hex(struct mk_jw *w, const char *key, const uint8_t mac[MK_CHAIN_MAC])
{
	char hex[MK_CHAIN_HEX + 1];
	mk_chain_hex(mac, hex);
	mk_jw_kstr(w, key, hex);
}

void mk_part_put_state(struct mk_audit *a, struct mk_jw *w)
{
	const uint64_t newest = a->state > a->state_found ? a->state : a->state_found;
	mk_jw_knum(w, "state", (int64_t)newest);
}

static enum mk_err put_open(struct mk_audit *a)
{
	char sealed[SEALED_TEXT];
	const struct mk_begin *b = &a->begin;
	MK_TRY(new_seed(a, sealed));
	struct mk_jw w = mk_part_record(a, "open");
	mk_jw_kstr(&w, "why", b->why);
	mk_jw_knum(&w, "format", FORMAT);
	mk_jw_kstr(&w, "boot", a->boot);
	mk_jw_knum(&w, "prev_seq", (int64_t)a->head.seq);
	put_hex(&w, "prev_mac", a->head.mac);
	mk_jw_kstr(&w, "ended", b->ended);
	if (strcmp(b->ended, "torn") == 0) {
		mk_jw_knum(&w, "torn_bytes", (int64_t)b->torn);
		put_hex(&w, "torn_hash", b->torn_hash);
	}
	mk_part_put_state(a, &w); /* a part is found to be behind none that was before it */
	mk_jw_kstr(&w, "key", sealed);
	if (strcmp(b->why, "start") != 0) {
		uint8_t link[MK_CHAIN_MAC];
		mk_chain_link(a->head.link, mk_span_of(sealed), link);
		put_hex(&w, "link", link);
	}
	return mk_part_put(a, &w);
}

/* The new segment is on disk, name and all, and the thread has it. */
static enum mk_err settle_segment(struct mk_audit *a)
{
	MK_TRY(mk_segment_sync(&a->segment));
	MK_TRY(mk_segment_sync_dir(&a->segment));
	if (!a->sync)
		return MK_OK;
	int fd;
	MK_TRY(mk_segment_second(&a->segment, &fd));
	mk_sync_switch(a->sync, fd);
	return MK_OK;
}

static enum mk_err make_room(struct mk_audit *a)
{
	const bool may_sync = a->segment.fd >= 0 && strcmp(a->begin.ended, "sync") != 0;
	if (may_sync && mk_segment_sync(&a->segment) != MK_OK && !a->alarm_due)
		a->alarm_due = "audit_sync"; /* the new one goes on in any case, and says so */
	MK_TRY(mk_segment_set_aside(&a->segment, a->head.seq + 1));
	return mk_segment_fresh(&a->segment);
}

mk_must mk_part_begin(struct mk_audit *a)
{
	if (a->begin.aside || a->segment.fd < 0)
		MK_TRY(make_room(a));
	const enum mk_err e = put_open(a);
	if (e != MK_OK) {
		const int error = errno;
		mk_segment_drop(&a->segment);
		errno = error;
		return e;
	}
	a->begin.meant = false;
	const enum mk_err synced = settle_segment(a);
	if (synced != MK_OK)
		a->begin = (struct mk_begin){ .meant = true, .aside = true, .why = "recover", .ended = "sync" };
	return synced;
}

static enum mk_err put_prune(struct mk_audit *a)
{
	const struct mk_segment *s = &a->segment;
	struct mk_jw w = mk_part_record(a, "prune");
	mk_jw_knum(&w, "first", (int64_t)s->old[0]);
	mk_jw_knum(&w, "last", (int64_t)(s->n_old > 1 ? s->old[1] : s->first) - 1);
	return mk_part_put(a, &w);
}

mk_must mk_part_put_close(struct mk_audit *a, const char *why)
{
	struct mk_jw w = mk_part_record(a, "close");
	mk_jw_kstr(&w, "why", why);
	mk_jw_knum(&w, "grants", (int64_t)a->grants);
	mk_jw_knum(&w, "denials", (int64_t)a->denials);
	mk_part_put_state(a, &w);
	return mk_part_put(a, &w);
}

mk_must mk_part_rotate(struct mk_audit *a)
{
	MK_TRY(mk_part_put_close(a, "rotate"));
	a->begin = (struct mk_begin){ .meant = true, .aside = true, .why = "rotate", .ended = "closed" };
	MK_TRY(mk_part_begin(a));
	while (a->segment.n_old > a->keep) { /* recorded before it is done */
		MK_TRY(put_prune(a));
		MK_TRY(mk_segment_remove_oldest(&a->segment));
	}
	return MK_OK;
}

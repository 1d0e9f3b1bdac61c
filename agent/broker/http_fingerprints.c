/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/fingerprints, for those whom policy grants `fingerprint`: {"key", "next"}, the key
 * 32 bytes in base64, `next` from the answer before. An answer is a page, in no order.
 */
#include "agent/base/units.h"
#include "agent/broker/fingerprint.h"
#include "agent/broker/http_acts.h"
#include "agent/broker/http_body.h"
#include "agent/broker/http_reply.h"
#include "agent/broker/http_routes.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW_MAX 192u
#define PARTS_MAX 16384u

/* "PART.PARTS" */
static bool read_next(const char *text, struct mk_fingerprint_ask *ask)
{
	const char *dot = strchr(text, '.');
	if (!text[0])
		return true;
	return dot && mk_u32_of(mk_span((const uint8_t *)text, (size_t)(dot - text)), &ask->part) == MK_OK &&
	       mk_u32_of(mk_span_of(dot + 1), &ask->parts) == MK_OK && ask->parts > 0 && ask->parts <= PARTS_MAX && ask->part < ask->parts;
}

static enum mk_hint read_ask(struct mk_conn *c, struct mk_fingerprint_ask *ask)
{
	char key[64] = "", next[16] = "";
	size_t n = 0;
	const struct mk_body_text texts[] = { { "key", key, sizeof key, .required = true }, { "next", next, sizeof next, .required = false } };
	const enum mk_hint bad = mk_body_read(c, texts, MK_COUNT(texts));
	if (bad != MK_HINT_NONE)
		return bad;
	if (sodium_base642bin(ask->key, sizeof ask->key, key, strlen(key), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 || n != sizeof ask->key)
		return MK_HINT_KEY;
	return read_next(next, ask) ? MK_HINT_NONE : MK_HINT_JSON;
}

static enum MHD_Result answer(struct mk_conn *c, const struct mk_fingerprint *all, size_t n, const struct mk_fingerprint_ask *ask)
{
	char next[32];
	struct mk_doc d = mk_doc_of(1024 + n * ROW_MAX);
	mk_jw_open(&d.w, '{');
	mk_jw_kstr(&d.w, "environment", mk_broker_environment(c->http->broker)->s);
	mk_jw_key(&d.w, "fingerprints");
	mk_jw_open(&d.w, '[');
	for (size_t i = 0; i < n; i++) {
		mk_jw_open(&d.w, '{');
		mk_jw_kstr(&d.w, "connection", all[i].name.s);
		mk_jw_kstr(&d.w, "state", all[i].previous ? "previous" : "current");
		mk_jw_kstr(&d.w, "fingerprint", all[i].hex);
		mk_jw_close(&d.w, '}');
	}
	mk_jw_close(&d.w, ']');
	snprintf(next, sizeof next, "%u.%u", ask->part + 1, ask->parts);
	if (ask->part + 1 < ask->parts)
		mk_jw_kstr(&d.w, "next", next);
	else
		mk_jw_knull(&d.w, "next");
	mk_jw_close(&d.w, '}');
	return mk_reply_doc(c, 200, "application/json", &d);
}

enum MHD_Result mk_route_fingerprints(struct mk_conn *c)
{
	struct mk_fingerprint_ask ask = { .part = 0 };
	mk_auto(mk_freep) struct mk_fingerprint *all = NULL;
	size_t n = 0;
	enum MHD_Result denied;
	if (!mk_route_may(c, MK_ACTION_FINGERPRINT, &denied))
		return denied;
	const enum mk_hint bad = read_ask(c, &ask);
	if (bad != MK_HINT_NONE)
		return mk_reply_refused(c, bad, NULL);
	const enum mk_err e = mk_gate_fingerprints(c->http->broker, &c->caller, &ask, &all, &n, &ask.parts);
	sodium_memzero(ask.key, sizeof ask.key);
	return e == MK_OK ? answer(c, all, n, &ask) : mk_reply_err(c, e, 0);
}

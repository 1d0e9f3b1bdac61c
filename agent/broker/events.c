/* SPDX-License-Identifier: Apache-2.0
 *
 * Event n lies at n modulo the ring's size; numbers never come again in one life.
 */
#include "agent/broker/events.h"

#include "agent/base/units.h"
#include "mk/own.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define LIFE_DIGITS 16

struct mk_events {
	char life[LIFE_DIGITS + 1];
	uint64_t end;
	struct mk_event ring[MK_EVENTS_KEPT];
};

const char *mk_told_word(enum mk_told kind)
{
	static const char *const words[MK_TOLD_COUNT] = {
#define MK_TOLD_WORD_(name, word) [MK_TOLD_##name] = (word),
		MK_TOLD_LIST(MK_TOLD_WORD_)
#undef MK_TOLD_WORD_
	};
	return kind < MK_TOLD_COUNT ? words[kind] : "resync";
}

mk_must mk_events_new(struct mk_events **ret)
{
	uint8_t random[LIFE_DIGITS / 2];
	struct mk_events *es = calloc(1, sizeof *es);
	if (!es)
		return MK_NO_MEMORY;
	randombytes_buf(random, sizeof random);
	sodium_bin2hex(es->life, sizeof es->life, random, sizeof random);
	es->end = 1;
	*ret = es;
	return MK_OK;
}

struct mk_events *mk_events_free(struct mk_events *es)
{
	free(es);
	return NULL;
}

void mk_events_add(struct mk_events *es, enum mk_told kind, const struct mk_name *name, const char *version)
{
	struct mk_event *e = &es->ring[es->end % MK_EVENTS_KEPT];
	*e = (struct mk_event){ .n = es->end, .kind = kind };
	if (kind != MK_TOLD_RESYNC)
		e->name = *name;
	if (version)
		memcpy(e->version, version, strnlen(version, MK_VERSION_MAX));
	es->end++;
}

uint64_t mk_events_end(const struct mk_events *es)
{
	return es->end;
}

enum mk_events_at mk_events_look(const struct mk_events *es, uint64_t n, const struct mk_event **ret)
{
	if (n >= es->end)
		return MK_EVENTS_NONE;
	const struct mk_event *e = &es->ring[n % MK_EVENTS_KEPT];
	if (n == 0 || e->n != n)
		return MK_EVENTS_LOST;
	*ret = e;
	return MK_EVENTS_ONE;
}

void mk_events_id(const struct mk_events *es, uint64_t n, char out[MK_EVENT_ID_MAX])
{
	snprintf(out, MK_EVENT_ID_MAX, "%s-%" PRIu64, es->life, n);
}

bool mk_events_after(const struct mk_events *es, struct mk_span id, uint64_t *ret)
{
	const struct mk_event *unused;
	int64_t n = 0;
	if (id.n < LIFE_DIGITS + 2 || memcmp(id.p, es->life, LIFE_DIGITS) != 0 || id.p[LIFE_DIGITS] != '-')
		return false;
	if (mk_i64_of(mk_span(id.p + LIFE_DIGITS + 1, id.n - LIFE_DIGITS - 1), &n) != MK_OK || n < 0 || (uint64_t)n >= es->end)
		return false;
	if (mk_events_look(es, (uint64_t)n + 1, &unused) == MK_EVENTS_LOST)
		return false;
	*ret = (uint64_t)n + 1;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring of what happened last, which all streams read. An event has a number, one more
 * than the one before it, and an id: this process's own random word and the number, so that
 * an id of another life is told apart. Knows nobody who reads; allocates once.
 */
#ifndef MK_EVENTS_H
#define MK_EVENTS_H

#include "mk/err.h"
#include "mk/limits.h"
#include "mk/name.h"

#define MK_EVENTS_KEPT  4096u
#define MK_EVENT_ID_MAX 40 /* 16 hexadecimal digits, '-', a number, NUL */

#define MK_TOLD_LIST(X)         \
	X(ROTATED, "rotated")   \
	X(REVOKED, "revoked")   \
	X(RESTORED, "restored") \
	X(EXPIRING, "expiring") \
	X(RESYNC, "resync")

enum mk_told {
#define MK_TOLD_ENUM_(name, word) MK_TOLD_##name,
	MK_TOLD_LIST(MK_TOLD_ENUM_)
#undef MK_TOLD_ENUM_
	MK_TOLD_COUNT
};
const char *mk_told_word(enum mk_told kind);

struct mk_event {
	uint64_t n;
	enum mk_told kind;
	struct mk_name name;              /* "" of RESYNC */
	char version[MK_VERSION_MAX + 1]; /* "": null */
};

struct mk_events;
mk_must mk_events_new(struct mk_events **ret);
struct mk_events *mk_events_free(struct mk_events *es);

void mk_events_add(struct mk_events *es, enum mk_told kind, const struct mk_name *name, const char *version);
uint64_t mk_events_end(const struct mk_events *es); /* the number that the next one will have; 1 at first */

enum mk_events_at {
	MK_EVENTS_ONE,  /* *ret, until the next is added */
	MK_EVENTS_NONE, /* not there yet */
	MK_EVENTS_LOST, /* not there any more */
};
enum mk_events_at mk_events_look(const struct mk_events *es, uint64_t n, const struct mk_event **ret);

void mk_events_id(const struct mk_events *es, uint64_t n, char out[MK_EVENT_ID_MAX]);
/* The number after that of an id. False where the id is no one's, of another life, or not in the ring any more. */
bool mk_events_after(const struct mk_events *es, struct mk_span id, uint64_t *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What was asked of a store and not answered yet: one flight for all who wait for the
 * same thing. A flight is a slot and a generation; the fetcher's answer names the
 * question by number, is applied once, and may find nobody. Knows nothing of links,
 * store or policy.
 */
#ifndef MK_FLIGHT_H
#define MK_FLIGHT_H

#include "agent/broker/directory.h"
#include "agent/broker/gate.h"

#define MK_FLIGHTS_MAX     1024u
#define MK_FLIGHTS_PER_UID 256u /* begun for one uid, also those that nobody waits for any more */
#define MK_FLIGHT_MS   INT64_C(10000) /* from the question to TIMEOUT, whatever happens between; a backend's `timeout` is no longer */

enum mk_flight_kind { MK_FLIGHT_GET = 1, MK_FLIGHT_LIST };

struct mk_flight_key {
	enum mk_flight_kind kind;
	struct mk_name name; /* GET */
	bool previous;       /* GET */
};

struct mk_flight {
	struct mk_flight_key key;
	uid_t uid;            /* that it was begun for */
	bool used;
	bool joinable;        /* what it will bring is new enough for who asks now */
	bool sent;            /* the fetcher of now has the question */
	uint8_t backend;      /* that is asked */
	uint32_t epoch;       /* of that backend when it was asked */
	uint32_t gen;         /* of the slot, for waiters */
	uint32_t question;    /* number of the open question, for the fetcher */
	int64_t deadline_ms;  /* boot clock */
	struct mk_waiter *first;
	struct mk_names names; /* LIST: the pages so far */
};

struct mk_flights;
mk_must mk_flights_new(struct mk_flights **ret);
struct mk_flights *mk_flights_free(struct mk_flights *fs); /* waiters are let go without being woken */
size_t mk_flights_waiting(const struct mk_flights *fs);
size_t mk_flights_of_uid(struct mk_flights *fs, uid_t uid); /* begun for it and not ended */

struct mk_flight *mk_flight_find(struct mk_flights *fs, const struct mk_flight_key *key); /* a joinable one, or NULL */
/* NOT_READY when all slots are in use, RATE_LIMITED beyond MK_FLIGHTS_PER_UID. The first backend is 0, nothing is sent yet. */
mk_must mk_flight_begin(struct mk_flights *fs, const struct mk_flight_key *key, uid_t uid, struct mk_flight **ret);
/* Next question of the same flight: answers to the one before it are nobody's from now on. */
struct mk_ref mk_flight_ask(struct mk_flights *fs, struct mk_flight *f);
struct mk_flight *mk_flight_of(struct mk_flights *fs, struct mk_ref question); /* NULL: nobody waits for that */
/* Unhooks all who wait, wakes each once with err, and gives the slot free. */
void mk_flight_end(struct mk_flights *fs, struct mk_flight *f, enum mk_err err);

/* RATE_LIMITED beyond per_uid waiters of one uid. */
mk_must mk_flight_join(struct mk_flights *fs, struct mk_flight *f, struct mk_waiter *w, uint32_t per_uid);
void mk_flight_leave(struct mk_flights *fs, struct mk_waiter *w);

/* Every flight in use: *at starts at 0; NULL at the end. */
struct mk_flight *mk_flight_each(struct mk_flights *fs, size_t *at);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What in_store.c, in_store_call.c and in_store_record.c share; of no use elsewhere.
 */
#ifndef MK_IN_STORE_PART_H
#define MK_IN_STORE_PART_H

#include "agent/broker/core.h"
#include "agent/broker/in_store.h"

struct mk_in_store_work { /* one name in one store */
	struct mk_stored is;
	char held[MK_IN_STORE_HELD][MK_VERSION_MAX + 1]; /* versions that were held from this store; "": none */
	unsigned next;        /* the version that is asked about: 0 the current one, then those held */
	unsigned tries;       /* of that question */
	uint32_t question;    /* the fetcher has it; 0: no */
	int64_t began_ms, asked_ms; /* boot clock */
	enum mk_stored_outcome so_far; /* of the versions before; at first WAITS */
	bool maybe;           /* a question of it was lost after it had been sent */
};

struct mk_in_store {
	struct mk_broker *b;
	struct mk_in_store *next;
	enum mk_verb verb;
	struct mk_name *names;            /* owned */
	struct mk_word stores[MK_BACKENDS_MAX];
	size_t n, n_stores;
	struct mk_in_store_work *works;   /* owned: stores of the first name, then of the second … */
	struct mk_evidence evidence;      /* of who asked */
	struct mk_word service;
	size_t open;                      /* works that wait */
	int64_t began_ms, until_ms;       /* boot clock */
	bool begun, let_go, told;
	void (*done)(void *arg);
	void *arg;
};

/* in_store.c. Once for each work. */
void mk_in_store_end(struct mk_in_store *j, struct mk_in_store_work *w, enum mk_stored_outcome o, enum mk_err e);
void mk_in_store_look(struct mk_in_store *j); /* asks what may be asked, gives up what is late */
void mk_in_store_unlink(struct mk_in_store *j);
struct mk_in_store *mk_in_store_destroy(struct mk_in_store *j);

/* in_store_call.c: the versions that are held now, where none was known. */
void mk_in_store_take_held(struct mk_in_store *j, size_t name);

/* in_store_record.c. Before the first question, on disk: AUDIT. */
mk_must mk_in_store_record_begin(struct mk_in_store *j);
void mk_in_store_record(struct mk_in_store *j, const struct mk_in_store_work *w);
/* What the broker forgets when a store hands the name out again. */
void mk_in_store_enabled(struct mk_in_store *j, const struct mk_name *name);

#endif

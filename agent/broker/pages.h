/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages, one for each service by its name, that the broker writes and libmakini's clients read
 * (makini/wire.h): until when copies of tokens may be used at all, and a word for each connection
 * that moves when copies of its token are no longer good. The supervisor makes the memory; it is
 * mapped, then sealed, and only then shown to anybody. A word only ever goes up.
 */
#ifndef MK_PAGES_H
#define MK_PAGES_H

#include "makini/wire.h"
#include "mk/err.h"
#include "mk/name.h"

#define MK_PAGE_NAMES_MAX 4096u /* connections of one service that may be repeated; of others each get is asked for */

struct mk_broker;
struct mk_pages;

struct mk_page_word {
	uint32_t index;
	uint64_t value;
};

struct mk_page; /* of one service */

mk_must mk_pages_new(struct mk_broker *b, struct mk_pages **ret);
struct mk_pages *mk_pages_free(struct mk_pages *ps);

/* That service's, made where there is none: then the supervisor is asked for its memory. NULL: no memory. */
struct mk_page *mk_pages_of(struct mk_pages *ps, const struct mk_word *service);
const struct mk_word *mk_page_service(const struct mk_page *p);
int mk_page_fd(const struct mk_page *p);       /* -1: its memory has not come yet */
uint64_t mk_page_moves(const struct mk_page *p); /* goes up when any word does */
/* The memory that was asked for by that number, taken over. Nobody's, or one that cannot be sealed: closed. */
void mk_pages_came(struct mk_pages *ps, uint32_t number, int fd);

/* A client of that service more, and less. Without any its page is not valid, and its words move. */
void mk_page_enter(struct mk_page *p);
void mk_page_leave(struct mk_page *p);

/* The word that is, or will be, that connection's, as it stands now: to be read before a decision on it. */
struct mk_page_word mk_page_look(struct mk_page *p, const struct mk_name *name);
/* Its token is about to be handed out, right after that decision: its word is its own from now on, and what changes is looked
 * for as if it were used. False: that is not possible, and no copy of it may be used again. */
bool mk_page_keep(struct mk_page *p, const struct mk_name *name);

/* All clients of all services ask again: about that connection; about everything (also when a freeze begins or ends, after which
 * nothing is valid or all is). */
void mk_pages_move(struct mk_broker *b, const struct mk_name *name);
void mk_pages_move_all(struct mk_broker *b);
/* About what is held of a value that is dead now. */
void mk_pages_move_dead(struct mk_broker *b);

/* Each tick: what is valid stays so for three seconds more. */
void mk_pages_tick(struct mk_broker *b);
/* The policy is another one: pages of services that it does not know are gone. */
void mk_pages_reconfigured(struct mk_broker *b);
/* Nothing is valid any more, for good. */
void mk_pages_end(struct mk_broker *b);

uint32_t mk_pages_count(const struct mk_broker *b); /* those with a client */

#endif

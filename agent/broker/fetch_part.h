/* SPDX-License-Identifier: Apache-2.0
 *
 * What fetch.c (questions and answers) and fetch_link.c (the link to the fetcher, and time)
 * share; of no use elsewhere.
 */
#ifndef MK_FETCH_PART_H
#define MK_FETCH_PART_H

#include "agent/broker/fetch.h"

void mk_fetch_ask_backend(struct mk_broker *b, struct mk_flight *f, uint8_t backend); /* from the start */
void mk_fetch_note_call(struct mk_broker *b, uint8_t backend, enum mk_err e);          /* how a store fares */
void mk_fetch_note_failure(struct mk_broker *b, const struct mk_flight *f);            /* for the pause before the next */
mk_must mk_fetch_on_fetched(struct mk_broker *b, struct mk_span body);
mk_must mk_fetch_on_listed(struct mk_broker *b, struct mk_span body);

#endif

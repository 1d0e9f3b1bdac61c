/* SPDX-License-Identifier: Apache-2.0
 *
 * The side of libmakini: a socket beside each listener of services (makini/wire.h), the same
 * evidence, the same limits and the same gate as for HTTP, without HTTP. Who said hello holds its
 * service's page; each get is a decision and a record of its own, what a client repeats from its
 * memory is not. Half a frame is never sent.
 */
#ifndef MK_CLIENT_H
#define MK_CLIENT_H

#include "agent/broker/broker.h"

struct mk_clients;
struct mk_page;

mk_must mk_clients_new(struct mk_broker *b, struct mk_clients **ret);
struct mk_clients *mk_clients_free(struct mk_clients *cs);

/* Takes over a listening descriptor, beside the listener of that name. The same one again is fine. */
mk_must mk_clients_listen(struct mk_clients *cs, const struct mk_word *name, int fd);
/* After a reload: those whose name is not in names[] stop, and their connections end. */
void mk_clients_keep(struct mk_clients *cs, const struct mk_word *names, size_t n);
/* The policy is another one: connections whose caller is another service now, or nobody, end. */
void mk_clients_reconfigured(struct mk_clients *cs);

/* The page that some of them wait for is there. */
void mk_clients_page_came(struct mk_clients *cs, struct mk_page *p);
/* Words have moved: those who watch are told soon. NULL is fine. */
void mk_clients_moved(struct mk_clients *cs);

/* No new connections; true when the last answer has left. NULL is fine. */
bool mk_clients_drain(struct mk_clients *cs);

uint32_t mk_clients_count(const struct mk_clients *cs); /* connections; NULL: 0 */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The page that the broker shares with its clients: looked at once, closely, and then only read.
 */
#ifndef CLIENT_PAGE_H
#define CLIENT_PAGE_H

#include "client/handle.h"

/* Takes fd, and closes it in any case. Puts the page in force unless it is in force already; one that is another ends all copies of the one
 * before. 0 and the page's generation; EPROTOCOL: this is no such page; or ENOMEM. Takes the handle's lock. */
int page_adopt(makini *m, int fd, uint32_t words, uint64_t *ret_generation);

/* No page is in force from now on, and all copies are wiped: the agent left. Takes the handle's lock. */
void page_leave(makini *m);

/* Gives back the mapping, at the handle's end. */
void page_unmap(const struct wire_page *page);

#endif

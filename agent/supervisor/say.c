/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of the supervisor are small and written one after the other, so one buffer
 * does for all of them.
 */
#include "agent/supervisor/sup.h"

static uint8_t room[32768];

struct mk_wr mk_say_room(void)
{
	return mk_wr_of(room, sizeof room);
}

enum mk_err mk_say(struct mk_kid *k, enum mk_msg type, const struct mk_wr *w, int fd)
{
	size_t n = 0;
	if (!k->link)
		return MK_NOT_READY;
	MK_TRY(mk_wr_end(w, &n));
	return mk_link_send(k->link, type, mk_span(room, n), fd);
}

enum mk_err mk_say_number(struct mk_kid *k, enum mk_msg type, uint32_t n, int fd)
{
	struct mk_wr w = mk_say_room();
	mk_msg_number_write(&w, &(struct mk_msg_number){ n });
	return mk_say(k, type, &w, fd);
}

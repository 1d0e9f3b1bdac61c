/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash of short chains: there are as many entries as uids with a connection, and those
 * a caller cannot multiply.
 */
#include "agent/broker/http_uids.h"

#include <stdlib.h>

static struct mk_uid **place(struct mk_uids *all, uid_t uid, bool known)
{
	struct mk_uid **at = &all->bucket[uid % MK_UID_BUCKETS];
	while (*at && ((*at)->uid != uid || (*at)->known != known))
		at = &(*at)->next;
	return at;
}

struct mk_uid *mk_uids_enter(struct mk_uids *all, uid_t uid, bool known)
{
	struct mk_uid **at = place(all, uid, known);
	if (!*at) {
		*at = calloc(1, sizeof **at);
		if (!*at)
			return NULL;
		(*at)->uid = uid;
		(*at)->known = known;
	}
	(*at)->connections++;
	return *at;
}

void mk_uids_leave(struct mk_uids *all, struct mk_uid *u)
{
	if (!u || --u->connections > 0)
		return;
	struct mk_uid **at = place(all, u->uid, u->known);
	mk_assert(*at == u);
	*at = u->next;
	free(u);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What each uid has open: connections, answers that it has not read yet, requests that
 * wait for their turn. An entry lives as long as one of its connections. A peer whose uid
 * the kernel did not tell counts under one entry of its own.
 */
#ifndef MK_HTTP_UIDS_H
#define MK_HTTP_UIDS_H

#include "mk/err.h"

#include <stdint.h>
#include <sys/types.h>

#define MK_UID_BUCKETS 256u

struct mk_uid {
	struct mk_uid *next;
	uid_t uid;
	bool known;
	uint32_t connections, answers, asked;
	uint32_t pages; /* sent to clients of libmakini, and not read yet */
};

struct mk_uids {
	struct mk_uid *bucket[MK_UID_BUCKETS];
};

/* Counts one more connection. NULL: no memory. */
struct mk_uid *mk_uids_enter(struct mk_uids *all, uid_t uid, bool known);
/* And one less; frees the entry with the last. NULL is fine. */
void mk_uids_leave(struct mk_uids *all, struct mk_uid *u);

#endif

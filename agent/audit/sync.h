/* SPDX-License-Identifier: Apache-2.0
 *
 * The one helper thread of the project: it fdatasyncs the log within 50 ms of a write,
 * many records at once, and tells how it went. It owns a descriptor and nothing else,
 * has all signals blocked, and calls only read, clock_nanosleep, fdatasync and close
 * (and futex when it begins and ends).
 */
#ifndef MK_AUDIT_SYNC_H
#define MK_AUDIT_SYNC_H

#include "mk/err.h"

#include <stdint.h>

struct mk_sync;

/* Takes over fd in any case. When it returns the thread runs, past the calls that only a beginning thread makes. */
mk_must mk_sync_start(int fd, struct mk_sync **ret);
struct mk_sync *mk_sync_stop(struct mk_sync *s); /* joins it; NULL is fine */

void mk_sync_poke(struct mk_sync *s);           /* something was written */
/* From now on this one; takes it over. The old one is the caller's to have synced. */
void mk_sync_switch(struct mk_sync *s, int fd);

/* errno of a failed sync since the last call, 0: none. After one, nothing is synced until mk_sync_switch. */
int mk_sync_error(struct mk_sync *s);
uint64_t mk_sync_count(const struct mk_sync *s); /* syncs that went well */

#endif

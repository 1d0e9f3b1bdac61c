/* SPDX-License-Identifier: Apache-2.0
 *
 * What decisions about a connection's current token go by, in one number: value, version,
 * expiry, tags, and whether it may be had at all. Where a fetch changes it, copies that
 * clients hold are no longer good, also where the version is the same.
 */
#ifndef MK_STANDING_H
#define MK_STANDING_H

#include "agent/broker/tell.h"

/* Around a fetch of the current version: what was there, then what came of it (err as its waiters are told). Whom that changes anything
 * for is told, or asks again. */
struct mk_stood {
	struct mk_current current;
	uint64_t standing; /* 0: none was held, or it is revoked */
};
void mk_standing_before(const struct mk_broker *b, const struct mk_name *name, struct mk_stood *ret);
void mk_standing_after(struct mk_broker *b, const struct mk_name *name, const struct mk_stood *before, enum mk_err e);

#endif
